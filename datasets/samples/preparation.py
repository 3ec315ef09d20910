"""The preparation of a build: inventories, pairs, and every check that is possible before anything is written."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corrstore.datasets.archives.grib.index import Problem
from corrstore.datasets.archives.inventory import Inventory, take_inventory
from corrstore.datasets.archives.one_grid import read_grid
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.grid import Grid, turn_onto
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.pairing.pairs import pair
from corrstore.datasets.pairing.sample_plan import Term, sample_plans
from corrstore.datasets.pairing.sources import archive_source, needed_channels, read_channels
from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.recipe.periods import Interval, Times, format_time
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.absent_channels import refuse_absent_channels
from corrstore.datasets.samples.input_shift import check_training_data
from corrstore.datasets.samples.reading import (
    GriddedField,
    MissingField,
    difference,
    fine_grid,
    packing_step,
    read_term,
    regridding,
)
from corrstore.datasets.samples.sample import static_fields
from corrstore.datasets.samples.streams import refuse_mixtures
from corrstore.datasets.store.constants import constants_from_store

_TIMES_COMPARED = 24
_TIMES_NAMED = 4
_MESSAGES_CHECKED = 8  # damaged messages to skip in the search for a channel's grid
_LONGEST_RUN = np.timedelta64(2, "D")  # the longest time outside the period at which an accumulation begins or ends


@dataclass(frozen=True)
class Preparation:
    """The files that were read, the pairs (PAIRS_SCHEMA), the problems found, and notes with counts.

    `missing` maps the index of each sample that lacks something to the reasons; `absent` are those of them that
    have no input or no target at all.
    """

    files: pa.Table
    pairs: pa.Table
    problems: list[Problem]
    notes: dict[str, int]
    missing: dict[int, list[str]]
    absent: set[int]


def prepare(recipe: Recipe) -> Preparation:
    """List the archives and pair their fields.

    Raises BadInput where a folder is missing or empty, a source has no field of a channel, the period lies outside
    an archive, or an archive's grid does not cover what is wanted of it.
    """
    period = recipe.interval
    around = Interval(period.start - _LONGEST_RUN, period.end + _LONGEST_RUN)
    inventories = {
        source: take_inventory(source, recipe.sources[source], channels, around, recipe.known_variables)
        for source, channels in needed_channels(recipe).items()
    }
    for role, spec in recipe.specs.items():
        source = archive_source(recipe, spec.source)
        refuse_absent_channels(recipe, source, recipe.channels[role], inventories[source], around)
        _refuse_other_period(recipe, source, inventories[source])
    for source, inventory in inventories.items():
        refuse_mixtures(source, inventory.references, recipe.sources[source].opening)
    for static in (each for each in recipe.static if each.source is not None):
        source = archive_source(recipe, str(static.source))
        refuse_absent_channels(recipe, source, [recipe.channel(static.variable)], inventories[source], around)
        _refuse_change(recipe, source, static.variable, inventories[source])
    for role in recipe.roles:
        _refuse_grids(recipe, role, inventories[archive_source(recipe, recipe.specs[role].source)])
    pairs, notes = pair(recipe, inventories)
    missing, absent = _missing(recipe, pairs, inventories)
    if len(absent) == len(recipe.axes.due_samples):
        reason = next(iter(missing.values()))[0]
        wanted = " and ".join(recipe.roles)
        raise BadInput(f"no sample of {recipe.interval} has {wanted}: {reason}")
    if recipe.like is None:
        static_fields(recipe, next((plan for plan in sample_plans(pairs.slice(0, 64)) if plan.index == -1), None))
    if recipe.constants_from:
        constants_from_store(recipe, recipe.constants_from)
        check_training_data(recipe)
    return Preparation(
        pa.concat_tables([inventory.files for inventory in inventories.values()]).combine_chunks(),
        pairs,
        [problem for inventory in inventories.values() for problem in inventory.problems],
        notes,
        missing,
        absent,
    )


def _refuse_other_period(recipe: Recipe, source: str, inventory: Inventory) -> None:
    """Raise BadInput where the archive holds no field of the recipe's runs, or of its valid times."""
    times, runs = (inventory.references[key].to_numpy().astype("datetime64[s]") for key in ("valid_time", "init_time"))
    inits, held = recipe.axes.inits, np.unique(runs)
    if inits is not None and not np.isnat(held).any() and not np.isin(held, inits).any():
        raise BadInput(
            f"forecast.inits has the runs of {_few(inits)}, but sources.{source}, around that time, has those of"
            f" {_few(held)}; correct forecast.inits, or fetch those runs"
        )
    if not np.isin(times, recipe.times).any():
        raise BadInput(
            f"period {recipe.interval} lies outside sources.{source}, whose nearest fields are of"
            f" {format_time(times.min())} to {format_time(times.max())};"
            f" correct {'forecast' if recipe.forecast else 'period.start and period.end'}"
        )


