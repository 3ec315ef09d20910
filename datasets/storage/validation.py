"""Plain values checked against a pydantic model, and its errors in plain words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from corrstore.datasets.errors import BadInput

_Model = TypeVar("_Model", bound=BaseModel)
_MOST_LINES, _LONGEST_LINE = 50, 2000

_EXPECTED = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-', the first a letter or a digit",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
}

_BOUNDS = {
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} or less",
    "less_than": "less than {lt:g}",
}


def validated(model: type[_Model], content: Any, where: str, keys: str = "") -> _Model:
    """Return the model of the content.

    `where` names the file or the thing in the heading, `keys` says which keys there are.
    Raises BadInput: a heading, then one line a mistake with the key, what is expected and the value.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = list(dict.fromkeys(_sentence(mistake, content, keys, model) for mistake in error.errors()))
        shown = [
            each if len(each) <= _LONGEST_LINE else f"{each[:_LONGEST_LINE]} ..." for each in mistakes[:_MOST_LINES]
        ]
        more = [f"  and {len(mistakes) - _MOST_LINES:,} more"] if len(mistakes) > _MOST_LINES else []
        raise BadInput("\n".join([f"{where}:", *shown, *more])) from None


def _sentence(mistake: ErrorDetails, content: Any, keys: str, model: type[BaseModel]) -> str:
    key, problem = _key(mistake, content), _problem(mistake, keys)
    if mistake["type"] == "extra_forbidden":
        problem += _nearest_key(model.model_json_schema(), key)
    return f"  {'.'.join(key)}: {problem}" if key else f"  {problem}"


def _nearest_key(schema: dict[str, Any], key: list[str]) -> str:
    """Return where a key that is not there may belong: beside it under another spelling, or at the top."""
    *place, name = key
    there = _keys_at(schema, place)
    if near := get_close_matches(name, there, 1):
        return f"; it may be {near[0]}"
    if not place:
        return ""
    if name in _keys_at(schema, []):
        return f"; it goes at the top, not under {'.'.join(place)}"
    return f"; {'.'.join(place)} has {', '.join(there)}" if there else ""


def _keys_at(schema: dict[str, Any], place: list[str]) -> list[str]:
    """Return the keys that a JSON Schema has at a place, of all alternatives."""
    nodes = _alternatives(schema, [schema])
    for part in place:
        below = (
            node.get("properties", {}).get(part) or node.get("additionalProperties") or node.get("items")
            for node in nodes
        )
        nodes = _alternatives(schema, [each for each in below if isinstance(each, dict)])
    return list(dict.fromkeys(name for node in nodes for name in node.get("properties", {})))


def _alternatives(schema: dict[str, Any], nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the nodes of a JSON Schema with those that they refer to."""
    found = []
    for node in nodes:
        others = [each for kind in ("anyOf", "oneOf", "allOf") for each in node.get(kind, [])]
        if "$ref" in node:
            others.append(schema["$defs"][node["$ref"].rpartition("/")[2]])
        found += [node, *_alternatives(schema, others)]
    return found


def _key(mistake: ErrorDetails, content: Any) -> list[str]:
    """The keys that the user wrote, without the names of types that pydantic puts between them."""
    place, key = content, []
    for position, part in enumerate(mistake["loc"], start=1):
        known = isinstance(place, dict) and part in place
        if known or (isinstance(place, list | tuple) and isinstance(part, int) and part < len(place)):
            place = place[part]
        elif not (position == len(mistake["loc"]) and mistake["type"] == "missing"):
            continue
        key.append(str(part))
    return key


def _problem(mistake: ErrorDetails, keys: str) -> str:
    kind, context = mistake["type"], mistake.get("ctx", {})
    if kind == "missing":
        return f"is missing in {mistake['input']}" if isinstance(mistake["input"], list | tuple) else "is missing"
    if kind == "extra_forbidden":
        return "no such key; remove it or correct its spelling" + (f" ({keys})" if keys else "")
    if kind == "value_error":
        return str(context["error"])
    if kind in ("too_short", "too_long"):
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"expected {bound} entries, got {context['actual_length']}"
    if kind in _BOUNDS:
        return f"expected {_BOUNDS[kind].format(**context)}, got {_shown(mistake['input'])}"
    expected = _EXPECTED.get(kind) or mistake["msg"].removeprefix("Input should be ").removeprefix(
        "String should have "
    )
    return f"expected {expected}, got {_shown(mistake['input'])}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"keys with values ({', '.join(map(str, value))[:60]})"
    return f"a list of {len(value)}" if isinstance(value, list | tuple) else repr(value)
