"""Stores as STAC 1.1 collections: a folder of JSON that any STAC client reads.

https://github.com/radiantearth/stac-spec
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pystac
from pystac.extensions.datacube import DatacubeExtension

from corrstore.catalog.exports.card import dataset_card
from corrstore.catalog.exports.datacube import cube_dimensions, cube_variables
from corrstore.catalog.pages.store_summary import ChannelSummary, StoreSummary, summarise_store
from corrstore.catalog.printing.markup import escaped, plain
from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.series import SeriesReader
from corrstore.datasets.storage.folder import Folder

_ZARR, _PARQUET = "application/vnd.zarr; version=3", "application/vnd.apache.parquet"
_ID = re.compile(r"^[0-9a-f]{16}$")
_WHOLE_EARTH = [-180.0, -90.0, 180.0, 90.0]


def write_stac(catalog: Catalog, output: Folder) -> int:
    """Write catalog.json and, for each store, <id>/collection.json and <id>/README.md, its dataset card.

    Files of stores that the catalog no longer has are removed. Returns the number of stores. Raises BadInput where a
    file of the catalog is damaged, or the folder cannot be written.
    """
    read, listing = SeriesReader(catalog.tables), catalog.listing()
    root = pystac.Catalog("corrstore", "Training stores for kilometre-scale weather downscaling", "Training stores")
    for row in listing:
        summary = summarise_store(catalog.tables, read, row, row["status"])
        sources = catalog.tables.rows("sources", [row["registration"]])
        output.write(f"{row['store']}/README.md", dataset_card(summary, sources).encode())
        root.add_child(collection(summary))
    root.catalog_type = pystac.CatalogType.SELF_CONTAINED
    root.normalize_hrefs("/")
    for each in root.get_children():
        output.write(f"{each.id}/collection.json", _json(each))
    output.write("catalog.json", _json(root))
    current = {row["store"] for row in listing}
    for name in output.names(""):
        if _ID.match(name) and name not in current:
            output.remove(f"{name}/collection.json")
            output.remove(f"{name}/README.md")
    return len(listing)


def collection(summary: StoreSummary) -> pystac.Collection:
    """Return the STAC collection of a store; it links to README.md, its dataset card, beside it."""
    row = summary.row
    start, end = (time.astype("datetime64[s]").astype(object) for time in (summary.start, summary.samples.times.max()))
    extent = pystac.Extent(pystac.SpatialExtent([_bbox(row["target_grid"])]), pystac.TemporalExtent([[start, end]]))
    found = pystac.Collection(
        id=row["store"],
        title=plain(summary.title),
        description=f"Training store {escaped(row['name'])} for downscaling: {escaped(summary.title)}",
        extent=extent,
        keywords=["downscaling", "corrdiff", *dict.fromkeys(plain(name) for name in row["target_channels"] or [])],
        assets=_assets(summary),
        extra_fields={
            "corrstore:fingerprint": row["fingerprint"],
            "corrstore:status": summary.status,
            "corrstore:samples": {status: row[status] for status in ("valid", "partial", "missing")},
        },
    )
    found.add_link(pystac.Link("describedby", "./README.md", "text/markdown", "Dataset card"))
    cube = DatacubeExtension.ext(found, add_if_missing=True)
    cube.apply(cube_dimensions(summary), cube_variables(summary))
    return found


def _assets(summary: StoreSummary) -> dict[str, pystac.Asset]:
    location = summary.row["location"]
    root = location if "://" in location else Path(location).absolute().as_uri()
    json_type = pystac.MediaType.JSON
    assets = {
        "store": pystac.Asset(root, "The store, a Zarr group", media_type=_ZARR, roles=["data"]),
        "metadata": pystac.Asset(f"{root}/zarr.json", media_type=json_type, roles=["metadata"]),
        "statistics": pystac.Asset(f"{root}/ledger/statistics.parquet", media_type=_PARQUET, roles=["metadata"]),
    }
    for role in ("target", "input"):
        if summary.channels[role]:
            bands = [_band(each) for each in summary.channels[role]]
            dtype = {"data_type": summary.row["dtype"]} if summary.row["dtype"] in ("float16", "float32") else {}
            fields = {**dtype, "bands": bands}
            assets[role] = pystac.Asset(f"{root}/{role}", media_type=_ZARR, roles=["data"], extra_fields=fields)
    return assets


def _band(each: ChannelSummary) -> dict[str, Any]:
    """Return the channel in physical units as a band of STAC 1.1, which pystac has no class for."""
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
    """Return west, south, east, north of the cells' edges; longitudes -180 to 180, west > east over the date line."""
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


def _json(described: pystac.STACObject) -> bytes:
    content = described.to_dict(include_self_link=False)
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode()
