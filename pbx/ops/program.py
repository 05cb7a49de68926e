"""What runs: of which version, and whether what a call goes through is compiled (setup.py)."""

from __future__ import annotations

import platform
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

from pbx import __version__

__all__ = ["EXECUTION", "PROGRAM"]


def _execution(module: str) -> str:
    spec = find_spec(module)
    origin = spec.origin if spec is not None else None
    return "compiled" if origin is not None and origin.endswith(tuple(EXTENSION_SUFFIXES)) else "interpreted"


EXECUTION = _execution("pbx.sip.parser")
"""``compiled`` or ``interpreted``. Of the compiled modules all are, or none, so one is asked."""
PROGRAM = {"version": __version__, "execution": EXECUTION, "python": platform.python_version()}
"""All of it, by name."""
