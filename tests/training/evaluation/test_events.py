"""Scores of events, tails and whole fields against the package `scores` and their definitions, merged in any order."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scores.categorical import BasicContingencyManager
from scores.continuous import quantile_score
from scores.probability import brier_score, tail_tw_crps_for_ensemble

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.variables.channels import channel_named
from corrstore.training.evaluation.predictors.sample import normalised
from corrstore.training.evaluation.scoring import scores
from corrstore.training.evaluation.scoring.registry import functions
from corrstore.training.evaluation.scoring.spectra import Wavenumbers
from corrstore.training.evaluation.scoring.tallies import LAGS, QUANTILES, Domain, merged, tally

GRID = RectilinearGrid.from_box(north=40.0, south=38.0, west=100.0, east=103.0, step=0.1)
DOMAIN = Domain.of_grid(GRID)
THRESHOLDS = (0.0, 1.0)


def rain(members, seed):
    """Rounded, floored numbers with ties, and a truth that lacks a row."""
    rng = np.random.default_rng(seed)
    fields = np.maximum(np.round(rng.standard_normal((members + 1, *GRID.shape)), 1), 0).astype(np.float32)
    fields[-1, 3] = np.nan
    return fields[:-1], fields[-1]


def weighted(field):
    """The mean over the known pixels, weighted by latitude."""
    return float(field.weighted(np.cos(np.deg2rad(field.lat))).mean())


def arrays(members, truth):
    """Ensemble and truth as the package takes them; the members are missing where the truth is."""
    coordinates = {"lat": GRID.lat, "lon": GRID.lon}
    ensemble = np.where(np.isnan(truth), np.nan, members.astype(float))
    return (
        xr.DataArray(ensemble, coordinates, ("member", "lat", "lon")),
        xr.DataArray(truth.astype(float), coordinates, ("lat", "lon")),
    )


@pytest.mark.parametrize("members", [1, 2, 8])
def test_scores_of_events_are_those_of_the_package(members):
    found = tally(*rain(members, 5), DOMAIN, THRESHOLDS)
    ensemble, truth = arrays(*rain(members, 5))
    for i, threshold in enumerate(THRESHOLDS):
        event = (truth >= threshold).where(truth.notnull())
        share = (ensemble >= threshold).where(ensemble.notnull()).mean("member", skipna=False)
        expected = weighted(brier_score(share, event, preserve_dims="all"))
        assert scores.brier(found)[0, i] == pytest.approx(expected, abs=1e-9)
        if members > 1:
            tail = tail_tw_crps_for_ensemble(
                ensemble, truth, "member", threshold, tail="upper", method="fair", preserve_dims="all"
            )
            assert scores.tail_crps(found)[0, i] == pytest.approx(weighted(tail), abs=1e-6)
        weights = np.cos(np.deg2rad(truth.lat)) * event.notnull()
        counts = {
            "tp_count": (weights * share * event).sum(),
            "fp_count": (weights * share * (1 - event)).sum(),
            "fn_count": (weights * (1 - share) * event).sum(),
            "tn_count": (weights * (1 - share) * (1 - event)).sum(),
        }
        theirs = BasicContingencyManager({**counts, "total_count": sum(counts.values())})
        for name, ours in (
            ("probability_of_detection", scores.pod),
            ("false_alarm_ratio", scores.far),
            ("critical_success_index", scores.csi),
            ("frequency_bias", scores.frequency_bias),
            ("equitable_threat_score", scores.ets),
            ("heidke_skill_score", scores.hss),
        ):
            assert ours(found)[0, i] == pytest.approx(float(getattr(theirs, name)()), abs=1e-6, nan_ok=True), name


@pytest.mark.parametrize("south", [10.0, 20.3, 31.7, 38.0])
def test_an_event_at_every_pixel_tells_no_skill(south):
    grid = RectilinearGrid.from_box(north=south + 2, south=south, west=100.0, east=103.0, step=0.1)
    wet = np.ones((2, *grid.shape), np.float32)
    found = tally(wet, wet[0], Domain.of_grid(grid), THRESHOLDS)
    assert np.isnan(scores.ets(found)).all() and np.isnan(scores.hss(found)).all()
    assert (scores.csi(found) == 1).all()


def test_quantile_scores_are_those_of_the_package():
    found = tally(*rain(8, 6), DOMAIN)
    ensemble, truth = arrays(*rain(8, 6))
    for i, quantile in enumerate(QUANTILES):
        forecast = ensemble.quantile(quantile, "member")
        theirs = quantile_score(forecast, truth, quantile, preserve_dims="all")
        assert scores.quantile_score(found)[0, i] == pytest.approx(weighted(theirs), abs=1e-6)


def test_energy_and_variogram_scores_are_their_definitions():
    members, truth = rain(3, 7)
    truth = np.nan_to_num(truth)
    found, weights = tally(members, truth, DOMAIN), np.cos(np.deg2rad(GRID.lat))[:, None] * np.ones(GRID.shape)

    def norm(field):
        return np.sqrt((weights * field.astype(float) ** 2).sum() / weights.sum())

    pairs = sum(norm(a - b) for a in members for b in members) / (2 * 3 * 2)
    assert scores.energy(found)[0] == pytest.approx(sum(norm(a - truth) for a in members) / 3 - pairs, abs=1e-9)
    squares = []
    for lag in LAGS:
        for axis, size in enumerate(GRID.shape):
            for k in range(size - lag):
                near, far = (np.take(truth, each, axis) for each in (k, k + lag))
                ours = np.mean([abs(np.take(m, k, axis) - np.take(m, k + lag, axis)) ** 0.5 for m in members], axis=0)
                squares.append((abs(near - far) ** 0.5 - ours) ** 2)
    assert scores.variogram(found)[0] == pytest.approx(np.concatenate(squares).mean(), rel=1e-5)
    alone = np.full(truth.shape, np.nan)
    alone[3, 4] = truth[3, 4]
    assert np.isnan(scores.variogram(tally(members, alone, DOMAIN))).all()  # no pair of pixels


def test_what_lies_outside_the_physical_range_or_above_the_temperature_is_counted():
    members, truth = np.zeros((2, *GRID.shape), np.float32), np.zeros(GRID.shape)
    members[0, :, :3] = 7
    found = tally(members, truth, DOMAIN, valid_range=(0, 5), ceiling=members - np.eye(2)[0][:, None, None] + 0.5)
    assert scores.outside(found)[0] == pytest.approx(3 / GRID.shape[1] / 2)
    assert scores.above_temperature(found)[0] == pytest.approx(0.5)


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(4)), st.integers(1, 8))
def test_samples_merge_in_any_order(order, members):
    parts = [tally(*rain(members, seed), DOMAIN, THRESHOLDS) for seed in range(4)]
    one, other = merged(parts).total, merged(merged([parts[k]]) for k in order).total
    for name, score in functions(DOMAIN, channel_named("tp").variable).items():
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(score(one), score(other), rtol=1e-12, err_msg=name)


def test_noise_has_the_spectrum_that_is_asked_for(demo_store):
    waves, rng = Wavenumbers((24, 32), (3.0, 3.0)), np.random.default_rng(2)
    wanted = waves.variance(rng.standard_normal((24, 32)).cumsum(axis=0).cumsum(axis=1))
    found = np.mean([waves.variance(waves.noise(wanted, rng)) for _ in range(400)], axis=0)
    np.testing.assert_allclose(found, wanted, rtol=0.5)
    assert found.sum() == pytest.approx(wanted.sum(), rel=0.1)
    constants = demo_store.plan.normalisations["target"][0]
    assert normalised(constants, constants.decode(np.float32([[1.5]]))) == pytest.approx(1.5, abs=1e-6)
