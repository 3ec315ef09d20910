"""Histograms: edges against the table of variables, quantiles and shares against sorted samples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from corrstore.datasets.errors import BadInput
from corrstore.datasets.statistics.counting import block_statistics
from corrstore.datasets.statistics.histograms import physical_edges, quantile, residual_edges, share_at_least
from corrstore.datasets.variables.table import VARIABLES

every_variable = pytest.mark.parametrize("variable", VARIABLES.values(), ids=list(VARIABLES))


def counted(values, edges):
    """The counts by definition, from NumPy's search alone."""
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=edges.size + 1)


def bins_of(values, edges):
    return block_statistics(np.array([values], np.float64), edges).histogram


@every_variable
def test_physical_edges_cover_the_valid_range_with_about_256_bins(variable):
    edges = physical_edges(variable)
    low, high = variable.valid_range
    assert (np.diff(edges) > 0).all()
    assert edges[0] < low < edges[2]
    assert edges[-3] < high < edges[-1]
    assert 200 < edges.size - 1 < 410


@every_variable
def test_physical_edges_are_uniform_in_the_transformed_space(variable):
    edges = np.setdiff1d(physical_edges(variable), [variable.wet_threshold or np.nan])
    transformed = {"identity": lambda x: x, "log1p": np.log1p}[variable.transform](edges)
    widths = np.diff(transformed)
    first = 1 if variable.transform == "log1p" else 0
    np.testing.assert_allclose(widths[first:], np.median(widths), rtol=1e-6)


def test_edges_of_an_untransformed_variable_are_round_numbers():
    assert {35.0, 20.0, 0.5, -40.0} <= set(physical_edges(VARIABLES["refc"]))
    assert {0.0, 0.005, 0.0125} <= set(physical_edges(VARIABLES["q2m"]))


@every_variable
def test_the_wet_threshold_is_an_edge_wherever_there_is_one(variable):
    assert variable.wet_threshold is None or variable.wet_threshold in physical_edges(variable)


def test_zero_rain_is_in_the_first_bin_also_when_rounding_moved_it():
    edges = physical_edges(VARIABLES["tp"])
    assert bins_of([0.0, 1e-5, -1e-5, -0.0], edges)[1] == 4


@every_variable
def test_residual_edges_are_symmetric_fine_near_zero_and_as_wide_as_the_range(variable):
    edges = residual_edges(variable)
    width = variable.valid_range[1] - variable.valid_range[0]
    np.testing.assert_array_equal(edges, -edges[::-1])
    assert edges[-1] == width
    assert 0.0 in edges
    widths = np.diff(edges[edges >= 0])
    assert (np.diff(widths) > 0).all()
    assert widths[0] < 1e-4 * width
    assert widths[-1] < 0.1 * width


@every_variable
@pytest.mark.parametrize("edges_of", [physical_edges, residual_edges])
def test_every_number_is_counted_in_its_half_open_bin(variable, edges_of):
    edges, generator = edges_of(variable), np.random.default_rng(3)
    span = edges[-1] - edges[0]
    values = np.concatenate(
        [
            edges,
            np.nextafter(edges, -np.inf),
            np.nextafter(edges, np.inf),
            edges.astype(np.float32),
            np.nextafter(edges.astype(np.float32), np.float32(-np.inf)),
            generator.uniform(edges[0] - span, edges[-1] + span, 3000),
            generator.normal(0, 1e-3 * span, 3000),
            generator.choice([-1, 1], 3000) * 10.0 ** generator.uniform(-320, 300, 3000),
            [0.0, -0.0, 1e300, -1e300, np.finfo(np.float32).max, -np.finfo(np.float32).max, 5e-324],
        ]
    )
    np.testing.assert_array_equal(bins_of(values, edges), counted(values, edges))


edge_lists = st.lists(st.floats(-1e6, 1e6) | st.floats(-1, 1), min_size=2, max_size=30, unique=True)


@given(edge_lists, st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30))
def test_any_edges_count_by_their_definition(edges, values):
    edges = np.unique(np.array(edges) + 0.0)
    around = np.concatenate([edges, np.nextafter(edges, -np.inf), (edges[1:] + edges[:-1]) / 2, values])
    np.testing.assert_array_equal(bins_of(around, edges), counted(around, edges))


