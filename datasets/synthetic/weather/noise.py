"""Smooth random fields that are functions of the seed and the time alone: travelling waves, and drifting textures."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.synthetic.domain import EARTH_RADIUS_KM, MicrodegreeGrid, SyntheticDomain

_EPOCH = np.datetime64("2018-01-01T00:00:00")
_ROSSBY_BETA = 1.6e-11 * 3.6e6
_COS_MIDDLE_LATITUDE = np.cos(np.radians(35))
_MODES = 48
_LARGE = 200_000  # points from which the spectra of all textures would take more than some 100 MB


def random_stream(seed: int, name: str) -> np.random.Generator:
    """Return a random generator for that name, independent of all other names and of their order."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def hours_since_epoch(time: np.datetime64) -> float:
    """Return the hours from the start of 2018 to the time, negative before it."""
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

    def on(self, grid: MicrodegreeGrid, time: np.datetime64, west_km: float = 0.0) -> FieldArray:
        """Return the waves at that time on the grid, displaced to the west by `west_km`."""
        waves = _waves(self, grid, west_km)
        along_y = waves.along_y - waves.frequency * hours_since_epoch(time) + waves.start
        of_y = np.hstack([waves.amplitude * np.cos(along_y), -waves.amplitude * np.sin(along_y)]).astype(np.float32)
        return np.einsum("yk,kx->yx", of_y, waves.of_x)  # on one thread: BLAS spins where cores are shared


class _WavesOnGrid(NamedTuple):
    """The part of waves on a grid that does not change with time."""

    amplitude: NDArray[np.float64]
    frequency: NDArray[np.float64]
    start: NDArray[np.float64]
    along_y: NDArray[np.float64]
    of_x: FieldArray


@lru_cache(maxsize=64)
def _waves(waves: Waves, grid: MicrodegreeGrid, west_km: float) -> _WavesOnGrid:
    random = random_stream(waves.seed, waves.name)
    wavenumber = 2 * np.pi / np.exp(random.uniform(np.log(waves.shortest), np.log(waves.longest), _MODES))
    direction = random.uniform(-0.5 * np.pi, 0.5 * np.pi, _MODES)
    start = random.uniform(0, 2 * np.pi, _MODES)
    amplitude = (wavenumber / wavenumber.min()) ** -waves.slope
    amplitude *= np.sqrt(2 / np.sum(amplitude**2))
    kx, ky = wavenumber * np.cos(direction), wavenumber * np.sin(direction)
    frequency = kx * np.maximum(waves.flow - _ROSSBY_BETA / wavenumber**2, 0)
    along_x = np.outer(kx, np.radians(grid.lon) * EARTH_RADIUS_KM * _COS_MIDDLE_LATITUDE + west_km)
    of_x = np.vstack([np.cos(along_x), np.sin(along_x)]).astype(np.float32)
    along_y = np.outer(np.radians(grid.lat) * EARTH_RADIUS_KM, ky)
    return _WavesOnGrid(amplitude, frequency, start, along_y, of_x)


@dataclass(frozen=True)
class Redraw:
    """Another draw of the weather's law: waves of textures shorter than `below_km` have other random coefficients.

    Those of each `member` are independent of the archive's and of all other members'.
    """

    member: int
    below_km: float


