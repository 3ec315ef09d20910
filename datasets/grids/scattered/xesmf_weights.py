"""Weights that xESMF computes, where it and the ESMF library are installed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import xarray as xr

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.axes import cell_edges
from corrstore.datasets.grids.projected import ProjectedGrid
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.grids.scattered.esmf_weights import EsmfWeights
from corrstore.datasets.grids.scattered.points import PointsGrid

Grid = RectilinearGrid | ProjectedGrid | PointsGrid


@lru_cache(maxsize=4)
def xesmf_weights(source: Grid, destination: RectilinearGrid, method: str) -> EsmfWeights:
    """Return the weights of one of xESMF's methods.

    Raises BadInput where xESMF cannot be imported, and for points that have no rows and columns.
    """
    try:
        import xesmf
    except (ImportError, KeyError) as error:  # esmpy raises KeyError without ESMFMKFILE
        raise BadInput(
            f"regrid.with: xesmf cannot be imported ({error}); install it with ESMF from conda-forge, or compute the"
            " weights elsewhere and write regrid: {weights: FILE}"
        ) from None
    if min(source.shape) == 1:
        raise BadInput(f"regrid.with: xesmf regrids from rows and columns, got {source}; write bilinear or nearest")
    conservative = method.startswith("conservative")
    made = xesmf.Regridder(
        _described(source, conservative),
        _described(destination, conservative),
        method,
        periodic=isinstance(source, RectilinearGrid) and source.is_global_in_lon,
    )
    return EsmfWeights(source.shape, destination.shape, made.weights.data.tocsr())


def _described(grid: Grid, with_corners: bool) -> xr.Dataset:
    """Return a grid as xESMF takes it: latitudes and longitudes and, for cells, those of the corners."""
    if isinstance(grid, RectilinearGrid):
        described = xr.Dataset(coords={"lat": ("lat", grid.lat), "lon": ("lon", grid.lon)})
        if with_corners:
            lat, lon = grid.edges()
            described = described.assign_coords(lat_b=("lat_b", lat), lon_b=("lon_b", lon))
        return described
    lat, lon = grid.latlon()
    described = xr.Dataset(coords={"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)})
    if not with_corners:
        return described
    if not isinstance(grid, ProjectedGrid):
        raise BadInput(f"regrid.method: conservative needs the corners of cells, and {grid} has none; write bilinear")
    edges = np.meshgrid(cell_edges("x", grid.x), cell_edges("y", grid.y))
    lon_b, lat_b = grid.projection(*edges, inverse=True)
    return described.assign_coords(lat_b=(("y_b", "x_b"), lat_b), lon_b=(("y_b", "x_b"), lon_b))
