"""The fields on a pressure level."""

from __future__ import annotations

import numpy as np

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.weather.humidity import specific_humidity
from corrstore.datasets.synthetic.weather.land import Land
from corrstore.datasets.synthetic.weather.noise import Texture
from corrstore.datasets.synthetic.weather.rain import upslope
from corrstore.datasets.synthetic.weather.synoptic import GRAVITY, Synoptic


def level_fields(synoptic: Synoptic, land: Land, rate: FieldArray, level: int) -> dict[str, FieldArray]:
    """Return z (m2 s-2), t (K), u and v (m s-1), q (kg kg-1) on a level in hPa, also below the ground.

    Above the mountains there is the cold of their ascent, under their tops less wind; eddies are those of the whole
    column and the level's own, half and half.
    """
    height = synoptic.height(level)
    above_ground = height - land.height
    near_ground = np.exp(-np.maximum(above_ground, 0) / 2500)
    u, v = _wind(synoptic, above_ground, level)
    ascent = np.tanh(upslope(synoptic, land) / 0.15) * near_ground
    crests = land.prominence * near_ground
    heating = 1.5 * synoptic.warmth_of_day * land.land_mask * np.exp(-np.abs(above_ground) / 900)
    t = (
        synoptic.temperature(level)
        - 1.2 * ascent
        - 0.5 * crests
        + heating
        + (0.15 + 0.6 * synoptic.front_band + 0.6 * np.abs(ascent)) * _noise(synoptic, f"temperature {level}", 1.9)
    )
    relative = (
        (0.5 + 0.16 * synoptic.moisture + 0.3 * synoptic.front_band) * (0.55 + 0.45 * level / 1000)
        + 0.1 * ascent
        + 0.12 * np.tanh(rate / 2)
        + (0.03 + 0.06 * synoptic.front_band) * _noise(synoptic, f"humidity {level}", 1.8)
    ).clip(0.03, 1)
    return {
        "z": (GRAVITY * (height + 1.5 * _noise(synoptic, f"height {level}", 3.2))).astype(np.float32),
        "t": t.astype(np.float32),
        "u": u,
        "v": v,
        "q": specific_humidity(relative, t, 100.0 * level),
    }


def _wind(synoptic: Synoptic, above_ground: FieldArray, level: int) -> tuple[FieldArray, FieldArray]:
    sheltered = np.float32(0.75) + np.float32(0.25) * np.tanh(above_ground / 500)
    strength = 0.9 + 1.6 * (1 - level / 1000)
    column = _eddies(synoptic, "column").rotation(synoptic.time)
    own = _eddies(synoptic, f"level {level}").rotation(synoptic.time)
    u, v = (
        sheltered * geostrophic + np.float32(strength) * (of_column + of_level)
        for geostrophic, of_column, of_level in zip(synoptic.wind(level), column, own, strict=True)
    )
    return u, v


def _eddies(synoptic: Synoptic, name: str) -> Texture:
    return synoptic.texture(f"eddies of {name}", 14, 500, 11 / 3, drift=(45, 0), lifetime=14)


def _noise(synoptic: Synoptic, name: str, slope: float) -> FieldArray:
    return synoptic.texture(name, 14, 400, slope, drift=(40, 0), lifetime=14).at(synoptic.time)
