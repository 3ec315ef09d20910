"""The table of docs/variables.md: cape, radiation, snow, soil and wind at 100 m, of GRIB and of NetCDF."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
import yaml

from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.archives.table import load_table
from corrstore.datasets.recipe.periods import Interval, parse_time
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.variables.channels import channel_named
from corrstore.datasets.variables.table import VARIABLES
from tests.grib_made import made, regular
from tests.paths import ROOT

PERIOD = Interval(parse_time("2020-03-01"), parse_time("2020-03-02"))
IN_ARCHIVE = {"cape": 700.0, "ssrd": 1.5e6, "sd": 0.025, "stl1": 281.0, "swvl1": 0.3, "u100m": 8.0, "v100m": -3.0}
HELD = IN_ARCHIVE | {"sd": 25.0}  # metres of water become kg m-2
UNITS = {"cape": "J kg**-1", "ssrd": "J m**-2", "sd": "m of water equivalent", "stl1": "K", "swvl1": "m**3 m**-3"}


@pytest.fixture
def table(tmp_path):
    """The document's table, in a file of its own."""
    text = (ROOT / "docs" / "variables.md").read_text(encoding="utf-8")
    (tmp_path / "era5_more.yaml").write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1], encoding="utf-8")
    return tmp_path / "era5_more.yaml"


def write_grib(folder, rules):
    messages = []
    for name, number in IN_ARCHIVE.items():
        (numbers,) = (each for each in rules[name]["grib"])
        window = {"timeRangeIndicator": 4, "P1": 0, "P2": 1} if name == "ssrd" else {}
        keys = {"table2Version": numbers["table"], "indicatorOfParameter": numbers["parameter"], **regular(3, 3)}
        values = number + np.linspace(0, 1e-3 * abs(number), 9)
        messages.append(
            made("regular_ll_sfc_grib1", values, centre="ecmf", dataDate=20200301, dataTime=0, **keys, **window)
        )
    (folder / "a.grib").write_bytes(b"".join(messages))


def write_netcdf(folder, rules):
    axes = {"valid_time": np.array(["2020-03-01T01"], "M8[ns]"), "latitude": [50.0, 49.0, 48.0]}
    axes["longitude"] = [100.0, 101.0, 102.0]
    fields = {
        rules[name]["names"]: (tuple(axes), np.full((1, 3, 3), number), {"units": UNITS.get(name, "m s**-1")})
        for name, number in IN_ARCHIVE.items()
    }
    xr.Dataset(fields, axes).to_netcdf(folder / "a.nc")


@pytest.mark.parametrize("write", [write_grib, write_netcdf])
def test_the_documents_variables_are_found_and_brought_into_their_units(write, table, tmp_path):
    write(tmp_path, yaml.safe_load(table.read_text(encoding="utf-8"))["fields"])
    known = VARIABLES.extended(load_table(str(table)).variables)
    channels = [channel_named(name, known) for name in HELD]
    found = take_inventory("a", SourceSpec(type=str(table), path=str(tmp_path)), channels, PERIOD, known)
    assert found.problems == []
    rows = {row["channel"]: row for row in found.references.to_pylist()}
    assert set(rows) == set(HELD)
    for name, row in rows.items():
        values = read_reference(FieldReference.from_row(row), {})[0] * row["scale"] + row["add_offset"]
        assert values[0, 0] == pytest.approx(HELD[name], rel=1e-4), name
    window = rows["ssrd"]["valid_time"] - rows["ssrd"]["window_start"]
    assert window.total_seconds() == 3600
    assert known.named("u100m").vector_partner == "v100m"
