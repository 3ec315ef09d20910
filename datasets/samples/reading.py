"""The fields of one sample: read, summed, converted to corrstore's units and wind directions, derived, regridded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.archives import gridded_archive
from corrstore.datasets.archives.grib.decode import mars_keys, read_field, read_packing_step
from corrstore.datasets.archives.references import FieldReference, faults_of
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.grid import Grid, turn_onto
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import Method, Regridder, regridder
from corrstore.datasets.grids.scattered.esmf_weights import EsmfWeights, weights_of_file
from corrstore.datasets.grids.scattered.xesmf_weights import xesmf_weights
from corrstore.datasets.grids.winds import earth_relative
from corrstore.datasets.pairing.sample_plan import SamplePlan, Term
from corrstore.datasets.pairing.sources import archive_source
from corrstore.datasets.recipe.parts import Regridding, WeightsSpec, XesmfSpec
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.storage.containers import unpacked
from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.derivations import Derivation
from corrstore.datasets.variables.ranges import explained_by_packing

_FINER = 0.75  # a grid whose spacing is less than this part of another's is the finer one
_EXTREMES: dict[str | None, np.ufunc] = {"maximum": np.maximum, "minimum": np.minimum}
_ROUNDING = 2.0**-20  # of numbers in float32, of which GRIB1 keeps its lowest in fewer bits
_KEPT = 2  # fields in memory: the two components of a wind, or its speed and direction


class MissingField(Exception):
    """The archive does not hold a field, or its bytes do not decode; the text says which and where."""


@dataclass(frozen=True)
class GriddedField:
    """Physical float32 numbers [ny, nx], NaN where the archive has none, on the archive's grid."""

    values: NDArray[np.float32]
    grid: Grid
    grid_relative: bool = False

    def values_on(self, grid: Grid) -> NDArray[np.float32]:
        """Return the values in the order of another grid of the same points; raises MissingField for other points."""
        if self.grid == grid:
            return self.values
        turn = turn_onto(grid, self.grid)
        if turn is None:
            raise MissingField(f"fields on two grids were to be combined: {grid} and {self.grid}")
        return self.values[np.ix_(*turn)]


def difference(one: GriddedField, other: GriddedField, steps: float) -> float | None:
    """Return the largest difference of two fields; None where `steps` of their packing explain it.

    It is 0 where they differ in what pixels are missing alone. Raises MissingField where they lie on other points.
    """
    theirs = other.values_on(one.grid)
    most = float(np.nanmax(np.abs(one.values - theirs), initial=0))
    explained = steps + _ROUNDING * float(np.nanmax(np.abs(theirs), initial=0))
    same = most <= explained and np.array_equal(np.isnan(one.values), np.isnan(theirs))
    return None if same else most


