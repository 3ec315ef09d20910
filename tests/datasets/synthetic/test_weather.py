"""SYNTHETIC weather: fields that hang together and evolve, as the atmosphere's do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from corrstore.datasets.recipe.periods import parse_time
from corrstore.datasets.synthetic import SyntheticSpec
from corrstore.datasets.synthetic.domain import domain_of
from corrstore.datasets.synthetic.weather.noise import Redraw
from corrstore.datasets.synthetic.weather.weather import Weather
from corrstore.datasets.variables.table import VARIABLES


@pytest.fixture(scope="module")
def weather() -> Weather:
    """Return the weather on the default domain, as the demo has it."""
    return Weather(0, domain_of(SyntheticSpec(parse_time("2018-07-06T03"), parse_time("2018-07-06T15"))))


def test_the_land_shapes_the_temperature(weather):
    moment = weather.at(parse_time("2018-07-03T06"))
    height, t2m = moment.land.height, moment.surface()["t2m"]
    assert np.corrcoef(height.ravel(), t2m.ravel())[0, 1] < -0.8
    assert 0.02 < moment.land.sea_mask.mean() < 0.4
    assert height.max() > 3000
    assert not height[moment.land.sea_mask == 1].any()


def test_another_draw_of_the_law_has_the_same_long_waves_and_independent_short_ones(weather):
    """Temperature at 850 hPa in 3 draws; without what they share, independent fields have correlations of -1/2."""
    time = parse_time("2018-07-03T06")
    draws = [weather, *(Weather(weather.seed, weather.domain, Redraw(member, 56.0)) for member in range(2))]
    fields = [each.at(time).on_level(850)["t"] for each in draws]
    short = np.stack([(each - gaussian_filter(each, 1.5))[9:-9, 9:-9].ravel() for each in fields])
    correlation = np.corrcoef(short - short.mean(axis=0))
    np.testing.assert_allclose(correlation[np.triu_indices(3, 1)], -0.5, atol=0.1)
    np.testing.assert_allclose(short.std(axis=1), short.std(axis=1).mean(), rtol=0.05)
    long = [gaussian_filter(each, 20) for each in fields]
    assert max(np.abs(each - long[0]).max() for each in long[1:]) < 0.1 * (fields[0] - long[0]).std()


@pytest.mark.parametrize("time", ["2018-01-15T00", "2018-07-05T18", "2020-10-01T09"])
def test_every_field_is_what_the_atmosphere_can_do(weather, time):
    moment = weather.at(parse_time(time))
    surface = moment.surface()
    fields = surface | {"tp": weather.rain_over_hour(parse_time(time))[0]}
    fields |= {f"{name}_{level}": field for level in (200, 850) for name, field in moment.on_level(level).items()}
    for name, field in fields.items():
        if (variable := VARIABLES.get(name.split("_")[0])) is not None:
            low, high = variable.valid_range
            assert field.dtype == np.float32, name
            assert low <= field.min() <= field.max() <= high, name
    assert (surface["d2m"] <= surface["t2m"] + 0.01).all()
    assert surface["refc"].min() < 0


def test_thickness_is_hydrostatic(weather):
    moment = weather.at(parse_time("2018-07-04T12"))
    upper, lower = moment.on_level(850), moment.on_level(925)
    thickness = (upper["z"] - lower["z"]).mean()
    mean_temperature = (upper["t"] + lower["t"]).mean() / 2
    assert thickness == pytest.approx(287.05 * mean_temperature * np.log(925 / 850), rel=0.02)


def test_mesoscale_wind_has_a_spectrum_near_minus_five_thirds(weather):
    wind = weather.at(parse_time("2018-07-03T00")).on_level(500)["u"]
    ny, nx = wind.shape
    window = np.hanning(ny)[:, None] * np.hanning(nx)
    power = np.abs(np.fft.fft2((wind - wind.mean()) * window)) ** 2
    south_north, west_east = weather.domain.km_per_step
    wavenumber = np.hypot(np.fft.fftfreq(ny, south_north)[:, None], np.fft.fftfreq(nx, west_east))
    edges = np.geomspace(1 / 200, 1 / 25, 9)
    middles = np.sqrt(edges[1:] * edges[:-1])
    rings = [power[(wavenumber >= a) & (wavenumber < b)].mean() for a, b in pairwise(edges)]
    slope = np.polyfit(np.log(middles), np.log(rings * middles), 1)[0]
    assert -2.6 < slope < -1.2


def test_rain_evolves_smoothly_and_forgets(weather):
    start = parse_time("2018-07-05T12")
    now, soon, later = (weather.at(start + wait * np.timedelta64(60, "s")).rate.ravel() for wait in (0, 5, 12 * 60))
    assert np.corrcoef(now, soon)[0, 1] > 0.85
    assert np.corrcoef(now, later)[0, 1] < 0.5
