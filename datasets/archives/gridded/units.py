"""The units that a NetCDF or Zarr variable states, against those that the source's table takes for granted."""

from __future__ import annotations

import numpy as np
import xarray as xr

from corrstore.datasets.archives.gridded.axes import UnknownLayout
from corrstore.datasets.archives.table import FieldRule
from corrstore.datasets.variables.units import conversion, is_known, is_stated
from corrstore.datasets.variables.variable import Variable


def rule_in_units(rule: FieldRule, field: xr.DataArray, variable: Variable) -> FieldRule:
    """Return the rule with the scale and offset that bring the file's own units into corrstore's.

    A file that states none is brought by the rule's `scale` and `offset`. With `units` of the rule, which stand for
    those of the file, the number times `scale` plus `offset` is in these. Raises UnknownLayout where the units are not
    known, or measure another thing.
    """
    _refuse_scaled_floats(field, variable)
    of_file = field.attrs.get("units")
    stated = rule.units or (of_file if is_stated(of_file) else None)
    if stated is None:
        return rule
    amount = variable.units
    units = f"{amount} s-1" if rule.rate else amount
    found = conversion(stated, units)
    if found is None:
        raise UnknownLayout(
            f"variable {field.name} is in {stated}{'' if is_known(stated) else ', which are no known units'},"
            f" the source's table takes it for {variable.name} in {units};"
            f" {_advice(rule, stated, str(field.name), variable)}"
        )
    scale, offset = found
    if rule.units:
        scale, offset = rule.scale * scale, rule.offset * scale + offset
    if np.allclose((scale, offset), (rule.scale, rule.offset), rtol=1e-6):
        return rule
    return rule.model_copy(update={"scale": scale, "offset": offset})


def scale_and_offset(field: xr.DataArray) -> tuple[float, float]:
    """Return the scale and the offset by which a variable was unpacked; 1 and 0 where it states none."""
    return float(field.encoding.get("scale_factor", 1)), float(field.encoding.get("add_offset", 0))


def _refuse_scaled_floats(field: xr.DataArray, variable: Variable) -> None:
    """Raise UnknownLayout where numbers that are not packed have a scale: they were unpacked before, perhaps."""
    scale, offset = scale_and_offset(field)
    if (scale, offset) != (1, 0) and np.dtype(field.encoding.get("dtype", "i2")).kind == "f":
        raise UnknownLayout(
            f"variable {field.name} has scale_factor {scale:g} and add_offset {offset:g} for {variable.name}, and its"
            f" numbers are {field.encoding['dtype']}, which are not packed: they may be unpacked already. If they are,"
            f" `ncatted -a scale_factor,{field.name},d,, -a add_offset,{field.name},d,, FILE`; else write the file with"
            " the numbers that are meant"
        )


def _advice(rule: FieldRule, stated: str, name: str, variable: Variable) -> str:
    field = variable.name
    if variable.windowed and not rule.rate and conversion(stated, f"{variable.units} s-1"):
        window = rule.accumulates or "hour"
        return (
            f"it is a rate: write in a source table of your own fields: {{{field}: {{names: {name}, accumulates:"
            f" {window}, rate: true}}}}"
        )
    if rule.rate and conversion(stated, variable.units):
        return (
            "it is an amount: write in a source table of your own fields:"
            f" {{{field}: {{names: {name}, accumulates: {rule.accumulates}}}}}"
        )
    return (
        f"write in a source table of your own fields: {{{field}: {{names: {name}, units: {variable.units}}}}}, or"
        " whatever units its numbers have, or the name of another variable"
    )
