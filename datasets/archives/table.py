"""The field table of a source: which numbers in a file mean which variable, as data that a user can extend."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.validation import validated
from corrstore.datasets.storage.yaml_text import parsed_mapping, read_text
from corrstore.datasets.variables.variable import variable_named

Accumulates = Literal["encoded", "hour", "day"]


class GribNumbers(BaseModel):
    """The numbers that select a GRIB message; short names do not (CMA's are mostly `unknown`).

    GRIB1: `table`, `parameter`. GRIB2: `discipline`, `category`, `number`. `level_type` is GRIB's code of the
    first fixed surface, `level` in SI units; a variable on pressure levels takes the level from the channel.
    `process` is the kind of statistical process: an interval maximum shares its numbers with the instant field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: int | None = None
    parameter: int | None = None
    discipline: int | None = None
    category: int | None = None
    number: int | None = None
    level_type: int | None = None
    level: float | None = None
    process: str = "instant"


class FieldRule(BaseModel):
    """How one variable is found in an archive, and brought to corrstore's units: value x scale + offset.

    `accumulates` says what window an accumulation holds: the one `encoded` in its message, the past `hour`,
    or the `day` since 00 UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    grib: list[GribNumbers] = []
    names: list[str] = Field([], description="in NetCDF and Zarr")
    scale: float = 1.0
    offset: float = 0.0
    accumulates: Accumulates | None = None


class SourceTable(BaseModel):
    """One kind of archive; `like` takes another table's fields, then this one's over them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str = ""
    like: str | None = None
    files: list[str] = []
    fields: dict[str, FieldRule] = {}


def shipped_tables() -> list[str]:
    """The names of the tables that come with corrstore."""
    folder = resources.files("corrstore.datasets.archives") / "tables"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_table(name_or_path: str) -> SourceTable:
    """The shipped table of that name or the user's YAML file; BadInput where there is none or it is wrong."""
    path = Path(name_or_path)
    if name_or_path in shipped_tables():
        text = (resources.files("corrstore.datasets.archives") / "tables" / f"{name_or_path}.yaml").read_text(
            encoding="utf-8"
        )
    elif path.is_file():
        text = read_text(path)
    else:
        raise BadInput(
            f"no source type {name_or_path!r}: the shipped ones are {', '.join(shipped_tables())} and coarsened;"
            " or give the path of a table of your own"
        )
    return _table(name_or_path, text)


@lru_cache
def _table(name: str, text: str) -> SourceTable:
    table = validated(SourceTable, parsed_mapping(text, name), f"{name} is not a valid source table")
    for variable in table.fields:
        variable_named(variable)
    if table.like is None:
        return table
    base = load_table(table.like)
    return table.model_copy(update={"files": table.files or base.files, "fields": {**base.fields, **table.fields}})
