"""The features that do not change with time: static fields, their detail, and the position in the domain."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.grids.regrid_weights import TwoPoints
from corrstore.datasets.store.opening import Store
from corrstore.training.patches.patches import Geometry
from corrstore.training.run_config import ExtraFeature

POSITION = ("cos_lat_1", "cos_lat_2", "cos_lon_1", "cos_lon_2")
"""The position of a pixel: the first two cosine modes of the domain, along each axis."""


class StaticScale(NamedTuple):
    """A static channel's mean and standard deviation over the domain of the store that a model was trained on."""

    name: str
    mean: float
    std: float


def fixed_channels(static: int, extra: Collection[ExtraFeature]) -> int:
    """Return the number of fixed channels for so many static fields."""
    return static * (2 if "static_detail" in extra else 1) + (len(POSITION) if "position" in extra else 0)


def static_scales(store: Store, extra: Collection[ExtraFeature] = ()) -> list[StaticScale]:
    """Return the scales of the static channels; a constant one has the standard deviation 1."""
    names = [spec.variable for spec in store.recipe.static]
    if "static_detail" in extra:
        names += [f"{name}_detail" for name in names]
    return [
        StaticScale(name, float(field.mean()), float(field.std()) or 1.0)
        for name, field in zip(names, _static_channels(store, extra), strict=True)
    ]


def fixed_features(
    store: Store, scales: Collection[StaticScale], extra: Collection[ExtraFeature]
) -> NDArray[np.float32]:
    """Return the fixed channels (channel, lat, lon) of the whole domain, the static ones with mean 0 and variance 1."""
    mean, std = (np.array([getattr(each, name) for each in scales])[:, None, None] for name in ("mean", "std"))
    channels = (_static_channels(store, extra) - mean) / std
    if "position" in extra:
        channels = np.concatenate([channels, _position(store.grid("target").shape)])
    return channels.astype(np.float32)


def static_detail(fields: NDArray[Any], geometry: Geometry) -> NDArray[np.float64]:
    """Return static fields (channel, lat, lon) less what the input's grid shows of them.

    That is the mean over the target points nearest to each input point, interpolated as the input is. So the detail of
    the terrain is its height above the terrain that coarse fields belong to, by which they have to be corrected.
    """
    fields = fields.astype(np.float64)
    return fields - _shown(_shown(fields, geometry.rows, 1), geometry.columns, 2)


def _static_channels(store: Store, extra: Collection[ExtraFeature]) -> NDArray[np.float64]:
    fields = store.static.astype(np.float64)
    if "static_detail" not in extra:
        return fields
    detail = static_detail(fields, Geometry(store.grid("input"), store.grid("target")))
    return np.concatenate([fields, detail])


def _shown(fields: NDArray[np.float64], points: TwoPoints, axis: int) -> NDArray[np.float64]:
    """What the input's points show of fields along one axis; a point without target points has a neighbour's mean."""
    nearest = np.where(points.weight_upper < 0.5, points.lower, points.upper)
    held, first, count = np.unique(np.sort(nearest), return_index=True, return_counts=True)
    along = [-1 if each == axis else 1 for each in range(fields.ndim)]
    sums = np.add.reduceat(np.take(fields, np.argsort(nearest, kind="stable"), axis), first, axis)
    means = sums / count.reshape(along)
    lower, upper = (
        np.take(means, np.abs(each[:, None] - held).argmin(axis=1), axis) for each in (points.lower, points.upper)
    )
    return lower + points.weight_upper.reshape(along) * (upper - lower)


def _position(shape: tuple[int, int]) -> NDArray[np.float64]:
    axes = np.meshgrid(*(np.linspace(0, np.pi, size) for size in shape), indexing="ij")
    return np.stack([np.cos(mode * axis) for axis in axes for mode in (1, 2)])
