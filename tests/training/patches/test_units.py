"""The numbers that torch computes for a channel are those that NumPy computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.errors import BadInput
from corrstore.datasets.store.layout import stored_normalisation
from corrstore.datasets.variables.transforms import TRANSFORMS, transform_named
from corrstore.training.patches.features import UnitConversion

EDGES = [0.0, -0.0, -0.5, -1.0, -2.0, 1e-45, 1e-7, 0.1, 1000.0, 65504.0, 3e38, np.inf, -np.inf, np.nan]
names = st.sampled_from(sorted(TRANSFORMS))
fields = st.lists(st.one_of(st.sampled_from(EDGES), st.floats(width=32)), min_size=1, max_size=20)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@given(names, fields, st.sampled_from([np.float32, np.float64]))
def test_every_function_of_a_transform_is_the_same_in_numpy_and_torch(name, values, dtype):
    transform, field = transform_named(name), np.array(values, dtype)
    for function in (transform.forward, transform.extended, transform.inverse, transform.inverse_slope):
        by_torch = function(torch.from_numpy(field), torch)
        assert by_torch.numpy().dtype == dtype
        np.testing.assert_allclose(by_torch, function(field), rtol=8 * np.finfo(dtype).eps, atol=1e-45)


@given(names, st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=20))
def test_units_decode_as_the_store_does_and_encode_undoes_it(name, values):
    normalisation = stored_normalisation(name, 0.5, 1.5)
    units, stored = UnitConversion([normalisation], "cpu"), np.array(values, np.float32)[None, None, None]
    decoded = units.decode(torch.from_numpy(stored))
    np.testing.assert_allclose(decoded, normalisation.decode(stored), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(units.encode(decoded), stored, rtol=1e-4, atol=1e-4)


@given(names, st.sampled_from(["float16", "float32"]), st.lists(st.floats(-3, 3, width=16), min_size=1, max_size=20))
def test_a_floor_is_exactly_kept_by_both(name, dtype, values):
    plain = stored_normalisation(name, 0.52, 1.47)
    kept = [plain.keeping(dtype, 0.3), plain]
    floor = plain.encode(np.float32([0.3]), dtype)[0]
    stored = np.array([floor, *values], dtype)
    by_torch = UnitConversion(kept, "cpu").decode(torch.from_numpy(np.float32([[[stored], [stored]]]))).numpy()
    by_numpy = [each.decode_float32(stored) for each in kept]
    np.testing.assert_array_equal(by_torch[0, 0, 0] == np.float32(0.3), by_numpy[0] == np.float32(0.3))
    assert by_torch[0, 0, 0, 0] == by_numpy[0][0] == np.float32(0.3)
    np.testing.assert_allclose(by_torch[0, :, 0], by_numpy, rtol=1e-5, atol=1e-6)


def test_an_unknown_transform_is_refused():
    with pytest.raises(BadInput, match=r"unknown transform 'log2'.*identity, log1p, sqrt"):
        UnitConversion([stored_normalisation("log2", 0.0, 1.0)], "cpu")
