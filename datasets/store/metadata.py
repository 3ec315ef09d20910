"""The metadata and coordinates of a store: every object but the shards and the ledger."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from corrstore.datasets.recipe.parts import StoredRole
from corrstore.datasets.recipe.sample_axes import SampleAxes
from corrstore.datasets.store.layout import LAYOUT_VERSION, StorePlan

_STATIC_CHUNK = 512
_GROWING = ("time", "init_time")
_EPOCH: dict[str, Any] = {"units": "seconds since 1970-01-01", "calendar": "standard"}


def metadata_objects(
    plan: StorePlan, valid: NDArray[np.bool_], static: NDArray[np.float32], ledger_digest: str
) -> dict[str, bytes]:
    """Return all objects of the store but the shards and the ledger, in the order in which to write them.

    The group's own zarr.json, which holds everyone's metadata and makes the store readable, is the last.
    """
    recipe = plan.recipe
    content: dict[str, Any] = {}
    memory = MemoryStore(content)
    attributes = {
        "Conventions": "CF-1.11",
        "title": recipe.title or recipe.name,
        "corrstore": {
            "layout_version": LAYOUT_VERSION,
            "software": f"corrstore {version('corrstore')}",
            "recipe": recipe.content,
            "fingerprint": plan.fingerprint,
            "fingerprint_fields": plan.fingerprint_fields(),
            "ledger_digest": ledger_digest,
        },
    }
    group = zarr.create_group(memory, zarr_format=3, attributes=attributes)
    _add_axes(group, plan.axes, valid)
    for role in plan.roles:
        _add_role(group, plan, role)
    if "target" in plan.roles or recipe.like:
        _add_grid(group, plan, "target", ("lat", "lon"))
    _add_static(group, plan, static)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")  # Zarr 3 has it as an extension
        zarr.consolidate_metadata(memory, zarr_format=3)
    objects = {key: buffer.to_bytes() for key, buffer in content.items()}
    return {key: objects[key] for key in sorted(objects, key=lambda key: (key == "zarr.json", key))}


def _add_axes(group: zarr.Group, axes: SampleAxes, valid: NDArray[np.bool_]) -> None:
    if axes.inits is None or axes.leads is None:
        _add(group, "time", _seconds(axes.valid_times), axes.names, standard_name="time", **_EPOCH)
    else:
        inits, times = _seconds(axes.inits), _seconds(axes.valid_times.reshape(axes.shape))
        _add(group, "init_time", inits, ("init_time",), standard_name="forecast_reference_time", **_EPOCH)
        _add(
            group,
            "lead_time",
            _seconds(axes.leads),
            ("lead_time",),
            standard_name="forecast_period",
            units="seconds",
            dtype="timedelta64[s]",  # by which xarray decodes it without being told
        )
        _add(group, "valid_time", times, axes.names, standard_name="time", **_EPOCH)
        _add(
            group,
            "expected_lead_times",
            axes.due.reshape(axes.shape).sum(axis=1),
            ("init_time",),
            long_name="number of lead times that the run has by its schedule; later ones are not due",
        )
    _add(
        group,
        "valid",
        valid.reshape(axes.shape),
        axes.names,
        long_name="whether the sample is complete and inside physical ranges",
    )


def _seconds(times: NDArray[Any]) -> NDArray[np.int64]:
    unit = "datetime64[s]" if times.dtype.kind == "M" else "timedelta64[s]"
    return times.astype(unit).astype(np.int64)


def _add_grid(group: zarr.Group, plan: StorePlan, role: StoredRole, names: tuple[str, str]) -> None:
    grid, (lat, lon) = plan.grid(role), names
    _add(group, lat, grid.lat, (lat,), standard_name="latitude", units="degrees_north")
    _add(group, lon, grid.lon, (lon,), standard_name="longitude", units="degrees_east")


def _add_role(group: zarr.Group, plan: StorePlan, role: StoredRole) -> None:
    layout, channels, axes = plan.shard_layout(role), plan.channels(role), plan.axes
    lat, lon = ("input_lat", "input_lon") if role == "input" else ("lat", "lon")
    others = (1,) * (len(axes.shape) - 1)
    axis = f"{role}_channel"
    coordinates = ["valid", f"{role}_mean", f"{role}_std", *(["valid_time"] if axes.leads is not None else [])]
    group.create_array(
        role,
        shape=(*axes.shape, *layout.shape),
        dtype=layout.dtype,
        chunks=(*others, *layout.inner_chunk),
        shards={"shape": (*others, *layout.shard_shape), "index_location": "start"},  # type: ignore[arg-type]
        compressors=[BloscCodec(**layout.blosc), Crc32cCodec()],
        fill_value=np.nan,
        dimension_names=(*axes.names, axis, lat, lon),
        attributes={"long_name": f"normalised {role} fields", "coordinates": " ".join(coordinates)},
        config={"write_empty_chunks": True},
    )
    if role == "input":
        _add_grid(group, plan, role, (lat, lon))
    normalisations = plan.normalisations[role]
    window = plan.recipe.window_length.astype(np.int64)
    along: dict[str, tuple[Any, str]] = {
        "channel": ([channel.name for channel in channels], "channel"),
        "mean": (
            [each.mean for each in normalisations],
            "mean of the transformed numbers, train split alone",
        ),
        "std": ([each.std for each in normalisations], "standard deviation of the transformed numbers"),
        "transform": ([each.transform.name for each in normalisations], "applied before mean and std"),
        "units": ([channel.variable.units for channel in channels], "units of the physical numbers"),
        "standard_name": ([channel.variable.standard_name for channel in channels], "CF standard name"),
        "level": ([float(channel.level or np.nan) for channel in channels], "pressure level in hPa"),
        "window": (
            [int(window) if channel.variable.windowed else 0 for channel in channels],
            "seconds over which the number holds, up to the valid time; 0: instantaneous",
        ),
    }
    for name, (values, long_name) in along.items():
        _add(group, f"{role}_{name}", np.asarray(values), (axis,), long_name=long_name)


def _add_static(group: zarr.Group, plan: StorePlan, static: NDArray[np.float32]) -> None:
    height, width = plan.grid("target").shape
    array = group.create_array(
        "static",
        shape=static.shape,
        dtype="float32",
        chunks=(1, min(_STATIC_CHUNK, height), min(_STATIC_CHUNK, width)),
        fill_value=np.nan,
        dimension_names=("static_channel", "lat", "lon"),
        attributes={"long_name": "fields that do not change with time, in physical units"},
    )
    array[...] = static
    names = [spec.variable for spec in plan.recipe.static]
    _add(group, "static_channel", np.asarray(names, dtype=str), ("static_channel",), long_name="channel")


def _add(group: zarr.Group, name: str, values: NDArray[Any], dimensions: tuple[str, ...], **attributes: str) -> None:
    text = values.dtype.kind == "U"
    along = list(zip(dimensions, values.shape, strict=True))
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=str if text else values.dtype,
        chunks=tuple(1 << 16 if dimension in _GROWING else max(1, size) for dimension, size in along),
        dimension_names=dimensions,
        attributes=dict(attributes),
    )
    array[...] = values.astype(object) if text else values
