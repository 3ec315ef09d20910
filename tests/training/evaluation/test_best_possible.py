"""The synthetic weather's law as a predictor: what it draws is what the archive could have been."""

from __future__ import annotations

import numpy as np

from benchmarks.best_possible import SEEN_KM, target_fields
from corrstore.datasets.synthetic.domain import domain_of
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
