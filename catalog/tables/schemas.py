"""The six tables of a catalog: their columns, their order on disk, and the version of all of them."""

from __future__ import annotations

from typing import Literal, get_args

import pyarrow as pa

SCHEMA_VERSION = 2
VERSION_KEY = b"corrstore_catalog_version"
TableName = Literal["stores", "channels", "coverage", "statistics", "sources", "shards"]
TABLES: tuple[TableName, ...] = get_args(TableName)

TIME = pa.timestamp("ms")
NAMES = pa.list_(pa.string())
GRID = pa.struct(
    [
        ("hash", pa.string()),
        ("rows", pa.int64()),
        ("columns", pa.int64()),
        ("south", pa.float64()),
        ("west", pa.float64()),
        ("north", pa.float64()),
        ("east", pa.float64()),
        ("lat_step", pa.float64()),
        ("lon_step", pa.float64()),
        ("description", pa.string()),
    ]
)

SCHEMAS: dict[TableName, pa.Schema] = {
    "stores": pa.schema(
        [
            ("registration", pa.string()),
            ("store", pa.string()),
            ("registered", TIME),
            ("host", pa.string()),
            ("name", pa.string()),
            ("title", pa.string()),
            ("location", pa.string()),
            ("start", TIME),
            ("end", TIME),
            ("frequency_seconds", pa.int64()),
            ("runs", pa.int64()),
            ("first_lead_seconds", pa.int64()),
            ("last_lead_seconds", pa.int64()),
            ("samples", pa.int64()),
            ("valid", pa.int64()),
            ("partial", pa.int64()),
            ("missing", pa.int64()),
            ("shards", pa.int64()),
            ("bytes", pa.int64()),
            ("dtype", pa.string()),
            ("input_channels", NAMES),
            ("target_channels", NAMES),
            ("static_channels", NAMES),
            ("input_grid", GRID),
            ("target_grid", GRID),
            ("fingerprint", pa.string()),
            ("metadata_sha256", pa.string()),
            ("layout_version", pa.int64()),
            ("software", pa.string()),
            ("recipe", pa.string()),
        ]
    ),
    "channels": pa.schema(
        [
            ("registration", pa.string()),
            ("role", pa.string()),
            ("position", pa.int64()),
            ("channel", pa.string()),
            ("standard_name", pa.string()),
            ("long_name", pa.string()),
            ("units", pa.string()),
            ("level", pa.float64()),
            ("window_seconds", pa.int64()),
            ("transform", pa.string()),
            ("mean", pa.float64()),
            ("std", pa.float64()),
            ("wet_threshold", pa.float64()),
            ("edges", pa.list_(pa.float64())),
        ]
    ),
    "coverage": pa.schema(
        [
            ("registration", pa.string()),
            ("init_time", TIME),
            ("start", TIME),
            ("end", TIME),
            ("status", pa.string()),
            ("samples", pa.int64()),
            ("reasons", NAMES),
        ]
    ),
    "statistics": pa.schema(
        [
            ("registration", pa.string()),
            ("role", pa.string()),
            ("channel", pa.string()),
            ("init_time", TIME),
            ("valid_time", TIME),
            ("count", pa.int64()),
            ("missing", pa.int64()),
            ("mean", pa.float64()),
            ("m2", pa.float64()),
            ("minimum", pa.float64()),
            ("maximum", pa.float64()),
            ("histogram_first", pa.int32()),
            ("histogram", pa.list_(pa.int32())),
        ]
    ),
    "sources": pa.schema(
        [
            ("registration", pa.string()),
            ("source", pa.string()),
            ("path", pa.string()),
            ("bytes", pa.int64()),
            ("sha256", pa.string()),
            ("format", pa.string()),
            ("fields", pa.int64()),
        ]
    ),
    "shards": pa.schema(
        [
            ("registration", pa.string()),
            ("role", pa.string()),
            ("init_time", TIME),
            ("valid_time", TIME),
            ("key", pa.string()),
            ("bytes", pa.int64()),
            ("sha256", pa.string()),
        ]
    ),
}

SORTED_BY: dict[TableName, tuple[str, ...]] = {
    "stores": (),
    "channels": ("role", "position"),
    "coverage": ("init_time", "start"),
    "statistics": ("role", "channel", "init_time", "valid_time"),
    "sources": ("source", "path"),
    "shards": ("role", "init_time", "valid_time"),
}
ADDED_IN_VERSION_2 = ("runs", "first_lead_seconds", "last_lead_seconds", "init_time")
"""Columns of forecasts, which tables of version 1 lack: they are read as null, as those of valid times are."""

REPETITIVE = ("registration", "store", "role", "channel", "status", "source", "format")
"""Columns of few different texts, which Parquet keeps as a dictionary and numbers."""

SKIPPED_BY = ("role", "channel", "status", "init_time", "valid_time", "start", "end")
"""Columns whose extremes are kept for each group of rows, so that readers can pass over groups."""

ROWS_IN_GROUP: dict[TableName, int] = {
    "stores": 1024,
    "channels": 1024,
    "coverage": 65536,
    "statistics": 2048,
    "sources": 65536,
    "shards": 65536,
}
"""Rows that are read together: of the statistics, less than a channel's year."""
