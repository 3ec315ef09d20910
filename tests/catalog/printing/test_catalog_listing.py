"""The output of the commands for people: whole on any terminal, a table where one fits."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from corrstore.catalog.printing.listing import print_rows
from corrstore.catalog.tables.registration import register, register_store
from corrstore.datasets.storage.folder import Folder
from tests.catalog_made import made
from tests.command import corrstore

QUESTIONS = {
    "list": (["list"], ["name", "status", "store", "location"]),
    "query": (["query", "--variable", "t2m", "--variable", "u_850"], ["name", "status", "location"]),
    "statistics": (
        ["statistics", "--variable", "tp", "--variable", "z_500", "--quantile", "0.5", "--quantile", "0.999"],
        ["name", "role", "channel", "units", "mean", "std", "minimum", "maximum", "count", "q0.5", "q0.999"],
    ),
    "diff": (["diff", "small", "made"], ["item", "one", "two"]),
}


@pytest.fixture
def url(tmp_path, demo_store, monkeypatch) -> str:
    url = str(tmp_path / "catalog")
    register_store(url, demo_store.folder.url)
    register(Folder(url), made(tmp_path, invalid=(5,)))
    monkeypatch.setenv("CORRSTORE_CATALOG", url)
    return url


@pytest.mark.parametrize("width", [50, 80, 120, 1000])
@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_is_cut_off_however_narrow_the_terminal(url, monkeypatch, question, width):
    monkeypatch.setenv("COLUMNS", str(width))
    arguments, keys = QUESTIONS[question]
    rows = json.loads(corrstore("catalog", *arguments, "--json").stdout)
    rows = rows["stores"] if isinstance(rows, dict) else rows[:20]
    printed = corrstore("catalog", *arguments).stdout
    assert rows and ("┃" in printed) == (width == 1000 or question == "diff")  # which has short parts
    for row in rows:
        for value in (row[key] for key in keys if row[key] is not None):
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            assert text[:254] in printed


@pytest.mark.parametrize("width", [50, 80, 120])
def test_lines_are_as_long_as_the_terminal_is_wide(url, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = corrstore("catalog", *QUESTIONS["statistics"][0]).stdout.splitlines()
    blocks = [line for line in lines if not line.startswith("incomplete")]
    assert width - 40 < max(map(len, blocks)) <= width


def test_a_channel_has_a_block_on_a_terminal_of_eighty_columns(url, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = corrstore("catalog", "statistics", "--variable", "tp").stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "small  input  tp  kg m-2",
        "small  target  tp  kg m-2",
    ]
    of_input, of_target = lines[1:4], lines[5:]
    for above, below in zip(of_input, of_target, strict=True):
        names = [word for word in above.split("   ") if word.strip()]
        for name in (item.split()[0] for item in names):
            assert above.index(name) == below.index(name)


@pytest.mark.parametrize("other", [("--format", "csv"), ("--output", "rows.csv")])
def test_json_and_another_form_are_refused(url, tmp_path, monkeypatch, other):
    monkeypatch.chdir(tmp_path)
    ended = corrstore("catalog", "list", "--catalog", url, "--json", *other)
    assert (ended.returncode, ended.stdout, (tmp_path / "rows.csv").exists()) == (2, "", False)
    assert f"--json prints JSON on standard output, and {' '.join(other)}" in " ".join(ended.stderr.split())


def test_stores_of_one_name_are_told_apart(tmp_path, monkeypatch):
    for place in ("a", "b"):
        register(Folder(str(tmp_path / "catalog")), made(tmp_path, place=place, invalid=(1,)))
    rows = json.loads(corrstore("catalog", "list", "--catalog", tmp_path / "catalog", "--json").stdout)
    for width in ("80", "300"):
        monkeypatch.setenv("COLUMNS", width)
        printed = corrstore("catalog", "statistics", "--catalog", tmp_path / "catalog").stdout
        for row in rows:
            assert f"incomplete: made {row['store']} 3 channels: 23 of 24 samples" in printed
            assert printed.count(row["store"]) == 4


def test_columns_are_counted_in_cells(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    rows = [{"a": "中国中国", "b": "三公里", "c": "x"}, {"a": "b", "b": "y", "c": "中国中国中国中国"}]
    print_rows(rows, {"a": "a", "b": "long name", "c": ""})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "中国中国" and lines[1].split() == ["long", "name", "三公里"] and lines[2].strip() == "x"
    assert max(cell_len(line) for line in lines) <= 30


def test_an_answer_that_is_empty_is_said(url, tmp_path):
    asked = corrstore("catalog", "query", "--variable", "t2m", "--resolution", "9")
    assert asked.stdout == "no store holds any of it; missing:\n  t2m\n" and asked.returncode == 0
    asked = corrstore("catalog", "query", "--variable", "t2m", "--period", "2019", "--complete")
    assert asked.stdout.startswith("no store alone holds all of it;") and asked.returncode == 1
    asked = corrstore("catalog", "statistics", "--variable", "t2m", "--period", "1990")
    assert asked.stdout.startswith("no store has statistics of that;") and asked.returncode == 0
    (tmp_path / "empty" / "stores").mkdir(parents=True)
    assert corrstore("catalog", "list", "--catalog", tmp_path / "empty").stdout == "the catalog has no stores\n"
