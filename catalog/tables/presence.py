"""The presence of registered stores: present, changed, vanished or unreachable."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from corrstore.datasets.storage.folder import Folder, checksum

Presence = Literal["present", "changed", "vanished", "unreachable"]
_AT_ONCE = 16


class PresenceCheck:
    """A check of the metadata of stores; a local file that has not been touched is not read a second time.

    present: the very store that was registered. changed: it was rebuilt, extended or repaired since. vanished: there
    is no store, or another. unreachable: its place cannot be read, or was registered on another host and is not here.
    """

    def __init__(self, storage_options: dict[str, Any] | None = None) -> None:
        self._options = storage_options or {}
        self._seen: dict[str, tuple[tuple[int, int], Presence]] = {}

    def __call__(self, stores: Sequence[dict[str, Any]]) -> list[Presence]:
        """Return the presence of the store of each of these rows of the table `stores`."""
        remote = [store for store in stores if "://" in store["location"]]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = dict(zip((store["registration"] for store in remote), pool.map(self._look, remote), strict=True))
        return [found.get(store["registration"]) or self._local(store) for store in stores]

    def _local(self, store: dict[str, Any]) -> Presence:
        path = Path(store["location"]) / "zarr.json"
        try:
            state = path.stat()
        except OSError:
            return self._look(store)
        key, touched = store["registration"], (state.st_mtime_ns, state.st_size)
        if self._seen.get(key, (None,))[0] != touched:
            self._seen[key] = touched, self._look(store)
        return self._seen[key][1]

    def _look(self, store: dict[str, Any]) -> Presence:
        local = "://" not in store["location"]
        try:
            content = Folder(store["location"], {} if local else self._options).read("zarr.json")
        except (FileNotFoundError, NotADirectoryError):
            return "unreachable" if local and store["host"] != socket.gethostname() else "vanished"
        except (OSError, ValueError):
            return "unreachable"
        if checksum(content) == store["metadata_sha256"]:
            return "present"
        return "changed" if _name_of(content) == store["name"] else "vanished"


def _name_of(metadata: bytes) -> str | None:
    """The name of the store whose zarr.json this is, None where it is no training store's."""
    try:
        return str(json.loads(metadata)["attributes"]["corrstore"]["recipe"]["name"])
    except (ValueError, KeyError, TypeError):
        return None
