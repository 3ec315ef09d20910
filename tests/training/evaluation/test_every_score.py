"""Every score of the registry against the same score written out pixel by pixel, of samples merged in any order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.variables.channels import channel_named
from corrstore.training.evaluation.scoring.distributions import LEVELS, PIT_BINS
from corrstore.training.evaluation.scoring.registry import BY_NAME, functions
from corrstore.training.evaluation.scoring.spectra import EARTH_RADIUS_KM
from corrstore.training.evaluation.scoring.tallies import LAGS, QUANTILES, Domain, merged, tally
from corrstore.training.evaluation.scoring.winds import Northward, vorticity_and_divergence

GRID = RectilinearGrid.from_box(north=40.0, south=38.8, west=100.0, east=101.6, step=0.1)
DOMAIN = Domain.of_grid(GRID)
RAIN = channel_named("tp").variable
EDGES, THRESHOLDS, RANGE = physical_edges(RAIN), (0.1, 1.0), (0.0, 1.5)
WEIGHTS = np.cos(np.deg2rad(GRID.lat))[:, None] * np.ones(GRID.shape)


class Sample:
    """Rounded, floored fields with ties; the truth may lack pixels, and the other component of the wind others."""

    def __init__(self, members, seed, holes):
        rng = np.random.default_rng(seed)
        self.ensemble, self.north, self.ceiling = (
            np.maximum(np.round(rng.standard_normal((members, *GRID.shape)), 1), 0).astype(np.float32) for _ in range(3)
        )
        self.truth, self.north_truth = (
            np.maximum(np.round(rng.standard_normal(GRID.shape), 1), 0).astype(np.float32) for _ in range(2)
        )
        self.truth[rng.random(GRID.shape) < holes] = np.nan
        self.north_truth[rng.random(GRID.shape) < holes / 2] = np.nan
        self.known = ~np.isnan(self.truth)
        self.weights = WEIGHTS[self.known]
        self.members, self.values = self.ensemble[:, self.known].astype(float), self.truth[self.known].astype(float)

    @property
    def tally(self):
        north = Northward(self.north, self.north_truth)
        return tally(self.ensemble, self.truth, DOMAIN, THRESHOLDS, (1,), RANGE, self.ceiling, EDGES, north)


def mean_of(samples, per_pixel):
    """The weighted mean over the pixels of all samples of `per_pixel(sample)`."""
    weights = np.concatenate([each.weights for each in samples])
    return np.average(np.concatenate([per_pixel(each) for each in samples]), weights=weights)


def fair(members, truth):
    m = len(members)
    pairs = sum(np.abs(a - b) for a in members for b in members)
    return sum(np.abs(a - truth) for a in members) / m - (pairs / (2 * m * (m - 1)) if m > 1 else 0)


def counts(samples, threshold):
    """The weights of hits, false alarms, misses and correct negatives, one member and pixel after the other."""
    table = np.zeros(4)
    for each in samples:
        for member in each.members:
            for kind, (f, o) in enumerate(((True, True), (True, False), (False, True), (False, False))):
                inside = ((member >= threshold) == f) & ((each.values >= threshold) == o)
                table[kind] += each.weights[inside].sum() / len(each.members)
    return table


def at_thresholds(function):
    def found(samples):
        with np.errstate(divide="ignore", invalid="ignore"):
            return [function(*counts(samples, each)) for each in THRESHOLDS]

    return found


def equitable(a, b, c, d):
    chance = (a + c) * (a + b) / (a + b + c + d)
    return (a - chance) / (a + b + c - chance)


def heidke(a, b, c, d):
    return 2 * (a * d - b * c) / ((a + c) * (c + d) + (a + b) * (b + d))


def fractions(events, width):
    reach = width // 2
    padded = np.pad(events, reach)
    rows, columns = events.shape
    return np.array([[padded[i : i + width, j : j + width].mean() for j in range(columns)] for i in range(rows)])


def fractions_skill(samples):
    found = np.empty((len(THRESHOLDS), len(DOMAIN.widths)))
    for i, threshold in enumerate(THRESHOLDS):
        for j, width in enumerate(DOMAIN.widths):
            error = most = 0.0
            for each in samples:
                ours = np.mean([fractions((m >= threshold) & each.known, width) for m in each.ensemble], axis=0)
                theirs = fractions(each.truth >= threshold, width)
                error, most = error + np.mean((ours - theirs) ** 2), most + np.mean(ours**2) + np.mean(theirs**2)
            found[i, j] = 1 - error / most
    return found


def energy_score(samples):
    found = []
    for each in samples:
        share, m = each.weights / each.weights.sum(), len(each.members)
        distance = np.mean([np.sqrt(share @ (a - each.values) ** 2) for a in each.members])
        pairs = sum(np.sqrt(share @ (a - b) ** 2) for a in each.members for b in each.members)
        found.append(distance - (pairs / (2 * m * (m - 1)) if m > 1 else 0))
    return np.mean(found)


def variogram_score(samples):
    found = []
    for each in samples:
        squares = []
        for lag in LAGS:
            for axis, size in enumerate(GRID.shape):
                for k in range(size - lag):
                    near, far = (np.take(each.truth, n, axis).astype(float) for n in (k, k + lag))
                    ours = [np.abs(np.take(m, k, axis) - np.take(m, k + lag, axis)) ** 0.5 for m in each.ensemble]
                    squares.append((np.abs(near - far) ** 0.5 - np.mean(ours, axis=0)) ** 2)
        found.append(np.nanmean(np.concatenate(squares)))
    return np.mean(found)


def transform_density(samples):
    """Each pixel's transform, drawn at many evenly spaced places of the interval where it may lie."""
    places = (np.arange(25200) + 0.5) / 25200  # a number that 2 to 9 divide, and 10 times each of them
    total, weight = np.zeros(PIT_BINS), 0.0
    for each in samples:
        m = len(each.members)
        cases = np.stack([(each.members < each.values).sum(axis=0), (each.members == each.values).sum(axis=0)])
        for below, tied in np.unique(cases, axis=1).T:
            drawn = np.histogram((below + (tied + 1) * places) / (m + 1), PIT_BINS, (0, 1))[0] / places.size
            total += each.weights[(cases == [[below], [tied]]).all(axis=0)].sum() * drawn
        weight += each.weights.sum()
    return total * PIT_BINS / weight


