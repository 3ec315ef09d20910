"""The invented land: a plateau in the west of every box, a basin, and a sea in its south-east corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import SyntheticDomain
from corrstore.datasets.synthetic.weather.noise import Texture

_TIMELESS = np.datetime64("2018-01-01T00:00:00")
_RIDGES_KM = {500.0: 1.0, 200.0: 0.8, 80.0: 0.7}
_FLANK_KM = 60.0


@dataclass(frozen=True)
class Land:
    """The invented land: terrain height in m (0 at sea), slopes (m per m), and height above the surroundings.

    `slope` is (to the north, to the east); `flank` the same for the terrain as a flow sees it that crosses it, smooth
    over tens of km; `prominence` the height above that smooth terrain in units of 300 m, negative in a valley.
    """

    height: FieldArray
    sea_mask: FieldArray
    slope: tuple[FieldArray, FieldArray]
    flank: tuple[FieldArray, FieldArray]
    prominence: FieldArray

    @property
    def land_mask(self) -> FieldArray:
        """1 over land, 0 over sea."""
        return np.float32(1) - self.sea_mask

    @property
    def roughness(self) -> FieldArray:
        """The distance from the terrain's smooth height in units of 300 m, 0 on plains and at sea."""
        return np.abs(self.prominence)


def land_of(seed: int, domain: SyntheticDomain) -> Land:
    """Return the land of that seed on the fine grid; it is the same for every time."""
    above_sea = _height_above_sea(seed, domain)
    height = np.maximum(above_sea, 0)
    smooth = gaussian_filter(height, [_FLANK_KM / km for km in domain.km_per_step], mode="nearest")
    return Land(
        height=height,
        sea_mask=(above_sea < 0).astype(np.float32),
        slope=gradient(height, domain),
        flank=gradient(smooth, domain),
        prominence=((height - smooth) / 300).clip(-2.5, 2.5),
    )


def gradient(field: FieldArray, domain: SyntheticDomain) -> tuple[FieldArray, FieldArray]:
    """Return the change of a field on the fine grid per metre (to the north, to the east)."""
    south_north, west_east = domain.km_per_step
    down, right = np.gradient(field, axis=0), np.gradient(field, axis=1)
    return down / np.float32(-1000 * south_north), right / np.float32(1000 * west_east)


def _height_above_sea(seed: int, domain: SyntheticDomain) -> FieldArray:
    """Return the height in metres, negative at sea: a plateau, a coast, and ridges on high or steep land."""
    target, fine = domain.target, domain.fine
    across = ((fine.west - target.west + fine.step * np.arange(fine.nx)) / (target.east - target.west))[None, :]
    down = ((target.north - fine.north + fine.step * np.arange(fine.ny)) / (target.north - target.south))[:, None]
    breadth = (fine.ny + fine.nx) * domain.km_per_step[0] / 2
    wander = [
        Texture(seed, f"land {name}", domain, 12, breadth, 2.6).at(_TIMELESS) for name in ("edge", "coast", "hills")
    ]
    edge = _step((0.33 - across + 0.07 * wander[0]) / 0.09)
    inland = _step((1.62 - across - down + 0.11 * wander[1]) / 0.06)
    steep = 4 * edge * (1 - edge)
    ridges = _ridges(seed, domain)
    base = -320 + 640 * inland + 2900 * edge + 90 * wander[2] * inland
    return (base + ridges * inland * (150 + 650 * edge + 1700 * steep)).astype(np.float32).clip(None, 6000)


def _ridges(seed: int, domain: SyntheticDomain) -> FieldArray:
    """Return ridges along the level lines of fractal fields: about 0 in valleys, up to 1.5 on the highest crests.

    Where two ridges meet they add up and branch, and what is high is rougher (a multifractal, after Musgrave 1994).
    """
    height = np.zeros((domain.fine.ny, domain.fine.nx), np.float32)
    for longest, share in _RIDGES_KM.items():
        fractal = Texture(seed, f"land ridges {longest}", domain, 18, longest, 3.2).at(_TIMELESS)
        height += np.float32(share) * np.exp(-1.6 * np.abs(fractal)) * (np.float32(0.45) + height)
    return height


def _step(x: NDArray[np.floating]) -> FieldArray:
    return (0.5 + 0.5 * np.tanh(x)).astype(np.float32)