def _few(times: Times) -> str:
    """Return the times in words; of many, the first three and the last."""
    words = [format_time(time) for time in times]
    return ", ".join(words if len(words) <= _TIMES_NAMED else [*words[: _TIMES_NAMED - 1], "...", words[-1]])


def _area(grid: Grid) -> str:
    """Return a grid in words, with its outermost latitudes and longitudes where its coordinates are others."""
    if not isinstance(grid, ProjectedGrid):
        return str(grid)
    south, west, north, east = grid.bounds
    return f"at most lat {south:.3f} .. {north:.3f}, lon {west:.3f} .. {east:.3f}, {grid}"


def _refuse_grids(recipe: Recipe, role: StoredRole, inventory: Inventory) -> None:
    """Raise BadInput where a channel does not cover the wanted grid, or is derived from channels of two grids."""
    spec = recipe.specs[role]
    wanted = spec.store_grid
    if recipe.sources[spec.source].type == "coarsened":
        wanted = fine_grid(wanted, recipe.target_grid)
    source = archive_source(recipe, spec.source)
    for channel in recipe.channels[role]:
        read = [each.name for each in read_channels(recipe, source, channel)]
        grids = {name: held for name in read if (held := _grid(recipe, source, name, inventory)) is not None}
        for name, (grid, path) in grids.items():
            if not grid.covers(wanted):
                halo = f" with input.halo, {recipe.input.halo}" if role == "input" and recipe.input else ""
                raise BadInput(
                    f"{role}.grid spans {wanted}{halo}, but {name} of sources.{source} covers {_area(grid)} ({path});"
                    f" shrink the grid{' or halo' if halo else ''}, or fetch a larger area"
                )
            if not isinstance(spec.regrid, str):
                regridding(spec.regrid, grid, wanted)
        found = [grid for grid, _ in grids.values()]
        if any(turn_onto(found[0], grid) is None for grid in found):
            lie = ", ".join(f"{name} on {grid}" for name, (grid, _) in grids.items())
            raise BadInput(f"sources.{source}.derive.{channel.name}: one grid is needed, but the archive has {lie}")


def _refuse_change(recipe: Recipe, source: str, variable: str, inventory: Inventory) -> None:
    """Raise BadInput where a static field has other values at another time of the archive, beyond its packing's steps.

    Of very many times, so many that lie evenly apart are compared with the first. A damaged field is none of them.
    """
    held = inventory.references.filter(pc.equal(inventory.references["channel"], variable))
    held = held.sort_by([("valid_time", "ascending"), ("path", "ascending"), ("offset", "ascending")])
    chosen = np.unique(np.linspace(0, max(len(held) - 1, 0), min(len(held), _TIMES_COMPARED)).astype(np.int64))
    first: tuple[GriddedField, float] | None = None
    options = recipe.sources[source].opening
    for row in held.take(pa.array(chosen)).to_pylist() if len(held) > 1 else ():
        reference = FieldReference.from_row(row)
        with suppress(DamagedData, MissingField):
            field, step = (
                read_term(Term(1, reference), options),
                abs(reference.scale) * packing_step(reference, options),
            )
            if first is None:
                first = field, step
            most = difference(field, first[0], step + first[1])
            if most is not None:
                at = f"at {format_time(np.datetime64(row['valid_time'], 's'))} " if row["valid_time"] else ""
                raise BadInput(
                    f"static.{variable}: {variable} of sources.{source} is not the same at all times: {at}it differs"
                    f" from the first by up to {most:g} {recipe.channel(variable).variable.units}, or in what pixels"
                    f" are missing ({reference}); remove it under static, or give files of one time"
                )


