"""Durations and sizes as people write them in configuration and dialplan."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["duration_text", "parse_duration", "parse_size", "size_text", "suggestion"]

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", re.ASCII)
_BYTES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZE = re.compile(r"(\d+) ?([A-Za-z]*)", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds that ``20s``, ``5m``, ``1h30m`` or ``500ms`` stand for; ValueError says how to write it."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        hint = f"; did you mean `{text.strip()}s`?" if re.fullmatch(r"\d+(\.\d+)?", text.strip(), re.ASCII) else ""
        raise ValueError(f"`{text}` is not a duration; write it like 20s, 5m, 1h30m or 500ms{hint}")
    return sum(float(part) * unit for part, unit in zip(match.groups(), _SECONDS.values(), strict=True) if part)


def duration_text(seconds: float) -> str:
    """Return the shortest text that `parse_duration` reads as `seconds` (to the millisecond)."""
    left = round(seconds * 1000)
    parts = []
    for name, unit in _SECONDS.items():
        count, left = divmod(left, round(unit * 1000))
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Return the bytes that ``65536``, ``64KiB``, ``4MiB`` or ``10MB`` stand for; ValueError says how to write it."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2] not in _BYTES:
        raise ValueError(f"`{text}` is not a size; write it like 65536, 64KiB or 4MiB")
    return int(match[1]) * _BYTES[match[2]]


def size_text(size: int) -> str:
    """Return the shortest text that `parse_size` reads as `size`."""
    for name in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[name] == 0:
            return f"{size // _BYTES[name]}{name}"
    return str(size)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean `x`?`` for the known word nearest to `word`, or nothing if none is near."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean `{by_lower[near[0]]}`?" if near else ""
