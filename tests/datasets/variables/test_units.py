"""Units that archives state."""

import pytest

from corrstore.datasets.variables.units import conversion, is_known, is_stated


@pytest.mark.parametrize(
    ("stated", "units", "number", "expected"),
    [
        ("degC", "K", 20.0, 293.15),
        ("Fahrenheit", "K", 212.0, 373.15),
        ("hPa", "Pa", 1013.25, 101325.0),
        ("millibars", "Pa", 1.0, 100.0),
        ("(0 - 1)", "%", 0.5, 50.0),
        ("g/kg", "kg kg-1", 8.0, 0.008),
        ("m", "kg m-2", 0.001, 1.0),
        ("m", "m", 3.0, 3.0),
        ("mm/h", "kg m-2 s-1", 3.6, 0.001),
        ("kg m**-2 s**-1", "kg m-2 s-1", 2.0, 2.0),
        ("m s**-1", "m s-1", 2.0, 2.0),
        ("m/s", "m s-1", 2.0, 2.0),
        ("knots", "m s-1", 1.0, 1852 / 3600),
        ("m**2 s**-2", "m", 98.0665, 10.0),
        ("gpm", "m2 s-2", 10.0, 98.0665),
        ("hPa/h", "Pa s-1", 36.0, 1.0),
        ("degrees C", "K", 20.0, 293.15),
        ("K", "degC", 293.15, 20.0),
        ("mm day-1", "kg m-2 s-1", 86.4, 0.001),
        ("mm per hour", "kg m-2 s-1", 3.6, 0.001),
        ("dam", "m2 s-2", 1.0, 98.0665),
        ("gpdm", "m2 s-2", 1.0, 98.0665),
        ("oktas", "%", 4.0, 50.0),
        ("meters per second", "m s-1", 2.0, 2.0),
        ("kJ m**-2", "J m-2", 1.0, 1000.0),
        ("m of water equivalent", "kg m-2", 0.001, 1.0),
        ("1e-3 kg kg-1", "kg kg-1", 8.0, 0.008),
        ("W m-2", "J m-2 s-1", 3.0, 3.0),
        ("ug m-3", "kg m-3", 1.0, 1e-9),
    ],
)
def test_numbers_in_the_spellings_of_archives_are_converted(stated, units, number, expected):
    scale, offset = conversion(stated, units)
    assert number * scale + offset == pytest.approx(expected, rel=1e-12)


def test_what_measures_another_thing_has_no_conversion():
    assert conversion("hPa", "K") is None
    assert conversion("code table 4.2", "1") is None
    assert is_known("mbar")
    assert not is_known("furlong")


def test_a_rate_is_no_amount_and_no_units_are_not_stated():
    assert conversion("mm h-1", "kg m-2") is None
    assert conversion("m s-1", "m2 s-2") is None
    assert conversion("J m-2", "W m-2") is None
    assert [is_stated(units) for units in ("", "~", "unknown", None, "K")] == [False, False, False, False, True]
