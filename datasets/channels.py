"""A channel: one variable at one level, named as on the store's channel axes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from datasets.errors import BadInput
from datasets.variables import Variable, variable_named

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


def channel_named(name: str) -> Channel:
    """The channel of that name, such as `t2m` or `z_500`; BadInput where it names no variable or lacks a level."""
    on_level = _ON_LEVEL.match(name)
    if on_level:
        variable = variable_named(on_level.group(1))
        if variable.level_kind != "pressure":
            raise BadInput(f"channel {name!r}: {variable.name} has no pressure levels; write {variable.name!r}")
        return Channel(variable, int(on_level.group(2)))
    variable = variable_named(name)
    if variable.level_kind == "pressure":
        raise BadInput(f"channel {name!r} needs a level in hPa, such as {name}_850")
    return Channel(variable)