def test_edges_that_float32_cannot_tell_from_its_own_numbers():
    edges = np.arange(-8, 9) * (1 - 1e-10)
    values = np.outer(np.arange(-8, 9), 1 + np.array([-1e-9, -1.01e-10, -1e-10, -0.99e-10, 0, 1e-16, 1e-9])).reshape(-1)
    np.testing.assert_array_equal(bins_of(values, edges), counted(values, edges))
    np.testing.assert_array_equal(bins_of(values + 280, edges + 280), counted(values + 280, edges + 280))


@pytest.mark.parametrize("edges", [[1.0], [1.0, 1.0], [2.0, 1.0], [0.0, np.nan], [0.0, np.inf]])
def test_edges_that_do_not_increase_are_refused(edges):
    with pytest.raises(BadInput, match="expected at least 2, finite and increasing"):
        bins_of([0.5], np.array(edges))


samples = arrays.arrays(np.float64, st.integers(1, 200), elements=st.floats(-150, 150) | st.sampled_from([0.0, 1.0]))


@given(samples, st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5, 0.9, 0.99, 1.0]))
def test_the_quantile_is_within_its_error_bound_of_the_true_one(values, q):
    edges = physical_edges(VARIABLES["u10m"])
    truth = np.quantile(values, q, method="inverted_cdf")
    value, bound = quantile(counted(values, edges), edges, values.min(), values.max(), q)
    assert abs(value - truth) <= bound
    assert bound <= 1.01 or not edges[0] <= truth < edges[-1]


def test_the_extreme_quantiles_are_the_extremes():
    values, edges = np.array([-3.25, 0.5, 7.125]), np.arange(-10.0, 11.0)
    assert quantile(counted(values, edges), edges, -3.25, 7.125, 0.0) == (-3.25, 0.0)
    assert quantile(counted(values, edges), edges, -3.25, 7.125, 1.0) == (7.125, 0.0)


def test_a_smooth_sample_has_quantiles_much_nearer_than_the_bound():
    values, edges = np.random.default_rng(5).normal(280, 10, 100_000), physical_edges(VARIABLES["t2m"])
    for q in (0.01, 0.5, 0.99):
        value, _ = quantile(counted(values, edges), edges, values.min(), values.max(), q)
        assert value == pytest.approx(np.quantile(values, q), abs=0.05)


def test_the_quantile_of_nothing_is_nan():
    edges = np.arange(3.0)
    assert all(math.isnan(number) for number in quantile(np.zeros(4, np.int64), edges, math.nan, math.nan, 0.5))


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_quantile_outside_0_to_1_is_refused(q):
    with pytest.raises(BadInput, match="between 0 and 1"):
        quantile(np.ones(4, np.int64), np.arange(3.0), 0.0, 1.0, q)


@given(samples)
def test_the_share_above_an_edge_is_exact(values):
    edges = physical_edges(VARIABLES["u10m"])
    for threshold in (-101.0, 0.0, 1.0, 17.0, 101.0):
        assert share_at_least(counted(values, edges), edges, threshold) == (values >= threshold).mean()


def test_the_wet_share_counts_a_pixel_at_the_threshold_as_wet():
    edges = physical_edges(VARIABLES["tp"])
    rain = np.array([0.0, 0.1, np.nextafter(0.1, 0), 5.0])
    assert share_at_least(bins_of(rain, edges), edges, 0.1) == 0.5


def test_a_threshold_between_edges_is_refused_with_its_neighbours():
    with pytest.raises(BadInput, match=r"threshold 1\.5 is not an edge.*nearest are 1, 2"):
        share_at_least(np.ones(5, np.int64), np.arange(4.0), 1.5)


def test_counts_of_other_edges_are_refused():
    with pytest.raises(BadInput, match="expected 5 for 4 edges"):
        share_at_least(np.ones(4, np.int64), np.arange(4.0), 1.0)
    with pytest.raises(BadInput, match="expected 5 for 4 edges"):
        quantile(np.ones(4, np.int64), np.arange(4.0), 0.0, 1.0, 0.5)


def test_the_share_of_nothing_is_nan():
    assert math.isnan(share_at_least(np.zeros(5, np.int64), np.arange(4.0), 1.0))
