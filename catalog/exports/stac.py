"""Stores as STAC 1.1 collections: a folder of JSON that any STAC client reads.

https://github.com/radiantearth/stac-spec
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from corrstore.catalog.exports.card import dataset_card
from corrstore.catalog.exports.datacube import DATACUBE, cube_dimensions, cube_variables
from corrstore.catalog.pages.store_summary import ChannelSummary, StoreSummary, summarise_store
from corrstore.catalog.printing.markup import escaped, plain
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.series import SeriesReader
from corrstore.datasets.storage.folder import Folder

STAC_VERSION = "1.1.0"
_ZARR, _PARQUET = "application/vnd.zarr; version=3", "application/vnd.apache.parquet"
_ID = re.compile(r"^[0-9a-f]{16}$")
_WHOLE_EARTH = [-180.0, -90.0, 180.0, 90.0]


def write_stac(catalog: Catalog, output: Folder) -> int:
    """Write catalog.json and, for each store, <id>/collection.json and <id>/README.md, its dataset card.

    What is there of stores that the catalog no longer has is removed. Returns the number of stores. Errors: BadInput
    where a file of the catalog is damaged, or the folder cannot be written.
    """
    read, listing = SeriesReader(catalog.tables), catalog.listing()
    for row in listing:
        summary = summarise_store(catalog.tables, read, row, row["status"])
        sources = catalog.tables.rows("sources", [row["registration"]])
        output.write(f"{row['store']}/README.md", dataset_card(summary, sources).encode())
        output.write(f"{row['store']}/collection.json", _json(collection(summary)))
    output.write("catalog.json", _json(_root(listing)))
    current = {row["store"] for row in listing}
    for name in output.names(""):
        if _ID.match(name) and name not in current:
            output.remove(f"{name}/collection.json")
            output.remove(f"{name}/README.md")
    return len(listing)


def collection(summary: StoreSummary) -> dict[str, Any]:
    """The STAC collection of a store; its links are relative to the folder that `write_stac` writes."""
    row = summary.row
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [DATACUBE],
        "id": row["store"],
        "title": plain(summary.title),
        "description": f"Training store {escaped(row['name'])} for downscaling: {escaped(summary.title)}",
        "keywords": ["downscaling", "corrdiff", *dict.fromkeys(plain(name) for name in row["target_channels"] or [])],
        "license": "other",
        "extent": {
            "spatial": {"bbox": [_bbox(row["target_grid"])]},
            "temporal": {"interval": [[f"{summary.start}Z", f"{summary.times[-1]}Z"]]},
        },
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            {"rel": "describedby", "href": "./README.md", "type": "text/markdown", "title": "Dataset card"},
        ],
        "assets": _assets(summary),
        "cube:dimensions": cube_dimensions(summary),
        "cube:variables": cube_variables(summary),
        "corrstore:fingerprint": row["fingerprint"],
        "corrstore:status": summary.status,
        "corrstore:samples": {status: row[status] for status in ("valid", "partial", "missing")},
    }


def _root(listing: list[dict[str, Any]]) -> dict[str, Any]:
    children = [
        {
            "rel": "child",
            "href": f"./{row['store']}/collection.json",
            "type": "application/json",
            "title": plain(row["title"] or row["name"]),
        }
        for row in listing
    ]
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "corrstore",
        "title": "Training stores",
        "description": "Training stores for kilometre-scale weather downscaling",
        "links": [{"rel": "root", "href": "./catalog.json", "type": "application/json"}, *children],
    }


def _assets(summary: StoreSummary) -> dict[str, Any]:
    location = summary.row["location"]
    root = location if "://" in location else Path(location).absolute().as_uri()
    assets: dict[str, Any] = {
        "store": {"href": root, "type": _ZARR, "title": "The store, a Zarr group", "roles": ["data"]},
        "metadata": {"href": f"{root}/zarr.json", "type": "application/json", "roles": ["metadata"]},
        "statistics": {"href": f"{root}/ledger/statistics.parquet", "type": _PARQUET, "roles": ["metadata"]},
    }
    for role in ("target", "input"):
        if summary.channels[role]:
            bands = [_band(each) for each in summary.channels[role]]
            dtype = {"data_type": summary.row["dtype"]} if summary.row["dtype"] in ("float16", "float32") else {}
            assets[role] = {"href": f"{root}/{role}", "type": _ZARR, "roles": ["data"], **dtype, "bands": bands}
    return assets


def _band(each: ChannelSummary) -> dict[str, Any]:
    """The channel in physical units, which its stored numbers become by its constants."""
    band: dict[str, Any] = {"name": plain(each.row["channel"]), "unit": plain(each.row["units"] or "1")}
    if each.what:
        band["description"] = escaped(each.what)
    if each.counted:
        block = each.counted.statistics
        band["statistics"] = {
            "mean": block.mean,
            "stddev": block.std,
            "minimum": block.minimum,
            "maximum": block.maximum,
            "count": block.count + block.missing,
            "valid_percent": 100 * block.count / (block.count + block.missing),
        }
    return band


def _bbox(grid: dict[str, Any] | None) -> list[float]:
    """West, south, east, north of the cells' edges; longitudes from -180 to 180, west above east over the date line."""
    if not grid or not grid["rows"]:
        return _WHOLE_EARTH
    half_lat, half_lon = ((grid[key] or 0.0) / 2 for key in ("lat_step", "lon_step"))
    south, north = max(grid["south"] - half_lat, -90.0), min(grid["north"] + half_lat, 90.0)
    west, east = grid["west"] - half_lon, grid["east"] + half_lon
    if east - west >= 360:
        west, east = -180.0, 180.0
    return [round(each, 6) for each in (_wrapped(west), south, _wrapped(east), north)]


def _wrapped(lon: float) -> float:
    return lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode()
