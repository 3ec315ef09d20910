"""Winds: the error of the vector, and the spectra of vorticity and divergence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.training.evaluation.scoring.spectra import EARTH_RADIUS_KM, Wavenumbers

Floats = NDArray[np.float64]


class Northward(NamedTuple):
    """The northward component beside an eastward one: ensemble (member, lat, lon) and truth (lat, lon), in m s-1."""

    ensemble: NDArray[np.float32]
    truth: NDArray[np.floating]


def vector_error(
    eastward: NDArray[np.float32], truth: NDArray[np.floating], northward: Northward, row_weights: Floats
) -> Floats:
    """Return the weight of the pixels where both components are known, and the squared error of the mean vector."""
    u, v = (each.mean(axis=0, dtype=np.float64) for each in (eastward, northward.ensemble))
    squares = (u - truth) ** 2 + (v - northward.truth) ** 2
    known = ~np.isnan(squares)
    return np.array([row_weights @ known.sum(axis=1), row_weights @ np.where(known, squares, 0).sum(axis=1)])


def flow_spectra(
    eastward: NDArray[np.floating], northward: NDArray[np.floating], grid: RectilinearGrid, waves: Wavenumbers
) -> Floats:
    """Return the mean spectra [3, bin] of whole fields (member, lat, lon) in m s-1.

    Kinetic energy, half the variance of both components, in m2 s-2; vorticity and divergence in s-2.
    """
    total = np.zeros((3, len(waves.widths)))
    for u, v in zip(eastward, northward, strict=True):
        total[0] += (waves.variance(u) + waves.variance(v)) / 2
        for place, each in enumerate(vorticity_and_divergence(u, v, grid), start=1):
            total[place] += waves.variance(each)
    return total / len(eastward)


def vorticity_and_divergence(
    u: NDArray[np.floating], v: NDArray[np.floating], grid: RectilinearGrid
) -> tuple[Floats, Floats]:
    """Return relative vorticity and divergence [lat, lon] in s-1 of a wind in m s-1, by central differences.

    With latitude phi and longitude lambda on a sphere of radius a (Holton and Hakim 2013, section 2.3):
    (dv/dlambda - d(u cos phi)/dphi) / (a cos phi), and (du/dlambda + d(v cos phi)/dphi) / (a cos phi).
    """
    lat, lon = np.deg2rad(grid.lat), np.deg2rad(grid.lon)
    cosine = np.cos(lat)[:, None]
    u, v, scale = u.astype(np.float64), v.astype(np.float64), EARTH_RADIUS_KM * 1000 * cosine
    vorticity = np.gradient(v, lon, axis=1) - np.gradient(u * cosine, lat, axis=0)
    divergence = np.gradient(u, lon, axis=1) + np.gradient(v * cosine, lat, axis=0)
    return vorticity / scale, divergence / scale
