"""Map projections, on the PROJ library that pyproj was built with.

The wheel of ecCodes loads another PROJ for the whole process, and a pyproj that is loaded later would call into that
one and corrupt memory. So it is then loaded with RTLD_DEEPBIND (dlopen(3)), by which its own libraries come first.
"""

from __future__ import annotations

import ctypes
import os
import sys

from corrstore.datasets.errors import BadInput


def _load_pyproj() -> None:
    """Import pyproj beside a PROJ of the whole process; raise BadInput where it already calls into that one."""
    if not hasattr(os, "RTLD_DEEPBIND") or not hasattr(ctypes.CDLL(None), "proj_create"):
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        import pyproj
    finally:
        sys.setdlopenflags(flags)
    used, built = pyproj.__proj_version__, pyproj.__proj_compiled_version__
    if used != built:
        raise BadInput(
            f"pyproj was imported after ecCodes, and calls its PROJ {used} in place of its own {built}, which corrupts"
            " memory: import pyproj before eccodes or cfgrib"
        )


_load_pyproj()

# isort: split
from pyproj import CRS, Proj  # noqa: E402
from pyproj.exceptions import CRSError  # noqa: E402

__all__ = ["CRS", "CRSError", "Proj"]
