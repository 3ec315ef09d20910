"""Installs the four packages of corrstore and its command."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="corrstore",
    version="0.1.0",
    description="Aligned, normalised, chunked Zarr training stores for kilometre-scale weather downscaling",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=["datasets*", "catalog*", "training*", "beam_pipelines*"],
    ),
    py_modules=["corrstore"],
    package_data={
        "datasets": ["recipes/*.yaml", "sources/tables/*.yaml"],
        "catalog": ["templates/*.j2"],
    },
    entry_points={"console_scripts": ["corrstore = corrstore:main"]},
    install_requires=[
        "apache-beam>=2.77",
        "cfgrib>=0.9.15",
        "dask[distributed]>=2026.8",
        "eccodes>=2.50",
        "fsspec>=2026.9",
        "gcsfs>=2026.9",
        "h5netcdf>=1.8",
        "jinja2>=3.1",
        "matplotlib>=3.11",
        "netCDF4>=1.7",
        "numba>=0.68",
        "numpy>=2.2",
        "pandas>=3.0",
        "pillow>=12",
        "psutil>=7",
        "pyarrow>=25",
        "pydantic>=2.14",
        "pyproj>=3.7",
        "pyyaml>=6",
        "rich>=15",
        "scipy>=1.17",
        "tensorstore>=0.1.86",
        "torch>=2.13",
        "typer>=0.29",
        "xarray>=2026.9",
        "xarray-beam>=0.11.5",
        "zarr>=3.1.6",
        "zarrs>=0.2.3",
    ],
    extras_require={
        "xesmf": ["xesmf>=0.9.2"],
        "dev": [
            "duckdb>=2.0",
            "gcp-storage-emulator>=2026.7",
            "hypothesis>=6",
            "mypy>=1.18",
            "pandas-stubs",
            "pytest>=9",
            "ruff>=0.14",
            "scipy-stubs",
            "types-PyYAML",
        ],
    },
)
