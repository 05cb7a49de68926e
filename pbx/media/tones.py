"""Tones by name and country: ``tone:busy/de`` becomes what the engine plays, ``tone:425/480,0/480``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

__all__ = ["countries", "is_tone", "tone", "tone_names"]

_PREFIX = "tone:"
_TABLE = Path(__file__).with_name("tones.yaml")
_HERTZ = r"\d{1,4}(?:\*\d{1,4}|(?:\+\d{1,4}){0,3})"
_SPELLED = re.compile(rf"{_HERTZ}/\d{{2,5}}(?:,{_HERTZ}/\d{{2,5}}){{0,15}}", re.ASCII)


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    with _TABLE.open(encoding="utf-8") as file:
        # YAML 1.1 takes `no` for false, and Norway has tones.
        loaded: dict[str, dict[str, str]] = yaml.load(file, yaml.BaseLoader)  # makes texts only
    return loaded


def countries() -> tuple[str, ...]:
    """Return the countries that there are tones of."""
    return tuple(name for name in _table() if name != "default")


def tone_names() -> tuple[str, ...]:
    """Return the names of tones."""
    return tuple(_table()["default"])


def is_tone(name: str) -> bool:
    """Return whether a sound's name is that of a tone."""
    return name.startswith(_PREFIX)


def tone(name: str, country: str) -> str:
    """Return what the engine plays for ``tone:NAME``, ``tone:NAME/COUNTRY`` or ``tone:HERTZ/MILLISECONDS,…``.

    `country` is that of names without one. ValueError for one that there is not.
    """
    text = name.removeprefix(_PREFIX)
    if _SPELLED.fullmatch(text):
        return name
    wanted, slash, where = text.partition("/")
    where = where if slash else country
    table = _table()
    if where not in table:
        raise ValueError(f"there are no tones of `{where}`; known are {', '.join(countries())}")
    found = table[where].get(wanted) or table["default"].get(wanted)
    if found is None:
        raise ValueError(f"there is no tone `{wanted}`; known are {', '.join(tone_names())}, or write 425/480,0/480")
    return _PREFIX + found
