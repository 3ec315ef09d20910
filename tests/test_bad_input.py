"""Bad input ends in one message with exit code 2 and no traceback, and leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.command import corrstore
from tests.conftest import few_are_measured, small_recipe_content


@pytest.fixture
def content(archive) -> dict:
    """The small recipe's content, to be spoilt."""
    return small_recipe_content(archive)


def told(content: dict, tmp_path: Path, *arguments: object) -> str:
    """Return the message of a build of the recipe that ends with exit code 2; nothing may be left."""
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(content))
    output = tmp_path / "store"
    ended = corrstore("build", file, "--output", output, "--workers=1", *arguments)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert not output.exists()
    return " ".join(ended.stderr.split())


def test_a_wrong_key(content, tmp_path):
    content["target"]["chanels"] = content["target"].pop("channels")
    said = told(content, tmp_path)
    assert "target.chanels: no such key" in said and "target.channels: is missing" in said and "recipe.yaml" in said


def test_a_period_outside_the_archive(content, tmp_path):
    content["period"] |= {"start": "2019-06-01T03", "end": "2019-06-02T21"}
    content["splits"] = {"train": {"start": "2019-06-01T03", "end": "2019-06-02T03"}}
    said = told(content, tmp_path)
    assert "2019-06-01T03:00Z" in said and "period" in said


def test_a_target_that_the_input_does_not_cover(content, tmp_path):
    content["input"]["grid"]["south"] = 32.25
    content["input"]["halo"] = 0
    said = told(content, tmp_path)
    assert "not covered by input.grid" in said and "31.3" in said and "32.25" in said


def test_an_input_grid_that_the_archive_does_not_cover(content, tmp_path):
    content["input"]["halo"] = 40
    said = told(content, tmp_path)
    assert "input.grid spans" in said and "era5" in said and "halo" in said


def test_a_source_folder_with_no_file(content, tmp_path):
    (tmp_path / "empty").mkdir()
    content["sources"]["era5"]["path"] = str(tmp_path / "empty")
    said = told(content, tmp_path)
    assert "sources.era5.path" in said and "holds no file" in said


def test_a_source_folder_that_is_not_there(content, tmp_path):
    content["sources"]["era5"]["path"] = str(tmp_path / "nowhere")
    assert "does not exist" in told(content, tmp_path)


def test_an_override_that_is_no_recipe(content, tmp_path):
    said = told(content, tmp_path, "--set", "store.dtype=float8")
    assert "store.dtype" in said and "float8" in said


def test_an_unwritable_folder(content, tmp_path):
    """A file stands where the folder should be: that stops root too, whom permissions do not."""
    (tmp_path / "file").write_text("in the way")
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(content))
    ended = corrstore("build", file, "--output", tmp_path / "file" / "store", "--workers=1")
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert "cannot write" in ended.stderr and "Not a directory" in ended.stderr


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk(content, tmp_path, capfd, workers):
    """A file system of 200 KiB: the first shards do not fit; afterwards nothing half-written is on it."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (it needs root)")
    try:
        file = tmp_path / "recipe.yaml"
        file.write_text(yaml.safe_dump(few_are_measured(content)))
        ended = corrstore("build", file, "--output", small / "store", f"--workers={workers}")
        assert ended.returncode == 75 and "Traceback" not in ended.stderr, ended.stderr
        assert "No space left on device" in ended.stderr and "make room" in ended.stderr
        assert len(ended.stderr.splitlines()) <= 3 and capfd.readouterr().err == ""  # of worker processes
        assert not list(small.rglob(".partial-*"))
        assert not (small / "store" / "zarr.json").exists()
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_a_folder_of_something_else_is_not_overwritten(content, tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(content))
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.tex").write_text("years of work")
    ended = corrstore("build", file, "--output", tmp_path / "store", "--workers=1")
    assert ended.returncode == 2 and "no store" in ended.stderr
    assert (tmp_path / "store" / "thesis.tex").read_text() == "years of work"


def test_a_store_that_is_not_there():
    for command in ("verify", "inspect"):
        ended = corrstore(command, "/nowhere/store")
        assert ended.returncode == 2 and "no training store at /nowhere/store" in ended.stderr


def test_a_recipe_that_is_not_there():
    ended = corrstore("plan", "nothing.yaml")
    assert ended.returncode == 2 and "china_3km" in ended.stderr


def test_a_recipe_that_is_no_yaml(tmp_path):
    (tmp_path / "r.yaml").write_text("a: [1,\nb: 2")
    ended = corrstore("plan", tmp_path / "r.yaml")
    assert ended.returncode == 2 and "r.yaml, line 2: not YAML" in ended.stderr


def test_a_misspelt_option_is_not_passed_over(content, tmp_path):
    said = told(content, tmp_path, "--wrokers", "4")
    assert "unknown option --wrokers" in said and "the nearest are --workers" in said
    said = told(content, tmp_path, "--direct_num_worker=4")
    assert "unknown option --direct_num_worker:" in said and "--direct_num_workers" in said


def test_an_option_with_a_value_that_beam_refuses_is_told_in_one_line(content, tmp_path):
    said = told(content, tmp_path, "--direct_num_workers=many")
    assert "Beam does not accept --direct_num_workers=many" in said and "invalid int value" in said


@pytest.mark.parametrize(
    "words", [("convert", "old", "--wrong"), ("verify", "--wrong"), ("build", "--wrong", "--output", "s")]
)
def test_a_wrong_option_is_not_taken_for_a_path(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = corrstore(*words)
    assert ended.returncode == 2, ended.stderr
    assert "--wrong" in ended.stderr and "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["archive", "s3://u:SECRET@b/c"],
        ["archive", "https://h/c?token=SECRET"],
        ["plan", "s3://u:SECRET@b/r.yaml"],
        ["synth", "s3://u:SECRET@b/c"],
        ["report", "store", "--output=gs://u:SECRET@b/c"],
    ],
)
def test_a_secret_in_a_url_is_refused_by_every_command_and_not_printed(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = corrstore(*words)
    assert ended.returncode == 2 and "a user or a query" in ended.stderr, ended.stderr
    assert "SECRET" not in ended.stdout + ended.stderr and not list(tmp_path.iterdir())


def test_what_is_written_to_a_disk_alone_takes_no_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = corrstore("synth", "s3://bucket/archive", "--shape=48x64", "--end=2020-07-02T12")
    assert ended.returncode == 2 and "was a URL" in ended.stderr and not list(tmp_path.iterdir()), ended.stderr
