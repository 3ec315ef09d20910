"""The compared fields: the truth, and each predictor of it, on the pixels that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.yaml_text import parsed_mapping, read_text
from corrstore.datasets.store.opening import Store, open_store
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.training.evaluation.fits import Fit
from corrstore.training.evaluation.spectra import Wavenumbers
from corrstore.training.forecasts.files import HEADER, Forecast, open_forecast
from corrstore.training.forecasts.header import Part

INTERPOLATION, CORRECTED, REGRESSION = "interpolation", "interpolation, bias removed", "regression"
WHITE, SHAPED = "regression + white noise", "regression + noise of the residual's spectrum"
MEAN, MEMBER, ENSEMBLE = "CorrDiff mean", "CorrDiff member", "CorrDiff ensemble"
PERSISTENCE = "persistence"
PREDICTORS = (INTERPOLATION, CORRECTED, REGRESSION, WHITE, SHAPED, MEAN, MEMBER, ENSEMBLE)
_MEMBERS_OF_NOISE = 8


class Region(BaseModel):
    """Part of the domain: a `box` [west, south, east, north], and bounds of a `static` channel; both may be given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    box: tuple[float, float, float, float] | None = None
    static: str | None = None
    at_least: float = -np.inf
    below: float = np.inf


def read_regions(path: Path) -> dict[str, Region]:
    """Return the regions of a YAML file by name; raises BadInput, which names file and key, for what is none."""
    content = parsed_mapping(read_text(path), str(path))
    try:
        regions = {str(name): Region.model_validate(value) for name, value in content.items()}
    except ValidationError as error:
        raise BadInput(f"{path}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}; write box or static") from None
    if "all" in regions:
        raise BadInput(f"{path}: 'all' is the whole domain; give the region another name")
    return regions


@dataclass(frozen=True)
class StoreSource:
    """The targets of a store, of valid times or of runs, as a predictor or as the truth."""

    store: Store
    role: StoredRole = "target"

    @property
    def names(self) -> list[str]:
        """The channels."""
        return self.store.recipe.channel_names(self.role)

    @property
    def grid(self) -> RectilinearGrid:
        """The grid of the fields."""
        return self.store.grid(self.role)

    def find(self, valid: np.datetime64, init: np.datetime64, available: np.timedelta64 | None = None) -> int | None:
        """Return the valid sample at the time, of the run itself or of the newest that was `available` before it."""
        axes = self.store.axes
        there = (self.store.times == valid) & self.store.valid
        if axes.inits is not None:
            there &= axes.init_times == init if available is None else axes.init_times <= init - available
        found = np.flatnonzero(there)
        return int(found[axes.init_times[found].argmax()]) if found.size else None

    def read(self, index: int, channel: str) -> FieldArray:
        """Return the field (1, lat, lon) of a sample."""
        position = self.names.index(channel)
        return self.store.plan.normalisations[self.role][position].decode_float32(self._stored(index)[position])[None]

    def _stored(self, index: int) -> NDArray[Any]:
        held = self.__dict__.get("_held")
        if held is None or held[0] != index:
            held = self.__dict__["_held"] = (index, self.store.stored(self.role, index))
        return np.asarray(held[1])


@dataclass(frozen=True)
class ForecastSource:
    """A forecast that `corrstore sample` wrote, as a baseline: its members or, without any, its regression."""

    forecast: Forecast

    @property
    def names(self) -> list[str]:
        """The channels."""
        return list(self.forecast.header.channels)

    @property
    def grid(self) -> RectilinearGrid:
        """The grid of the fields."""
        return self.forecast.header.target_grid

    def find(self, valid: np.datetime64, init: np.datetime64, available: np.timedelta64 | None = None) -> int | None:
        """Return the position of the complete sample at that time, as StoreSource.find."""
        header = self.forecast.header
        there = header.valid_times == valid
        if header.inits:
            there &= header.init_times == init if available is None else header.init_times <= init - available
        found = [int(each) for each in np.flatnonzero(there) if all(map(self.forecast.has, self._parts(int(each))))]
        return max(found, key=lambda each: header.init_times[each], default=None)

    def read(self, index: int, channel: str) -> FieldArray:
        """Return the members (member, lat, lon) of a sample."""
        return np.stack([self.forecast.read(part, channel) for part in self._parts(index)])

    def _parts(self, index: int) -> list[Part]:
        return [Part(index, member) for member in range(self.forecast.header.members)] or [Part(index, None)]


