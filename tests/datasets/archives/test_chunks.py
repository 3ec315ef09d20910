"""The chunks that hold a slice of a Zarr group, and their state."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from corrstore.datasets.archives.gridded.chunks import ChunksState, LocalGroups
from corrstore.datasets.errors import DamagedData

LAYOUTS = [(2, None), (3, None), (3, (2, 6, 8))]


def group(path: Path, version: int, shards: tuple[int, ...] | None, runs: int = 4, seed: int = 0) -> Path:
    """Write a group of runs in chunks of one run and half a field; that of the first run is there, all the same."""
    numbers = np.random.default_rng(seed).normal(size=(runs, 6, 8)).astype(np.float32)
    dataset = xr.Dataset({"t": (("init", "lat", "lon"), numbers)}, {"init": np.arange(runs)})
    encoding = {"chunks": (1, 3, 8)} | ({"shards": shards} if shards else {})
    dataset.to_zarr(path, mode="w", zarr_format=version, consolidated=version == 2, encoding={"t": encoding})
    return path


def state(path: Path, run: int) -> ChunksState:
    return LocalGroups().state_of(str(path), "t", json.dumps({"init": run}))


def objects(path: Path) -> list[Path]:
    """The objects of the variable that are no metadata."""
    return sorted(each for each in (path / "t").rglob("*") if each.is_file() and each.name[-1].isdigit())


@pytest.mark.parametrize(("version", "shards"), LAYOUTS)
def test_a_slice_has_the_state_of_its_own_chunks_alone(tmp_path, version, shards):
    path = group(tmp_path / "g.zarr", version, shards)
    before = [state(path, run) for run in range(4)]
    assert sum(each.bytes for each in before) == sum(each.stat().st_size for each in objects(path)) * (
        2 if shards else 1
    )
    last = objects(path)[-1]
    content = last.read_bytes()
    last.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(last, ns=(0, last.stat().st_mtime_ns + 1000))
    after = [state(path, run) for run in range(4)]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, bool(not shards), False]


def test_a_group_that_grows_or_moves_leaves_the_state_of_what_it_had(tmp_path):
    path = group(tmp_path / "g.zarr", 2, None)
    before = [state(path, run) for run in range(4)]
    later = xr.open_zarr(group(tmp_path / "later.zarr", 2, None, seed=1)).assign_coords(init=np.arange(4, 8))
    later.to_zarr(path, append_dim="init", consolidated=True)
    assert xr.open_zarr(path).sizes["init"] == 8
    moved = path.rename(tmp_path / "moved.zarr")
    assert [state(moved, run) for run in range(4)] == before and state(moved, 4) not in before


def test_a_chunk_that_is_gone_is_another_state_and_a_variable_that_is_gone_is_named(tmp_path):
    path = group(tmp_path / "g.zarr", 3, None)
    before = state(path, 0)
    objects(path)[0].unlink()
    assert state(path, 0).sha256 != before.sha256 and 0 < state(path, 0).bytes < before.bytes
    with pytest.raises(DamagedData, match=r"u of .*g.zarr was read for the store and cannot be now"):
        LocalGroups().state_of(str(path), "u", "{}")