def binned_quantile(values, weights):
    """The quantiles of weighted values that lie evenly in their bins, one level after the other."""
    inside = np.histogram(values, np.concatenate([[-np.inf], EDGES, [np.inf]]), weights=weights)[0]
    found = []
    for level in LEVELS:
        left, place = level * weights.sum(), 0
        while place < inside.size - 1 and left > inside[place]:
            left, place = left - inside[place], place + 1
        if place in (0, EDGES.size):
            found.append(EDGES[0] if place == 0 else EDGES[-1])
        else:
            found.append(EDGES[place - 1] + (EDGES[place] - EDGES[place - 1]) * left / inside[place])
    return np.array(found)


def quantile_errors(samples):
    m = len(samples[0].members)
    ours = binned_quantile(
        np.concatenate([each.members.ravel() for each in samples]),
        np.concatenate([np.tile(each.weights / m, m) for each in samples]),
    )
    theirs = [np.concatenate([getattr(each, name) for each in samples]) for name in ("values", "weights")]
    return ours - binned_quantile(*theirs)


def vector_error(samples):
    total = weight = 0.0
    for each in samples:
        u, v = each.ensemble.astype(float).mean(axis=0), each.north.astype(float).mean(axis=0)
        squares = (u - each.truth) ** 2 + (v - each.north_truth) ** 2
        known = np.isfinite(squares)
        total, weight = total + (WEIGHTS * squares)[known].sum(), weight + WEIGHTS[known].sum()
    return np.sqrt(total / weight)


