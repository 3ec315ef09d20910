"""A benchmark of bringing a finer input to the training grid: interpolation and conservative averaging.

Real HRRR fields at 3 km are averaged to 0.125 degree, which stands for a finer forecast, and to 0.25 degree, which
stands for the training input. Each way from 0.125 to 0.25 degree is compared with the latter, for a finer grid that
has the coarse points among its own, and for one that lies half a cell off them, as CMA-GFS does.

Run: python -m benchmarks.science.coarsening [--data ../shared/data/km]
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from corrstore.datasets.archives.grib.decode import read_field
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.regrid import Method, regridder

FILES = ("hrrr.t06z.wrfsfcf01-TMP.grib2", "hrrr.t06z.wrfsfcf01-UGRD.grib2", "hrrr.t00z.wrfsfcf00-HPBL.grib2")
FINE = RectilinearGrid.from_box(46, 26, -118, -80, 0.025)
MIDDLE = {
    "shared": RectilinearGrid.from_box(45, 27, -117, -81, 0.125),
    "half a cell off": RectilinearGrid.from_box(45.0625, 26.9375, -117.0625, -80.9375, 0.125),
}
COARSE = RectilinearGrid.from_box(44, 28, -116, -82, 0.25)
METHODS: tuple[Method, ...] = ("bilinear", "conservative")


def power_below(field: NDArray[np.float32], degrees: float, step: float) -> float:
    """Return the variance of the wavelengths below that many degrees, by a windowed Fourier transform."""
    window = np.outer(np.hanning(field.shape[0]), np.hanning(field.shape[1]))
    spectrum = np.abs(np.fft.fft2((field - field.mean()) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(size, step) for size in field.shape), indexing="ij"))
    return float(spectrum[frequency > 1 / degrees].sum())


def main() -> None:
    """Print error and power of each way for each field."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/km"))
    folder = parser.parse_args().data
    table = Table("field", "points", "way", "RMS difference / std", "power below 1 degree", "power below 0.6 degree")
    for name in FILES:
        path = folder / name
        hrrr = read_field(path, 0, path.stat().st_size)
        fine = regridder(hrrr.grid, FINE)(hrrr.values)
        wanted = regridder(FINE, COARSE, "conservative")(fine)
        for (points, grid), method in product(MIDDLE.items(), METHODS):
            found = regridder(grid, COARSE, method)(regridder(FINE, grid, "conservative")(fine))
            error = float(np.sqrt(np.mean((found - wanted) ** 2)) / wanted.std())
            shares = (power_below(found, limit, 0.25) / power_below(wanted, limit, 0.25) for limit in (1.0, 0.6))
            table.add_row(name, points, method, f"{error:.4f}", *(f"{share:.2f}" for share in shares))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
