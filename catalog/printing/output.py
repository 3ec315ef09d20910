"""Rows as CSV, Parquet or JSON for programs, and one value as people read it."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from corrstore.datasets.commands import print_json
from corrstore.datasets.errors import BadInput

_LONGEST = 255


class Form(StrEnum):
    """The form in which rows are printed."""

    TABLE = "table"
    CSV = "csv"
    PARQUET = "parquet"


AsForm = Annotated[Form, typer.Option("--format", help="What to print the rows as.")]
Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write there, not to standard output.")]
Row = Mapping[str, Any]


def write_rows(rows: Sequence[Row], as_json: bool, form: Form, output: Path | None) -> bool:
    """Write the rows as JSON, CSV or Parquet if that is what is wanted; returns whether it was.

    Raises BadInput for Parquet on a terminal, and for a file of a table for people.
    """
    if as_json:
        print_as_json(rows, form, output)
        return True
    if output is not None and form is Form.TABLE:
        form = Form.__members__.get(output.suffix.removeprefix(".").upper(), form)
    if form is Form.TABLE:
        if output is not None:
            raise BadInput(f"--output {output}: say --format csv or --format parquet")
        return False
    from corrstore.datasets.storage.folder import write_file_atomically

    content = _csv(rows) if form is Form.CSV else _parquet(rows)
    if output is not None:
        write_file_atomically(output, content)
    elif form is Form.PARQUET and sys.stdout.isatty():
        raise BadInput("Parquet is no text for a terminal; add --output FILE or pipe it into a program")
    elif form is Form.CSV:
        sys.stdout.write(content.decode())
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    return True


def print_as_json(content: Any, form: Form = Form.TABLE, output: Path | None = None) -> None:
    """Print JSON: times as 2018-01-01T03:00Z, what is not a number as null; raise BadInput for another form or a file.

    `form` and `output` are what the user gives beside `--json`.
    """
    if form is not Form.TABLE or output is not None:
        other = f"--output {output}" if output else f"--format {form}"
        raise BadInput(f"--json prints JSON on standard output, and {other} asks for something else; leave one out")
    print_json(_plain(content))


def shown(value: Any) -> str:
    """A value for a person: short, on one line, without anything that a terminal would obey."""
    plain = _plain(value)
    if isinstance(plain, float):
        text = f"{plain:.6g}"
    elif isinstance(plain, list):
        text = " ".join(str(each) for each in plain)
    else:
        text = "" if plain is None else str(plain)
    text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def several(count: int, noun: str) -> str:
    """A number of things, such as 1 store or 2 stores."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _plain(value: Any) -> Any:
    import numpy as np

    from corrstore.datasets.recipe.periods import format_time

    if isinstance(value, np.generic) and not isinstance(value, np.datetime64):
        value = value.item()
    if isinstance(value, datetime | np.datetime64):
        time = value if isinstance(value, np.datetime64) else np.datetime64(value)
        return None if np.isnat(time) else format_time(time)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _csv(rows: Sequence[Row]) -> bytes:
    lines = [_flat(_plain(row)) for row in rows]
    names = dict.fromkeys(name for line in lines for name in line)
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return sink.getvalue().encode()


def _flat(row: Row, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}_")
        else:
            flat[f"{prefix}{key}"] = " ".join(str(each) for each in value) if isinstance(value, list) else value
    return flat


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = dict.fromkeys(name for row in rows for name in row)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), sink, compression="zstd")
    return sink.getvalue().to_pybytes()
