"""Queries: the stores that hold something, alone or together, and what of the period is missing, to the hour."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corrstore.catalog.queries.access import Catalog
from corrstore.catalog.queries.availability import minimal_combination
from corrstore.catalog.queries.selection import parse_region
from corrstore.catalog.tables.registration import register, register_store
from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.periods import Interval
from corrstore.datasets.storage.folder import Folder
from tests.catalog_made import GRID, HOUR, made
from tests.command import corrstore


def catalog_of(root: Path, *stores) -> Catalog:
    for store in stores:
        register(Folder(str(root / "catalog")), store)
    return Catalog(str(root / "catalog"))


@pytest.mark.parametrize("degrees", [float("nan"), float("inf"), 0.0, -0.25])
def test_what_is_no_resolution_is_refused(tmp_path, degrees):
    register(Folder(str(tmp_path / "catalog")), made(tmp_path))
    with pytest.raises(BadInput, match=r"resolution .* is no size of a grid cell; write it in degrees"):
        Catalog(str(tmp_path / "catalog")).query(["t2m"], resolution=degrees)


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "0,50,10,40", "0,-91,10,40", "5,0,5,10", "nan,0,5,10"])
def test_what_is_no_region_is_refused(text):
    with pytest.raises(BadInput, match=r"WEST,SOUTH,EAST,NORTH"):
        parse_region(text)


hours = st.integers(0, 47)
some_store = st.tuples(
    st.integers(0, 30), st.integers(1, 18), st.frozensets(st.integers(0, 17), max_size=6), st.integers(1, 3)
)


@settings(max_examples=25)
@given(st.lists(some_store, min_size=1, max_size=5), hours, st.integers(1, 30), st.sampled_from([None, 1, 3]))
def test_holdings_are_those_of_the_hours_one_by_one(tmp_path_factory, stores, first, length, frequency):
    """The answers equal those from sets of (variable, hour), from the definition."""
    root = tmp_path_factory.mktemp("stores")
    variables = ["t2m", "u_850"]
    midnight = np.datetime64("2019-06-01")
    truth = {}
    catalog = catalog_of(root, made(root, "later", "2030-01-01", inputs=tuple(variables), targets=()))
    for number, (start, length_of, invalid, kind) in enumerate(stores):
        inputs = (("t2m",), ("u_850",), ("t2m", "u_850"))[kind - 1]
        store = made(root, f"s{number}", str(midnight + start * HOUR), length_of, 1, tuple(invalid), inputs, ())
        catalog = catalog_of(root, store)
        good = {start + hour for hour in range(length_of) if hour not in invalid}
        truth[f"s{number}"] = {(variable, hour) for variable in inputs for hour in good}
    step = frequency or 1
    wanted = {(name, hour) for name in variables for hour in range(first, first + length) if hour % step == 0}
    period = Interval(midnight + first * HOUR, midnight + (first + length) * HOUR)
    ask = {"variables": variables, "period": period, "frequency": None if frequency is None else f"{frequency}h"}
    if not wanted:
        with pytest.raises(BadInput, match="no time of the frequency"):
            catalog.query(**ask)
        return
    answer = catalog.query(**ask)
    shares = {match.name: match.share for match in answer.stores}
    assert shares == pytest.approx(
        {name: len(has & wanted) / len(wanted) for name, has in truth.items() if has & wanted}
    )
    used = [match.name for match in answer.combination]
    together = set().union(*(truth[name] for name in used)) & wanted
    assert together == set().union(*truth.values()) & wanted
    for needless in used:
        assert set().union(*(truth[name] for name in used if name != needless)) & wanted != together
    missing = {
        (name, hour)
        for stretch in answer.missing
        for name in stretch.variables
        for hour in range(48 + 30)
        if stretch.start <= midnight + hour * HOUR < stretch.end and hour % step == 0
    }
    assert missing == wanted - together and answer.complete == (not missing)
    alone = catalog.query(**ask, complete=True)
    assert {match.name for match in alone.stores} == {name for name, has in truth.items() if has >= wanted}
    assert len(alone.combination) == bool(alone.stores)


def test_missing_says_when_and_why(tmp_path):
    catalog = catalog_of(tmp_path, made(tmp_path, start="2019-06-01", hours=48, step=3, invalid=(2, 3, 9)))
    answer = catalog.query(["t2m"], "2019-06-01/2019-06-03", reasons=True)
    assert [(str(each.start), str(each.end), each.hours, len(each.reasons)) for each in answer.missing] == [
        ("2019-06-01T06:00:00", "2019-06-01T12:00:00", 6.0, 2),
        ("2019-06-02T03:00:00", "2019-06-02T06:00:00", 3.0, 1),
        ("2019-06-03T00:00:00", "2019-06-04T00:00:00", 24.0, 0),
    ]
    assert answer.missing[1].reasons == ("target t2m: missing at 2019-06-02T03:00:00.000",)


def test_half_hours_are_told_apart(tmp_path):
    catalog = catalog_of(tmp_path, made(tmp_path, start="2019-06-01T00:30", hours=3))
    answer = catalog.query(["t2m"], "2019-06-01T00/2019-06-01T04")
    assert [(str(each.start)[11:16], str(each.end)[11:16]) for each in answer.missing] == [
        ("00:00", "00:30"),
        ("03:30", "04:00"),
    ]
    assert catalog.query(["t2m"], "2019-06-01T00:30/2019-06-01T03:30").complete


def test_a_frequency_asks_for_times_of_the_day(tmp_path):
    at_one = made(tmp_path, "at one", start="2019-06-01T01", hours=48, step=3)
    hourly = made(tmp_path, "hourly", start="2019-06-01T00", hours=48, step=1)
    catalog = catalog_of(tmp_path, at_one, hourly)

    def found(frequency):
        return [match.name for match in catalog.query(["t2m"], "2019-06-01/2019-06-02", frequency).stores]

    assert found("3h") == ["hourly"] and found("1h") == ["hourly"] and found("2h") == ["hourly"]
    assert found(None) == ["hourly", "at one"] and found("30min") == []


def test_grids_are_told_by_resolution_and_region(tmp_path):
    fine = made(tmp_path, "fine")
    coarse = made(tmp_path, "coarse", grid={**GRID, "lat_step": 0.25, "lon_step": 0.25})
    pacific = {"south": -10.0, "north": 10.0, "west": 170.0, "east": 190.0, "lat_step": 0.03, "lon_step": 0.03}
    whole = {"south": -90.0, "north": 90.0, "west": 0.0, "east": 359.75, "lat_step": 0.25, "lon_step": 0.25}
    catalog = catalog_of(
        tmp_path, fine, coarse, made(tmp_path, "pacific", grid=pacific), made(tmp_path, "globe", grid=whole)
    )

    def found(**question):
        return {match.name for match in catalog.query(**question).stores}

    assert found(resolution=0.03) == {"fine", "pacific"} and found(resolution=0.0301) == {"fine", "pacific"}
    assert found(resolution=0.25) == {"coarse", "globe"} and found(resolution=0.1) == set()
    assert found(region="100,20,120,40") == {"fine", "coarse", "globe"}
    assert found(region=(-260, 20, -240, 40)) == {"fine", "coarse", "globe"}
    assert found(region="99.99,20,120,40") == {"fine", "coarse", "globe"}  # half a cell outside the outermost points
    assert found(region="99.8,20,120,40") == {"globe"}
    assert found(region="175,-5,-175,5") == {"pacific", "globe"}
    assert found(region="-180,-90,180,90") == {"globe"}


def test_questions_without_a_period(tmp_path):
    catalog = catalog_of(
        tmp_path, made(tmp_path, "a", inputs=("t2m",)), made(tmp_path, "b", inputs=("u_850",), targets=())
    )
    both = catalog.query(["t2m", "u_850"])
    assert both.complete and {match.name for match in both.combination} == {"a", "b"}
    assert both.stores[0].roles == {"t2m": ["input", "target"]}
    assert catalog.query(["t2m", "u_850"], region=(100, 20, 120, 40), resolution=9).missing[0].variables == (
        "t2m",
        "u_850",
    )
    assert len(catalog.query().stores) == 2


def test_a_combination_of_a_thousand_stores_leaves_out_the_needless_ones():
    """Eighty years, hour by hour, of which each store holds a month, and every tenth what its neighbour has too."""
    hours, stores = 720, 1000
    held = np.zeros((stores, stores * hours // 8), np.uint8)
    for store in range(stores):
        held[store, store * hours // 8 : (store + 1) * hours // 8] = 255
    held[9::10] = held[8::10]
    chosen, lacking = minimal_combination(held, np.ones((stores, 2), bool), np.full(held.shape[1], 255, np.uint8))
    assert len(chosen) == len({store - (store % 10 == 9) for store in chosen}) == 900
    assert np.bitwise_count(lacking).sum(axis=1).tolist() == [100 * hours, 100 * hours]


def test_no_catalog_is_said(tmp_path):
    with pytest.raises(BadInput, match=r"no catalog at .*corrstore catalog add"):
        Catalog(str(tmp_path / "nothing")).query(["t2m"])


@pytest.fixture
def url(tmp_path, demo_store) -> str:
    register_store(str(tmp_path / "catalog"), demo_store.folder.url)
    register(Folder(str(tmp_path / "catalog")), made(tmp_path, invalid=(5,)))
    return str(tmp_path / "catalog")


@pytest.mark.parametrize("command", ["add", "list", "query", "statistics", "diff", "prune"])
def test_every_command_has_an_example(command):
    shown = corrstore("catalog", command, "--help")
    assert shown.returncode == 0 and f"Example: corrstore catalog {command}" in " ".join(shown.stdout.split())


def test_the_commands_for_people(url, demo_store, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("CORRSTORE_CATALOG", url)
    listed = corrstore("catalog", "list").stdout
    assert "14 of 14" in listed and "present" in listed and demo_store.folder.url in listed
    asked = corrstore("catalog", "query", "--variable", "t2m", "--period", "2019-06-01")
    assert asked.returncode == 0
    assert "missing:\n  t2m [2019-06-01T05:00Z, 2019-06-01T06:00Z), 1 h: target t2m: missing at" in asked.stdout
    assert corrstore("catalog", "query", "--period", "2019-06-01", "--complete").returncode == 1
    assert (
        "all of it is in small"
        in corrstore("catalog", "query", "--variable", "tp", "--period", "2020-06-01T03/2020-06-02T21").stdout
    )
    merged = corrstore("catalog", "statistics", "--variable", "tp", "--period", "2020-06", "--hours", "0,12").stdout
    assert "3 of 60" in merged and "incomplete: small 2 channels: 3 of 60 samples" in merged
    assert "nothing differs" in corrstore("catalog", "diff", "small", demo_store.folder.url).stdout
    assert "input 2020-06-01T03:00Z" in corrstore("catalog", "diff", "small", "made").stdout
    shutil.rmtree(Catalog(url).stores.named("made")["location"])
    assert "would forget made" in corrstore("catalog", "prune", "--dry-run").stdout
    assert "forgot made" in corrstore("catalog", "prune").stdout
    assert "registered" in corrstore("catalog", "add", demo_store.folder.url).stderr


def test_the_commands_for_programs(url, demo_store, tmp_path):
    rows = json.loads(corrstore("catalog", "list", "--catalog", url, "--json").stdout)
    assert [row["name"] for row in rows] == ["made", "small"] and rows[1]["start"] == "2020-06-01T03:00Z"
    question = ["catalog", "query", "--catalog", url, "--variable", "t2m", "--period", "2019-06-01/2019-06-02"]
    answer = json.loads(corrstore(*question, "--json").stdout)
    assert not answer["complete"] and [each["hours"] for each in answer["missing"]] == [1.0, 24.0]
    (line,) = csv.DictReader(io.StringIO(corrstore(*question, "--format", "csv").stdout))
    assert (line["name"], line["holds"], float(line["share"])) == ("made", "input t2m target t2m", 23 / 48)

    ask = ["catalog", "statistics", "--catalog", url, "--variable", "tp", "--quantile", "0.5", "--quantile", "0.99"]
    merged = json.loads(corrstore(*ask, "--json").stdout)
    assert [(row["role"], row["complete"]) for row in merged] == [("input", True), ("target", True)]
    done = corrstore(*ask, "--output", tmp_path / "tp.parquet")
    assert (done.returncode, done.stdout) == (0, "")
    assert pq.read_table(tmp_path / "tp.parquet")["q0.99"].to_pylist() == [row["q0.99"] for row in merged]
    assert [
        row["part"]
        for row in json.loads(corrstore("catalog", "diff", "--catalog", url, "made", "small", "--json").stdout)
    ]
    assert json.loads(corrstore("catalog", "prune", "--catalog", url, "--json").stdout) == {"stores": [], "files": []}


def test_parquet_goes_through_a_pipe(url):
    command = [sys.executable, "-m", "corrstore", "catalog", "list", "--catalog", url, "--format", "parquet"]
    piped = subprocess.run(command, capture_output=True, check=True).stdout
    assert pq.read_table(pa.BufferReader(piped))["name"].to_pylist() == ["made", "small"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query", "--period", "June"], "period 'June'"),
        (["query", "--region", "1,2,3"], "region '1,2,3'"),
        (["query", "--frequency", "often"], "'often' is not a duration"),
        (["query", "--frequency", "0h"], "'0h' is no"),
        (["query", "--period", "0001/9999"], "at most 2,000,000 are looked at"),
        (["statistics", "--period", "2020/9999", "--months", "6"], "at most 2,000,000 are looked at"),
        (["statistics", "--months", "13"], "month 13 does not exist"),
        (["statistics", "--hours", "noon"], "--hours 'noon'"),
        (["statistics", "--quantile", "50"], "quantile 50"),
        (["statistics", "--store", "nowhere"], "no store 'nowhere'"),
        (["query", "--variable", "t2m", "--variable", "T2"], "has the variable 'T2'; the nearest names are t2m, "),
        (["statistics", "--variable", "z_501"], "has the variable 'z_501'; the nearest names are z_500, "),
        (["list", "--output", "list.txt"], "--format csv"),
    ],
)
def test_mistakes_are_one_message(url, arguments, message):
    done = corrstore("catalog", arguments[0], "--catalog", url, *arguments[1:])
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
