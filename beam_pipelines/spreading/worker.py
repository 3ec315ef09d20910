"""A worker process of the embedded runner: Beam's own, which tells failures to the driver and nobody else."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    logging.getLogger().addHandler(logging.NullHandler())  # before Beam, which would add one that tells everything
    from apache_beam.runners.worker.sdk_worker_main import main

    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - Beam prints there what it also raises in the driver
    main(sys.argv)
