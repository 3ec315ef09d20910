"""The compared fields of one sample: the truth, and each predictor of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.fits import Fit, Floats
from corrstore.training.evaluation.predictors.names import (
    CLIMATOLOGY,
    CORRECTED,
    ENSEMBLE,
    INTERPOLATION,
    MEAN,
    MEMBER,
    PERSISTENCE,
    REGRESSION,
    SHAPED,
    WHITE,
)
from corrstore.training.evaluation.predictors.sources import Source
from corrstore.training.evaluation.scoring.spectra import Wavenumbers
from corrstore.training.forecasts.header import Part

_MEMBERS_OF_NOISE = 8


@dataclass(frozen=True)
class ScoredSample:
    """A sample of the forecast, by its position, with the truth and the baselines at its valid time."""

    opened: Opened
    position: int

    @property
    def valid_time(self) -> np.datetime64:
        """The valid time."""
        time: np.datetime64 = self.opened.forecast.header.valid_times[self.position]
        return time

    @property
    def init_time(self) -> np.datetime64:
        """The init time of the run; NaT where the forecast is of valid times."""
        time: np.datetime64 = self.opened.forecast.header.init_times[self.position]
        return time

    @cached_property
    def lacking(self) -> list[str]:
        """The sources that lack this sample: the truth, baselines, or persistence."""
        return [name for name, index in self._places.items() if index is None]

    def truth(self, channel: Channel) -> FieldArray:
        """Return the target (lat, lon) in physical units."""
        return self._read("truth", self.opened.truth, channel)[0]

    def coarse(self, channel: Channel) -> FieldArray | None:
        """Return the input (lat, lon) on its own grid; None where it lacks the channel or the sample."""
        source = self.opened.input
        if source is None or channel.name not in source.names:
            return None
        index = source.find(self.valid_time, self.init_time)
        return None if index is None else source.read(index, channel.name)[0]

    def regression(self, channel: Channel) -> FieldArray:
        """Return the regression (lat, lon)."""
        return self.opened.forecast.read(Part(self.position, None), channel.name)

    def interpolation(self, channel: Channel, error: Floats | float = 0.0) -> FieldArray | None:
        """Return the bilinear interpolation (lat, lon) of the input minus its mean error (lat, lon of its own grid).

        None where the input lacks the channel or the sample.
        """
        coarse, source = self.coarse(channel), self.opened.input
        if coarse is None or source is None:
            return None
        upsample = regridder(source.grid, self.opened.truth.grid, "bilinear")
        return upsample((coarse - error).astype(np.float32))

    def predictions(self, channel: Channel, fit: Fit | None = None, noise: bool = True) -> dict[str, FieldArray]:
        """Return the fields (member, lat, lon) of each predictor of the channel, in physical units.

        What `fit` says was measured on other samples. Without `noise`, the regression with noise is left out.
        """
        opened, found = self.opened, {}
        regression, interpolated = self.regression(channel), self.interpolation(channel)
        if interpolated is not None:
            found[INTERPOLATION] = interpolated[None]
            error = None if fit is None else fit.input_error(channel.name)
            if error is not None and (corrected := self.interpolation(channel, error)) is not None:
                found[CORRECTED] = opened.limited(channel, corrected)[None]
        found[REGRESSION] = regression[None]
        members = opened.forecast.header.members
        if noise:
            found |= self._noisy(channel, regression, fit, members or _MEMBERS_OF_NOISE)
        if members:
            ensemble = np.stack([opened.forecast.read(Part(self.position, m), channel.name) for m in range(members)])
            found[MEAN] = ensemble.mean(axis=0, dtype=np.float64).astype(np.float32)[None]
            found[MEMBER], found[ENSEMBLE] = ensemble[:1], ensemble
        for name, source in opened.baselines.items():
            if channel.name in source.names:
                found[name] = self._read(name, source, channel)
        if opened.comparison.persistence:
            found[PERSISTENCE] = self._read(PERSISTENCE, opened.truth, channel)
        if opened.comparison.climatology:
            values = opened.climatology.members(channel.name, self.valid_time)
            found[CLIMATOLOGY] = np.broadcast_to(values[:, None, None], (len(values), *regression.shape))
        return found

    def _noisy(self, channel: Channel, regression: FieldArray, fit: Fit | None, members: int) -> dict[str, FieldArray]:
        """The regression with noise of the residual's mean, standard deviation and spectrum, as an ensemble."""
        scale = self.opened.comparison.scales.get(channel.name) or (fit and fit.residual(channel.name))
        if not scale:
            return {}
        (mean, std), constants = scale, self.opened.normalisation(channel)
        centre = normalised(constants, regression) + mean
        seed = [self._seconds, channel_seed(channel)]

        def restored(noise: Sequence[NDArray[np.float64]]) -> FieldArray:
            fields = constants.transform.inverse((centre + np.stack(noise)) * constants.std + constants.mean)
            return self.opened.limited(channel, fields.astype(np.float32))

        rng = np.random.default_rng([*seed, 0])
        found = {WHITE: restored([std * rng.standard_normal(centre.shape) for _ in range(members)])}
        if fit is not None and (spectrum := fit.spectrum(channel.name)) is not None:
            waves, rng = Wavenumbers.of_grid(self.opened.truth.grid), np.random.default_rng([*seed, 1])
            inside = spectrum * std**2
            rest = np.sqrt(max(std**2 - inside.sum(), 0.0))
            found[SHAPED] = restored([waves.noise(inside, rng) + rest * rng.standard_normal() for _ in range(members)])
        return found

    @property
    def _seconds(self) -> int:
        run = 0 if np.isnat(self.init_time) else int(self.init_time.astype("datetime64[s]").astype(np.int64))
        return run * 2 + int(self.valid_time.astype("datetime64[s]").astype(np.int64))

    @cached_property
    def _places(self) -> dict[str, int | None]:
        opened, times = self.opened, (self.valid_time, self.init_time)
        found = {"truth": opened.truth.find(*times)}
        for name, source in opened.baselines.items():
            found[name] = source.find(*times, opened.comparison.available)
        if opened.comparison.persistence:
            found[PERSISTENCE] = opened.truth.find(self.init_time, self.init_time)
        return found

    def _read(self, name: str, source: Source, channel: Channel) -> FieldArray:
        index = self._places[name]
        assert index is not None, f"{name} lacks the sample"
        return source.read(index, channel.name)


def channel_seed(channel: Channel) -> int:
    """Return a number for the channel's noise."""
    return int.from_bytes(channel.name.encode(), "little") % (1 << 63)


def normalised(constants: Normalisation, physical: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the normalised numbers; what lies below the transform's domain is raised to its end."""
    raised = np.maximum(physical.astype(np.float64), constants.transform.lowest)
    return np.asarray((constants.transform.forward(raised) - constants.mean) / constants.std)
