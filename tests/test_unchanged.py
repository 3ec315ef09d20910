"""Results that were there before the packages were arranged anew are still the same, to the bit."""

from __future__ import annotations

import pytest

from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.synthetic import FAULT_KINDS, SyntheticSpec, synthesise
from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.evaluate import evaluate
from corrstore.training.evaluation.pages.report import write_evaluation_report
from corrstore.training.evaluation.predictors.comparison import compare
from tests.conftest import build_in_process
from tests.digests import needs_numpy_2_3
from tests.paths import needs_shared
from tests.results import arrays_digest, forecast_of, pictures_digest, scores_digest

DEMO = "d6efbf85ae066ad6780ee0e26ab5927e6441495cb544cfc93fdd23399853b5b4"
HRRR = "a979bae374e472e75539d4efb40ad09f40ff0fc03fc28cf7e25e7da0b5f0aada"
SCORES = "d21361b48651d06df097b468199518baba96f94f5be37e7c528d3eed212e84ec"
PICTURES = "564c0368bd5fd0cd5f97828559cf5cca067d4bc2ba7c53203e3d8ee86d0c2eb8"


@needs_numpy_2_3
@pytest.mark.slow
def test_the_demonstrations_store_is_what_it_was(tmp_path):
    recipe = load_recipe("demo", [f"sources.era5.path={tmp_path}/era5", f"sources.cma_rra.path={tmp_path}/cma_rra"])
    spec = SyntheticSpec(recipe.interval.start, recipe.interval.end, frequency=12, faults=frozenset(FAULT_KINDS))
    synthesise(tmp_path, spec, processes=2)
    build_in_process(recipe, tmp_path / "store")
    assert arrays_digest(open_store(str(tmp_path / "store"))) == DEMO


@needs_shared
def test_the_store_of_real_hrrr_is_what_it_was(hrrr_build):
    assert arrays_digest(open_store(hrrr_build[0])) == HRRR


@needs_numpy_2_3
def test_scores_and_pictures_are_what_they_were(demo_store, tmp_path):
    forecast = forecast_of(demo_store, str(tmp_path / "forecast"), [11, 12, 13])
    found = evaluate(demo_store.folder.url, forecast.folder.url)
    assert scores_digest(found.rows) == SCORES
    agenda = make_agenda(compare(demo_store.folder.url, forecast.folder.url))
    write_evaluation_report(found, agenda, tmp_path / "report.html")
    assert pictures_digest((tmp_path / "report.html").read_text(encoding="utf-8")) == PICTURES
