"""The comparison: which forecast is compared with which truth, beside which baselines, and the opened files of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.recipe.periods import parse_duration
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.normalisation import Normalisation
from corrstore.training.evaluation.predictors.climatology import Climatology
from corrstore.training.evaluation.predictors.names import CLIMATOLOGY, PERSISTENCE, PREDICTORS
from corrstore.training.evaluation.predictors.regions import Region
from corrstore.training.evaluation.predictors.sources import Source, StoreSource, source_at
from corrstore.training.forecasts.files import Forecast, open_forecast


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
    climatology: bool = False


@dataclass(frozen=True)
class Opened:
    """The opened stores and forecasts of a comparison; `drawn` is the forecast where it need not be in its folder."""

    comparison: Comparison
    drawn: Forecast | None = None

    @cached_property
    def truth(self) -> StoreSource:
        """The truth, in the forecast's box; raises BadInput where it is none, or has another grid."""
        store = open_store(self.comparison.truth)
        if "target" not in store.roles or store.axes.inits is not None:
            raise BadInput(f"{store.folder.url} is no truth: give a store of valid times that has a target")
        return StoreSource(store).within(self.forecast.header.target_grid)

    @cached_property
    def climatology(self) -> Climatology:
        """The climatology of the truth."""
        return Climatology(self.truth.store)

    @cached_property
    def forecast(self) -> Forecast:
        """The forecast."""
        return self.drawn or open_forecast(self.comparison.forecast)

    @cached_property
    def baselines(self) -> dict[str, Source]:
        """The baselines, by name, in the forecast's box."""
        box = self.forecast.header.target_grid
        return {name: source_at(url).within(box) for name, url in self.comparison.baselines.items()}

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

    def limited(self, channel: Channel, fields: FieldArray) -> FieldArray:
        """Return the fields raised to the channel's floor and lowered to its cap."""
        return self.truth.store.recipe.limited(channel.name, fields)[0]

    def static(self, name: str) -> NDArray[np.float32] | None:
        """Return a static channel (lat, lon) of the truth; None where it has none of that name."""
        names = [each.variable for each in self.truth.store.recipe.static]
        return self.truth.store.static[names.index(name)][self.truth.window] if name in names else None

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Return the pixels [lat, lon] of the region; raises BadInput where it names what the truth lacks."""
        region, grid, store = self.comparison.regions[name], self.truth.grid, self.truth.store
        inside = np.ones(grid.shape, bool)
        if region.box is not None:
            west, south, east, north = region.box
            inside &= ((grid.lat >= south) & (grid.lat <= north))[:, None] & ((grid.lon >= west) & (grid.lon <= east))
        if region.static is not None:
            numbers = self.static(region.static)
            if numbers is None:
                names = [each.variable for each in store.recipe.static]
                raise BadInput(
                    f"region {name}: {store.folder.url} has no static {region.static!r}; it has"
                    f" {', '.join(names) or 'none'}"
                )
            inside &= (numbers >= region.at_least) & (numbers < region.below)
        if not inside.any():
            bounds = ", ".join(f"{key} {value}" for key, value in region.model_dump(exclude_unset=True).items())
            raise BadInput(f"region {name}, {bounds}, has no pixel of the domain, {grid}; give other bounds")
        return inside


def compare(
    truth: str,
    forecast: str,
    baselines: Mapping[str, str] | None = None,
    match: str | None = None,
    regions: Mapping[str, Region] | None = None,
    persistence: bool = False,
    climatology: bool = False,
    drawn: Forecast | None = None,
) -> Comparison:
    """Return the comparison; the forecast's input is the store that it was drawn from or, without runs, the truth's.

    `drawn` is the forecast where it is not in its folder yet.

    Raises BadInput where `match` is not `available=6h`, where a baseline has a predictor's name or is the truth,
    and where a forecast without runs is to be compared with persistence.
    """
    available = None
    if match is not None:
        key, _, value = match.partition("=")
        if key != "available":
            raise BadInput(f"--match {match}: expected available=6h, the age that a baseline's run must have")
        try:
            available = parse_duration(value)
        except BadInput as error:
            raise BadInput(f"--match {match}: {error}") from None
        if not baselines:
            raise BadInput(f"--match {match} says which run of a baseline is taken; give a --baseline, or leave it out")
    for name, url in (baselines or {}).items():
        if name in (*PREDICTORS, PERSISTENCE, CLIMATOLOGY, "truth"):
            raise BadInput(f"baseline {name!r} has the name of a predictor; give another one")
        if _place(url) == _place(truth):
            raise BadInput(
                f"baseline {name!r}, {url}, is the truth itself, {truth}; give the store of another forecast"
            )
    found = Comparison(
        truth,
        forecast,
        dict(baselines or {}),
        available,
        persistence,
        dict(regions or {}),
        climatology=climatology,
    )
    opened = Opened(found, drawn)
    header = opened.forecast.header
    if persistence and not header.inits:
        raise BadInput(f"{forecast} is not of runs, so that nothing persists; leave out --persistence")
    return replace(found, input=_input(opened))


def _place(url: str) -> str:
    return Path(url).resolve().as_posix() if Folder(url).is_local else url.rstrip("/")


def _input(opened: Opened) -> str | None:
    """The store that the forecast was drawn from, where it is; the truth's own input where the forecast has no runs."""
    url = opened.forecast.header.lineage.get("store")
    if url is not None and Folder(url).exists("zarr.json"):
        store = open_store(url)
        if "input" in store.roles:
            return url
    truth = opened.truth.store
    return truth.folder.url if not opened.forecast.header.inits and "input" in truth.roles else None
