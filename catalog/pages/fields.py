"""The maps of a store's page and what its build found, read from the store itself."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from corrstore.catalog.drawing.figures import Map, SampleMaps
from corrstore.catalog.drawing.pictures import Frame, Picture
from corrstore.catalog.pages.activity import ActiveSample
from corrstore.catalog.pages.store_summary import StoreSummary
from corrstore.datasets.errors import DamagedData
from corrstore.datasets.samples.input_shift import read_shift
from corrstore.datasets.store.ledger import REPORT, read_json
from corrstore.datasets.store.opening import Store, open_store

_MOST_BYTES = 900_000
_PREVIEW_PIXELS = 120
_GONE = {
    "vanished": "The store is no longer where it was registered, so there are no fields to show.",
    "changed": "The store has changed since it was registered, so its fields are not shown; register it again.",
    "unreachable": "The store could not be reached when this page was made, so there are no fields to show.",
}


@dataclass(frozen=True)
class Fields:
    """The maps by (role, channel), the sample that they show, and the build's report; or the reason why there is none.

    `shift` has the rows of the table of the input's shift; `build` the problems of the archives, notes, and the pixels
    that were moved to a floor, a cap or the end of the range.
    """

    shown: ActiveSample | None = None
    frame: Frame | None = None
    maps: dict[tuple[str, str], list[Map]] = field(default_factory=dict)
    build: dict[str, Any] = field(default_factory=dict)
    why_none: str = ""
    shift: list[dict[str, Any]] = field(default_factory=list)

    @property
    def preview(self) -> list[Map]:
        """The maps of one target without its residual, in few bytes; of the first that the input has too, if any."""
        targets = [maps for (role, _), maps in self.maps.items() if role == "target"]
        maps = next(iter([*(maps for maps in targets if len(maps) > 1), *targets]), [])
        return [replace(each, picture=_smaller(each.picture)) for each in maps if each.title != "residual"]


def registered_fields(summary: StoreSummary, active: ActiveSample | None) -> Fields:
    """Return the fields of a registered store; without maps where it is not what was registered."""
    if summary.status != "present":
        return Fields(why_none=_GONE[summary.status])
    try:
        store = open_store(summary.row["location"])
    except (OSError, ValueError, KeyError) as error:
        return Fields(why_none=_not_read(error))
    return fields_of(store, active, _MOST_BYTES)


def fields_of(store: Store, active: ActiveSample | None, most_bytes: int) -> Fields:
    """Return the fields of a store, whose maps take at most `most_bytes` as PNG; one sample is in memory at a time."""
    why_none = "" if active else "No sample of this store is valid, so there are no fields to show."
    try:
        maps = SampleMaps(store, _index(store, active) if active else None, most_bytes)
        return Fields(
            active, maps.frame, dict(maps), read_json(store.folder, REPORT), why_none, read_shift(store.folder)
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # a damaged store may lack anything
        return Fields(why_none=_not_read(error))


def _not_read(error: Exception) -> str:
    return f"The fields could not be read ({type(error).__name__}: {error})."


def _index(store: Store, sample: ActiveSample) -> int:
    """Return the position of a sample whose shards exist: Zarr reads lost shards as missing numbers."""
    of_run = (store.axes.init_times == sample.init_time) | np.isnat(sample.init_time)
    index = int(np.flatnonzero((store.times == sample.time) & of_run)[0])
    for role in store.roles:
        key = store.plan.shard_key(role, index)
        if not store.folder.exists(key):
            raise DamagedData(f"{store.folder.path(key)} is gone; build the store again with --repair")
    return index


def _smaller(picture: Picture) -> Picture:
    image = Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2])))
    factor = math.ceil(max(image.size) / _PREVIEW_PIXELS)
    sink = io.BytesIO()
    small = image.resize((image.width // factor or 1, image.height // factor or 1), Image.Resampling.NEAREST)
    small.save(sink, "PNG", optimize=True, transparency=image.info["transparency"])
    return replace(picture, uri=f"data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()}")
