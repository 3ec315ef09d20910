"""References: the position of one field in an archive. References travel between workers, fields do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from corrstore.datasets.errors import CorrstoreError, DamagedData, fault_of_file

REFERENCE_SCHEMA = pa.schema(
    [
        ("channel", pa.string()),
        ("valid_time", pa.timestamp("s")),
        ("window_start", pa.timestamp("s")),  # null for an instantaneous field
        ("init_time", pa.timestamp("s")),  # the run; null for a field that belongs to none
        ("lead_time", pa.int64()),  # seconds
        ("centre", pa.string()),
        ("expver", pa.string()),
        ("generating_process", pa.int64()),
        ("member", pa.int64()),
        ("grid_hash", pa.string()),
        ("format", pa.string()),  # grib, netcdf or zarr
        ("path", pa.string()),
        ("inside", pa.string()),  # the name of the file inside a ZIP archive; empty where the path is no ZIP archive
        ("offset", pa.int64()),  # of the GRIB message
        ("length", pa.int64()),
        ("part", pa.int64()),  # of a GRIB message that holds several fields
        ("name", pa.string()),  # of the NetCDF or Zarr variable
        ("indexers", pa.string()),  # into its other dimensions, as JSON
        ("scale", pa.float64()),
        ("add_offset", pa.float64()),
        ("grid_relative", pa.bool_()),  # winds along the grid's axes
    ]
)


@dataclass(frozen=True)
class FieldReference:
    """One field in one file: a GRIB message by offset, or a slice of a NetCDF or Zarr variable.

    The field's numbers times `scale` plus `add_offset` are in corrstore's units.
    """

    format: str
    path: str
    inside: str
    offset: int
    length: int
    part: int
    name: str
    indexers: str
    scale: float
    add_offset: float
    grid_relative: bool

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> FieldReference:
        """Return the reference in a row of REFERENCE_SCHEMA."""
        return cls(**{field: row[field] for field in cls.__dataclass_fields__})

    def __str__(self) -> str:
        place = f"offset {self.offset}" if self.format == "grib" else f"{self.name} {self.indexers}"
        return f"{self.path}, {self.inside + ', ' if self.inside else ''}{place}"


@contextmanager
def faults_of(reference: FieldReference) -> Iterator[None]:
    """Raise DamagedData where a reader of formats raises anything in the block; what the machine lacks stays."""
    try:
        yield
    except CorrstoreError:
        raise
    except Exception as error:
        if "://" in reference.path:
            raise  # of a server, perhaps, which answers again later
        raise DamagedData(f"{reference} cannot be read: {fault_of_file(error)}") from None