@dataclass(frozen=True)
class Texture:
    """A Gaussian random field on the fine grid, of mean 0 and expected variance 1, made by one inverse FFT.

    Its power in a ring of wavenumbers k falls as k^-`slope` between the wavelengths `longest` and `shortest` in km. It
    drifts with `drift` (east, north) in km/h, and a detail of wavelength l forgets itself in `lifetime` hours times
    (l / longest)^(2/3), as the eddies of a -5/3 spectrum do (Kolmogorov 1941).
    """

    seed: int
    name: str
    domain: SyntheticDomain
    shortest: float
    longest: float
    slope: float
    drift: tuple[float, float] = (0.0, 0.0)
    lifetime: float = 24.0
    redraw: Redraw | None = None

    def at(self, time: np.datetime64) -> FieldArray:
        """Return the texture at that time."""
        return self._on_fine_grid(_spectrum(self).at(time))

    def rotation(self, time: np.datetime64) -> tuple[FieldArray, FieldArray]:
        """Return the wind (u, v) whose stream function is the texture, of expected variance 1 for each component."""
        spectrum = _spectrum(self)
        per_speed = np.sqrt(2 / np.sum(spectrum.power * (spectrum.kx**2 + spectrum.ky**2)))
        stream_function = spectrum.at(time) * np.complex64(1j * per_speed)
        return self._on_fine_grid(-spectrum.ky * stream_function), self._on_fine_grid(spectrum.kx * stream_function)

    def _on_fine_grid(self, coefficients: NDArray[np.complex64]) -> FieldArray:
        ny, nx = self.periodic_shape
        field = irfft2(coefficients * np.float32(ny * nx / 2), s=(ny, nx))
        return field[: self.domain.fine.ny, : self.domain.fine.nx]

    @property
    def periodic_shape(self) -> tuple[int, int]:
        """The shape of the periodic domain, wider than the fine grid, so that its opposite sides do not meet."""
        ny, nx = (next_fast_len(round(1.15 * n), real=True) for n in (self.domain.fine.ny, self.domain.fine.nx))
        return ny, nx


@dataclass(frozen=True)
class _Spectrum:
    """The Fourier coefficients of a texture, their frequencies in radians per hour, and their shares of variance."""

    kx: FieldArray
    ky: FieldArray
    coefficients: NDArray[np.complex64]
    frequency: NDArray[np.float64]
    power: FieldArray

    def at(self, time: np.datetime64) -> NDArray[np.complex64]:
        """Return the coefficients at that time."""
        phase = (self.frequency * hours_since_epoch(time) % (2 * np.pi)).astype(np.float32)
        turn = np.empty_like(self.coefficients)
        np.cos(phase, out=turn.real)
        np.sin(phase, out=turn.imag)
        turn *= self.coefficients
        return turn


def _spectrum(texture: Texture) -> _Spectrum:
    """Return the part of a texture that does not change with time; those of small domains are all cached."""
    return (_spectrum_of_few if math.prod(texture.periodic_shape) > _LARGE else _spectrum_of_all)(texture)


def _made_spectrum(texture: Texture) -> _Spectrum:
    (ny, nx), (dy, dx) = texture.periodic_shape, texture.domain.km_per_step
    ky = (-2 * np.pi * np.fft.fftfreq(ny, dy)).astype(np.float32)[:, None]
    kx = (2 * np.pi * np.fft.rfftfreq(nx, dx)).astype(np.float32)[None, :]
    k = np.hypot(ky, kx)
    k[0, 0] = np.inf
    low, high = np.float32(2 * np.pi / texture.longest), np.float32(2 * np.pi / texture.shortest)
    power = (k / low) ** np.float32(-texture.slope - 1) * np.exp(-2 * ((low / k) ** 2 + (k / high) ** 4))
    power /= power.sum()
    k[0, 0] = 0
    random = random_stream(texture.seed, texture.name)
    normal = random.standard_normal((2, *k.shape), dtype=np.float32)
    if redraw := texture.redraw:
        other = random_stream(texture.seed, f"{texture.name}, member {redraw.member}")
        drawn = other.standard_normal(normal.shape, dtype=np.float32)
        normal = np.where(k > 2 * np.pi / redraw.below_km, drawn, normal)
    rate = random.standard_normal(k.shape, dtype=np.float32) * (k / low) ** np.float32(2 / 3) / texture.lifetime
    east, north = texture.drift
    frequency = rate - np.float64(east) * kx - np.float64(north) * ky
    return _Spectrum(kx, ky, (normal[0] + 1j * normal[1]) * np.sqrt(power), frequency, power.astype(np.float32))


_spectrum_of_few, _spectrum_of_all = lru_cache(maxsize=4)(_made_spectrum), lru_cache(maxsize=64)(_made_spectrum)
