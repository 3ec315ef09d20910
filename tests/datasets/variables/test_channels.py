"""Channels by name."""

from __future__ import annotations

import pytest

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.channels import channel_named, standard_height


def test_a_channel_is_named_like_its_variable_and_level():
    assert channel_named("t2m").name == "t2m"
    channel = channel_named("z_500")
    assert (channel.name, channel.level, channel.variable.units) == ("z_500", 500, "m2 s-2")


@pytest.mark.parametrize(("level", "height"), [(850, 1457), (500, 5574), (200, 11784), (100, 16180)])
def test_the_standard_atmospheres_heights(level, height):
    """Tabulated heights of ISO 2533, to the metre of their rounding."""
    assert abs(standard_height(level) - height) < 4


def test_geopotential_is_checked_against_its_own_level():
    low, high = channel_named("z_500").variable.valid_range
    assert low < 9.80665 * 4600 < 9.80665 * 6000 < high < channel_named("z_200").variable.valid_range[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("t", "needs a level"),
        ("t2m_850", "no pressure levels"),
        ("x_850", "unknown variable"),
        ("sp_850", "no pressure levels"),
    ],
)
def test_a_name_that_is_none_is_refused(name, said):
    with pytest.raises(BadInput, match=said):
        channel_named(name)
