"""Statistics against NumPy on the undivided numbers, for any partition and order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.statistics.blocks import BlockStatistics, merge_all, merge_columns
from corrstore.datasets.statistics.counting import block_statistics, residual_statistics, stored_statistics
from corrstore.datasets.statistics.histograms import physical_edges, residual_edges
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.datasets.variables.table import VARIABLES
from corrstore.datasets.variables.transforms import transform_named
from tests.same_blocks import assert_same

EPSILON = np.finfo(np.float64).eps
EDGES = np.array([-1e5, -10.0, -1.0, -0.1, 0.0, 0.1, 1.0, 10.0, 1e5])
MOMENTS = ("count", "missing", "mean", "m2", "minimum", "maximum")


def exact(values):
    """Finite numbers, their mean and M2, reckoned in extended precision."""
    finite = values[~np.isnan(values)].astype(np.longdouble)
    mean = finite.mean() if finite.size else np.nan
    return finite.astype(np.float64), float(mean), float(((finite - mean) ** 2).sum())


def assert_right(block, values, edges, *, merged=False):
    """A block's mean and M2 are NumPy's to 1e-12; a merged block's as nearly as float64 means allow."""
    finite, mean, m2 = exact(np.asarray(values).reshape(-1))
    assert block.count == finite.size
    assert block.missing == np.isnan(values).sum()
    np.testing.assert_array_equal(
        block.histogram, np.bincount(np.searchsorted(edges, finite, "right"), minlength=edges.size + 1)
    )
    if not finite.size:
        assert all(math.isnan(number) for number in (block.mean, block.minimum, block.maximum, block.std))
        assert block.m2 == 0
        return
    assert (block.minimum, block.maximum) == (finite.min(), finite.max())
    largest = np.abs(finite).max()
    rounding = 8 * EPSILON * largest
    assert block.mean == pytest.approx(mean, rel=1e-12, abs=rounding if merged else 1e-12 * np.abs(finite).mean())
    slack = 2 * math.sqrt(finite.size * m2) * rounding if merged else 0.0
    assert block.m2 == pytest.approx(m2, rel=1e-12, abs=slack + finite.size * rounding**2)
    assert block.std == pytest.approx(math.sqrt(block.m2 / finite.size), rel=1e-15)


kinds = st.sampled_from(["plain", "offset", "constant", "zero", "outlier", "missing"])


