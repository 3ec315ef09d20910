"""The process of the emulator: it also tells an object's generation, as the real service does and tensorstore needs."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

_plain_download = objects.download


def _download(request: Any, response: Any, storage: Any, *arguments: Any, **settings: Any) -> None:
    place = request.params["bucket_name"], request.params["object_id"]
    with suppress(NotFound):
        response["x-goog-generation"] = storage.get_file_obj(*place)["generation"]
    _plain_download(request, response, storage, *arguments, **settings)


if __name__ == "__main__":
    objects.download = _download
    from gcp_storage_emulator.__main__ import main

    sys.exit(main())
