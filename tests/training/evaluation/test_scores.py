"""Scores against closed forms, definitions written out, and the package `scores`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scores.probability import crps_for_ensemble
from scores.spatial import fss_2d_single_field

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.training.evaluation.scoring import scores
from corrstore.training.evaluation.scoring.neighbourhoods import fraction_errors
from corrstore.training.evaluation.scoring.pixels import pixel_sums, spread_classes
from corrstore.training.evaluation.scoring.spectra import EARTH_RADIUS_KM, Wavenumbers
from corrstore.training.evaluation.scoring.tallies import Domain, merged, tally

GRID = RectilinearGrid.from_box(north=40.0, south=38.0, west=100.0, east=103.0, step=0.1)
DOMAIN = Domain.of_grid(GRID)


def normal(shape, seed=0, dtype=np.float32):
    """Independent unit normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def fair_crps(ensemble, truth):
    """The fair CRPS, summed over pixels."""
    shape = truth.shape
    none, ones, lots = np.empty(0), np.ones(len(truth)), np.zeros(shape)
    return pixel_sums(ensemble, truth.astype(float), ones, lots, none, none, 11, (-np.inf, np.inf), None)[0].crps


@settings(max_examples=50)
@given(st.integers(1, 7), st.integers(0, 2**31))
def test_fair_crps_is_its_definition(members, seed):
    ensemble, truth = normal((members, 3, 300), seed), normal((3, 300), seed + 1)
    x = ensemble.astype(float)
    pairs = np.abs(x[:, None] - x).sum(axis=(0, 1)) / (2 * members * max(members - 1, 1))
    expected = np.abs(x - truth).mean(axis=0) - pairs
    assert fair_crps(ensemble, truth) == pytest.approx(expected.sum(), abs=1e-9)


def test_fair_crps_agrees_with_the_package_scores():
    ensemble, truth = normal((6, 8, 9)), normal((8, 9), 1)
    theirs = crps_for_ensemble(
        xr.DataArray(ensemble.astype(float), dims=("member", "y", "x")),
        xr.DataArray(truth.astype(float), dims=("y", "x")),
        "member",
        method="fair",
        preserve_dims="all",
    )
    assert fair_crps(ensemble, truth) == pytest.approx(float(theirs.sum()), abs=1e-10)


@pytest.mark.parametrize("members", [2, 3, 20])
def test_fair_crps_of_a_gaussian_ensemble_is_that_of_the_gaussian(members):
    """The CRPS of a Gaussian is equation 21 of Gneiting and Raftery 2007; the truth is at z standard deviations."""
    z, rows = 0.7, 400
    expected = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi)
    ensemble = normal((members, rows, 1000))
    found = np.array([fair_crps(ensemble[:, [row]], np.full((1, 1000), z)) for row in range(rows)]) / 1000
    assert found.mean() == pytest.approx(expected, abs=5 * found.std() / math.sqrt(rows))


@settings(max_examples=20)
@given(st.integers(4, 9), st.integers(1, 700), st.integers(0, 2**31))
def test_the_sums_of_a_field_are_those_of_its_parts(members, width, seed):
    """However many pixels are worked on at once, and wherever the truth is missing."""
    random = np.random.default_rng(seed)
    every = np.maximum(normal((members + 2, 4, width), seed), 0)  # many are equal
    ensemble, truth, ceiling = every[:members], every[-1].astype(float), every[[members]]
    truth[random.random(truth.shape) < 0.2] = np.nan
    ensemble[:, np.isnan(truth)] = np.nan
    lots, cut = random.random(truth.shape), int(random.integers(0, width + 1))

    def found(part):
        fields = ensemble[..., part], truth[:, part]
        known = np.array([0.1, 1.0]), np.array([0.1, 0.5]), 11, (0.0, 1.5), ceiling[..., part]
        return pixel_sums(*fields, np.array([0.9, 0.8, 0.7, 0.6]), lots[:, part], *known)

    (whole, standing), *parts = (found(part) for part in (slice(None), slice(cut), slice(cut, None)))
    np.testing.assert_allclose(standing, sum(each for _, each in parts), atol=1e-12)
    for name, value in whole._asdict().items():
        if name != "energy":  # of whole fields
            np.testing.assert_allclose(value, sum(getattr(each, name) for each, _ in parts), rtol=1e-9, atol=1e-9)