def _grid(recipe: Recipe, source: str, channel: str, inventory: Inventory) -> tuple[Grid, str] | None:
    """Return the grid of a channel and a file that has it; None where none of the first messages is whole."""
    held = np.flatnonzero(pc.equal(inventory.references["channel"], channel).to_numpy())
    for row in inventory.references.take(held[:_MESSAGES_CHECKED]).to_pylist():
        reference = FieldReference.from_row(row)
        with suppress(DamagedData):  # the record of its sample reports it
            return read_grid(reference, recipe.sources[source].opening), reference.path
    return None


def _missing(
    recipe: Recipe, pairs: pa.Table, inventories: dict[str, Inventory]
) -> tuple[dict[int, list[str]], set[int]]:
    lacking = pairs.filter(pc.and_(pc.equal(pairs["sign"], 0), pc.greater(pairs["index"], -1)))
    missing: dict[int, list[str]] = {}
    channels: dict[tuple[int, str], set[str]] = {}
    reasons: dict[str, str] = {}  # of each channel the longest, which says most
    wanted = {role: set(spec.channels) for role, spec in recipe.specs.items()}
    sources = {role: archive_source(recipe, spec.source) for role, spec in recipe.specs.items()}
    of_read: dict[tuple[str, str], set[str]] = defaultdict(set)  # source and channel read -> the recipe's channels
    of_partner: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)  # -> component read, recipe's channel
    turned = _turned(recipe, pairs, inventories)
    for role in recipe.roles:
        for channel in recipe.channels[role]:
            for read in read_channels(recipe, sources[role], channel):
                of_read[sources[role], read.name].add(channel.name)
                if read.vector_partner:
                    of_partner[sources[role], read.vector_partner.name].add((read.name, channel.name))
    along = pairs.filter(
        pc.and_(pc.is_in(pairs["index"], lacking["index"]), pc.fill_null(pairs["grid_relative"], False))
    )
    along_grid = set(zip(*(along[name].to_pylist() for name in ("index", "source", "wanted")), strict=True))
    for row in lacking.select(["index", "source", "wanted", "missing"]).to_pylist():
        place = row["source"], row["wanted"]
        lost = of_read[place] | {
            channel
            for read, channel in of_partner[place]
            if (row["source"], read) in turned and (row["index"], row["source"], read) in along_grid
        }
        if lost:
            missing.setdefault(row["index"], []).append(row["missing"])
            channels.setdefault((row["index"], row["source"]), set()).update(lost)
            reasons |= {name: max(reasons.get(name, ""), row["missing"], key=len) for name in lost}
    for name in sorted(reasons):
        without = [index for (index, _), lost in channels.items() if name in lost]
        if len(set(without)) == len(recipe.axes.due_samples):
            raise BadInput(f"no sample of {recipe.interval} has {name}: {reasons[name]}")
    absent = {
        index
        for index in missing
        for role in recipe.roles
        if wanted[role] <= channels.get((index, sources[role]), set())
    }
    return missing, absent


def _turned(recipe: Recipe, pairs: pa.Table, inventories: dict[str, Inventory]) -> set[tuple[str, str]]:
    """Return the sources and channels of the winds along the axes of their grid: each needs the other component.

    Raises BadInput where the axes are not at right angles.
    """
    along = pairs.filter(pc.fill_null(pairs["grid_relative"], False)).group_by(["source", "wanted"]).aggregate([])
    turned = set()
    for source, name in zip(along["source"].to_pylist(), along["wanted"].to_pylist(), strict=True):
        held = _grid(recipe, source, name, inventories[source])
        if held is None or isinstance(held[0], RectilinearGrid):
            continue
        if isinstance(held[0], ProjectedGrid):
            try:
                held[0].check_conformal()
            except BadInput as error:
                raise BadInput(f"{name} of sources.{source} ({held[1]}): {error}") from None
        turned.add((source, name))
    return turned
