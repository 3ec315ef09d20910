"""The paths of an older store, and of real data and cases, which are not part of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"real data files are not at {SHARED}")

OLD_STORE = ROOT / "tests" / "datasets" / "samples" / "layout2_synthetic_store.zip"
"""A store of layout 2, in `store/`, with the SYNTHETIC archives that it was built of, in `archive/`."""

CASES = ROOT.parent / "shared" / "cases"
"""Small SYNTHETIC inputs that showed a fault."""

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")
