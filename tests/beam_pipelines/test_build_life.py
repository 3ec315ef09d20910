"""The life of a store: finished, extended, repaired, filled in; and what is refused."""

from __future__ import annotations

import io
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from corrstore.beam_pipelines.build import build
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.beam_pipelines.verify import verify
from corrstore.datasets.archives.table import load_table
from corrstore.datasets.errors import BadInput, OutOfResources
from corrstore.datasets.recipe.periods import format_time, parse_time
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import HISTORY, MANIFEST, SAMPLES, SHARDS, STATISTICS, copy_of
from corrstore.datasets.store.opening import open_store
from tests.conftest import QUIET, brief_content, build_in_process, small_recipe_content
from tests.digests import digest


def check(folder: Path, against_source: int = 0):
    """The verdict on a store."""
    return verify(open_store(str(folder)), Runner(workers=1), QUIET, against_source)


@pytest.fixture
def copy(demo_store, tmp_path) -> Path:
    """A copy of the finished store, to be changed."""
    return Path(shutil.copytree(demo_store.folder.url, tmp_path / "store"))


def test_a_finished_build_started_again_does_nothing(recipe, copy):
    before = digest(copy)
    times = {path: path.stat().st_mtime_ns for path in copy.glob("*/c/**/*")}
    assert build_in_process(recipe, copy).written == 0
    assert digest(copy) == before
    assert {path: path.stat().st_mtime_ns for path in copy.glob("*/c/**/*")} == times


def test_a_store_that_grew_is_the_store_that_was_built_at_once(recipe, archive, demo_store, tmp_path):
    content = small_recipe_content(archive)
    content["period"]["end"] = "2020-06-02T12"
    del content["splits"]["test"]
    folder = tmp_path / "store"
    build_in_process(recipe_from(content), folder)
    short = open_store(str(folder))
    samples = len(short.times)
    first = (folder / "target/c/0/0/0/0").stat().st_mtime_ns
    grown = build_in_process(recipe, folder)
    assert grown.written == len(recipe.times) - samples == 3
    assert (folder / "target/c/0/0/0/0").stat().st_mtime_ns == first
    assert open_store(str(folder)).fingerprint == short.fingerprint == demo_store.fingerprint
    test = {key: str(value) for key, value in recipe.content["splits"]["test"].items()}
    (entry,) = json.loads((folder / HISTORY).read_text())["history"]
    assert {key: str(now) for key, (was, now) in entry["changes"].items() if was is None} == {
        f"splits.test.{key}": value for key, value in test.items()
    }
    of_history = (HISTORY, copy_of(HISTORY), MANIFEST)
    assert digest(folder, *of_history) == digest(Path(demo_store.folder.url), *of_history)


def test_changed_splits_of_a_finished_store_are_told_and_kept(archive, copy):
    content = small_recipe_content(archive)
    before = content["splits"]["test"]["start"]
    del content["splits"]["test"]
    told = io.StringIO()
    build(recipe_from(content), Folder(str(copy)), Runner(workers=1), Console(file=told))
    assert f"splits.test.start was {before}" in told.getvalue() and "is now None" in told.getvalue()
    (entry,) = json.loads((copy / HISTORY).read_text())["history"]
    assert entry["changes"]["splits.test.start"] == [f"{before}:00Z", None]
    assert datetime.fromisoformat(entry["time"]).tzinfo == UTC


@pytest.mark.parametrize(
    ("key", "change"),
    [
        (
            "target.channels",
            lambda content: content["target"]["channels"].reverse(),
        ),
        ("period.start", lambda content: content["period"].update(start="2020-06-01T00")),
        ("store.dtype", lambda content: content["store"].update(dtype="float32")),
        ("splits.train.end", lambda content: content["splits"]["train"].update(end="2020-06-02T00")),
    ],
)
def test_a_recipe_that_changed_otherwise_is_refused_with_the_difference(archive, copy, key, change):
    content = small_recipe_content(archive)
    change(content)
    before = digest(copy)
    with pytest.raises(BadInput, match=key) as refusal:
        build_in_process(recipe_from(content), copy)
    assert "in the store" in str(refusal.value) and "in the recipe" in str(refusal.value)
    assert "rules of" not in str(refusal.value)
    assert digest(copy) == before


