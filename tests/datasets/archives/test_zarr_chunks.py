"""Chunks of a Zarr archive that hold several fields are fetched once a sample."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from corrstore.datasets.archives.gridded_archive import KeptBlocks, read
from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.variables.channels import channel_named


@pytest.fixture
def levels(tmp_path):
    """A SYNTHETIC Zarr like ARCO ERA5, three levels in a chunk; its field and the references of one hour, by level."""
    times = np.arange("2020-06-01T00", "2020-06-01T06", 1, dtype="M8[h]").astype("M8[ns]")
    lat, lon, level = np.arange(40, 20.9, -0.25), np.arange(95, 112.1, 0.25), np.array([300, 500, 850])
    field = np.random.default_rng(3).normal(260, 5, (len(times), 3, len(lat), len(lon))).astype("f4")
    coordinates = {"time": times, "level": level, "latitude": lat, "longitude": lon}
    dataset = xr.Dataset({"temperature": (tuple(coordinates), field)}, coordinates)
    dataset.chunk(time=1, level=3, latitude=40, longitude=-1).to_zarr(tmp_path / "arco.zarr", zarr_format=2)
    spec = SourceSpec(type="era5_arco", path=str(tmp_path / "arco.zarr"))
    channels = [channel_named(name) for name in ("t_300", "t_500", "t_850")]
    period = Interval(parse_time("2020-06-01T03"), parse_time("2020-06-01T04"))
    rows = take_inventory("arco", spec, channels, period).references.to_pylist()
    return field[3], [FieldReference.from_row(row) for row in sorted(rows, key=lambda row: row["channel"])]


def test_the_other_levels_of_a_chunk_are_not_fetched_again(levels, tmp_path):
    field, references = levels
    kept = KeptBlocks()
    np.testing.assert_array_equal(read(references[0], {}, kept)[0], field[0])
    for chunk in (tmp_path / "arco.zarr" / "temperature").glob("3.0.*"):
        chunk.unlink()
    for place in (1, 2):
        np.testing.assert_array_equal(read(references[place], {}, kept)[0], field[place])
    assert not np.array_equal(read(references[1], {}, KeptBlocks())[0], field[1])


def test_whole_chunks_give_what_slices_give(levels):
    field, references = levels
    for place in (2, 0, 1):
        np.testing.assert_array_equal(read(references[place], {}, KeptBlocks())[0], field[place])
        np.testing.assert_array_equal(read(references[place], {})[0], field[place])