def cosine_power(field):
    """The power of each cosine wave of a field, by sums over its points."""
    waves = [np.cos(np.pi * np.outer(np.arange(n), np.arange(n) + 0.5) / n) for n in field.shape]
    power = (waves[0] @ field @ waves[1].T / field.size) ** 2
    return power * 2.0 ** ((np.arange(field.shape[0]) > 0)[:, None].astype(int) + (np.arange(field.shape[1]) > 0))


def binned_power(field):
    lat, lon = np.deg2rad(GRID.resolution) * EARTH_RADIUS_KM
    steps = lat, lon * np.cos(np.deg2rad((GRID.lat[0] + GRID.lat[-1]) / 2))
    m, n = (np.arange(size) / (2 * size * step) for size, step in zip(field.shape, steps, strict=True))
    lengths, power = np.sqrt(m[:, None] ** 2 + n**2), cosine_power(field)
    low = np.partition(lengths.ravel(), 1)[1]
    edges = [low / 2]
    while edges[-1] <= lengths.max():
        edges.append(max(1.08 * edges[-1], edges[-1] + low))
    pairs = [(a, b) for a, b in pairwise(edges) if b <= 0.5 / max(steps)]
    return np.array([power[(lengths >= a) & (lengths < b)].sum() for a, b in pairs])


def curl_and_divergence(u, v):
    """By differences of neighbours over arcs of the sphere, one pixel after the other."""
    radius, step = EARTH_RADIUS_KM * 1000, np.deg2rad(0.1)
    phi, curl, divergence = np.deg2rad(GRID.lat), np.empty(GRID.shape), np.empty(GRID.shape)
    for i in range(GRID.shape[0]):
        a, b = max(i - 1, 0), min(i + 1, GRID.shape[0] - 1)
        for j in range(GRID.shape[1]):
            c, d = max(j - 1, 0), min(j + 1, GRID.shape[1] - 1)
            arc_x, arc_y = radius * np.cos(phi[i]) * step * (d - c), radius * (phi[b] - phi[a])
            flux = [f[b, j] * np.cos(phi[b]) - f[a, j] * np.cos(phi[a]) for f in (u, v)]
            curl[i, j] = (v[i, d] - v[i, c]) / arc_x - flux[0] / (arc_y * np.cos(phi[i]))
            divergence[i, j] = (u[i, d] - u[i, c]) / arc_x + flux[1] / (arc_y * np.cos(phi[i]))
    return curl, divergence


def distance(power):
    """The distance in dB of spectra, `power(u, v)` of fields, summed over the samples that are whole."""

    def found(samples):
        whole = [each for each in samples if each.known.all() and not np.isnan(each.north_truth).any()]
        if not whole:
            return np.nan
        ours = sum(
            np.mean([power(*map(np.float64, pair)) for pair in zip(each.ensemble, each.north, strict=True)], axis=0)
            for each in whole
        )
        theirs = sum(power(each.truth.astype(float), each.north_truth.astype(float)) for each in whole)
        return 10 * np.sqrt(np.mean(np.log10(ours / theirs) ** 2))

    return found


def members_of(samples):
    return len(samples[0].members)


def spread_of(samples):
    if members_of(samples) == 1:
        return np.nan
    return np.sqrt(mean_of(samples, lambda s: s.members.var(axis=0, ddof=1)))


def error_of(samples):
    return np.sqrt(mean_of(samples, lambda s: (s.members.mean(axis=0) - s.values) ** 2))


def pinball(q):
    def per_pixel(s):
        error = s.values - np.quantile(s.members, q, axis=0)
        return np.where(error > 0, q * error, (q - 1) * error)

    return per_pixel


def brier_at(threshold):
    return lambda s: ((s.members >= threshold).mean(axis=0) - (s.values >= threshold)) ** 2


def tail_at(threshold):
    return lambda s: fair(np.maximum(s.members, threshold), np.maximum(s.values, threshold))


