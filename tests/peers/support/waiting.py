"""Waiting for what must happen, never for a time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["until"]

T = TypeVar("T")

PATIENCE = 10.0
"""How long a thing may take on a busy machine before it counts as missing. Seconds."""


def until(
    look: Callable[[], T],
    what: str | Callable[[], str],
    seconds: float = PATIENCE,
    every: float = 0.02,
) -> T:
    """Return what `look` returns as soon as that is true; fail with `what` did not happen."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"within {seconds:g} s: no {what if isinstance(what, str) else what()}")
        time.sleep(every)
