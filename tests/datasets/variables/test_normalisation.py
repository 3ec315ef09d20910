"""Encoding against NumPy's own casts, and the error bound against the error."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.half_precision import round_by_bits, round_to_half
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.datasets.variables.transforms import transform_named

NUMPY_FORWARD = {"identity": lambda x: x, "log1p": np.log1p, "sqrt": np.sqrt}
NUMPY_INVERSE = {"identity": lambda y: y, "log1p": np.expm1, "sqrt": np.square}
PLAIN = Normalisation(transform_named("identity"), 0.0, 1.0)


def normalisation(name="identity", mean=0.0, std=1.0):
    return Normalisation(transform_named(name), mean, std)


def reference(name, mean, std, physical, dtype):
    normalised = (NUMPY_FORWARD[name](physical.astype(np.float64)) - mean) / std
    return normalised.astype(np.float32).astype(dtype)


def bits(stored):
    return stored.view(f"u{stored.dtype.itemsize}")


def test_every_float16_and_every_tie_between_two_is_rounded_as_numpy_rounds():
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = ((halves[:-1].astype(np.float64) + halves[1:]) / 2).astype(np.float32)
    values = np.concatenate([halves, ties, np.nextafter(ties, 0.0), np.nextafter(ties, np.float32(1e9))])
    values = np.concatenate([values, -values, np.float32([1e-45, 1e-30, 2e-8, 3e-8])]).astype(np.float32)
    np.testing.assert_array_equal(bits(PLAIN.encode(values, "float16")), bits(values.astype(np.float16)))


def test_a_sweep_over_all_float32_bit_patterns_is_rounded_as_numpy_rounds():
    values = np.arange(0, 1 << 32, 4099, dtype=np.uint32).view(np.float32)
    values = values[np.abs(values) <= 65504]
    np.testing.assert_array_equal(bits(PLAIN.encode(values, "float16")), bits(values.astype(np.float16)))


@given(
    st.sampled_from(["identity", "log1p", "sqrt"]),
    st.floats(-10, 300),
    st.floats(0.1, 50),
    st.sampled_from(["float16", "float32"]),
    arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 5)), elements=st.floats(0, 1000, width=32)),
)
def test_encode_is_transform_centre_scale_round(name, mean, std, dtype, physical):
    stored = normalisation(name, mean, std).encode(physical, dtype)
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, reference(name, mean, std, physical, dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_field_larger_than_a_chunk_in_a_strided_layout(dtype):
    field = np.random.default_rng(1).normal(280, 15, (300, 400)).astype(np.float32)
    expected = reference("identity", 279.0, 11.0, field, dtype)
    np.testing.assert_array_equal(normalisation("identity", 279.0, 11.0).encode(field, dtype), expected)
    np.testing.assert_array_equal(normalisation("identity", 279.0, 11.0).encode(field.T, dtype), expected.T)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_nan_stays_nan_and_alone(dtype):
    physical = np.float32([1.0, np.nan, 2.0, -np.nan])
    stored = PLAIN.encode(physical, dtype)
    np.testing.assert_array_equal(np.isnan(stored), np.isnan(physical))
    np.testing.assert_array_equal(np.isnan(PLAIN.decode(stored)), np.isnan(physical))


def test_every_nan_has_the_same_float16_code():
    payloads = np.array([0x7FC00001, 0x7FC00000, 0xFFC00000, 0xFFFFFFFF], np.uint32).view(np.float32)
    np.testing.assert_array_equal(bits(PLAIN.encode(payloads, "float16")), 0x7E00)


def test_out_is_filled_and_returned():
    store = np.zeros((2, 3, 4), np.float16)
    out = store[1]
    assert PLAIN.encode(np.full((3, 4), 7, np.float32), "float16", out=out) is out
    np.testing.assert_array_equal(store[1], 7)
    np.testing.assert_array_equal(store[0], 0)


@pytest.mark.parametrize("out", [np.zeros(3, np.float16), np.zeros(4, np.float32), np.zeros(8, np.float16)[::2]])
def test_an_out_that_cannot_be_filled_is_refused(out):
    with pytest.raises(ValueError, match="C-contiguous float16"):
        PLAIN.encode(np.zeros(4, np.float32), "float16", out=out)


@pytest.mark.parametrize("value", [65510, 65520, -70000, np.inf, -np.inf])
def test_a_number_beyond_float16_is_refused_by_name(value):
    with pytest.raises(BadInput, match=rf"value {np.float32(value)} normalises.*float16.*65504"):
        PLAIN.encode(np.float32([1, np.nan, value, 2]), "float16")


def test_the_largest_float16_is_stored():
    assert PLAIN.encode(np.float32([65504]), "float16")[0] == 65504


@pytest.mark.parametrize("value", [np.inf, np.float32(3e38)])
def test_a_number_beyond_float32_is_refused(value):
    with pytest.raises(BadInput, match="beyond the largest float32"):
        normalisation(std=0.1).encode(np.float32([value]), "float32")


def test_a_number_below_the_domain_is_refused_and_not_turned_into_nan():
    with pytest.raises(BadInput, match=r"value -0\.25 is below 0\.0, where log1p begins.*floor"):
        normalisation("log1p").encode(np.float32([1, np.nan, -0.25]), "float16")


def test_an_unknown_dtype_is_refused():
    with pytest.raises(BadInput, match=r"'int16'.*float16 or float32"):
        PLAIN.encode(np.zeros(1, np.float32), "int16")


@pytest.mark.parametrize(("mean", "std"), [(0, 0), (0, -1), (np.nan, 1), (0, np.nan), (np.inf, 1), (0, np.inf)])
def test_constants_that_cannot_be_undone_are_refused(mean, std):
    with pytest.raises(BadInput, match="std above 0"):
        normalisation("identity", mean, std)


@pytest.mark.parametrize("name", ["identity", "log1p", "sqrt"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_decode_is_the_inverse_in_float64(name, dtype):
    stored = np.linspace(0, 4, 24, dtype=dtype).reshape(2, 3, 4)
    expected = NUMPY_INVERSE[name](stored.astype(np.float64) * 0.7 + 0.3)
    decoded = normalisation(name, 0.3, 0.7).decode(stored)
    assert decoded.dtype == np.float64
    np.testing.assert_array_equal(decoded, expected)
    np.testing.assert_array_equal(normalisation(name, 0.3, 0.7).decode_float32(stored), expected.astype(np.float32))


def test_every_float16_code_decodes_like_its_number():
    stored = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(invalid="ignore"):
        expected = stored.astype(np.float64) * 11.3 + 280.1
    np.testing.assert_array_equal(normalisation("identity", 280.1, 11.3).decode(stored), expected)


intervals = st.tuples(
    st.sampled_from(["identity", "log1p", "sqrt"]),
    st.floats(-1e5, 1e5, width=32),
    st.floats(0, 1e4, width=32),
    st.floats(-1e5, 1e5),
    st.floats(1e-3, 1e4),
    st.sampled_from(["float16", "float32"]),
)


@settings(max_examples=200)
@given(intervals, st.data())
def test_the_error_is_never_above_its_bound(case, data):
    name, low, width, mean, std, dtype = case
    if name != "identity":
        low, mean, std = abs(low), mean / 1e4, min(std, 10.0)
    high = float(np.float32(low + width))
    one = normalisation(name, mean, std)
    assume(max(abs(NUMPY_FORWARD[name](x) - mean) for x in (low, high)) / std < 65000)
    drawn = data.draw(st.lists(st.floats(low, high, width=32), min_size=1, max_size=50))
    physical = np.concatenate([np.float32(drawn), np.linspace(low, high, 2000).astype(np.float32)]).clip(low, high)
    error = np.abs(one.decode(one.encode(physical, dtype)) - physical.astype(np.float64))
    assert error.max() <= one.error_bound(low, high, dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(
    ("name", "mean", "std", "low", "high"),
    [("identity", 280, 12, 200, 330), ("log1p", 0.2, 0.4, 0, 200), ("sqrt", 1, 2, 0, 100)],
)
def test_the_bound_is_reached_within_a_factor_of_two(name, mean, std, low, high, dtype):
    one = normalisation(name, mean, std)
    physical = np.linspace(low, high, 200_003).astype(np.float32)
    error = np.abs(one.decode(one.encode(physical, dtype)) - physical).max()
    assert error <= one.error_bound(low, high, dtype) <= 2 * error


@settings(max_examples=200)
@given(
    st.sampled_from(["identity", "log1p", "sqrt"]),
    st.floats(-5, 300),
    st.floats(0.01, 50),
    st.sampled_from(["float16", "float32"]),
    st.floats(0, 100, width=32),
)
def test_a_floor_is_exactly_kept_and_the_error_stays_within_its_bound(name, mean, std, dtype, floor):
    plain = normalisation(name, mean, std)
    kept = plain.keeping(dtype, floor)
    around = np.float32(floor) * np.float32([1, 1.0001, 1.0005, 1.01]) + np.float32([0, 1e-7, 1e-4, 1])
    physical = np.concatenate([around, np.linspace(floor, floor + 2, 2000).astype(np.float32)])
    stored = plain.encode(physical, dtype)
    np.testing.assert_array_equal(bits(kept.encode(physical, dtype)), bits(stored))
    decoded, same = kept.decode(stored), stored == stored[0]
    assert (decoded[same] == floor).all()
    np.testing.assert_array_equal(decoded[~same], plain.decode(stored[~same]))
    low, high = float(physical.min()), float(physical.max())
    assert np.abs(decoded - physical.astype(np.float64)).max() <= kept.error_bound(low, high, dtype)
    assert kept.keeping(dtype) == plain


def test_a_number_that_cannot_be_stored_is_not_kept():
    assert normalisation("log1p").keeping("float16", -1.0).exact == ()


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (2, 1), (0, np.inf), (np.nan, 1)])
def test_a_bound_over_no_proper_interval_is_refused(low, high):
    with pytest.raises(BadInput, match="expected a finite interval"):
        normalisation("log1p").error_bound(low, high, "float16")


@pytest.mark.parametrize("high", [65510, 1e5])
def test_a_bound_over_what_cannot_be_stored_is_refused(high):
    with pytest.raises(BadInput, match="beyond the largest float16"):
        PLAIN.error_bound(0, high, "float16")


def test_a_normalisation_travels_to_another_process_without_its_table():
    one = normalisation("log1p", 0.3, 0.7).keeping("float16", 0)
    one.decode(np.zeros(1, np.float16))
    packed = pickle.dumps(one)
    assert len(packed) < 1000
    assert pickle.loads(packed) == one


def test_the_processor_and_the_bits_round_to_the_same_half_precision():
    rng = np.random.default_rng(0)
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    with np.errstate(invalid="ignore"):
        between = halves + np.diff(halves, append=np.float32(0)) / 2  # ties
    singles = np.concatenate([halves, between, rng.integers(0, 1 << 32, 1 << 16).astype(np.uint32).view(np.float32)])
    singles = singles[~(np.abs(singles) > 65504)]
    found = np.empty((2, singles.size), np.uint16)
    for each, out in zip((round_to_half, round_by_bits), found, strict=True):
        each(singles, out)
    with np.errstate(invalid="ignore"):
        expected = np.where(np.isnan(singles), np.uint16(0x7E00), singles.astype(np.float16).view(np.uint16))
    np.testing.assert_array_equal(found, [expected, expected])