def test_verify_passes_and_equals_the_archives(copy):
    verdict = check(copy, against_source=14)
    assert verdict.passed and verdict.compared == 14


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def test_verify_names_what_is_damaged_and_repair_builds_just_that(recipe, copy):
    """A bit flipped, a shard cut short, a shard gone and a record gone, each of a sample of its own."""
    before = digest(copy)
    flip_a_bit(copy / "target/c/3/0/0/0")
    cut = copy / "input/c/5/0/0/0"
    cut.write_bytes(cut.read_bytes()[:-100])
    (copy / "target/c/8/0/0/0").unlink()
    (copy / "ledger/records/20200602T1200.parquet").unlink()
    verdict = check(copy)
    assert verdict.rebuild == [3, 5, 8, 11] and verdict.damaged == []
    unlike = "{0} has {1} bytes and not the checksum of the {2} that were written"
    bytes_of = {key: (copy / key).stat().st_size for key in ("target/c/3/0/0/0", "input/c/5/0/0/0")}
    assert verdict.faults == {
        "2020-06-01T12:00Z": [unlike.format(key := "target/c/3/0/0/0", bytes_of[key], bytes_of[key])],
        "2020-06-01T18:00Z": [unlike.format(key := "input/c/5/0/0/0", bytes_of[key], bytes_of[key] + 100)],
        "2020-06-02T03:00Z": ["target/c/8/0/0/0 is not there"],
        "2020-06-02T12:00Z": ["ledger/records/20200602T1200.parquet is not there"],
    }
    repaired = build_in_process(recipe, copy, repair=True)
    assert repaired.written == 4
    assert digest(copy) == before
    assert check(copy).passed


def test_verify_misses_no_other_object_and_repair_makes_it_again(recipe, copy):
    before = digest(copy)
    keys = ["lat/c/0", "ledger/statistics.parquet", "static/c/0/0/0", "valid/c/0"]
    for key in keys:
        (copy / key).write_bytes(b"damaged")
    verdict = check(copy)
    assert sorted(verdict.damaged) == keys and verdict.rebuild == [] and not verdict.passed
    assert build_in_process(recipe, copy, repair=True).written == 0
    assert digest(copy) == before


def test_verify_of_a_store_whose_archive_is_gone_does_not_condemn_it(archive, tmp_path):
    away = shutil.copytree(archive, tmp_path / "archive")
    build_in_process(recipe_from(brief_content(away)), tmp_path / "store")
    shutil.rmtree(away)
    assert check(tmp_path / "store").passed
    verdict = check(tmp_path / "store", against_source=2)
    assert not verdict.passed and verdict.faults == {} and verdict.rebuild == []
    assert verdict.not_compared == {"were made of files that are not there": verdict.checked}


def test_a_table_that_changed_is_refused_with_the_difference(archive, tmp_path):
    table = tmp_path / "mine.yaml"
    table.write_text("name: mine\nlike: cma_rra\n")
    content = brief_content(archive)
    content["sources"]["cma_rra"]["type"] = str(table)
    build_in_process(recipe_from(content), tmp_path / "store")
    t2m = load_table("cma_rra").fields["t2m"].model_dump(exclude_unset=True) | {"run_hours": [*range(24)]}
    table.write_text(json.dumps({"name": "mine", "like": "cma_rra", "fields": {"t2m": t2m}}))
    assert build_in_process(recipe_from(content), tmp_path / "store")  # what is only refused changes no number
    table.write_text(
        "name: mine\nlike: cma_rra\nfields:\n"
        "  t2m: {grib: [{discipline: 0, category: 0, number: 0, level_type: 103, level: 2}], offset: 7}\n"
    )
    with pytest.raises(BadInput, match=r"t2m\.offset: 0\.0 in the store, 7\.0 in the recipe"):
        build_in_process(recipe_from(content), tmp_path / "store")