@settings(max_examples=20)
@given(st.integers(4, 9), st.integers(8, 700), st.integers(0, 2**31))
def test_classes_of_spread_are_their_definition(members, width, seed):
    ensemble, truth = np.maximum(normal((members, 3, width), seed), 0.5), normal((3, width), seed + 1)
    truth[np.random.default_rng(seed).random(truth.shape) < 0.1] = np.nan
    present, row_weights = ~np.isnan(truth), np.array([0.9, 0.8, 0.7])
    one, other = ensemble[::2, present].astype(float), ensemble[1::2, present].astype(float)
    spread = (len(one) * one.var(axis=0)).astype(np.float32)
    added = np.stack([np.ones(spread.size), other.var(axis=0, ddof=1), (other.mean(axis=0) - truth[present]) ** 2])
    added *= np.broadcast_to(row_weights[:, None], truth.shape)[present]
    starts = np.linspace(0, spread.size, 5, endpoint=False).astype(int)
    expected = np.add.reduceat(added[:, np.argsort(spread, kind="stable")], starts, axis=1)
    np.testing.assert_allclose(spread_classes(ensemble, truth.astype(float), row_weights, 5), expected, rtol=1e-6)


def test_crps_of_one_member_is_its_absolute_error():
    forecast, truth = normal(GRID.shape), normal(GRID.shape, 1)
    one = tally(forecast[None], truth, DOMAIN)
    assert scores.crps(one) == pytest.approx(scores.mae(one))
    assert np.isnan(scores.spread(one)).all()


def test_error_scores_are_weighted_by_latitude_and_leave_out_missing_pixels():
    ensemble, truth = normal((4, *GRID.shape)), normal(GRID.shape, 1)
    truth[3, 4] = np.nan
    found = tally(ensemble, truth, DOMAIN)
    weights = np.cos(np.deg2rad(GRID.lat))[:, None] * np.ones(GRID.shape)
    weights[3, 4] = 0
    error = np.nan_to_num(ensemble.astype(float).mean(axis=0) - truth)
    assert scores.mae(found)[0] == pytest.approx(np.average(np.abs(error), weights=weights))
    assert scores.rmse(found)[0] == pytest.approx(math.sqrt(np.average(error**2, weights=weights)))
    assert scores.bias(found)[0] == pytest.approx(np.average(error, weights=weights))
    variance = np.average(ensemble.astype(float).var(axis=0, ddof=1), weights=weights)
    assert scores.spread(found)[0] == pytest.approx(math.sqrt(variance))
    assert found.whole[0] == 0 and not found.spectrum.any()


@pytest.mark.parametrize("members", [2, 10])
def test_an_ensemble_that_is_like_the_truth_is_found_reliable(members):
    scale = np.exp(normal((1, 500, 600), 5))
    every = normal((members + 1, 500, 600)) * scale
    grid = RectilinearGrid.from_box(north=49.9, south=0.0, west=100.0, east=159.9, step=0.1)
    found = tally(every[:-1], every[-1], Domain.of_grid(grid))
    assert scores.spread_skill(found)[0] == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(scores.rank_shares(found)[0], 1 / (members + 1), rtol=0.05)


def test_the_spread_is_reliable_class_by_class_also_of_few_members():
    scale = np.exp(normal((1, 500, 600), 5))
    every = normal((7, 500, 600)) * scale
    grid = RectilinearGrid.from_box(north=49.9, south=0.0, west=100.0, east=159.9, step=0.1)
    spread, met = scores.spread_reliability(tally(every[:-1], every[-1], Domain.of_grid(grid)))
    np.testing.assert_allclose(spread, met, rtol=0.08)
    assert met[0, -1] > 5 * met[0, 0]
    too_sure, met = scores.spread_reliability(tally(0.5 * every[:-1], every[-1], Domain.of_grid(grid)))
    assert (too_sure < 0.7 * met).all()