@st.composite
def fields(draw):
    """Float64 fields that are hard on a sum of squares."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 40)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    noise = generator.normal(0, draw(st.sampled_from([1e-3, 1.0, 50.0])), shape)
    kind = draw(kinds)
    field = {
        "plain": noise,
        "offset": 1e5 + noise,
        "constant": np.full(shape, draw(st.floats(-1e5, 1e5))),
        "zero": np.zeros(shape),
        "outlier": np.where(generator.random(shape) < 0.02, 1e9, noise),
        "missing": np.full(shape, np.nan),
    }[kind]
    return np.where(generator.random(shape) < draw(st.sampled_from([0.0, 0.0, 0.3])), np.nan, field)


@given(fields())
def test_a_block_is_what_numpy_says(field):
    assert_right(block_statistics(field, EDGES), field, EDGES)


@given(arrays.arrays(np.float32, (3, 5), elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan)))
def test_a_float32_block_is_counted_in_float64(field):
    assert_right(block_statistics(field, EDGES), field, EDGES)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (0, 4), (129, 65)])
def test_a_block_of_any_shape_and_layout(shape):
    field = np.random.default_rng(2).normal(280, 10, shape)
    assert_right(block_statistics(field, EDGES), field, EDGES)
    assert_right(block_statistics(field.T, EDGES), field, EDGES)


def test_a_large_offset_costs_no_digits():
    field = 1e5 + np.random.default_rng(3).normal(0, 1e-3, (400, 300))
    block = block_statistics(field, EDGES)
    _, mean, m2 = exact(field.reshape(-1))
    assert block.mean == pytest.approx(mean, rel=1e-15)
    assert block.m2 == pytest.approx(m2, rel=1e-12, abs=0)


def test_an_outlier_in_the_first_pixel_costs_no_digits():
    field = np.random.default_rng(3).normal(0, 1, (500, 500))
    field[0, 0] = 1e9
    assert_right(block_statistics(field, EDGES), field, EDGES)


@given(st.floats(-1e6, 1e6), st.integers(1, 50), st.integers(1, 50))
def test_numbers_that_are_all_equal_have_no_spread_at_all(value, rows, columns):
    block = block_statistics(np.full((rows, columns), value), EDGES)
    normalisation = Normalisation(transform_named("identity"), value, 0.3)
    stored = stored_statistics(np.full((rows, columns), 1.1, np.float16), normalisation, EDGES)
    for one in (block, block.merge(block), merge_all([block] * 3), stored, merge_all([stored] * 3)):
        assert (one.m2, one.std) == (0.0, 0.0)
        assert one.mean == one.minimum == one.maximum


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (2, 1)])
def test_an_infinite_value_is_refused_everywhere(value, place):
    field = np.ones((3, 4), np.float32)
    field[place] = value
    normalisation = Normalisation(transform_named("identity"), 0.0, 1.0)
    with pytest.raises(DamagedData, match="inf in a field"):
        block_statistics(field, EDGES)
    for dtype in (np.float16, np.float32):
        with pytest.raises(DamagedData, match="inf in a field"):
            stored_statistics(field.astype(dtype), normalisation, EDGES)
        with pytest.raises(DamagedData, match="inf in a field"):
            residual_statistics(np.ones((3, 4), dtype), normalisation, field, EDGES)


@given(fields(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_blocks_merge_in_any_partition_and_order(field, pieces, random):
    blocks = [block_statistics(part, EDGES) for part in np.array_split(field, pieces, axis=1)]
    random.shuffle(blocks)
    one_by_one = BlockStatistics.empty(EDGES.size + 1)
    for block in blocks:
        one_by_one = one_by_one.merge(block)
    while len(blocks) > 1:
        left, right = blocks.pop(random.randrange(len(blocks))), blocks.pop(random.randrange(len(blocks)))
        blocks.append(left.merge(right))
    assert_right(one_by_one, field, EDGES, merged=True)
    assert_right(blocks[0], field, EDGES, merged=True)


def test_fields_of_the_atmosphere_merge_to_twelve_digits():
    generator = np.random.default_rng(4)
    for mean, std in ((280, 15), (101325, 900), (0.004, 0.003), (0, 6), (55000, 3000)):
        times = generator.normal(mean, std, (40, 30, 50)) + generator.normal(0, std / 3, (40, 1, 1))
        block = merge_all(block_statistics(field, EDGES) for field in times)
        assert block.m2 == pytest.approx(times.var() * times.size, rel=1e-12)
        assert block.std == pytest.approx(times.std(), rel=1e-12)
        assert block.mean == pytest.approx(times.mean(), rel=1e-12, abs=1e-14 * std)


@given(st.lists(fields(), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_merge_all_is_right_and_the_same_in_any_order(all_fields, random):
    blocks = [block_statistics(field, EDGES) for field in all_fields]
    merged = merge_all(blocks)
    assert_right(merged, np.concatenate([field.reshape(-1) for field in all_fields]), EDGES, merged=True)
    random.shuffle(blocks)
    assert_same(merge_all(blocks), merged)


@given(fields())
def test_merging_nothing_changes_nothing(field):
    block, nothing = block_statistics(field, EDGES), BlockStatistics.empty(EDGES.size + 1)
    assert_same(block.merge(nothing), block)
    assert_same(nothing.merge(block), block)


@given(fields())
def test_one_block_alone_merges_to_itself(field):
    block = block_statistics(field, EDGES)
    assert_same(merge_all([block]), block)


def test_histograms_of_other_edges_do_not_merge():
    with pytest.raises(BadInput, match="of 10 and 4 counts"):
        BlockStatistics.empty(10).merge(BlockStatistics.empty(4))
    with pytest.raises(BadInput, match="of 10 and 4 counts"):
        merge_all([BlockStatistics.empty(10), BlockStatistics.empty(4)])


def test_merging_no_blocks_at_all_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        merge_all([])


def test_columns_merge_group_by_group():
    generator = np.random.default_rng(6)
    parts = [generator.normal(1000, 3, (2, generator.integers(1, 9))) for _ in range(60)]
    parts[7][:] = np.nan
    group = generator.integers(0, 5, 60)
    group[group == 3] = 4
    blocks = [block_statistics(part, EDGES) for part in parts]
    columns = {name: np.array([getattr(block, name) for block in blocks]) for name in MOMENTS}
    merged = merge_columns(columns, group, groups=6)
    for number in range(6):
        values = np.concatenate(
            [np.zeros(0), *(part.reshape(-1) for part, g in zip(parts, group, strict=True) if g == number)]
        )
        finite, mean, m2 = exact(values)
        assert merged["count"][number] == finite.size
        assert merged["missing"][number] == values.size - finite.size
        assert merged["m2"][number] == pytest.approx(m2, rel=1e-10, abs=1e-20)
        assert merged["mean"][number] == pytest.approx(mean, rel=1e-14, nan_ok=True)
        assert merged["minimum"][number] == pytest.approx(finite.min() if finite.size else np.nan, rel=0, nan_ok=True)
        assert merged["maximum"][number] == pytest.approx(finite.max() if finite.size else np.nan, rel=0, nan_ok=True)


def stored_case(name, dtype, shape=(150, 70)):
    generator = np.random.default_rng(9)
    variable = VARIABLES[name]
    physical = {
        "t2m": lambda: generator.normal(280, 12, shape),
        "msl": lambda: generator.normal(101325, 800, shape),
        "tp": lambda: np.maximum(generator.normal(-2, 3, shape), 0),
    }[name]().astype(np.float32)
    physical[generator.random(shape) < 0.1] = np.nan
    transform = transform_named(variable.transform)
    transformed = transform.forward(physical.astype(np.float64))
    normalisation = Normalisation(transform, float(np.nanmean(transformed)), float(np.nanstd(transformed)))
    return variable, normalisation, physical, normalisation.encode(physical, dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", ["t2m", "msl", "tp"])
def test_what_is_stored_has_the_statistics_of_what_it_decodes_to(name, dtype):
    variable, normalisation, _, stored = stored_case(name, dtype)
    edges = physical_edges(variable)
    decoded = normalisation.decode(stored)
    assert_right(stored_statistics(stored, normalisation, edges), decoded, edges)
    assert_right(stored_statistics(stored[::2, ::3], normalisation, edges), decoded[::2, ::3], edges)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", ["t2m", "msl", "tp"])
def test_the_residual_is_what_is_decoded_minus_the_upsampled_input(name, dtype):
    variable, normalisation, physical, stored = stored_case(name, dtype)
    generator = np.random.default_rng(10)
    upsampled = (physical + generator.normal(0, 2, physical.shape)).astype(np.float32)
    upsampled[generator.random(physical.shape) < 0.05] = np.nan
    edges = residual_edges(variable)
    residual = normalisation.decode(stored) - upsampled.astype(np.float64)
    assert 0 < np.isnan(residual).sum() < residual.size
    assert_right(residual_statistics(stored, normalisation, upsampled, edges), residual, edges)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_stored_field_that_is_all_missing_or_constant(dtype):
    normalisation = Normalisation(transform_named("identity"), 280.1, 3.0)
    for value in (np.nan, 0.25):
        stored = np.full((70, 5), value, dtype)
        decoded = normalisation.decode(stored)
        assert_right(stored_statistics(stored, normalisation, EDGES), decoded, EDGES)
        below = np.zeros(stored.shape, np.float32)
        assert_right(residual_statistics(stored, normalisation, below, EDGES), decoded, EDGES)


def test_an_outlier_in_what_is_stored_does_not_blur_the_mean():
    stored = np.full((40, 50), 1e-3, np.float16)
    stored[3, 4] = -65504
    normalisation = Normalisation(transform_named("identity"), 0.0, 1.0)
    assert_right(stored_statistics(stored, normalisation, EDGES), normalisation.decode(stored), EDGES)


def test_a_target_and_an_input_on_two_grids_are_refused():
    normalisation = Normalisation(transform_named("identity"), 0.0, 1.0)
    with pytest.raises(BadInput, match=r"target is \(2, 3\) and the upsampled input \(3, 2\)"):
        residual_statistics(np.zeros((2, 3), np.float16), normalisation, np.zeros((3, 2), np.float32), EDGES)
