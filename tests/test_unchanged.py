"""Results are, to the bit, what they were when their digests were taken."""

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

DEMO = "0f55ee6752afa968b4db5de26a10353e47bcc191b33ddd5afe86c6419938909a"
HRRR = "a979bae374e472e75539d4efb40ad09f40ff0fc03fc28cf7e25e7da0b5f0aada"
SCORES = "d419394ea5017986c914f0f43204108cb796e1e7510fa450a6df097b82377814"
PICTURES = "2bd12d9c8d17f425519033d5061cf7dd0ea1eaae58380b8b11c269fa5bdb016e"


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