def test_an_ensemble_with_too_little_spread_is_found_out():
    every = normal((9, *GRID.shape))
    found = tally(every[:-1] * 0.5, every[-1], DOMAIN)
    shares = scores.rank_shares(found)[0]
    assert scores.spread_skill(found)[0] < 0.6
    assert shares[0] + shares[-1] > 0.4
    assert shares.sum() == pytest.approx(1)


def test_a_truth_equal_to_members_takes_any_of_their_ranks():
    """Rain that neither has: all ranks are as likely, and the same seed gives the same draw."""
    zeros = np.zeros((4, 200, 300), np.float32)
    grid = RectilinearGrid.from_box(north=19.9, south=0.0, west=100.0, east=129.9, step=0.1)
    first, again = (tally(zeros, zeros[0], Domain.of_grid(grid), seed=(3,)) for _ in range(2))
    np.testing.assert_allclose(scores.rank_shares(first)[0], 0.2, atol=0.01)
    np.testing.assert_array_equal(first.ranks, again.ranks)


def fractions_by_definition(events, width):
    """The share of pixels with an event in the square around each pixel, none beyond the edges."""
    reach = width // 2
    padded = np.pad(events.astype(float), reach)
    height, length = events.shape
    return np.array([[padded[i : i + width, j : j + width].mean() for j in range(length)] for i in range(height)])


@pytest.mark.parametrize("width", [1, 3, 7])
def test_fraction_errors_are_their_definition(width):
    ensemble, truth = normal((3, 12, 15)), normal((12, 15), 1)
    truth[2, 3] = np.nan
    events = (ensemble >= 0.5) & ~np.isnan(truth)
    forecast = np.mean([fractions_by_definition(member, width) for member in events], axis=0)
    observed = fractions_by_definition(truth >= 0.5, width)
    expected = np.mean((forecast - observed) ** 2), np.mean(forecast**2) + np.mean(observed**2)
    np.testing.assert_allclose(fraction_errors(ensemble, truth, 0.5, (width,)), [expected], atol=1e-12)


