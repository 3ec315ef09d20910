"""The modules that an import of corrstore loads, and its life in a process with ecCodes in any order."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml

from corrstore.catalog.tables.registration import register
from corrstore.datasets.storage.folder import Folder
from tests.catalog_made import made
from tests.conftest import brief_content
from tests.paths import ROOT

COMMAND = """
import sys
from corrstore.command_line import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
HEAVY = {"torch", "apache_beam", "xarray", "zarr", "tensorstore", "matplotlib", "jinja2", "numba", "eccodes"}
FIRST = [
    pytest.param(
        "import xarray\nxarray.load_dataset(sys.argv[1], engine='cfgrib', "
        "backend_kwargs={'indexpath': '', 'filter_by_keys': {'shortName': '2t'}})",
        id="an open dataset of cfgrib",
    ),
    pytest.param("import eccodes", marks=pytest.mark.slow),
    pytest.param("import pyproj, cfgrib", marks=pytest.mark.slow),
    pytest.param("import torch, netCDF4, cfgrib", marks=pytest.mark.slow),
]


def ended(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        (["--help"], HEAVY | {"numpy", "pandas", "pyarrow", "pyproj", "fsspec"}),
        (["schema"], HEAVY | {"pandas", "pyarrow"}),
        (["catalog", "query", "--variable", "t2m", "--catalog", "CATALOG"], HEAVY),
    ],
    ids=["help", "schema", "catalog query"],
)
def test_a_command_does_not_wait_for_libraries_that_it_does_not_need(tmp_path, command, unwanted):
    register(Folder(str(tmp_path)), made(tmp_path))
    words = [str(tmp_path) if word == "CATALOG" else word for word in command]
    shown = ended(COMMAND + f"print('loaded:', *sorted({unwanted} & set(sys.modules)))", *words)
    assert (shown.returncode, shown.stdout.splitlines()[-1]) == (0, "loaded:"), shown.stderr


@pytest.mark.parametrize("first", FIRST)
def test_after_other_libraries_a_store_is_read_and_a_process_ends_well(first, archive, demo_store):
    code = f"""
import sys
{first}
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from corrstore.datasets.store import open_store
print(open_store(sys.argv[2]).physical("target", 1).mean())
from corrstore.datasets.grids.projected import ProjectedGrid
def centre(lon):
    crs = f"+proj=lcc +lat_1=30 +lat_2=60 +lat_0=40 +lon_0={{lon}} +R=6371229"
    return ProjectedGrid(crs, np.arange(-3e3, 4e3, 3e3), np.arange(-3e3, 4e3, 3e3)).latlon()[1][1, 1].round(6)
print(*ThreadPoolExecutor(4).map(centre, range(90, 110)))
"""
    grib = next((archive / "era5").rglob("*.grib"))
    shown = ended(code, grib, demo_store.folder.url)
    mean = demo_store.physical("target", 1).mean()
    assert (shown.returncode, shown.stdout) == (0, f"{mean}\n{' '.join(f'{lon}.0' for lon in range(90, 110))}\n")


@pytest.mark.slow
@pytest.mark.parametrize("first", ["import cfgrib", "import pyproj"])
def test_after_other_libraries_a_store_is_built(first, archive, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(brief_content(archive)))
    shown = ended(first + COMMAND, "build", recipe, "--output", tmp_path / "store", "--workers=1")
    assert shown.returncode == 0, shown.stderr


def test_a_pyproj_that_calls_the_library_of_eccodes_is_refused():
    code = """
import os, eccodes, pyproj
from corrstore.datasets.errors import BadInput
try:
    import corrstore.datasets.grids.proj
except BadInput as error:
    print(error, flush=True)
else:
    print(pyproj.__proj_version__ == pyproj.__proj_compiled_version__, flush=True)
os._exit(0)  # the memory is corrupt already
"""
    shown = ended(code).stdout
    assert "import pyproj before eccodes" in shown or shown == "True\n"
