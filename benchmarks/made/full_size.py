"""SYNTHETIC archives at full size: one valid time is synthesised, the others are copies of it at other dates."""

from __future__ import annotations

from pathlib import Path

import eccodes
import numpy as np

from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.synthetic import SyntheticSpec, synthesise

_LEVELS = (200, 300, 500, 700, 850, 925)
_FIRST = np.datetime64("2020-06-01T03", "s")


def full_size_archive(folder: Path, samples: int) -> Recipe:
    """Write archives of that many valid times, 12 hours apart, and return a recipe: 24 targets at 1600 x 2400."""
    if not (folder / "era5").exists():
        end = _FIRST + np.timedelta64(3, "h")
        synthesise(folder, SyntheticSpec(_FIRST, end, north=60.10, west=70.0, shape=(1600, 2400), levels=_LEVELS))
    (fine,) = [file for file in (folder / "cma_rra").rglob("*.grib2") if "copy" not in file.name]
    coarse = [file for file in sorted((folder / "era5").glob("*.grib")) if "copy" not in file.name]
    for number in range(1, samples):
        _copy_later(fine, fine.with_name(f"copy{number:03d}.grib2"), number)
        for file in coarse:
            _copy_later(file, file.with_name(f"{file.stem}_copy{number:03d}.grib"), number)
    last = _FIRST + np.timedelta64(12 * samples, "h")
    return load_recipe(
        "china_3km_sff",
        [
            f"sources.era5.path={folder / 'era5'}",
            f"sources.cma_rra.path={folder / 'cma_rra'}",
            f"period={{start: {_FIRST}, end: {last}, frequency: 12h}}",
            f"splits={{train: {{start: {_FIRST}, end: {last}}}}}",
            "window=3h",
        ],
    )


def _copy_later(file: Path, copy: Path, number: int) -> None:
    """Copy the messages with their times moved on by 12 hours `number` times."""
    if copy.exists():
        return
    with file.open("rb") as messages, copy.open("wb") as out:
        while (handle := eccodes.codes_grib_new_from_file(messages)) is not None:
            date, time = eccodes.codes_get(handle, "dataDate"), eccodes.codes_get(handle, "dataTime")
            text = f"{date:08d}"
            moment = np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}T{time // 100:02d}:{time % 100:02d}")
            later = str(moment + np.timedelta64(12 * number, "h"))
            process = eccodes.codes_get(handle, "stepType")
            start = eccodes.codes_get(handle, "stepRange")
            eccodes.codes_set(handle, "dataDate", int(later[:10].replace("-", "")))
            eccodes.codes_set(handle, "dataTime", int(later[11:16].replace(":", "")))
            if process != "instant":
                eccodes.codes_set(handle, "stepRange", start)  # moves the end of the window with it
            eccodes.codes_write(handle, out)
            eccodes.codes_release(handle)