@pytest.mark.parametrize("width", [1, 5])
def test_fractions_skill_score_agrees_with_the_package_scores(width):
    """The package's windows lie inside the field that it is given: a border of zeros brings them to our pixels."""
    forecast, truth = normal((20, 30)), normal((20, 30), 1)
    theirs = fss_2d_single_field(
        *(np.pad(each.astype(float), width // 2, constant_values=-9) for each in (forecast, truth)),
        event_threshold=0.5,
        window_size=(width, width),
    )
    difference, most = fraction_errors(forecast[None], truth, 0.5, (width,))[0]
    assert 1 - difference / most == pytest.approx(theirs, abs=1e-12)


def test_fractions_skill_score_forgives_a_small_displacement_and_no_event_has_none():
    truth = np.zeros(GRID.shape, np.float32)
    truth[8:12, 8:12] = 5.0
    found = scores.fss(tally(np.roll(truth, 3, axis=1)[None], truth, DOMAIN, thresholds=(1.0, 10.0)))[0]
    assert DOMAIN.widths == (1, 5, 13)
    assert found[0, 0] < found[0, 1] < found[0, 2] < 1
    assert np.isnan(found[1]).all()
    assert scores.fss(tally(truth[None], truth, DOMAIN, thresholds=(1.0,)))[0, 0] == pytest.approx([1, 1, 1])


@settings(max_examples=20)
@given(st.integers(4, 40), st.integers(4, 40), st.integers(0, 2**31))
def test_a_spectrum_adds_up_to_the_variance(height, width, seed):
    waves = Wavenumbers((height, width), (3.3, 2.7))
    field = normal((height, width), seed, np.float64) + 7
    assert waves.variance(field).sum() == pytest.approx(field.var(), rel=1e-10)


@pytest.mark.parametrize("size", [8, 31, 40])
def test_a_spectrum_is_that_of_the_anomaly_also_of_float32(size):
    """A constant field has no variance, and a mean a million times the anomaly's size changes nothing."""
    grid = RectilinearGrid.from_box(north=40.0, south=40.0 - size * 0.1, west=100.0, east=104.5, step=0.1)
    waves = Wavenumbers.of_grid(grid)
    assert not waves.variance(np.full(grid.shape, 285.3, np.float32)).any()
    anomaly = waves.noise(waves.centres**-4.0, np.random.default_rng(size))
    field = (95000 + anomaly / anomaly.std()).astype(np.float32)
    np.testing.assert_allclose(waves.variance(field), waves.variance(field.astype(np.float64)), rtol=0.01)


def test_the_variance_of_a_wave_is_in_the_bin_of_its_wavelength():
    waves = Wavenumbers((60, 80), (3.0, 2.0))
    x = (np.arange(80) + 0.5) * 2.0
    for wavelength in (160.0, 32.0, 10.0):
        field = np.broadcast_to(4 * np.cos(2 * np.pi * x / wavelength), (60, 80))
        found = waves.variance(field)
        bin_of_wave = np.abs(np.log(waves.centres * wavelength)).argmin()
        assert found.sum() == pytest.approx(8, rel=1e-9)
        assert found[bin_of_wave] == pytest.approx(8, rel=1e-9)


def test_white_noise_has_as_much_variance_in_each_wave():
    waves = Wavenumbers((64, 96), (1.0, 1.0))
    found = np.mean([waves.variance(normal((64, 96), seed)) for seed in range(60)], axis=0)
    lengths = np.hypot(np.arange(64)[:, None] / 128, np.arange(96) / 192).ravel()[1:]
    lower = np.hypot(waves.centres, waves.widths / 2) - waves.widths / 2
    counts, _ = np.histogram(lengths, np.append(lower, lower[-1] + waves.widths[-1]))
    assert counts.sum() == 64 * 96 - 1
    np.testing.assert_allclose(found[counts > 0] * 64 * 96 / counts[counts > 0], 1, atol=5.5 / np.sqrt(60))


def test_wavelengths_are_kilometres_on_the_sphere():
    waves = Wavenumbers.of_grid(GRID)
    step = math.radians(0.1) * EARTH_RADIUS_KM
    assert waves.spacing == pytest.approx((step, step * math.cos(math.radians(39.0))))
    assert waves.nyquist == pytest.approx(1 / (2 * step))


def test_spectral_distance_is_in_decibels():
    field = normal(GRID.shape)
    twice = tally(2 * field[None], field, DOMAIN)
    assert scores.spectral_distance(twice, DOMAIN.wavenumbers)[0] == pytest.approx(20 * math.log10(2))


def several(count, members=3):
    """Tallies of that many samples."""
    return [tally(normal((members, *GRID.shape), i), normal(GRID.shape, 100 + i), DOMAIN, (0.5,)) for i in range(count)]


def test_scores_of_merged_samples_do_not_depend_on_how_they_were_merged():
    parts = several(5)
    at_once = merged(parts)
    by_parts = merged([merged(parts[:2]), merged(parts[2:])])
    for score in (scores.mae, scores.rmse, scores.crps, scores.fss, scores.rank_shares):
        np.testing.assert_array_equal(score(at_once.total), score(by_parts.total))
    mean_squared = np.mean([scores.rmse(part)[0] ** 2 for part in parts])
    assert scores.rmse(at_once.total)[0] == pytest.approx(math.sqrt(mean_squared))


def test_a_sample_without_any_truth_changes_nothing():
    parts = several(3, members=4)
    nothing = tally(normal((4, *GRID.shape)), np.full(GRID.shape, np.nan), DOMAIN, (0.5,))
    for score in (scores.mae, scores.crps, scores.spread_skill, scores.rank_shares):
        np.testing.assert_array_equal(score(merged([*parts, nothing]).total), score(merged(parts).total))
