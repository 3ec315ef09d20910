"""An emulator of Google Cloud Storage on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[1]
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


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
