"""The process of the emulator, with what the real service does too.

It tells an object's generation, which tensorstore needs, and refuses to create an object that is there and must not be
(`ifGenerationMatch=0`), by which one process writes a store.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

_plain_download, _plain_insert = objects.download, objects.insert


def _download(request: Any, response: Any, storage: Any, *arguments: Any, **settings: Any) -> None:
    place = request.params["bucket_name"], request.params["object_id"]
    with suppress(NotFound):
        response["x-goog-generation"] = storage.get_file_obj(*place)["generation"]
    _plain_download(request, response, storage, *arguments, **settings)


def _insert(request: Any, response: Any, storage: Any, *arguments: Any, **settings: Any) -> None:
    if request.query.get("ifGenerationMatch") == ["0"]:
        with suppress(NotFound):
            storage.get_file_obj(request.params["bucket_name"], request.data["meta"]["name"])
            response.status = HTTPStatus.PRECONDITION_FAILED
            return
    _plain_insert(request, response, storage, *arguments, **settings)


if __name__ == "__main__":
    objects.download, objects.insert = _download, _insert
    from gcp_storage_emulator.__main__ import main

    sys.exit(main())
