"""The formulas of derivations against MetPy, and back and forth."""

from __future__ import annotations

import metpy.calc as metpy
import metpy.constants as constants
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metpy.units import units

from corrstore.datasets.variables import formulas

TEMPERATURE = np.linspace(210, 318, 37)[:, None]
PRESSURE = np.linspace(3e4, 1.05e5, 16)
HUMIDITY = np.geomspace(1e-6, 0.03, 40)[:, None]
RELATIVE = np.linspace(1, 110, 24)[:, None, None]

pascals, kelvins = PRESSURE * units.Pa, TEMPERATURE * units.K


def same(ours, theirs, unit: str) -> None:
    np.testing.assert_allclose(ours, theirs.m_as(unit), rtol=1e-6, atol=0)


def dew_point_by_metpy(vapour_pressure):
    return metpy.dewpoint(vapour_pressure * units.Pa)


def test_dew_point_from_specific_humidity_is_metpys():
    ours = formulas.dew_point_from_specific_humidity(HUMIDITY, PRESSURE)
    same(ours, metpy.dewpoint_from_specific_humidity(pascals, HUMIDITY * units("kg/kg")), "K")


def test_vapour_pressure_and_dew_point_undo_each_other_in_metpy_too():
    """Bolton's equations 10 and 11; MetPy has the second one only."""
    same(TEMPERATURE, dew_point_by_metpy(formulas.saturation_vapour_pressure(TEMPERATURE)), "K")


def test_specific_humidity_from_dew_point_has_that_dew_point_in_metpy():
    ours = formulas.specific_humidity_from_dew_point(TEMPERATURE, PRESSURE)
    back = metpy.dewpoint_from_specific_humidity(pascals, ours * units("kg/kg"))
    same(np.broadcast_to(TEMPERATURE, ours.shape), back, "K")


def test_relative_humidity_gives_metpys_dew_point_and_mixing_ratio():
    vapour = RELATIVE / 100 * formulas.saturation_vapour_pressure(TEMPERATURE)
    ours = formulas.dew_point_from_relative_humidity(RELATIVE, TEMPERATURE)
    same(ours, dew_point_by_metpy(vapour), "K")
    ours = formulas.specific_humidity_from_relative_humidity(RELATIVE, TEMPERATURE, PRESSURE)
    mixing_ratio = metpy.mixing_ratio(vapour * units.Pa, pascals)
    same(ours, metpy.specific_humidity_from_mixing_ratio(mixing_ratio), "")


@pytest.mark.parametrize(
    ("lowest", "highest", "share"), [(273.15, 303.15, 0.0026), (233.15, 273.15, 0.002), (220, 318, 0.012)]
)
def test_metpys_other_vapour_pressure_differs_by_a_known_share(lowest, highest, share):
    """MetPy 1.7 goes from temperature to vapour pressure by Ambaum (2020), equation 13, and back by Bolton (1980)."""
    temperature = np.linspace(lowest, highest, 50)
    theirs = metpy.saturation_vapor_pressure(temperature * units.K).m_as("Pa")
    difference = np.abs(formulas.saturation_vapour_pressure(temperature) / theirs - 1).max()
    assert share / 2 < difference < share


@pytest.mark.parametrize(("lowest", "highest", "kelvin"), [(273.15, 303.15, 0.02), (233.15, 273.15, 0.11)])
def test_dew_points_differ_from_the_ifs_by_a_known_amount(lowest, highest, kelvin):
    """IFS documentation Cy47r1, part IV, equation 7.5: the vapour pressure over water that ERA5's dew point is of."""
    temperature = np.linspace(lowest, highest, 50)
    ifs = 611.21 * np.exp(17.502 * (temperature - 273.16) / (temperature - 32.19))
    difference = np.abs(formulas.dew_point(ifs) - temperature).max()
    assert kelvin / 2 < difference < kelvin


def test_geopotential_is_metpys_gravity_times_height():
    height = np.linspace(-500, 40000, 50)
    same(formulas.geopotential_from_geopotential_height(height), height * units.m * constants.g, "m^2/s^2")


def test_wind_components_are_metpys():
    speed, direction = np.linspace(0, 90, 10)[:, None], np.linspace(0, 360, 73)
    u, v = metpy.wind_components(speed * units("m/s"), direction * units.degrees)
    for ours, theirs in (
        (formulas.eastward_wind_from_speed_and_direction(speed, direction), u),
        (formulas.northward_wind_from_speed_and_direction(speed, direction), v),
    ):
        np.testing.assert_allclose(ours, theirs.m_as("m/s"), rtol=1e-6, atol=1e-13)


def test_pressure_velocity_is_metpys_of_dry_air():
    upward = np.linspace(-20, 20, 9)[:, None, None]
    ours = formulas.pressure_velocity_from_upward_velocity(upward, TEMPERATURE, PRESSURE)
    same(ours, metpy.vertical_velocity_pressure(upward * units("m/s"), pascals, kelvins), "Pa/s")


@given(q=st.floats(1e-8, 0.05), pressure=st.floats(5000, 1.1e5))
def test_specific_humidity_comes_back_from_its_dew_point(q, pressure):
    dew_point = formulas.dew_point_from_specific_humidity(q, pressure)
    assert formulas.specific_humidity_from_dew_point(dew_point, pressure) == pytest.approx(q, rel=1e-9)


@given(relative=st.floats(0.5, 120), temperature=st.floats(200, 320), pressure=st.floats(5e4, 1.1e5))
def test_relative_humidity_says_the_same_by_both_ways_to_specific_humidity(relative, temperature, pressure):
    dew_point = formulas.dew_point_from_relative_humidity(relative, temperature)
    there = formulas.specific_humidity_from_dew_point(dew_point, pressure)
    at_once = formulas.specific_humidity_from_relative_humidity(relative, temperature, pressure)
    assert there == pytest.approx(at_once, rel=1e-9)


def test_no_vapour_has_no_dew_point():
    assert np.isnan(formulas.dew_point_from_specific_humidity(np.array([0.0, -1e-5, np.nan]), 9e4)).all()
    assert np.isnan(formulas.dew_point_from_relative_humidity(0.0, 280.0))
