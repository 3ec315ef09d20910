"""A channel: one variable at one level, named as on the store's channel axes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.formulas import STANDARD_GRAVITY
from corrstore.datasets.variables.table import VARIABLES, Variables
from corrstore.datasets.variables.variable import Variable, WindowMethod

_TROPOPAUSE = 226.32  # hPa
_ON_LEVEL = re.compile(r"^([a-z][a-z0-9]*)_(\d+)$")


@dataclass(frozen=True)
class Channel:
    """A variable, and its pressure level in hPa where it has one; `t2m`, `t_850`.

    `partner` is the variable of the wind's other component, where this one is a component of a wind.
    """

    variable: Variable
    level: int | None = None
    partner: Variable | None = None

    @property
    def name(self) -> str:
        """The channel's name: the variable's, and `_` and the level in hPa where it has one."""
        return self.variable.name if self.level is None else f"{self.variable.name}_{self.level}"

    @property
    def vector_partner(self) -> Channel | None:
        """The other component of the wind that this channel is one of, else None."""
        return None if self.partner is None else Channel(self.partner, self.level, self.variable)

    def over_window(self, method: WindowMethod) -> Channel:
        """Return the channel as one whose values, and whose partner's, are this of a window."""
        changed = {"windowed": method}
        partner = None if self.partner is None else self.partner.model_copy(update=changed)
        return Channel(self.variable.model_copy(update=changed), self.level, partner)


def _on_level(variable: Variable, level: int) -> Variable:
    """The variable as it is on that level: geopotential lies within 2 km of the standard atmosphere's there."""
    if variable.name != "z":
        return variable
    lowest, highest = (STANDARD_GRAVITY * (standard_height(level) + offset) for offset in (-2000.0, 2000.0))
    return variable.model_copy(update={"valid_range": (round(lowest, -2), round(highest, -2))})


def standard_height(level: float) -> float:
    """Height in m of a pressure level in hPa in the standard atmosphere (ISO 2533), up to 20 km."""
    if level > _TROPOPAUSE:
        return 44330.77 * (1 - (level / 1013.25) ** 0.190263)
    return 11000.0 + 6341.62 * math.log(_TROPOPAUSE / level)


def channel_named(name: str, variables: Variables = VARIABLES) -> Channel:
    """Return the channel of that name, such as `t2m` or `z_500`, of a table of variables (by default the shipped one).

    Raises BadInput where the name is no variable's, or lacks a level, or has one too many.
    """
    on_level = _ON_LEVEL.match(name)
    variable = variables.named(on_level.group(1) if on_level else name)
    partner = None if variable.vector_partner is None else variables.named(variable.vector_partner)
    if on_level:
        if variable.level_kind != "pressure":
            raise BadInput(f"channel {name!r}: {variable.name} has no pressure levels; write {variable.name!r}")
        level = int(on_level.group(2))
        return Channel(_on_level(variable, level), level, partner)
    if variable.level_kind == "pressure":
        raise BadInput(f"channel {name!r} needs a level in hPa, such as {name}_850")
    return Channel(variable, None, partner)
