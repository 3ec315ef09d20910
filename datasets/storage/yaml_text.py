"""The YAML texts of a user: read into plain values, every mistake told with file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from corrstore.datasets.errors import BadInput

_DEEPEST = 30
_MOST_VALUES = 100_000
_MOST_CHARACTERS = 400_000
_LARGEST = 1 << 63
_PREFIX = "tag:yaml.org,2002:"
_SCALARS = {f"{_PREFIX}{name}" for name in ("str", "int", "float", "bool", "null")}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a date is text: whoever reads the key says what a date must look like."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_PREFIX}timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_text(path: Path) -> str:
    """Return the UTF-8 text of a file, without its byte order mark; raise BadInput, with the line, for other bytes."""
    try:
        _refuse_long(path.stat().st_size // 4, str(path))  # of the longest character
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput(
            f"{path}, line {line}: byte {content[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        ) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None


def _refuse_long(length: int, where: str) -> None:
    if length > _MOST_CHARACTERS:
        raise BadInput(
            f"{where} has {length:,} characters or more, expected at most {_MOST_CHARACTERS:,}; write times as start,"
            " end and step, not one by one"
        )


def parsed_mapping(text: str, where: str) -> dict[str, Any]:
    """Return the keys and values of a YAML text; raise BadInput, one line with `where`, line, key, for others."""
    content = parsed_value(text, where)
    if not isinstance(content, dict):
        kind = "nothing" if content is None else "a list" if isinstance(content, list) else f"the value {content!r}"
        raise BadInput(f"{where}, line 1: holds {kind}, expected keys with values (`key: value`)")
    return content


def parsed_value(text: str, where: str) -> Any:
    """Return the plain value of a YAML text: mappings with text keys, lists, text, numbers, true, false or None.

    Dates and times of day stay text. Raises BadInput, one line that names `where`, the line and the key, for what is
    not YAML and for duplicate keys, tags, keys that are no words, whole numbers of more than 63 bits, more than 30
    levels, more than 100 000 values and more than 400 000 characters.
    """
    _refuse_long(len(text), where)
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadInput(f"{where}, line {line}: the character {chr(error.character)!r} is not allowed") from None
    try:
        node = loader.get_single_node()
        return None if node is None else _Values(loader, where).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        raise BadInput(f"{where}, line {mark.line + 1 if mark else 1}: not YAML: {problem}") from None
    except RecursionError:
        raise BadInput(f"{where}, line 1: nested deeper than {_DEEPEST} levels") from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{where}, line {loader.line + 1}: {error}") from None
    finally:
        loader.dispose()


class _Values:
    """The values of a text's nodes; an alias counts as often as it is used."""

    def __init__(self, loader: _Loader, where: str) -> None:
        self._loader, self._where, self._count = loader, where, 0

    def value(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        """Return the value of a node at the keys of `path`."""
        self._count += 1
        if self._count > _MOST_VALUES:
            raise self._wrong(node, path, f"more than {_MOST_VALUES} values, aliases included")
        if len(path) > _DEEPEST:
            raise self._wrong(node, path[:3], f"nested deeper than {_DEEPEST} levels")
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_PREFIX}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_PREFIX}seq":
            return [self.value(each, (*path, str(place))) for place, each in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node, path)
        shown = str(node.tag).replace(_PREFIX, "!!")
        raise self._wrong(node, path, f"the tag {shown} is not allowed; write the value alone")

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, path, "a key must be one word, not a list or a mapping")
            if key.value in lines:
                raise self._wrong(
                    key, (*path, key.value), f"the key is there twice, first in line {lines[key.value]}; remove one"
                )
            lines[key.value] = key.start_mark.line + 1
        self._loader.flatten_mapping(node)
        return {key.value: self.value(value, (*path, key.value)) for key, value in node.value}

    def _scalar(self, node: yaml.ScalarNode, path: tuple[str, ...]) -> Any:
        if ":" in node.value:  # YAML 1.1 would read 25:00 as the number 1500
            return node.value
        try:
            value = self._loader.construct_object(node)
            if isinstance(value, str):
                value.encode()
            if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
                raise ValueError
        except (ValueError, LookupError):
            raise self._wrong(node, path, f"{node.value[:40]!r} cannot be read as its type or character set") from None
        return value

    def _wrong(self, node: yaml.Node, path: tuple[str, ...], problem: str) -> BadInput:
        key = f", {'.'.join(path)}" if path else ""
        return BadInput(f"{self._where}, line {node.start_mark.line + 1}{key}: {problem}")
