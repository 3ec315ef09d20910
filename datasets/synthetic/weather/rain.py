"""Rain and radar reflectivity. The large scale and the land decide where it can rain, and chance where it does."""

from __future__ import annotations

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.weather.land import Land
from corrstore.datasets.synthetic.weather.synoptic import Synoptic

_DRIFT = (22.0, 6.0)


def rain_rate(synoptic: Synoptic, land: Land) -> FieldArray:
    """Return the rain in kg m-2 per hour at the time of `synoptic`.

    Showers stand where a texture of 16 to 260 km rises above a threshold. Ascent along the front and up the
    mountains, moisture and the afternoon over land lower that threshold: they can be told from a coarse field and
    the terrain; which of the texture's hills is a shower cannot.
    """
    cells = synoptic.texture("showers", 16, 260, 1.8, drift=_DRIFT, lifetime=12)
    afternoon = synoptic.warmth_of_day * land.land_mask * (0.7 + 0.6 * synoptic.summer)
    readiness = (
        -1.9
        + 1.7 * synoptic.front_band
        + 0.75 * synoptic.moisture
        + 0.9 * np.tanh(upslope(synoptic, land) / 0.08)
        + 0.35 * afternoon
        + 0.25 * land.prominence.clip(0, None)
    )
    showers = 2.6 * (cells.at(synoptic.time) + readiness).clip(0, None) ** 1.8
    steady = 2.2 * (synoptic.front_band - 0.6 + 0.12 * synoptic.moisture).clip(0, None)
    return (showers + steady).astype(np.float32)


def upslope(synoptic: Synoptic, land: Land) -> FieldArray:
    """Return the vertical wind in m s-1 that the low-level flow has on the flanks of the terrain."""
    u, v = synoptic.low_wind
    north, east = land.flank
    return u * east + v * north


def reflectivity(rate: FieldArray, synoptic: Synoptic) -> FieldArray:
    """Return composite reflectivity in dBZ, Z = 200 R^1.6 (Marshall and Palmer 1948); about -25 in clear air.

    The drop size varies from place to place, by 2 dB.
    """
    drops = synoptic.texture("drops", 12, 200, 1.7, drift=_DRIFT, lifetime=8).at(synoptic.time)
    clear_air = np.float32(1e-3) * np.exp(drops)
    return (10 * np.log10(200 * (rate + clear_air) ** 1.6) + 2 * drops).clip(-35, 75)
