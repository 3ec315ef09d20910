"""Emulators of Google Cloud Storage and of S3 on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
import requests
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[1]
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


PROTOCOLS = ("gs", "s3")


@contextmanager
def bucket(protocol: str) -> Iterator[dict[str, Any]]:
    """Yield the storage options that lead to an emulator with the bucket `bucket`; tensorstore finds it too."""
    with pytest.MonkeyPatch.context() as environment:
        if protocol == "gs":
            server, url = emulator()
            environment.setenv("TENSORSTORE_GCS_HTTP_URL", url)
            environment.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "anyone")
            yield {"token": "anon", "endpoint_url": url}
            server.terminate()
            server.wait()
        else:
            served = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
            served.start()
            host, port = served.get_host_and_port()
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                environment.setenv(name, "anyone")
            options = {"endpoint_url": f"http://{host}:{port}"}
            requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)  # what another test left in this process
            fsspec.filesystem("s3", **options).mkdir("bucket")
            yield options
            served.stop()


def emulator() -> tuple[subprocess.Popen, str]:
    """Start an emulator with the bucket `bucket`, and return its address too; where its port was taken, try another."""
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "tests.emulator_process", "start", "--host=127.0.0.1", f"--port={port}"]
        server = subprocess.Popen(
            [*command, "--in-memory", "--default-bucket=bucket"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        while server.poll() is None:
            try:
                if requests.get(f"http://127.0.0.1:{port}/storage/v1/b/bucket", timeout=1).ok:
                    return server, f"http://127.0.0.1:{port}"
            except requests.RequestException:
                time.sleep(0.1)
    pytest.fail("the emulator of a bucket ended five times before it answered")
