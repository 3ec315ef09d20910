"""Damaged files of archives: GRIB, NetCDF, Zarr and containers."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import xarray as xr

from corrstore.datasets.archives.inventory import take_inventory
from corrstore.datasets.archives.references import FieldReference
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.pairing.sources import needed_channels
from corrstore.datasets.recipe.periods import Interval
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.samples.reading import read_reference
from corrstore.datasets.variables.channels import channel_named
from tests.chaos.outcomes import Outcomes

ALWAYS = Interval(np.datetime64("1900", "s"), np.datetime64("2100", "s"))


def mutated(content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    """Return one of six kinds of damage and the damaged bytes."""
    kind = ("flip", "cut", "zeros", "noise", "large", "moved")[random.integers(6)]
    changed, place = bytearray(content), int(random.integers(len(content)))
    head = int(random.integers(min(len(content), 400)))  # headers are small, and matter most
    if kind == "flip":
        for each in (head, place):
            changed[each] ^= 1 << int(random.integers(8))
    elif kind == "cut":
        del changed[place:]
    elif kind == "zeros":
        changed[place : place + 64] = bytes(len(changed[place : place + 64]))
    elif kind == "noise":
        changed[head : head + 8] = random.bytes(len(changed[head : head + 8]))
    elif kind == "large":
        changed[head : head + 4] = b"\xff" * len(changed[head : head + 4])
    else:
        del changed[head : head + int(random.integers(1, 9))]
    return f"{kind} at {place}, {head}", bytes(changed)


@dataclass(frozen=True)
class Reading:
    """What `plan` and `build` see of an archive of one file: its source in the recipe, and fields that are right."""

    recipe: Recipe
    source: str
    right: dict[tuple[Any, ...], bytes]
    has_checksums: bool

    @classmethod
    def of(cls, folder: Path, recipe: Recipe, source: str, has_checksums: bool = False) -> Reading:
        """Read the archive that is whole."""
        named, right = _fields(folder, recipe, source)
        assert right and not named
        return cls(recipe, source, right, has_checksums)

    def outcome(self, folder: Path) -> str:
        """Read the damaged archive; what is accepted must be right, where the format has checksums."""
        named, found = _fields(folder, self.recipe, self.source)
        if named:
            return "named as a problem"
        if all(self.right.get(key) == content for key, content in found.items()):
            return "the same numbers"
        return "other numbers" if self.has_checksums else "another file, as far as its format tells"


def _fields(folder: Path, recipe: Recipe, source: str, most: int = 4) -> tuple[bool, dict[tuple[Any, ...], bytes]]:
    """Return whether a problem is named, and a digest of some fields by channel and times."""
    spec = recipe.sources[source].model_copy(update={"path": str(folder), "files": ["*"]})
    inventory = take_inventory(source, spec, needed_channels(recipe)[source], ALWAYS)
    rows = inventory.references.filter(pc.is_valid(inventory.references["path"])).slice(0, most).to_pylist()
    named, found = bool(inventory.problems), {}
    for row in rows:
        try:
            values, grid = read_reference(FieldReference.from_row(row), {})
        except (BadInput, DamagedData):
            named = True
            continue
        low, high = channel_named(row["channel"]).variable.valid_range
        named = named or bool((values < low).any() or (values > high).any())  # such a sample is not valid
        content = np.ascontiguousarray(values).tobytes() + repr(grid).encode()
        key = (row["channel"], row["valid_time"], row["window_start"])
        found[key] = hashlib.sha256(content).digest()
    return named, found


def mutations(what: str, file: Path, place: Path, reading: Reading, count: int, seed: int = 0) -> Outcomes:
    """Damage a copy of the file and read it, `count` times."""
    outcomes, random = Outcomes(what), np.random.default_rng(seed)
    content = file.read_bytes()
    for number in range(count):
        folder = place / str(number)
        folder.mkdir(parents=True)
        kind, changed = mutated(content, random)
        (folder / file.name).write_bytes(changed)
        outcomes.attempt(lambda folder=folder: reading.outcome(folder), f"{file.name}, {number}: {kind}")
        shutil.rmtree(folder)
    return outcomes


def mutations_of_zarr(group: Path, place: Path, reading: Reading, count: int, seed: int = 0) -> Outcomes:
    """Damage one object of a copy of the Zarr group and read it, `count` times."""
    outcomes, random = Outcomes("Zarr"), np.random.default_rng(seed)
    objects = sorted(path.relative_to(group) for path in group.rglob("*") if path.is_file())
    for number in range(count):
        copy = Path(shutil.copytree(group, place / str(number)))
        victim = copy / objects[random.integers(len(objects))]
        kind, changed = mutated(victim.read_bytes(), random)
        victim.write_bytes(changed)
        outcomes.attempt(lambda copy=copy: reading.outcome(copy), f"{victim}: {kind}")
        shutil.rmtree(copy)
    return outcomes


def alone(file: Path, place: Path) -> Path:
    """Return a folder that has a copy of that file, or group, alone."""
    place.mkdir(parents=True)
    if file.is_dir():
        shutil.copytree(file, place / file.name)
    else:
        shutil.copy(file, place)
    return place


def gridded(place: Path) -> tuple[Path, Path]:
    """Write SYNTHETIC hourly 2 m temperature and wind as NetCDF and as Zarr; returns both."""
    times = np.arange("2020-06-01", "2020-06-02", 3, dtype="M8[h]").astype("M8[ns]")
    shape = (len(times), 24, 30)
    axes = {"time": times, "latitude": np.linspace(33, 30, 24), "longitude": np.linspace(100, 104, 30)}
    random = np.random.default_rng(0)
    fields = xr.Dataset(
        {name: (tuple(axes), random.normal(280, 9, shape).astype("f4"), {"units": "K"}) for name in ("t2m", "d2m")},
        axes,
    )
    fields.to_netcdf(place / "fields.nc", encoding={"t2m": {"zlib": True}})
    fields.to_zarr(place / "fields.zarr", zarr_format=2, consolidated=True)
    return place / "fields.nc", place / "fields.zarr"


def containers(file: Path, place: Path) -> list[Path]:
    """Write the file into one container of each kind; returns them."""
    content = file.read_bytes()
    for suffix, compress in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
        (place / f"{file.name}{suffix}").write_bytes(compress(content))
    with zipfile.ZipFile(place / "fields.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(file.name, content)
    with tarfile.open(place / "fields.tar", "w") as archive:
        member = tarfile.TarInfo(file.name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return sorted(path for path in place.iterdir() if path.name != file.name)
