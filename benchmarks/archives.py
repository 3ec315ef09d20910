"""A benchmark of large archives: listing them, and weights of grids without a projection. SYNTHETIC archives.

Run `python -m benchmarks.archives [SHARE]`. Each number is of a process of its own, in seconds of processor time and in
MiB that its memory grew by, beside what it must not exceed at full size. `SHARE` makes all of them smaller.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pyproj import Proj

from corrstore.datasets.samples.probe import peak_bytes


class Bound(NamedTuple):
    """The largest share of a processor's time, in seconds, and of memory, in MiB."""

    seconds: float
    mebibytes: float


def list_netcdf(folder: Path, share: float) -> Callable[[], object]:
    """List 105,000 hours of a NetCDF file as references."""
    import xarray as xr

    from corrstore.datasets.archives.inventory import take_inventory
    from corrstore.datasets.recipe.periods import Interval, parse_time
    from corrstore.datasets.recipe.source import SourceSpec
    from corrstore.datasets.variables.channels import channel_named

    hours = round(105_000 * share)
    axes = {"time": np.datetime64("2000-01-01", "ns") + np.arange(hours) * np.timedelta64(1, "h")}
    axes |= {"latitude": np.array([2.0, 1.0]), "longitude": np.array([1.0, 2.0])}
    field = (tuple(axes), np.zeros((hours, 2, 2), np.float32), {"units": "K"})
    xr.Dataset({"t2m": field}, axes).to_netcdf(folder / "a.nc")
    spec, channels = SourceSpec(type="era5", path=str(folder)), [channel_named("t2m")]
    first, all_of_them = (Interval(parse_time("2000-01-01"), parse_time(end)) for end in ("2000-01-02", "2030-01-01"))
    take_inventory("a", spec, channels, first)  # imports what it needs
    return lambda: take_inventory("a", spec, channels, all_of_them)


def load_grib_index(folder: Path, share: float) -> Callable[[], object]:
    """Load the index of a million GRIB messages in 1,000 files from the cache."""
    from corrstore.datasets.archives.grib.handle import eccodes
    from corrstore.datasets.archives.grib_archive import index_files

    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    messages = []
    for number in range(1000):
        eccodes.codes_set(handle, "parameterNumber", number % 40)
        eccodes.codes_set(handle, "dataDate", 20200101 + number // 40)
        messages.append(eccodes.codes_get_message(handle))
    eccodes.codes_release(handle)
    files = [(str(folder / f"{number:04d}.grib"), "") for number in range(round(1000 * share))]
    for path, _ in files:
        Path(path).write_bytes(b"".join(messages))
    index_files(files)
    return lambda: index_files(files)


def triangle_weights(folder: Path, share: float) -> Callable[[], object]:
    """Compute the weights from 800 x 1000 points in no projection to 1600 x 2400 points."""
    from corrstore.datasets.grids.rectilinear import RectilinearGrid
    from corrstore.datasets.grids.scattered import triangles
    from corrstore.datasets.grids.scattered.points import PointsGrid

    def source_and_destination(side: float) -> tuple[PointsGrid, RectilinearGrid]:
        lambert = Proj("+proj=lcc +lat_0=35 +lon_0=105 +lat_1=30 +lat_2=40 +R=6371229")
        x, y = np.linspace(-2.2e6, 2.2e6, round(1000 * side)), np.linspace(-1.9e6, 2.1e6, round(800 * side))
        lon, lat = lambert(*np.meshgrid(x, y), inverse=True)
        wanted = np.linspace(50, 20, round(1600 * side)), np.linspace(85, 125, round(2400 * side))
        return PointsGrid(lat, lon), RectilinearGrid(*wanted)

    triangles.triangle_weights(*source_and_destination(0.02))  # compiles
    grids = source_and_destination(share**0.5)
    return lambda: triangles.triangle_weights(*grids)


MEASURED: dict[str, tuple[Callable[[Path, float], Callable[[], object]], Bound]] = {
    "105,000 references of a NetCDF archive": (list_netcdf, Bound(1, 50)),
    "index of a million GRIB messages": (load_grib_index, Bound(5, 1500)),
    "weights of 800 x 1000 points": (triangle_weights, Bound(15, 1500)),
}


def measure(name: str, share: float) -> None:
    """Print the seconds and the MiB of one measurement."""
    with tempfile.TemporaryDirectory() as folder:
        work = MEASURED[name][0](Path(folder), share)
        memory, start = peak_bytes(), time.process_time()
        kept = work()
        print(f"{time.process_time() - start:.2f} {(peak_bytes() - memory) / 2**20:.1f}")
        del kept


def main() -> None:
    """Measure all, each in a process of its own, and print a table."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    print(f"{'':40} {'s':>8} {'bound':>8} {'MiB':>8} {'bound':>8}")
    for name, (_, bound) in MEASURED.items():
        command = [sys.executable, "-c", f"from benchmarks.archives import measure; measure({name!r}, {share})"]
        seconds, mebibytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        print(f"{name:40} {seconds:>8} {bound.seconds:>8g} {mebibytes:>8} {bound.mebibytes:>8g}")


if __name__ == "__main__":
    main()
