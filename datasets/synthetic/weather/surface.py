"""The fields near the ground: the large scale, the effect of the land, and chance."""

from __future__ import annotations

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.weather.humidity import dew_point, specific_humidity
from corrstore.datasets.synthetic.weather.land import Land, gradient
from corrstore.datasets.synthetic.weather.rain import reflectivity, upslope
from corrstore.datasets.synthetic.weather.synoptic import DRY_GAS_CONSTANT, GRAVITY, LAPSE_RATE, Synoptic

_GUST_FACTOR = np.float32(1.25)
_TURNED = np.float32(np.radians(20))


def surface_fields(synoptic: Synoptic, land: Land, rate: FieldArray) -> dict[str, FieldArray]:
    """Return t2m, d2m, q2m, u10m, v10m, sp, msl, refc by channel name, and three fields without a channel.

    These are `soil`, the soil's temperature in K, and `u10m_max` and `v10m_max`, the strongest gust's wind in m s-1.
    """
    level_temperature = synoptic.temperature(1000)
    u, v = _wind_at_10_m(synoptic, land, rate)
    soil, t2m = _temperatures(synoptic, land, rate, level_temperature, np.hypot(u, v))
    heat_low = 90 * synoptic.warmth_of_day * land.height / 4000
    noise = (8 + 32 * synoptic.front_band) * synoptic.texture("pressure", 14, 400, 3.0, drift=(35, 0)).at(synoptic.time)
    msl = 1e5 * np.exp(GRAVITY / DRY_GAS_CONSTANT * synoptic.height(1000) / level_temperature) - heat_low + noise
    exponent = GRAVITY / (DRY_GAS_CONSTANT * LAPSE_RATE)
    sp = msl * (1 - LAPSE_RATE * land.height / level_temperature) ** exponent
    q2m = specific_humidity(_relative_humidity(synoptic, land, rate), t2m, sp)
    return {
        "t2m": t2m,
        "d2m": dew_point(q2m, sp),
        "q2m": q2m,
        "u10m": u,
        "v10m": v,
        "sp": sp.astype(np.float32),
        "msl": msl.astype(np.float32),
        "refc": reflectivity(rate, synoptic),
        "u10m_max": _GUST_FACTOR * u,
        "v10m_max": _GUST_FACTOR * v,
        "soil": soil,
    }


def _temperatures(
    synoptic: Synoptic, land: Land, rate: FieldArray, level_temperature: FieldArray, wind: FieldArray
) -> tuple[FieldArray, FieldArray]:
    """Return the temperatures of the soil and at 2 m.

    They follow the lapse rate, the time of day, cold pools in calm valleys, foehn in the lee, and cold showers.
    """
    daily_range = (4.5 + land.height / 1500) * land.land_mask + 0.6 * land.sea_mask
    day = synoptic.warmth_of_day * daily_range * (1 - 0.6 * synoptic.cloud)
    ground = level_temperature - LAPSE_RATE * land.height
    cold_pool = 3 * (-land.prominence).clip(0, None) * (-day / 5).clip(0, 1) * np.exp(-((wind / 6) ** 2))
    foehn = 1.8 * np.tanh(-upslope(synoptic, land) / 0.15).clip(0, None)
    noise = synoptic.texture("temperature", 12, 300, 1.7, drift=(25, 5), lifetime=15)
    still = np.exp(-((wind / 6) ** 2)) * (1 - synoptic.cloud)
    chance = 0.2 + 0.9 * still * (0.3 + 0.7 * land.roughness) * land.land_mask
    t2m = ground + day - cold_pool + foehn - 2.8 * np.tanh(rate / 4) + chance * noise.at(synoptic.time)
    return (ground + 0.4 * day).astype(np.float32), t2m.astype(np.float32)


def _wind_at_10_m(synoptic: Synoptic, land: Land, rate: FieldArray) -> tuple[FieldArray, FieldArray]:
    """Return the low-level wind with friction, ridges, slope winds, the outflow of showers, and gusts."""
    high = (land.height / 4000).clip(0, 1)
    low, aloft = synoptic.wind(925), synoptic.wind(600)
    u, v = (below * (1 - high) + above * high for below, above in zip(low, aloft, strict=True))
    turned = _TURNED * land.land_mask
    exposure = (0.55 * land.land_mask + 0.85 * land.sea_mask - 0.15 * high) * (1 + 0.5 * land.prominence).clip(0.3, 2)
    u, v = (
        exposure * (u * np.cos(turned) - v * np.sin(turned)),
        exposure * (u * np.sin(turned) + v * np.cos(turned)),
    )
    eddies = synoptic.texture("eddies at 10 m", 12, 400, 11 / 3, drift=(30, 0), lifetime=12)
    gust_u, gust_v = eddies.rotation(synoptic.time)
    gusts = 0.3 + 0.12 * np.hypot(u, v) * (1 + 0.5 * land.roughness)
    up_north, up_east = (2.2 * synoptic.warmth_of_day * np.tanh(slope / 0.05) for slope in land.slope)
    out_north, out_east = (-2.5 * np.tanh(3e3 * more) for more in gradient(rate, synoptic.domain))
    return (
        (u + gusts * gust_u + up_east + out_east).astype(np.float32),
        (v + gusts * gust_v + up_north + out_north).astype(np.float32),
    )


def _relative_humidity(synoptic: Synoptic, land: Land, rate: FieldArray) -> FieldArray:
    noise = synoptic.texture("humidity at 2 m", 12, 300, 1.7, drift=(25, 5), lifetime=15)
    return (
        0.62
        + 0.13 * synoptic.moisture
        + 0.2 * synoptic.front_band
        - 0.13 * synoptic.warmth_of_day * land.land_mask
        + 0.12 * land.sea_mask
        + 0.25 * np.tanh(rate / 2)
        + (0.02 + 0.04 * synoptic.front_band + 0.02 * land.roughness) * noise.at(synoptic.time)
    ).clip(0.08, 1.0)
