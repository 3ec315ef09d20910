"""The field table of a source: which numbers in a file mean which variable, as data that a user can extend."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from corrstore.datasets.archives.accumulation import Accumulates
from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.validation import validated
from corrstore.datasets.storage.yaml_text import parsed_mapping, read_text
from corrstore.datasets.variables.table import VARIABLES, Variables
from corrstore.datasets.variables.variable import Definition, WindowMethod


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_METHODS: dict[str, WindowMethod] = {"accum": "sum", "avg": "mean", "max": "maximum", "min": "minimum"}
Names = Annotated[list[str], BeforeValidator(_listed)]


class Dimensions(BaseModel):
    """The names that NetCDF files and Zarr groups give to their axes: of several, the first that is there.

    `time` is the valid time, `init` the start of the run, which may also be a scalar coordinate or an attribute of
    the file, `lead` the time since then. `lead_units` are those of a lead whose units the file does not state.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lat: Names = ["latitude", "lat", "XLAT", "clat"]
    lon: Names = ["longitude", "lon", "XLONG", "clon"]
    level: Names = ["pressure_level", "level", "isobaricInhPa", "plev"]
    time: Names = ["valid_time", "time", "Times"]
    init: Names = ["init_time", "forecast_reference_time"]
    lead: Names = ["lead_time", "prediction_timedelta", "forecast_period", "step"]
    member: Names = ["number", "ensemble_member", "realization", "member"]
    expver: Names = ["expver"]
    lead_units: Literal["seconds", "minutes", "hours", "days"] | None = None


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

    @property
    def method(self) -> WindowMethod | None:
        """What a number is of its window by the process; None of an instantaneous one. Raises BadInput for others."""
        if self.process == "instant":
            return None
        name = "avg" if self.process.startswith("avg") else self.process
        if name not in _METHODS:
            raise BadInput(
                f"process {self.process}: expected instant, {', '.join(_METHODS)}; for a window of exactly the recipe's"
                " length, write `method` beside grib: sum, mean, maximum or minimum"
            )
        return _METHODS[name]


class FieldRule(BaseModel):
    """The rule by which one variable is found in an archive and brought to corrstore's units: value x scale + offset.

    `accumulates` says what window an accumulation holds: the one `encoded` in its GRIB message, the past `hour`, the
    `day` since 00 UTC, the whole `run` since its start, the `step` since the lead before in the same NetCDF file or
    Zarr group, or a length such as 6h that ends at the valid time. With `rate`, the field is the mean per second over
    that window, and the amount is the mean times the window's seconds. In GRIB, an amount over the past hour or day
    belongs to no run. In NetCDF and Zarr it is of the run that its init tells. A number is the sum, mean, maximum or
    minimum of its window as the GRIB `process` says, or as `method` does; else a sum. `run_hours` are the hours of the
    runs (UTC) whose GRIB messages hold what `accumulates` says; those of other runs are refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    grib: list[GribNumbers] = []
    names: Names = Field([], description="in NetCDF and Zarr; {level} in a name stands for the level in hPa")
    scale: float = 1.0
    offset: float = 0.0
    units: str | None = Field(None, description="in NetCDF and Zarr; of the numbers, in place of those the file states")
    accumulates: Accumulates | None = None
    method: WindowMethod | None = None
    run_hours: list[int] = Field([], description="in GRIB; hours of the runs that `accumulates` is of; all by default")
    rate: bool = False
    along_grid: bool | None = Field(
        None, description="in NetCDF and Zarr; whether a wind is along the grid's axes, where the file does not say"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.grib and (self.accumulates == "step" or self.rate):
            raise BadInput("`step` and `rate` are of NetCDF and Zarr; a GRIB message has its window `encoded`")
        if self.names and self.accumulates == "encoded":
            raise BadInput(
                "`encoded` is the window of a GRIB message; write run, step, hour, day or a length such as 6h"
            )
        if self.rate and self.accumulates is None:
            raise BadInput("a `rate` needs `accumulates`, the window that it is the mean of")
        if self.method and self.names and self.accumulates is None:
            raise BadInput(f"method {self.method} needs `accumulates`, the window, such as hour or 6h")
        _ = self.window_method
        return self

    @property
    def window_method(self) -> WindowMethod | None:
        """What a number is of its window; None where it is instantaneous, or nothing is said."""
        if self.method:
            return self.method
        methods = {numbers.method for numbers in self.grib}
        if len(methods) > 1 and self.accumulates is None:
            said = ", ".join(sorted({numbers.process for numbers in self.grib}))
            raise BadInput(f"one variable is of several processes, {said}; make another variable of one of them")
        return next((each for each in methods if each), "sum" if self.accumulates else None)

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
    dims: Dimensions = Dimensions()
    fields: dict[str, FieldRule] = {}
    variables: dict[str, Definition] = Field({}, description="variables of `fields` beside the shipped ones")


def shipped_tables() -> list[str]:
    """The names of the tables that come with corrstore."""
    folder = resources.files("corrstore.datasets.archives") / "tables"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def shipped_rules(variable: str) -> dict[str, FieldRule]:
    """Return the rules of the shipped tables for a variable, by the name of the table."""
    tables = {name: load_table(name) for name in shipped_tables()}
    return {name: table.fields[variable] for name, table in tables.items() if variable in table.fields}


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
            "dims": base.dims.model_copy(update=table.dims.model_dump(exclude_unset=True)),
            "fields": {**base.fields, **table.fields},
            "variables": {**base.variables, **table.variables},
        }
    )
