"""The table of variables: those that corrstore ships, and those that a recipe or a source table adds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.yaml_text import parsed_mapping
from corrstore.datasets.variables.variable import Definition, Variable

_NAME = re.compile(r"^[a-z][a-z0-9]*$")


class Variables(Mapping[str, Variable]):
    """Variables by name; a table never changes, `extended` returns another one."""

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        self._variables = dict(variables)

    def __getitem__(self, name: str) -> Variable:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def named(self, name: str) -> Variable:
        """Return the variable of that name; raise BadInput, with the names that exist, where there is none."""
        if name not in self._variables:
            raise BadInput(
                f"unknown variable {name!r}; corrstore knows {', '.join(self)}, and a recipe can define others"
                " under `variables`"
            )
        return self._variables[name]

    def extended(self, definitions: Mapping[str, Definition]) -> Variables:
        """Return the table with these definitions added.

        Raises BadInput for a name that cannot be a channel's, for a definition that contradicts one of this table
        (with both values), and for a vector partner that no variable is.
        """
        if not definitions:
            return self
        added = dict(self._variables)
        for name, definition in definitions.items():
            if not _NAME.match(name):
                raise BadInput(f"variables.{name}: a name is small letters and digits, the first a letter")
            known = self._variables.get(name)
            for key in sorted(definition.model_fields_set) if known else ():
                theirs, ours = getattr(definition, key), getattr(known, key)
                if theirs != ours:
                    raise BadInput(
                        f"variables.{name}.{key} is {theirs!r}, but {name} is known with {ours!r}; take another name"
                    )
            if known is None:
                added[name] = Variable(name=name, **definition.model_dump())
        for name in definitions:
            partner = added[name].vector_partner
            if partner is not None and (partner not in added or added[partner].vector_partner != name):
                raise BadInput(
                    f"variables.{name}.vector_partner is {partner!r}, which is no variable with the partner {name!r}"
                )
        return Variables(added)


def _shipped() -> Variables:
    text = (resources.files("corrstore.datasets.variables") / "variables.yaml").read_text(encoding="utf-8")
    definitions = parsed_mapping(text, "variables.yaml")
    return Variables({}).extended({name: Definition.model_validate(each) for name, each in definitions.items()})


VARIABLES = _shipped()
"""The variables that come with corrstore (`variables.yaml`)."""
