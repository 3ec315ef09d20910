"""Thumbnails of one sample of a store, for as long as the store can be read."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from PIL import Image

from corrstore.catalog.drawing.figures import Figures, Map
from corrstore.catalog.drawing.pictures import Frame, Picture
from corrstore.catalog.pages.activity import Activity
from corrstore.catalog.pages.portrait import Portrait
from corrstore.datasets.errors import BadInput
from corrstore.datasets.store.layout import ROLES
from corrstore.datasets.store.opening import Store, open_store

_MOST_BYTES = 900_000
_MOST_BYTES_OF_ONE = 24_000
_PREVIEW_PIXELS = 120
_NICEST = "t2m"
_GONE = {
    "vanished": "The store is no longer where it was registered, so there are no fields to show.",
    "changed": "The store has changed since it was registered, so its fields are not shown; register it again.",
    "unreachable": "The store could not be reached when this page was made, so there are no fields to show.",
}


@dataclass(frozen=True)
class Thumbnails:
    """The maps of each channel of one sample, why it was chosen, and why there are none where there are none."""

    shown: Activity | None = None
    frame: Frame | None = None
    maps: dict[tuple[str, str], list[Map]] = field(default_factory=dict)
    why_none: str = ""

    @property
    def preview(self) -> list[Map]:
        """Input and target of one channel, or the target alone, in very few bytes."""
        targets = {name: maps for (role, name), maps in self.maps.items() if role == "target"}
        paired = [maps for maps in targets.values() if len(maps) > 1]
        maps = targets.get(_NICEST) or next(iter([*paired, *targets.values()]), [])
        return [replace(each, picture=_smaller(each.picture)) for each in maps if each.title != "residual"]


def thumbnails(of: Portrait, active: Activity | None) -> Thumbnails:
    """The thumbnails of a sample; none, and why, where it cannot be read.

    One sample is in memory at a time.
    """
    if of.status != "present":
        return Thumbnails(why_none=_GONE[of.status])
    if active is None:
        return Thumbnails(why_none="No sample of this store is valid, so there are no fields to show.")
    try:
        store = open_store(of.row["location"])
        figures = _SmallFigures(store, {}, _index(store, active[0]))
        maps = {("target", each.channel.name): each.maps for each in figures.targets()}
        maps |= {("input", each.channel.name): each.maps for each in figures.inputs_alone()}
        return Thumbnails(active, figures.frame, maps)
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # whatever a damaged store may lack
        return Thumbnails(why_none=f"The fields could not be read ({type(error).__name__}: {error}).")


class _SmallFigures(Figures):
    @cached_property
    def _bytes_of_a_picture(self) -> int:
        channels = self.store.recipe.channels
        return min(_MOST_BYTES // (len(channels["input"]) + 3 * len(channels["target"])), _MOST_BYTES_OF_ONE)


def _index(store: Store, time: np.datetime64) -> int:
    """The place of a sample whose shards are there: Zarr shows lost ones as missing numbers."""
    index = int(np.searchsorted(store.times, time))
    for role in ROLES:
        key = store.plan.shard_key(role, index)
        if not store.folder.exists(key):
            raise BadInput(f"{store.folder.path(key)} is gone; build the store again with --repair")
    return index


def _smaller(picture: Picture) -> Picture:
    image = Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2])))
    factor = math.ceil(max(image.size) / _PREVIEW_PIXELS)
    sink = io.BytesIO()
    small = image.resize((image.width // factor or 1, image.height // factor or 1), Image.Resampling.NEAREST)
    small.save(sink, "PNG", optimize=True, transparency=image.info["transparency"])
    return replace(picture, uri=f"data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()}")
