"""Smooth random fields that are functions of the seed and the time alone: travelling waves, and drifting textures."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len

from datasets.synthetic.domain import EARTH_RADIUS_KM, Domain, Field, Grid

_EPOCH = np.datetime64("2018-01-01T00:00:00")
_ROSSBY_BETA = 1.6e-11 * 3.6e6
_COS_MIDDLE_LATITUDE = np.cos(np.radians(35))
_MODES = 64


def stream(seed: int, name: str) -> np.random.Generator:
    """The random numbers that belong to that name: no other name's numbers, nor their order, change them."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def hours_since_epoch(time: np.datetime64) -> float:
    """Hours from the start of 2018 to the time, negative before it."""
    return float((time - _EPOCH) / np.timedelta64(1, "s")) / 3600


@dataclass(frozen=True)
class Waves:
    """A sum of plane waves in the Earth's own coordinates, of mean 0 and expected variance 1.

    Wavelengths in km; the amplitude falls with the wavenumber k as k^-`slope`; each wave travels eastward as a Rossby
    wave in a flow of `flow` km/h, c = U - beta / k^2 (Rossby 1939), so that long waves are slow and nothing recurs.
    """

    seed: int
    name: str
    shortest: float
    longest: float
    slope: float
    flow: float

    def on(self, grid: Grid, time: np.datetime64, west_km: float = 0.0) -> Field:
        """The waves at that time on the grid, displaced to the west by `west_km`."""
        random = stream(self.seed, self.name)
        wavenumber = 2 * np.pi / np.exp(random.uniform(np.log(self.shortest), np.log(self.longest), _MODES))
        direction = random.uniform(-0.5 * np.pi, 0.5 * np.pi, _MODES)
        start = random.uniform(0, 2 * np.pi, _MODES)
        amplitude = (wavenumber / wavenumber.min()) ** -self.slope
        amplitude *= np.sqrt(2 / np.sum(amplitude**2))
        kx, ky = wavenumber * np.cos(direction), wavenumber * np.sin(direction)
        frequency = kx * np.maximum(self.flow - _ROSSBY_BETA / wavenumber**2, 0)
        x = np.radians(grid.lon) * EARTH_RADIUS_KM * _COS_MIDDLE_LATITUDE + west_km
        y = np.radians(grid.lat) * EARTH_RADIUS_KM
        along_x = np.outer(kx, x)
        along_y = np.outer(y, ky) - frequency * hours_since_epoch(time) + start
        return (amplitude * np.cos(along_y)).astype(np.float32) @ np.cos(along_x).astype(np.float32) - (
            amplitude * np.sin(along_y)
        ).astype(np.float32) @ np.sin(along_x).astype(np.float32)


@dataclass(frozen=True)
class Texture:
    """A Gaussian random field on the fine grid, of mean 0 and expected variance 1, made by one inverse FFT.

    Its power in a ring of wavenumbers k falls as k^-`slope` between the wavelengths `longest` and `shortest` in km. It
    drifts with `drift` (east, north) in km/h, and a detail of wavelength l forgets itself in `lifetime` hours times
    (l / longest)^(2/3), as the eddies of a -5/3 spectrum do (Kolmogorov 1941).
    """

    seed: int
    name: str
    domain: Domain
    shortest: float
    longest: float
    slope: float
    drift: tuple[float, float] = (0.0, 0.0)
    lifetime: float = 24.0

    def at(self, time: np.datetime64) -> Field:
        """The texture at that time."""
        amplitude = self._amplitude()
        return self._on_fine_grid(self._coefficients(time) * amplitude, np.sum(amplitude**2))

    def rotation(self, time: np.datetime64) -> tuple[Field, Field]:
        """The wind (u, v) that has the texture for its stream function, each of expected variance 1."""
        amplitude, (ky, kx) = self._amplitude(), self._wavenumbers()
        coefficients = self._coefficients(time) * amplitude
        u_power, v_power = np.sum((amplitude * ky) ** 2), np.sum((amplitude * kx) ** 2)
        return (
            self._on_fine_grid(coefficients * (-1j * ky).astype(np.complex64), u_power),
            self._on_fine_grid(coefficients * (1j * kx).astype(np.complex64), v_power),
        )

    def _on_fine_grid(self, coefficients: NDArray[np.complex64], power: float) -> Field:
        ny, nx = self._shape
        scale = np.float32(ny * nx / (2 * np.sqrt(power)))
        return irfft2(coefficients * scale, s=(ny, nx))[: self.domain.fine.ny, : self.domain.fine.nx]

    def _coefficients(self, time: np.datetime64) -> NDArray[np.complex64]:
        ky, kx = self._wavenumbers()
        random = stream(self.seed, self.name)
        shape = (ky.size, kx.size)
        fixed = random.standard_normal((2, *shape), dtype=np.float32)
        rate = random.standard_normal(shape, dtype=np.float32)
        rate *= (np.hypot(ky, kx) * self.longest / (2 * np.pi)) ** (2 / 3) / self.lifetime
        east, north = self.drift
        phase = ((rate - kx * east - ky * north) * hours_since_epoch(time) % (2 * np.pi)).astype(np.float32)
        return (fixed[0] + 1j * fixed[1]) * (np.cos(phase) + 1j * np.sin(phase))

    def _amplitude(self) -> Field:
        k = np.hypot(*self._wavenumbers())
        k[0, 0] = np.inf
        low, high = 2 * np.pi / self.longest, 2 * np.pi / self.shortest
        shape = (k / low) ** (-(self.slope + 1) / 2) * np.exp(-((low / k) ** 2) - (k / high) ** 4)
        return shape.astype(np.float32)

    @property
    def _shape(self) -> tuple[int, int]:
        """The periodic grid: wider than the fine one, so that its opposite sides do not meet."""
        return tuple(next_fast_len(round(1.15 * n), real=True) for n in (self.domain.fine.ny, self.domain.fine.nx))

    def _wavenumbers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        (ny, nx), (dy, dx) = self._shape, self.domain.km_per_step
        return -2 * np.pi * np.fft.fftfreq(ny, dy)[:, None], 2 * np.pi * np.fft.rfftfreq(nx, dx)[None, :]