class FieldReader:
    """A reader of the fields of one sample. It keeps the last two, so that wind components are decoded once."""

    def __init__(self, recipe: Recipe, plan: SamplePlan) -> None:
        self._recipe = recipe
        self._plan = plan
        self._kept = gridded_archive.KeptBlocks()
        self._recent: OrderedDict[tuple[str, str], GriddedField] = OrderedDict()

    def field(
        self,
        source: str,
        channel: Channel,
        destination: RectilinearGrid,
        regrid: Regridding,
        target_grid: RectilinearGrid,
    ) -> NDArray[np.float32]:
        """Return the channel of that source on the destination grid: float32 [lat, lon], NaN outside the source.

        A derived channel is computed on the archive's grid.
        A coarsened source goes first to points at the target's spacing that fill the destination's cells, and is
        then averaged over each cell (conservative, on the sphere). Raises MissingField.
        """
        found = self._made(archive_source(self._recipe, source), channel)
        if self._recipe.sources[source].type != "coarsened":
            return regridding(regrid, found.grid, destination)(found.values)
        fine = fine_grid(destination, target_grid)
        points = regridder(found.grid, fine)(found.values)
        limited, _, _ = self._recipe.limited(channel.name, points)  # as the target's are
        return regridder(fine, destination, "conservative")(limited)

    def packing_step(self, source: str, channel: Channel) -> float:
        """Return how far the packing of the archive can move a number of the channel, in its units."""
        source = archive_source(self._recipe, source)
        derivation = self._recipe.derivation(source, channel)
        if derivation is None:
            return self._step(source, channel)
        values, _ = self._ingredients(source, derivation)
        made, moved = derivation.compute(values), 0.0
        for name, ingredient in derivation.ingredients.items():
            step = np.float32(self._step(source, ingredient))
            with np.errstate(all="ignore"):
                ends = [derivation.compute(values | {name: values[name] + sign * step}) - made for sign in (-1, 1)]
            moved += max(float(np.nanmax(np.abs(end), initial=0)) for end in ends)
        return moved

    def _step(self, source: str, channel: Channel) -> float:
        """Return the sum of the steps of all terms of a channel; of a wind that is rotated, of both components."""
        options, terms = self._recipe.sources[source].opening, self._plan.fields[source, channel.name]
        if channel.vector_partner and any(term.reference.grid_relative for term in terms):
            terms = [*terms, *self._plan.fields.get((source, channel.vector_partner.name), [])]
        return sum(abs(term.reference.scale) * packing_step(term.reference, options) for term in terms)

    def _made(self, source: str, channel: Channel) -> GriddedField:
        derivation = self._recipe.derivation(source, channel)
        if derivation is None:
            return self._earth_relative(source, channel)
        values, grid = self._ingredients(source, derivation)
        return GriddedField(derivation.compute(values), grid)

    def _ingredients(self, source: str, derivation: Derivation) -> tuple[dict[str, NDArray[np.float32]], Grid]:
        """Return the fields that a channel is derived from, by argument, in the order of one grid, and that grid."""
        fields = {argument: self._read(source, each) for argument, each in derivation.ingredients.items()}
        grid = next(iter(fields.values())).grid
        return {argument: field.values_on(grid) for argument, field in fields.items()}, grid

    def _earth_relative(self, source: str, channel: Channel) -> GriddedField:
        found = self._read(source, channel)
        if not (found.grid_relative and channel.vector_partner) or isinstance(found.grid, RectilinearGrid):
            return found
        other = self._read(source, channel.vector_partner)
        eastward = channel.variable.standard_name == "eastward_wind"
        u, v = (found, other) if eastward else (other, found)
        rotated = earth_relative(u.values_on(found.grid), v.values_on(found.grid), found.grid)
        return GriddedField(rotated[0] if eastward else rotated[1], found.grid)

    def _read(self, source: str, channel: Channel) -> GriddedField:
        key = (source, channel.name)
        if key not in self._recent:
            if key in self._plan.missing:
                raise MissingField(self._plan.missing[key])
            options = self._recipe.sources[source].opening
            terms = [read_term(term, options, self._kept) for term in self._plan.fields[key]]
            combined = _combined(terms, _EXTREMES.get(channel.variable.method, np.add))
            self._refuse_falling(source, channel, combined.values)
            self._recent[key] = combined
            while len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
        return self._recent[key]

    def _refuse_falling(self, source: str, channel: Channel, values: NDArray[np.float32]) -> None:
        """Raise MissingField where totals that cannot fall do, beyond their packing; no floor shall hide that."""
        subtracted = [term.reference for term in self._plan.fields[source, channel.name] if term.sign < 0]
        if not subtracted or channel.variable.valid_range[0] < 0:
            return
        lowest = float(np.fmin.reduce(values, None))
        if lowest < 0 and -lowest > explained_by_packing(channel.variable, self._step(source, channel)):
            raise MissingField(
                f"the totals of {channel.name} fall by up to {-lowest:.4g} {channel.variable.units} after the one in"
                f" {subtracted[0].path}, so they are not what the table's accumulates says"
            )


