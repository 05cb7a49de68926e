"""Keys (DTMF) as INFO carries them.

The forms are nobody's standard and everybody's habit: ``application/dtmf-relay`` and ``application/dtmf``.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["INFO_TYPE", "info_body", "key_in"]

INFO_TYPE: Final = "application/dtmf-relay"

_MILLISECONDS: Final = 160
_SIGNAL = re.compile(r"^[ \t]*Signal[ \t]*=[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^[ \t]*Duration[ \t]*=[ \t]*(\d{1,6})", re.IGNORECASE | re.MULTILINE)
_NAMED: Final = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}


def info_body(key: str, milliseconds: int = _MILLISECONDS) -> bytes:
    """Return the body of an INFO that presses a key."""
    return f"Signal={key}\r\nDuration={milliseconds}\r\n".encode()


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
