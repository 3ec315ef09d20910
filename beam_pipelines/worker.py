"""A worker process of the embedded runner: Beam's own, which keeps to itself what is no error."""

from __future__ import annotations

import logging
import sys

_errors = logging.StreamHandler()
_errors.setLevel(logging.ERROR)
logging.getLogger().addHandler(_errors)  # before Beam, which would add one that tells everything

if __name__ == "__main__":
    from apache_beam.runners.worker.sdk_worker_main import main

    main(sys.argv)
