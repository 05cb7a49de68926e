"""Text that any database takes, whatever a peer sent."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["clean", "encode_json"]

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


def clean(text: str) -> str:
    """Replace what a database refuses as text: NUL, and lone surrogates (octets that are not UTF-8)."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def encode_json(value: Any) -> str:
    """Return `value` as JSON in ASCII, its text cleaned. For the database's JSON columns."""
    encoded = _ENCODE(value)
    # Surrogates stand there as \\udxxx; those of a pair are rare enough to be cleaned in vain.
    if "\\u0000" in encoded or "\\ud" in encoded:
        return _ENCODE(_clean_within(value))
    return encoded


def _clean_within(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (list, tuple)):
        return [_clean_within(item) for item in value]
    if isinstance(value, dict):
        return {_clean_within(name): _clean_within(item) for name, item in value.items()}
    return value
