"""Where material that is not in the repository lies, and what to do without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def vectors(folder: str) -> Path:
    """Return the folder of that name; skips the test (or, at import, the file) if it is not there."""
    place = Path(os.environ.get("TANDEM_VECTORS") or _ROOT.parent / "shared" / "vectors") / folder
    if not place.is_dir():
        pytest.skip(f"no vectors in {place}; TANDEM_VECTORS names where they are", allow_module_level=True)
    return place
