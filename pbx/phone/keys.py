"""Keys: as a user writes them, and as INFO carries them where telephone-events cannot be had.

The INFO forms are nobody's standard and everybody's habit: ``application/dtmf-relay`` and ``application/dtmf``.
"""

from __future__ import annotations

import re
from typing import Final

from pbx.errors import ConfigurationError

__all__ = ["INFO_TYPE", "KEY_SECONDS", "PAUSE_SECONDS", "info_body", "key_in", "split_keys"]

INFO_TYPE: Final = "application/dtmf-relay"
KEY_SECONDS: Final = 0.3
"""What one key takes, the pause after it included."""
PAUSE_SECONDS: Final = 1.0
"""What a comma stands for."""

_MILLISECONDS: Final = 160
_KEYS = re.compile(r"[0-9*#A-Da-d,]*")
_SIGNAL = re.compile(r"^[ \t]*Signal[ \t]*=[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^[ \t]*Duration[ \t]*=[ \t]*(\d{1,6})", re.IGNORECASE | re.MULTILINE)
_NAMED: Final = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}


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


def info_body(key: str) -> bytes:
    """Return the body of an INFO that presses a key."""
    return f"Signal={key}\r\nDuration={_MILLISECONDS}\r\n".encode()


def key_in(content_type: str, body: bytes) -> tuple[str, int] | None:
    """Return the key that an INFO presses, and for how many milliseconds; None if it presses none."""
    kind = content_type.partition(";")[0].strip().lower()
    text = body.decode("ascii", "replace")
    if kind == INFO_TYPE:
        signal, duration = _SIGNAL.search(text), _DURATION.search(text)
        if signal is None:
            return None
        key, milliseconds = signal[1], int(duration[1]) if duration else _MILLISECONDS
    elif kind == "application/dtmf":
        key, milliseconds = text.strip(), _MILLISECONDS
    else:
        return None
    key = _NAMED.get(key, key.upper())
    return (key, milliseconds) if re.fullmatch(r"[0-9*#A-D]", key) else None