Source = StoreSource | ForecastSource


def source_at(url: str) -> Source:
    """Return the forecast or the store in a folder."""
    return ForecastSource(open_forecast(url)) if Folder(url).exists(HEADER) else StoreSource(open_store(url))


@dataclass(frozen=True)
class Comparison:
    """The question: which forecast is compared with which truth, beside which baselines; it travels to workers.

    A baseline's run is the forecast's own or, with `available`, the newest that started so long before. `input` is the
    store that the forecast was drawn from, None where it is not there. `scales` are the checkpoint's mean and standard
    deviation of the residual by channel, in the target's normalised units. Without `fitted` no sample has others that
    its mean error could be fitted on.
    """

    truth: str
    forecast: str
    baselines: Mapping[str, str] = field(default_factory=dict)
    available: np.timedelta64 | None = None
    persistence: bool = False
    regions: Mapping[str, Region] = field(default_factory=dict)
    input: str | None = None
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fitted: bool = True


@dataclass(frozen=True)
class Opened:
    """The opened stores and forecasts of a comparison."""

    comparison: Comparison

    @cached_property
    def truth(self) -> StoreSource:
        """The truth."""
        return StoreSource(open_store(self.comparison.truth))

    @cached_property
    def forecast(self) -> Forecast:
        """The forecast."""
        return open_forecast(self.comparison.forecast)

    @cached_property
    def baselines(self) -> dict[str, Source]:
        """The baselines, by name."""
        return {name: source_at(url) for name, url in self.comparison.baselines.items()}

    @cached_property
    def input(self) -> StoreSource | None:
        """The input that the forecast was drawn from."""
        return None if self.comparison.input is None else StoreSource(open_store(self.comparison.input), "input")

    @cached_property
    def channels(self) -> list[Channel]:
        """The targets of the truth that the forecast has."""
        return [each for each in self.truth.store.plan.channels("target") if each.name in self.forecast.header.channels]

    def normalisation(self, channel: Channel) -> Normalisation:
        """Return the constants of a target."""
        return self.truth.store.plan.normalisations["target"][self.truth.names.index(channel.name)]

    def floored(self, channel: Channel, fields: FieldArray) -> FieldArray:
        """Return the fields raised to the channel's floor."""
        floor = self.truth.store.recipe.floors.get(channel.name)
        return fields if floor is None else np.maximum(fields, np.float32(floor))

    def mask(self, region: Region) -> NDArray[np.bool_]:
        """Return the pixels [lat, lon] of a region; raises BadInput where it names what the truth lacks."""
        grid, store = self.truth.grid, self.truth.store
        inside = np.ones(grid.shape, bool)
        if region.box is not None:
            west, south, east, north = region.box
            inside &= ((grid.lat >= south) & (grid.lat <= north))[:, None] & ((grid.lon >= west) & (grid.lon <= east))
        if region.static is not None:
            names = [each.variable for each in store.recipe.static]
            if region.static not in names:
                raise BadInput(
                    f"region: static {region.static!r} is none of {store.folder.url}: {', '.join(names) or 'none'}"
                )
            numbers = store.static[names.index(region.static)]
            inside &= (numbers >= region.at_least) & (numbers < region.below)
        if not inside.any():
            raise BadInput(f"region {region} has no pixel of the domain, {grid}; give other bounds")
        return inside


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

    def predictions(self, channel: Channel, fit: Fit | None = None) -> dict[str, FieldArray]:
        """Return the fields (member, lat, lon) of each predictor of the channel, in physical units.

        Interpolation is bilinear, of the input's physical numbers; what the input lacks has none. What `fit` says was
        measured on other samples.
        """
        opened, found = self.opened, {}
        coarse, regression = self.coarse(channel), self.regression(channel)
        if coarse is not None and opened.input is not None:
            upsample = regridder(opened.input.grid, opened.truth.grid, "bilinear")
            found[INTERPOLATION] = upsample(coarse)[None]
            if fit is not None and (error := fit.input_error(channel.name)) is not None:
                found[CORRECTED] = opened.floored(channel, upsample((coarse - error).astype(np.float32)))[None]
        found[REGRESSION] = regression[None]
        members = opened.forecast.header.members
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
            return self.opened.floored(channel, fields.astype(np.float32))

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
