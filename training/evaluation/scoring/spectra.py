"""Radially averaged power spectra of fields on a limited area."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from corrstore.datasets.grids.rectilinear import RectilinearGrid

EARTH_RADIUS_KM = 6371.229
_RATIO = 1.08


@dataclass(frozen=True)
class Wavenumbers:
    """The waves that fit a field of `shape` (lat, lon) whose points are `spacing` km apart, in bins by wavenumber.

    The waves are those of the discrete cosine transform, which needs no periodic field (Denis et al. 2002, Mon. Wea.
    Rev. 130, 1812): wave (m, n) of N by M points has the wavenumber sqrt((m / 2 N dy)^2 + (n / 2 M dx)^2), in cycles
    per km. Each bin is 8 % wider than the one before, and at least as wide as the longest wave's wavenumber.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]

    @classmethod
    def of_grid(cls, grid: RectilinearGrid) -> Wavenumbers:
        """Return the waves of fields on the grid; the spacing of longitudes is that of its middle latitude."""
        step_lat, step_lon = np.deg2rad(grid.resolution) * EARTH_RADIUS_KM
        middle = np.deg2rad(np.mean(grid.lat[[0, -1]]))
        return cls(grid.shape, (float(step_lat), float(step_lon * np.cos(middle))))

    @property
    def nyquist(self) -> float:
        """The largest wavenumber that is resolved in every direction: 1 / (2 max(dy, dx))."""
        return 0.5 / max(self.spacing)

    @property
    def widths(self) -> NDArray[np.float64]:
        """The width of each bin, in cycles per km."""
        return np.diff(self._edges)

    @property
    def centres(self) -> NDArray[np.float64]:
        """The geometric middle of each bin, in cycles per km."""
        return np.sqrt(self._edges[1:] * self._edges[:-1])

    @property
    def resolved(self) -> NDArray[np.bool_]:
        """True for bins that lie wholly below the Nyquist wavenumber."""
        return self._edges[1:] <= self.nyquist

    def variance(self, field: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the field's spatial variance in each bin, in its units squared; the bins add up to all of it."""
        deviation = (field - field.mean(dtype=np.float64)).astype(field.dtype)  # else float32 rounds by the mean's size
        waves = scipy.fft.dctn(deviation, norm="ortho")
        power = np.square(waves, dtype=np.float64).ravel() / field.size
        return np.asarray(np.bincount(self._bins, power, minlength=len(self.widths) + 1)[1:], np.float64)

    def noise(self, spectrum: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return Gaussian noise of mean 0 whose expected variance in each bin is the spectrum's."""
        counts = np.bincount(self._bins, minlength=len(self.widths) + 1)
        power = np.append(0.0, spectrum) / np.maximum(counts, 1) * self._bins.size
        waves = rng.standard_normal(self.shape) * np.sqrt(power[self._bins]).reshape(self.shape)
        return np.asarray(scipy.fft.idctn(waves, norm="ortho"))

    @cached_property
    def _lengths(self) -> NDArray[np.float64]:
        down, along = (np.arange(n) / (2 * n * step) for n, step in zip(self.shape, self.spacing, strict=True))
        return np.hypot(down[:, None], along).ravel()

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        lowest, highest = np.sort(self._lengths)[[1, -1]]
        edges = [lowest / 2]
        while edges[-1] <= highest:
            edges.append(max(edges[-1] * _RATIO, edges[-1] + lowest))
        return np.array(edges)

    @cached_property
    def _bins(self) -> NDArray[np.intp]:
        """The bin of each wave, from 1 on; 0 is the mean's."""
        return np.digitize(self._lengths, self._edges)
