"""The units that a NetCDF or Zarr variable states, against those that the source's table takes for granted."""

from __future__ import annotations

import numpy as np
import xarray as xr

from corrstore.datasets.archives.gridded.axes import UnknownLayout
from corrstore.datasets.archives.table import FieldRule
from corrstore.datasets.variables.units import conversion, is_known
from corrstore.datasets.variables.variable import Variable


def rule_in_units(rule: FieldRule, field: xr.DataArray, variable: Variable) -> FieldRule:
    """Return the rule with the scale and offset that bring the file's own units into corrstore's.

    Units that are not stated, or that the table of units does not know, leave the rule as it is; so do those that
    cannot be converted where the rule has a scale of its own. `units` of the rule stand for those of the file. Raises
    UnknownLayout where the file states units of something else.
    """
    stated = rule.units or field.attrs.get("units")
    if not isinstance(stated, str) or not is_known(stated):
        return rule
    units = f"{variable.units} s-1" if rule.rate else variable.units
    found = conversion(stated, units)
    if found is None:
        if (rule.scale, rule.offset) == (1.0, 0.0) and is_known(units):
            raise UnknownLayout(
                f"variable {field.name} is in {stated}, the source's table takes it for {variable.name} in {units};"
                f" write in the table the name of another variable, or fields: {{{variable.name}: {{units: ...}}}},"
                " the units that its numbers have"
            )
        return rule
    if np.allclose(found, (rule.scale, rule.offset), rtol=1e-6):
        return rule
    return rule.model_copy(update={"scale": found[0], "offset": found[1]})
