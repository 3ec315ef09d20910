"""The synthetic weather's law as a predictor: what it draws is what the archive could have been."""

from __future__ import annotations

import numpy as np

from benchmarks.science.best_possible import SEEN_KM, as_seen, target_fields
from corrstore.datasets.synthetic.domain import domain_of
from corrstore.datasets.synthetic.era5 import analysis_error
from corrstore.datasets.synthetic.weather.noise import Redraw
from corrstore.datasets.synthetic.weather.weather import Weather
from tests.conftest import spec as small_spec


def test_the_law_gives_the_stores_truth_and_a_redraw_of_it_something_near(demo_store):
    spec, position = small_spec(), 3
    truth, time = demo_store.physical("target", position), demo_store.times[position]
    spread = truth.std(axis=(1, 2))
    same, other = (
        target_fields(Weather(spec.seed, domain_of(spec), redraw), demo_store, time)
        for redraw in (None, Redraw(0, SEEN_KM))
    )
    assert (np.abs(same - truth).mean(axis=(1, 2)) < 2e-3 * spread).all()
    distance = np.abs(other - truth).mean(axis=(1, 2)) / spread
    assert ((distance > 1e-3) & (distance < 0.5)).all()


def test_a_member_with_its_own_error_would_be_analysed_as_the_truth_is(demo_store):
    spec, time = small_spec(), demo_store.times[3]
    weather, truth = Weather(spec.seed, domain_of(spec)), demo_store.physical("target", 3).astype(np.float32)
    seen = as_seen(truth, weather, demo_store, time, member=2)
    names = [each.name for each in demo_store.plan.channels("target")]
    distance = np.abs(seen - truth).mean(axis=(1, 2)) / np.abs(truth).mean(axis=(1, 2))
    assert distance[names.index("refc")] == 0, "what the coarse side does not have has no error there"
    assert (np.delete(distance, names.index("refc")) > 1e-5).all()
    fine, grid, t2m = weather.domain.fine, demo_store.grid("target"), names.index("t2m")
    rows, columns = (np.abs(a[:, None] - b).argmin(axis=0) for a, b in ((fine.lat, grid.lat), (fine.lon, grid.lon)))
    ours, other = (analysis_error(seed, "t2m", fine, time)[0][np.ix_(rows, columns)] for seed in (7, 3007))
    np.testing.assert_allclose((seen - truth)[t2m], ours - other, atol=1e-3)
