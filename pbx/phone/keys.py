"""Keys, as a user writes them."""

from __future__ import annotations

import re
from typing import Final

from pbx.errors import ConfigurationError

__all__ = ["KEY_SECONDS", "PAUSE_SECONDS", "split_keys"]

KEY_SECONDS: Final = 0.3
"""What one key takes, the pause after it included."""
PAUSE_SECONDS: Final = 1.0
"""What a comma stands for."""

_KEYS = re.compile(r"[0-9*#A-Da-d,]*")


def split_keys(text: str) -> list[tuple[float, str]]:
    """Return when to press which keys, in seconds from the first; a comma is a pause of one second.

    Raises ConfigurationError for what is no key.
    """
    if not _KEYS.fullmatch(text):
        raise ConfigurationError((f"--dtmf {text}: keys are 0-9 * # A-D, and a comma for a pause of a second",))
    parts: list[tuple[float, str]] = []
    at = 0.0
    for run in re.findall(r",+|[^,]+", text):
        if run[0] == ",":
            at += PAUSE_SECONDS * len(run)
        else:
            parts.append((at, run.upper()))
            at += KEY_SECONDS * len(run)
    return parts
