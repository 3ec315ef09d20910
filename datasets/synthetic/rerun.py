"""A file that changes: the same fields made again later, with other numbers, under the same name and size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from corrstore.datasets.errors import BadInput
from corrstore.datasets.synthetic.grib import Key, SyntheticMessage, changed, messages_of, values_of

_FACTOR = 1.001


def rerun(path: Path, keys: Mapping[str, Key] | None = None) -> None:
    """Write a synthetic GRIB file again, each number greater by a thousandth, under the same name and size.

    `keys` are set in each message, such as {"experimentVersionNumber": "0001"} where a final file replaces a
    preliminary one. Raises BadInput where the size would change: compressed packings do not keep it.
    """
    before = path.read_bytes()
    after = b"".join(
        changed(SyntheticMessage("", data), keys or {}, _FACTOR * values_of(SyntheticMessage("", data))).data
        for data in messages_of(before)
    )
    if len(after) != len(before):
        raise BadInput(
            f"{path} would change from {len(before)} to {len(after)} bytes: its packing compresses its numbers;"
            " synthesise it with packing grid_simple"
        )
    path.write_bytes(after)