def test_workers_that_leave_nothing_make_no_store(recipe, tmp_path, monkeypatch):
    """Workers that see another disk than the driver leave nothing on its own."""
    monkeypatch.setattr("corrstore.beam_pipelines.spreading.spread.write_task_record", lambda *_: None)
    with pytest.raises(OutOfResources, match=r"has ended, and left 0 of .* all see the output's folder"):
        build_in_process(recipe, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_static_field_that_is_not_there_is_told_before_the_work(archive, tmp_path):
    table = tmp_path / "mine.yaml"
    table.write_text("name: mine\nlike: cma_rra\nfields: {lsm: {grib: [{discipline: 2, category: 0, number: 250}]}}\n")
    content = small_recipe_content(archive)
    content["sources"]["cma_rra"]["type"] = str(table)
    with pytest.raises(BadInput, match="holds no field of lsm"):
        build_in_process(recipe_from(content), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_an_object_of_no_sample_is_told(copy):
    shutil.copy(copy / "target/c/3/0/0/0", copy / "target/c/99")
    assert check(copy).unknown == ["target/c/99"]


REASON = {
    "corrupt_message": "target t2m: cma_rra holds no t2m at {}",
    "truncated": "target z_500: cma_rra holds no z_500 at {}",
    "missing_hour": "input tp: era5 holds no tp over 3h at {}",
    "bitmap": "target u10m: 576 of 3072 pixels are missing",
}


def test_every_fault_is_found_and_told(faulty, faulty_build, faulty_store):
    """Each damaged sample is not valid, for the one reason that it is damaged; the others all are."""
    (root, damaged), (_, result), store = faulty, faulty_build, faulty_store
    reasons, problems, preliminary = {}, {}, 0
    for fault in damaged.faults:
        if fault.kind == "expver_mix":
            preliminary += len({"t2m", "u10m", "v10m", "sp", "tp", "z_500", "t_850"} & set(fault.variables))
            continue
        hour = parse_time(fault.valid_time)
        time = format_time(store.times[np.searchsorted(store.times, hour)])  # a missing hour breaks its window
        reasons[time] = [REASON[fault.kind].format(time)]
        if fault.kind in ("truncated", "corrupt_message"):
            problems[str(root / fault.file)] = fault.kind.removesuffix("_message")
    assert len(reasons) == len(REASON) == 4 and len(problems) == 2
    assert {format_time(time) for time in store.times[~store.valid]} == set(reasons)
    report = result.report
    assert report.reasons == reasons
    assert (report.valid, report.partial, report.missing) == (len(store.times) - 4, 4, 0)
    assert report.notes == {"preliminary fields set aside for final ones": preliminary}
    found = [re.fullmatch(r"(.+) at byte \d+: (corrupt|truncated): .+", problem) for problem in report.problems]
    assert {match[1]: match[2] for match in found} == problems and len(found) == 2


def test_a_store_of_damaged_archives_verifies(faulty_store, tmp_path):
    folder = shutil.copytree(faulty_store.folder.url, tmp_path / "store")
    verdict = check(folder, against_source=14)
    assert verdict.passed and verdict.compared == 10  # as many as are valid


def test_reading_a_sample_that_is_not_valid_is_an_error_unless_asked_for(faulty_store):
    store = faulty_store
    index = int(np.flatnonzero(~store.valid)[0])
    with pytest.raises(BadInput, match="not valid"):
        store.stored("target", index)
    assert store.stored("target", index, allow_invalid=True).shape == store.plan.shard_layout("target").shape


def test_a_missing_hour_that_arrives_later_is_filled_in(archive, tmp_path):
    """The archive lacks one file; it comes, and the same command builds that sample and the one whose rain needs it."""
    late = tmp_path / "archive"
    shutil.copytree(archive, late)
    file = sorted((late / "cma_rra").rglob("*.grib2"))[1]
    file.rename(tmp_path / "late.grib2")
    content = brief_content(late)
    recipe = recipe_from(content | {"max_missing_share": 0.5})
    folder = tmp_path / "store"
    first = build_in_process(recipe, folder).report
    no_t2m, no_tp = "target t2m: cma_rra holds no t2m at {}", "target tp: cma_rra holds no tp over 3h at {}"
    own, next_one = "2020-06-01T06:00Z", "2020-06-01T09:00Z"
    assert first.reasons == {own: [no_t2m.format(own), no_tp.format(own)], next_one: [no_tp.format(next_one)]}
    assert (first.samples, first.valid) == (5, 3)
    (tmp_path / "late.grib2").rename(file)
    second = build_in_process(recipe, folder)
    assert second.written == 2
    assert second.report.valid == second.report.samples
    verdict = check(folder, against_source=5)
    assert verdict.passed and verdict.compared == 5


def test_a_store_is_plain_zarr_with_cf_names(demo_store):
    opened = xr.open_zarr(demo_store.folder.url)
    assert opened.target.dims == ("time", "target_channel", "lat", "lon")
    assert opened.lat.attrs["standard_name"] == "latitude"
    named = demo_store.dataset("target")
    assert named.t2m.attrs == {"standard_name": "air_temperature", "long_name": "2 m temperature", "units": "K"}
    assert "sum" in named.tp.attrs["cell_methods"]
    np.testing.assert_allclose(named.t2m.isel(time=2), demo_store.physical("target", 2)[0], rtol=1e-6)


def test_tensorstore_zarr_and_zarrs_read_the_same_numbers(demo_store):
    import zarr

    theirs = demo_store.arrays["target"][4].read().result()
    np.testing.assert_array_equal(theirs, demo_store.stored("target", 4))
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        group = zarr.open_group(demo_store.folder.url, mode="r")
        np.testing.assert_array_equal(group["target"][4], theirs)


def test_statistics_of_the_ledger_are_those_of_the_data(demo_store):
    table = demo_store.table(STATISTICS).to_pylist()
    rows = {(row["role"], row["channel"], row["valid_time"]): row for row in table}
    for role in ("input", "target"):
        for index, time in enumerate(demo_store.times[:3]):
            physical = demo_store.physical(role, index)
            for channel, field in zip(demo_store.plan.channels(role), physical, strict=True):
                row = rows[role, channel.name, time.astype(object)]
                assert row["count"] == field.size and row["missing"] == 0
                np.testing.assert_allclose(row["mean"], field.mean(), rtol=1e-12, atol=1e-12)
                np.testing.assert_allclose(row["m2"], ((field - field.mean()) ** 2).sum(), rtol=1e-10)
                assert (row["minimum"], row["maximum"]) == (field.min(), field.max())


def test_rain_sums_to_what_the_runs_total(demo_store, archive):
    """Windows of three hours add up to the twelve-hour totals that the archive's runs end with, but for packing."""
    import eccodes

    index = int(np.flatnonzero(demo_store.times == np.datetime64("2020-06-01T12", "s"))[0])
    position = [channel.name for channel in demo_store.plan.channels("target")].index("tp")
    windows = sum(demo_store.physical("target", index - step)[position] for step in range(4))
    (file,) = (archive / "cma_rra").rglob("*20200601120000*.grib2")
    with file.open("rb") as messages:
        while (handle := eccodes.codes_grib_new_from_file(messages)) is not None:
            keys = [eccodes.codes_get(handle, key) for key in ("discipline", "parameterCategory", "parameterNumber")]
            if keys == [0, 1, 8]:
                total = eccodes.codes_get_values(handle).reshape(eccodes.codes_get(handle, "Nj"), -1)
    inner = total[6:-6, 6:-6]
    assert inner.shape == windows.shape
    np.testing.assert_allclose(windows, inner, atol=0.02 + 0.004 * inner.max())
    assert windows.max() > 1


def test_shards_and_samples_are_told_in_plain_parquet(demo_store):
    import duckdb

    root = demo_store.folder.url
    (found,) = duckdb.sql(f"select count(*), sum(bytes) from '{root}/{SHARDS}'").fetchall()
    files = [path for role in ("input", "target") for path in Path(root, role, "c").rglob("*") if path.is_file()]
    assert found == (2 * len(demo_store.times), sum(path.stat().st_size for path in files))
    assert duckdb.sql(f"select distinct status from '{root}/{SAMPLES}'").fetchall() == [("valid",)]


def test_the_ledger_tells_what_the_store_was_made_from(demo_store):
    attributes = json.loads(Folder(demo_store.folder.url).read("zarr.json"))["attributes"]["corrstore"]
    assert len(attributes["ledger_digest"]) == 64
    assert attributes["recipe"]["name"] == "small"
    assert attributes["software"].startswith("corrstore ")


def test_a_build_with_nothing_to_do_reads_no_file_of_the_archives_until_one_is_another(archive, tmp_path, monkeypatch):
    away = shutil.copytree(archive, tmp_path / "archive")
    small = recipe_from(brief_content(away))
    build_in_process(small, tmp_path / "store")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert build_in_process(small, tmp_path / "store").written == 0
    assert not (tmp_path / "cache").exists()
    next((away / "cma_rra").rglob("*.grib2")).touch()
    assert build_in_process(small, tmp_path / "store").written == 0
    assert (tmp_path / "cache").exists()


def test_a_build_with_nothing_to_do_in_the_archives_makes_a_lost_record_again(recipe, copy):
    before = digest(copy)
    (copy / "ledger/records/20200602T1200.parquet").unlink()
    assert build_in_process(recipe, copy).written == 1
    assert digest(copy) == before