REFERENCE = {
    "mae": lambda s: mean_of(s, lambda x: np.abs(x.members.mean(axis=0) - x.values)),
    "rmse": error_of,
    "bias": lambda s: mean_of(s, lambda x: x.members.mean(axis=0) - x.values),
    "crps": lambda s: mean_of(s, lambda x: fair(x.members, x.values)),
    "spread": spread_of,
    "spread_skill": lambda s: spread_of(s) * np.sqrt((members_of(s) + 1) / members_of(s)) / error_of(s),
    "spectral_distance": distance(lambda u, v: binned_power(u)),
    "energy": energy_score,
    "variogram": variogram_score,
    "outside": lambda s: mean_of(s, lambda x: ((x.members < RANGE[0]) | (x.members > RANGE[1])).mean(axis=0)),
    "above_temperature": lambda s: mean_of(s, lambda x: (x.members > x.ceiling[:, x.known]).mean(axis=0)),
    "quantile_score": lambda s: [mean_of(s, pinball(q)) for q in QUANTILES],
    "fss": fractions_skill,
    "csi": at_thresholds(lambda a, b, c, d: a / (a + b + c)),
    "pod": at_thresholds(lambda a, b, c, d: a / (a + c)),
    "far": at_thresholds(lambda a, b, c, d: b / (a + b)),
    "frequency_bias": at_thresholds(lambda a, b, c, d: (a + b) / (a + c)),
    "ets": at_thresholds(equitable),
    "hss": at_thresholds(heidke),
    "brier": lambda s: [mean_of(s, brier_at(t)) for t in THRESHOLDS],
    "tail_crps": lambda s: [mean_of(s, tail_at(t)) for t in np.float32(THRESHOLDS)],
    "pit": transform_density,
    "quantile_error": quantile_errors,
    "vector_rmse": vector_error,
    "kinetic_energy_distance": distance(lambda u, v: (binned_power(u) + binned_power(v)) / 2),
    "vorticity_distance": distance(lambda u, v: binned_power(curl_and_divergence(u, v)[0])),
    "divergence_distance": distance(lambda u, v: binned_power(curl_and_divergence(u, v)[1])),
}


def test_every_score_of_the_registry_has_a_reference():
    assert set(REFERENCE) == set(BY_NAME)


@settings(max_examples=4, deadline=None, phases=[Phase.generate])
@given(st.integers(1, 8), st.sampled_from([0.0, 0.2]), st.permutations(range(3)), st.integers(0, 2**31))
def test_every_score_is_its_definition_whatever_the_order(members, holes, order, seed):
    samples = [Sample(members, seed + k, holes) for k in range(3)]
    total = merged(merged([samples[k].tally]) for k in order).total
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, score in functions(DOMAIN, RAIN).items():
            found, expected = score(total)[0], REFERENCE[name](samples)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=name)


def test_an_ensemble_like_the_truth_has_a_flat_transform_also_where_most_are_equal():
    rng = np.random.default_rng(4)
    grid = RectilinearGrid.from_box(north=19.9, south=0.0, west=100.0, east=119.9, step=0.1)
    for members in (1, 3, 8):
        every = np.maximum(rng.standard_normal((members + 1, *grid.shape)) - 1, 0).astype(np.float32)
        found = tally(every[:-1], every[-1], Domain.of_grid(grid))
        score = functions(Domain.of_grid(grid), RAIN)["pit"]
        np.testing.assert_allclose(score(found)[0], 1, atol=0.04)


def test_a_rotating_wind_has_the_vorticity_of_the_sphere_and_no_divergence():
    speed = 1e-4 * EARTH_RADIUS_KM * 1000 * np.cos(np.deg2rad(GRID.lat))[:, None] * np.ones(GRID.shape)
    vorticity, divergence = vorticity_and_divergence(speed, np.zeros(GRID.shape), GRID)
    expected = 2e-4 * np.sin(np.deg2rad(GRID.lat))[1:-1, None] * np.ones((GRID.shape[0] - 2, GRID.shape[1]))
    np.testing.assert_allclose(vorticity[1:-1], expected, rtol=1e-5)
    np.testing.assert_allclose(divergence, 0, atol=1e-15)
