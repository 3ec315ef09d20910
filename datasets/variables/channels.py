"""A channel: one variable at one level, named as on the store's channel axes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.variable import Variable, variable_named

_GRAVITY = 9.80665  # m s-2
_TROPOPAUSE = 226.32  # hPa
_ON_LEVEL = re.compile(r"^([a-z]+)_(\d+)$")


@dataclass(frozen=True)
class Channel:
    """A variable, and its pressure level in hPa where it has one; `t2m`, `t_850`."""

    variable: Variable
    level: int | None = None

    @property
    def name(self) -> str:
        """The channel's name: the variable's, and `_` and the level in hPa where it has one."""
        return self.variable.name if self.level is None else f"{self.variable.name}_{self.level}"

    @property
    def vector_partner(self) -> Channel | None:
        """The other component of the wind that this channel is one of, else None."""
        partner = self.variable.vector_partner
        return None if partner is None else Channel(variable_named(partner), self.level)


def _on_level(variable: Variable, level: int) -> Variable:
    """The variable as it is on that level: geopotential lies within 2 km of the standard atmosphere's there."""
    if variable.name != "z":
        return variable
    lowest, highest = (_GRAVITY * (standard_height(level) + offset) for offset in (-2000.0, 2000.0))
    return replace(variable, valid_range=(round(lowest, -2), round(highest, -2)))


def standard_height(level: float) -> float:
    """Height in m of a pressure level in hPa in the standard atmosphere (ISO 2533), up to 20 km."""
    if level > _TROPOPAUSE:
        return 44330.77 * (1 - (level / 1013.25) ** 0.190263)
    return 11000.0 + 6341.62 * math.log(_TROPOPAUSE / level)


def channel_named(name: str) -> Channel:
    """The channel of that name, such as `t2m` or `z_500`; BadInput where it names no variable or lacks a level."""
    on_level = _ON_LEVEL.match(name)
    if on_level:
        variable = variable_named(on_level.group(1))
        if variable.level_kind != "pressure":
            raise BadInput(f"channel {name!r}: {variable.name} has no pressure levels; write {variable.name!r}")
        level = int(on_level.group(2))
        return Channel(_on_level(variable, level), level)
    variable = variable_named(name)
    if variable.level_kind == "pressure":
        raise BadInput(f"channel {name!r} needs a level in hPa, such as {name}_850")
    return Channel(variable)
