"""The cache of this machine is a help, never a condition."""

from __future__ import annotations

import os

import pytest
import yaml

from corrstore.datasets.archives.contents.files import archive_paths, files_at
from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.cache import read_from_cache, write_to_cache
from tests.command import corrstore
from tests.conftest import brief_content


def test_a_cache_that_cannot_be_written_is_told_once_and_the_work_goes_on(archive, tmp_path, monkeypatch):
    """A file stands where the cache's folder should be: that stops root too, whom permissions do not."""
    recipe, in_the_way = tmp_path / "recipe.yaml", tmp_path / "file"
    recipe.write_text(yaml.safe_dump(brief_content(archive)))
    in_the_way.write_text("no folder")
    monkeypatch.setitem(os.environ, "XDG_CACHE_HOME", str(in_the_way))
    built = corrstore("build", recipe, "--output", tmp_path / "store", "--workers=1")
    assert built.returncode == 0, built.stderr
    assert built.stderr.count("XDG_CACHE_HOME") == 1 and str(in_the_way) in built.stderr


def test_a_pipe_is_not_waited_for(tmp_path):
    """Neither in the place of a finding, nor in that of an archive's file."""
    assert write_to_cache(tmp_path / "finding", b"found") and read_from_cache(tmp_path / "finding") == b"found"
    os.mkfifo(tmp_path / "pipe")
    assert read_from_cache(tmp_path / "pipe") is None
    assert read_from_cache(tmp_path / "finding" / "below") is None
    found, (problem,) = files_at(tmp_path / "pipe")
    with pytest.raises(BadInput, match=r"sources\.a\.path .*pipe is a pipe or a device; correct it or --set"):
        archive_paths("sources.a.path", str(tmp_path / "pipe"), ["**/*"])
    assert not found and "it is a pipe or a device" in str(problem)
