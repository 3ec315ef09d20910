"""Buckets of Google Cloud Storage and S3, on emulators of this machine: an archive to read, a store to write."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
import xarray as xr

from corrstore.beam_pipelines.build import build
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify
from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.errors import InUse
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.ownership import one_writer
from corrstore.datasets.store.opening import open_store
from corrstore.datasets.variables.channels import channel_named
from tests.conftest import QUIET, small_recipe_content
from tests.emulator import PROTOCOLS, bucket


@pytest.fixture(scope="module", params=PROTOCOLS)
def place(request):
    """The URL of a bucket of an emulator, and the storage options that lead to it."""
    with bucket(request.param) as options:
        yield f"{request.param}://bucket", options


def test_a_bucket_has_one_writer(place):
    url, options = place
    folder = Folder(f"{url}/one-writer", options)
    assert folder.create("key", b"first") and not folder.create("key", b"second")
    assert folder.read("key") == b"first"
    with one_writer(folder, "ledger", "builds"):
        said = rf"{url}/one-writer is being written by process \d+ on"
        with pytest.raises(InUse, match=said), one_writer(folder, "ledger", "builds"):
            pass
        assert folder.names("ledger") == ["owner-1.json"]
    with one_writer(folder, "ledger", "builds again"):
        pass
    assert folder.names("ledger") == []


@pytest.fixture(scope="module")
def arco(place):
    """A small SYNTHETIC Zarr with the names, dimensions and chunks of ARCO ERA5, and its content."""
    rng = np.random.default_rng(3)
    times = np.arange("2020-06-01T00", "2020-06-01T16", 1, dtype="M8[h]").astype("M8[ns]")
    lat, lon, level = np.arange(40, 20.9, -0.25), np.arange(95, 112.1, 0.25), np.array([500, 850])
    surface, upper = ("time", "latitude", "longitude"), ("time", "level", "latitude", "longitude")
    shape = (len(times), len(lat), len(lon))
    dataset = xr.Dataset(
        {
            "2m_temperature": (surface, rng.normal(290, 5, shape).astype("f4")),
            "total_precipitation": (surface, rng.gamma(0.2, 1e-3, shape).astype("f4")),
            "temperature": (upper, rng.normal(260, 5, (shape[0], 2, *shape[1:])).astype("f4")),
        },
        {"time": times, "level": level, "latitude": lat, "longitude": lon},
    )
    url, options = f"{place[0]}/arco.zarr", place[1]
    dataset.chunk(time=1, level=2, latitude=-1, longitude=-1).to_zarr(url, zarr_format=2, storage_options=options)
    return url, options, dataset


def test_arco_era5_is_read_by_level_and_time(arco):
    url, options, dataset = arco
    spec = SourceSpec(type="era5_arco", path=url, storage_options=options)
    channels = [channel_named(name) for name in ("t2m", "t_850", "tp")]
    period = Interval(parse_time("2020-06-01T06"), parse_time("2020-06-01T12"))
    found = take_inventory("arco", spec, channels, period)
    rows = found.references.to_pylist()
    assert len(rows) == 3 * 6
    row = next(row for row in rows if row["channel"] == "t_850" and row["valid_time"].hour == 9)
    values, grid = read_reference(FieldReference.from_row(row), options)
    np.testing.assert_array_equal(values, dataset.temperature.sel(level=850, time="2020-06-01T09"))
    np.testing.assert_allclose(grid.lat, dataset.latitude)
    rain = next(row for row in rows if row["channel"] == "tp" and row["valid_time"].hour == 9)
    assert rain["window_start"].hour == 8 and rain["scale"] == 1000


@pytest.mark.parametrize(
    "place", [pytest.param(each, marks=[pytest.mark.slow] * (each == "s3")) for each in PROTOCOLS], indirect=True
)
def test_a_store_is_built_in_a_bucket_from_an_archive_in_a_bucket(arco, place, archive):
    """ARCO on the emulator as the input, GRIB on disk as the target, the store on the emulator; then verified."""
    url, options, dataset = arco
    content = small_recipe_content(archive)
    content["period"] = {"start": "2020-06-01T03", "end": "2020-06-01T15", "frequency": "3h"}
    content["splits"] = {"train": {"start": "2020-06-01T03", "end": "2020-06-01T12"}}
    content["sources"]["era5"] = {"type": "era5_arco", "path": url, "storage_options": options}
    content["input"]["channels"] = ["t2m", "t_850", "tp"]
    folder = Folder(f"{place[0]}/store", options)
    result = build(recipe_from(content), folder, Runner(workers=1), QUIET)
    assert (result.written, result.report.valid) == (4, 4)
    store = open_store(f"{place[0]}/store", options)
    rain = store.physical("input", 2)[2]
    window = dataset.total_precipitation.sel(time=slice("2020-06-01T07", "2020-06-01T09")).sum("time") * 1000
    grid = store.grid("input")
    np.testing.assert_allclose(rain, window.sel(latitude=grid.lat, longitude=grid.lon), atol=0.01)
    assert verify(store, Runner(workers=1), QUIET, against_source=4).passed
    assert store.dataset("target").t2m.isel(time=1).load().shape == store.grid("target").shape
    fsspec.url_to_fs(f"{place[0]}/store", **options)[0].rm(f"{place[0]}/store/target/c/1/0/0/0")
    assert verify(store, Runner(workers=1), QUIET).rebuild == [1]
