"""Recipes as files: the shipped ones, a user's own, and overrides of their keys."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.like import add_like
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.storage.folder import absolute
from corrstore.datasets.storage.yaml_text import parsed_mapping, parsed_value, read_text
from corrstore.datasets.variables.variable import Definition


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with corrstore."""
    folder = resources.files("corrstore.datasets.recipe") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(
    name_or_path: str,
    overrides: list[str] | None = None,
    complete: Callable[[dict[str, Any]], None] = lambda content: None,
) -> Recipe:
    """The shipped recipe of that name, or the one in that YAML file, with `path.to.key=value` overrides.

    `complete` adds to the recipe's content what its archives tell, as `archives.native_grid.add_native_grids` does.
    Raises BadInput, one line a mistake, that names the file, the key, the value and what is expected.
    """
    path = Path(name_or_path)
    if name_or_path in shipped_recipes() and not path.suffix:
        text = (resources.files("corrstore.datasets.recipe") / "recipes" / f"{name_or_path}.yaml").read_text(
            encoding="utf-8"
        )
    elif path.is_file():
        text = read_text(path)
    else:
        raise BadInput(
            f"no recipe {name_or_path!r}: no such file, and the shipped ones are {', '.join(shipped_recipes())}"
        )
    content = parsed_mapping(text, name_or_path)
    for override in overrides or []:
        _override(content, override)
    add_like(content)
    _add_variables_of_tables(content)
    complete(content)
    return _with_absolute_paths(recipe_from(content, name_or_path))


def _add_variables_of_tables(content: dict[str, Any]) -> None:
    """Take over what the user's source tables define: a store keeps its recipe, not the tables."""
    sources, variables = content.get("sources"), content.get("variables")
    for source in sources.values() if isinstance(sources, dict) else ():
        table = source.get("type") if isinstance(source, dict) else None
        seen: list[str] = []
        while isinstance(table, str) and Path(table).is_file():
            if table in seen:
                raise BadInput(f"source tables are like each other in a circle: {' -> '.join([*seen, table])}")
            seen.append(table)
            text = parsed_mapping(read_text(Path(table)), table)
            defined, table = text.get("variables"), text.get("like")
            for name, definition in defined.items() if isinstance(defined, dict) else ():
                variables = content.setdefault("variables", {}) if variables is None else variables
                known = variables.setdefault(name, definition) if isinstance(variables, dict) else definition
                if _whole(known) != _whole(definition):
                    raise BadInput(
                        f"variables.{name} is {known} in the recipe or one of its source tables, but {definition} in"
                        f" another; make the definitions the same, or take another name"
                    )


def _whole(definition: Any) -> Any:
    """Return a definition with its defaults, as the recipe of a store has it; as it is where it is not valid."""
    try:
        return Definition.model_validate(definition).model_dump()
    except ValueError:
        return definition


def _with_absolute_paths(recipe: Recipe) -> Recipe:
    """Return the recipe with absolute paths: workers may be in another folder than the driver."""
    sources = {
        name: spec.model_copy(update={"path": absolute(spec.path)}) if spec.path else spec
        for name, spec in recipe.sources.items()
    }
    return recipe.model_copy(update={"sources": sources})


def _override(content: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise BadInput(f"--set {path!r} is not of the form path.to.key=value")
    *parents, last = path.split(".")
    place = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise BadInput(f"--set {path}: {parent} holds a value, not keys")
    place[last] = parsed_value(text, f"--set {path}")  # the value may be a secret
