"""A worker process of the embedded runner: Beam's own, which tells failures to the driver and nobody else.

It ends when the driver, whose number is its argument, is gone: Beam's own waits for one in its first seconds.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

_SECONDS_BETWEEN = 1.0


def _end_with(driver: int) -> None:
    while True:
        try:
            os.kill(driver, 0)
        except ProcessLookupError:
            os._exit(75)
        time.sleep(_SECONDS_BETWEEN)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=[int(sys.argv.pop(1))], daemon=True).start()
    logging.getLogger().addHandler(logging.NullHandler())  # before Beam, which would add one that tells everything
    from apache_beam.runners.worker.sdk_worker_main import main

    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - Beam prints there what it also raises in the driver
    main(sys.argv)
