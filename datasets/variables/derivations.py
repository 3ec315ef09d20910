"""Derivations: channels that are made from other channels of an archive by a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.yaml_text import parsed_mapping
from corrstore.datasets.variables import formulas
from corrstore.datasets.variables.channels import Channel, channel_named

OWN_LEVEL = "level"
"""The ingredient that is no field: the pressure level of the result, in Pa."""


class Formula(BaseModel):
    """The entry of one formula in the table of derivations; the entry's key is the function's name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arguments: dict[str, str]
    units: str
    source: str
    results: dict[str, dict[str, str]]


def _shipped() -> dict[str, Formula]:
    text = (resources.files("corrstore.datasets.variables") / "derivations.yaml").read_text(encoding="utf-8")
    return {name: Formula.model_validate(entry) for name, entry in parsed_mapping(text, "derivations.yaml").items()}


FORMULAS = _shipped()
"""The formulas of `derivations.yaml`, by name."""


@dataclass(frozen=True)
class Derivation:
    """The making of one channel: the formula's name, and the channel that each argument is of."""

    name: str
    result: Channel
    ingredients: Mapping[str, Channel]

    def compute(self, fields: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return the field of the result from those of the ingredients, by argument, all of one shape."""
        level = self.result.level
        others = set(FORMULAS[self.name].arguments) - set(self.ingredients)
        levels = {} if level is None else dict.fromkeys(others, 100.0 * level)
        return getattr(formulas, self.name)(**fields, **levels).astype(np.float32)

    def __str__(self) -> str:
        *others, last = (each.name for each in self.ingredients.values())
        return f"{', '.join(others)} and {last} by {self.name}" if others else f"{last} by {self.name}"


def derivations_of(channel: Channel) -> list[Derivation]:
    """Return the derivations that make the channel, the one that is taken by default first."""
    found = []
    for name, formula in FORMULAS.items():
        variables = formula.results.get(channel.variable.name, {})
        ingredients = {
            argument: channel_named(variable if channel.level is None else f"{variable}_{channel.level}")
            for argument, variable in variables.items()
            if variable != OWN_LEVEL
        }
        if ingredients:
            found.append(Derivation(name, channel, ingredients))
    return found


def derivation_of(channel: Channel, name: str | None = None) -> Derivation:
    """Return the derivation of that name of the channel, by default the first.

    Raises BadInput, with what there is, where there is none.
    """
    known = derivations_of(channel)
    for derivation in known:
        if name in (None, derivation.name):
            return derivation
    if known:
        raise BadInput(
            f"{channel.name} has no derivation {name!r}, but {', '.join(derivation.name for derivation in known)}"
        )
    results = sorted({result for formula in FORMULAS.values() for result in formula.results})
    raise BadInput(f"{channel.name} cannot be derived; what can be is {', '.join(results)}")
