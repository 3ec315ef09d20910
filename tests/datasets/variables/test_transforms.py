"""Transforms against the mathematics that they claim."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.transforms import TRANSFORMS, transform_named

FORWARD = {"identity": lambda x: x, "log1p": math.log1p, "sqrt": math.sqrt}
SLOPE = {"identity": lambda y: 1.0, "log1p": math.exp, "sqrt": lambda y: 2 * abs(y)}

names = st.sampled_from(sorted(TRANSFORMS))
amounts = st.floats(0, 1e6)


def test_the_registry_has_the_three_that_a_recipe_may_declare():
    assert set(TRANSFORMS) == {"identity", "log1p", "sqrt"}


def test_an_unknown_name_is_refused_with_the_names_that_exist():
    with pytest.raises(BadInput, match=r"'log2'.*identity, log1p, sqrt"):
        transform_named("log2")


@given(names, amounts)
def test_forward_is_the_named_function(name, x):
    np.testing.assert_allclose(transform_named(name).forward(np.array([x]))[0], FORWARD[name](x), rtol=1e-15)


@given(names, amounts)
def test_inverse_undoes_forward(name, x):
    transform = transform_named(name)
    np.testing.assert_allclose(transform.inverse(transform.forward(np.array([x])))[0], x, rtol=1e-13, atol=1e-300)


@given(names, st.floats(-5, 10))
def test_the_slope_is_the_derivative_of_the_inverse(name, y):
    transform, step = transform_named(name), 1e-6
    slope = transform.inverse_slope(np.array([y]))[0]
    assert slope == pytest.approx(SLOPE[name](y), rel=1e-15)
    low, high = transform.inverse(np.array([y - step, y + step]))
    assert slope == pytest.approx((high - low) / (2 * step), rel=1e-5, abs=2e-6)


@given(names, st.lists(st.floats(-20, 20), min_size=2, max_size=2, unique=True))
def test_inverse_increases_everywhere_also_below_the_image_of_the_domain(name, ends):
    low, high = transform_named(name).inverse(np.array(sorted(ends)))
    assert low <= high
    assert low < high or ends[0] == pytest.approx(ends[1], abs=1e-6)


@pytest.mark.parametrize("name", ["log1p", "sqrt"])
def test_below_the_domain_is_nan_and_never_clamped(name):
    transform = transform_named(name)
    below = np.nextafter(transform.lowest, -1.0)
    result = transform.forward(np.array([below, -0.5, -2.0, transform.lowest, np.nan]))
    np.testing.assert_array_equal(np.isnan(result), [True, True, True, False, True])
    assert result[3] == 0.0


def test_identity_has_no_lowest_number():
    assert transform_named("identity").lowest == -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_dtype_and_shape_are_kept(name, dtype):
    transform, values = transform_named(name), np.array([[0.0, 1.0, np.nan], [3.0, -1.0, 2.0]], dtype)
    for function in (transform.forward, transform.inverse, transform.inverse_slope):
        result = function(values)
        assert result.dtype == dtype
        assert result.shape == values.shape


def test_a_transform_that_travels_to_another_process_is_the_registered_one():
    assert pickle.loads(pickle.dumps(transform_named("sqrt"))) is transform_named("sqrt")
