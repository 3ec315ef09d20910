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
from corrstore.datasets.variables.table import VARIABLES, Variables
from corrstore.datasets.variables.variable import Definition

Accumulates = Literal["encoded", "hour", "day"]


class GribNumbers(BaseModel):
    """The numbers that select a GRIB message; short names do not (CMA's are mostly `unknown`).

    GRIB1: `table`, `parameter`. GRIB2: `discipline`, `category`, `number`. `level_type` is GRIB's code of the
    first fixed surface, `level` in SI units; a variable on pressure levels takes the level from the channel.
    `process` is the kind of statistical process: an interval maximum shares its numbers with the instant field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    table: int | None = None
    parameter: int | None = None
    discipline: int | None = None
    category: int | None = None
    number: int | None = None
    level_type: int | None = None
    level: float | None = None
    process: str = "instant"


class FieldRule(BaseModel):
    """The rule by which one variable is found in an archive and brought to corrstore's units: value x scale + offset.

    `accumulates` says what window an accumulation holds: the one `encoded` in its message, the past `hour`,
    or the `day` since 00 UTC. An amount over the past hour or day belongs to no run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    grib: list[GribNumbers] = []
    names: list[str] = Field([], description="in NetCDF and Zarr")
    scale: float = 1.0
    offset: float = 0.0
    accumulates: Accumulates | None = None

    @property
    def belongs_to_no_run(self) -> bool:
        """True for an amount over the past hour or day, whichever run it came from."""
        return self.accumulates in ("hour", "day")


class SourceTable(BaseModel):
    """The description of a kind of archive; `like` takes another table's fields, then this one's over them.

    An `analysis` has one field for each valid time: its runs are not told apart. Elsewhere all fields of a sample are
    of one run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    title: str = ""
    like: str | None = None
    analysis: bool | None = Field(None, description="whether the archive's runs are not told apart; no by default")
    files: list[str] = []
    fields: dict[str, FieldRule] = {}
    variables: dict[str, Definition] = Field({}, description="variables of `fields` beside the shipped ones")


def shipped_tables() -> list[str]:
    """The names of the tables that come with corrstore."""
    folder = resources.files("corrstore.datasets.archives") / "tables"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_table(name_or_path: str, variables: Variables = VARIABLES) -> SourceTable:
    """Return the shipped table of that name or the user's YAML file; raise BadInput where that is absent or wrong."""
    table = _table(name_or_path, _text(name_or_path))
    known = variables.extended(table.variables)
    for name in table.fields:
        try:
            known.named(name)
        except BadInput as error:
            raise BadInput(f"{name_or_path}, fields.{name}: {error}") from None
    return table


def _text(name_or_path: str) -> str:
    path = Path(name_or_path)
    if name_or_path in shipped_tables():
        return (resources.files("corrstore.datasets.archives") / "tables" / f"{name_or_path}.yaml").read_text(
            encoding="utf-8"
        )
    if path.is_file():
        return read_text(path)
    raise BadInput(
        f"no source type {name_or_path!r}: the shipped ones are {', '.join(shipped_tables())} and coarsened;"
        " or give the path of a table of your own"
    )


@lru_cache
def _table(name: str, text: str) -> SourceTable:
    table = validated(SourceTable, parsed_mapping(text, name), f"{name} is not a valid source table")
    if table.like is None:
        return table
    base = _table(table.like, _text(table.like))
    return table.model_copy(
        update={
            "analysis": base.analysis if table.analysis is None else table.analysis,
            "files": table.files or base.files,
            "fields": {**base.fields, **table.fields},
            "variables": {**base.variables, **table.variables},
        }
    )