def regridding(regrid: Regridding, source: Grid, destination: RectilinearGrid) -> Regridder | EsmfWeights:
    """Return the function that regrids as the recipe says; raises BadInput where weights are of other grids."""
    if isinstance(regrid, WeightsSpec):
        return weights_of_file(regrid.weights, source, destination)
    if isinstance(regrid, XesmfSpec):
        return xesmf_weights(source, destination, regrid.method)
    return regridder(source, destination, _method(regrid, source, destination))


def _method(name: str, source: Grid, destination: RectilinearGrid) -> Method:
    """Return the method of that name; `by_resolution` averages conservatively where the source is finer."""
    if name != "by_resolution":
        return name  # type: ignore[return-value]
    finer = isinstance(source, RectilinearGrid) and all(
        theirs < _FINER * ours for theirs, ours in zip(source.resolution, destination.resolution, strict=True)
    )
    return "conservative" if finer else "bilinear"


@lru_cache(maxsize=8)
def fine_grid(coarse: RectilinearGrid, target: RectilinearGrid) -> RectilinearGrid:
    """Return the target grid, extended at its spacing until it fills every cell of the coarse grid."""
    lat_edges, lon_edges = coarse.edges()
    south, west, north, east = target.bounds
    step_lat, step_lon = (abs(axis[1] - axis[0]) for axis in (target.lat, target.lon))
    beyond = max(
        (lat_edges.max() - north) / step_lat,
        (south - lat_edges.min()) / step_lat,
        (west - lon_edges.min()) / step_lon,
        (lon_edges.max() - east) / step_lon,
        0,
    )
    return target.expanded(int(np.ceil(beyond)) + 1)


def _combined(parts: list[GriddedField], combine: np.ufunc) -> GriddedField:
    first = parts[0]
    for other in parts[1:]:
        first = GriddedField(combine(first.values, other.values_on(first.grid)), first.grid, first.grid_relative)
    return first


def read_term(term: Term, options: dict[str, object], kept: gridded_archive.KeptBlocks | None = None) -> GriddedField:
    """Return the field of a term in corrstore's units, with its sign; raises MissingField."""
    reference = term.reference
    try:
        values, grid = read_reference(reference, options, kept)
    except (DamagedData, BadInput) as error:
        raise MissingField(str(error)) from None
    scale, offset = term.sign * reference.scale, term.sign * reference.add_offset
    if (scale, offset) != (1.0, 0.0):
        values = values * np.float32(scale) + np.float32(offset)
    return GriddedField(values, grid, reference.grid_relative)


def read_reference(
    reference: FieldReference, options: dict[str, object], kept: gridded_archive.KeptBlocks | None = None
) -> tuple[NDArray[np.float32], Grid]:
    """Return the referenced field [ny, nx] in the archive's units, and its grid.

    Raises DamagedData, whatever a reader of the format says of the bytes, and BadInput for an unknown kind of grid.
    """
    with faults_of(reference):
        if reference.format == "grib":
            path = unpacked(reference.path, reference.inside)
            field = read_field(path, reference.offset, reference.length, reference.part)
            return field.values, field.grid
        return gridded_archive.read(reference, options, kept)


def packing_step(reference: FieldReference, options: dict[str, object]) -> float:
    """Return the distance of two neighbouring numbers that the field's packing can hold, in the archive's units.

    It is 0 where the field is not packed. Raises as `read_reference`.
    """
    with faults_of(reference):
        if reference.format == "grib":
            path = unpacked(reference.path, reference.inside)
            return read_packing_step(path, reference.offset, reference.length, reference.part)
        return gridded_archive.packing_step(reference, options)


def mars_keys_of(reference: FieldReference) -> dict[str, str]:
    """Return the keys by which ECMWF tells a GRIB field from others; none otherwise. Raises as `read_reference`."""
    if reference.format != "grib":
        return {}
    with faults_of(reference):
        path = unpacked(reference.path, reference.inside)
        return mars_keys(path, reference.offset, reference.length, reference.part)
