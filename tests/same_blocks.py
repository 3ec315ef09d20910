"""The comparison of two blocks of statistics to the last bit."""

from __future__ import annotations

import numpy as np

from corrstore.datasets.statistics.blocks import MOMENTS


def assert_same(left, right):
    assert [np.float64(getattr(left, name)).tobytes() for name in MOMENTS] == [
        np.float64(getattr(right, name)).tobytes() for name in MOMENTS
    ]
    np.testing.assert_array_equal(left.histogram, right.histogram)
