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
    shown = fields.astype(np.float64)
    sizes = geometry.input_grid.shape
    (down, rows), (across, columns) = (
        (_means(points, size), _interpolation(points, size))
        for points, size in zip((geometry.rows, geometry.columns), sizes, strict=True)
    )
    return shown - rows @ (down @ shown @ across.T) @ columns.T


def _static_channels(store: Store, extra: Collection[ExtraFeature]) -> NDArray[np.float64]:
    fields = store.static.astype(np.float64)
    if "static_detail" not in extra:
        return fields
    detail = static_detail(fields, Geometry(store.grid("input"), store.grid("target")))
    return np.concatenate([fields, detail])


def _means(points: TwoPoints, size: int) -> NDArray[np.float64]:
    """The matrix [input, target] of means over the nearest target points; an input point without any has a neighbour's.

    The neighbour is the nearest input point that has some.
    """
    nearest = np.where(points.weight_upper < 0.5, points.lower, points.upper)
    held = np.unique(nearest)
    taken = held[np.abs(np.arange(size)[:, None] - held).argmin(axis=1)]
    matrix = (nearest == taken[:, None]).astype(np.float64)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _interpolation(points: TwoPoints, size: int) -> NDArray[np.float64]:
    """The matrix [target, input] of linear interpolation."""
    matrix, target = np.zeros((points.lower.size, size)), np.arange(points.lower.size)
    matrix[target, points.lower] = 1 - points.weight_upper
    matrix[target, points.upper] += points.weight_upper
    return matrix


def _position(shape: tuple[int, int]) -> NDArray[np.float64]:
    axes = np.meshgrid(*(np.linspace(0, np.pi, size) for size in shape), indexing="ij")
    return np.stack([np.cos(mode * axis) for axis in axes for mode in (1, 2)])
