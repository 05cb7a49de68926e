"""Saying numbers, dates, times and characters: a language pack turns them into the names of sounds.

A pack is data (``languages/en.yaml``), so that another language needs no code. Numbers are said by rules: the one with
the greatest `from` that is not above the number says it, by a list of

- a sound's name, in which ``{value}`` is the number and ``{part}`` the part that `unit` divides (of 42 by 10: 40);
- ``<`` and ``>``: how often the unit goes into the number, and what is left (nothing if that is 0), by the same rules;
- ``{RULES: count}``, ``rest`` or ``value``: the same by other rules;
- a list: said only if something is left.

`exact` takes the place of `say` if nothing is left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from pbx.errors import EnvironmentFault
from pbx.values import dataclass

__all__ = ["KINDS", "SAID", "LanguagePack", "load_language"]

SAID = "say:"
"""How the name of what is said begins: ``say:number/42``."""

KINDS = ("number", "ordinal", "digits", "spell", "phonetic", "date", "time", "datetime")
"""What can be said: ``say:KIND/VALUE``."""

_FOLDER = Path(__file__).with_name("languages")
_NUMBER = re.compile(r"([+-]?)(\d{1,15})", re.ASCII)
_LONGEST_TEXT = 64
_DEEPEST = 32
_SOME_DAY = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rule:
    """How the numbers from `start` on are said, up to the next rule's."""

    start: int
    unit: int
    say: tuple[Any, ...]
    exact: tuple[Any, ...] | None


class LanguagePack:
    """One language."""

    __slots__ = ("_characters", "_minus", "_moments", "_rules", "name")

    def __init__(self, name: str, data: Mapping[str, Any]) -> None:
        """Take what the YAML of a pack holds. Raises ValueError for what it lacks or has wrong."""
        self.name = name
        try:
            self._rules = {
                kind: tuple(sorted((_rule(one) for one in rules), key=lambda rule: rule.start))
                for kind, rules in data["rules"].items()
            }
            self._minus = tuple(data.get("minus", ()))
            self._moments = {kind: tuple(data[kind]) for kind in ("date", "time", "datetime")}
            self._characters = {kind: _characters(data[kind]) for kind in ("spell", "phonetic")}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the language pack {name} lacks or misspells {error}") from error
        for kind, rules in self._rules.items():
            if not rules or rules[0].start != 0:
                raise ValueError(f"the language pack {name}: the rules of `{kind}` must begin with `from: 0`")

    def say(self, kind: str, value: str, now: datetime) -> tuple[str, ...]:
        """Return the names of the sounds that say `value`.

        Dates and times are ISO 8601 or ``now``. A value that is no number is spelled, and characters without a sound
        are left out, for values come from callers. ValueError for a `kind` that there is not, or a date that is none.
        """
        if kind in self._moments:
            try:
                moment = now if value in ("", "now") else datetime.fromisoformat(value)
            except ValueError:
                raise ValueError(f"`{value}` is no moment; write it like 2026-12-24T18:00, or now") from None
            return tuple(self._moment(self._moments[kind], moment))
        if kind == "digits":
            return self._spell("spell", value)
        if kind in self._characters:
            return self._spell(kind, value)
        if kind not in KINDS:
            raise ValueError(f"`{kind}` cannot be said; known are {', '.join(KINDS)}")
        match = _NUMBER.fullmatch(value)
        if match is None:
            return self._spell("spell", value)
        return (*(self._minus if match[1] == "-" else ()), *self._number(kind, int(match[2])))

    def _spell(self, kind: str, text: str) -> tuple[str, ...]:
        table = self._characters[kind]
        spoken = (table.get(character) for character in text[:_LONGEST_TEXT].lower())
        return tuple(sound for sound in spoken if sound is not None)

    def _number(self, kind: str, value: int, depth: int = 0) -> list[str]:
        rules = self._rules.get(kind)
        if rules is None or depth > _DEEPEST:
            raise ValueError(f"the language pack {self.name} has no rules that say {value} as `{kind}`")
        rule = next(rule for rule in reversed(rules) if rule.start <= value)
        count, rest = divmod(value, rule.unit)
        values = {"value": value, "count": count, "rest": rest, "part": value - rest}
        if rule.exact is not None and rest == 0:
            return self._items(rule.exact, kind, values, depth)
        return self._items(rule.say, kind, values, depth)

    def _items(self, items: Sequence[Any], kind: str, values: Mapping[str, int], depth: int) -> list[str]:
        said: list[str] = []
        for item in items:
            if isinstance(item, list):
                said += self._items(item, kind, values, depth) if values["rest"] else ()
            elif isinstance(item, Mapping):
                ((other, what),) = item.items()
                said += self._number(other, values[what], depth + 1)
            elif item == "<":
                said += self._number(kind, values["count"], depth + 1)
            elif item == ">":
                said += self._number(kind, values["rest"], depth + 1) if values["rest"] else ()
            else:
                said.append(item.format_map(values))
        return said

    def _moment(self, items: Sequence[Any], moment: datetime) -> list[str]:
        values: dict[str, Any] = {
            "weekday": moment.isoweekday() % 7,
            "day": moment.day,
            "month": moment.month,
            "month_index": moment.month - 1,
            "year": moment.year,
            "hour": moment.hour,
            "hour12": moment.hour % 12 or 12,
            "minute": moment.minute,
            "half": "a" if moment.hour < 12 else "p",
        }
        said: list[str] = []
        for item in items:
            if isinstance(item, Mapping):
                ((kind, what),) = item.items()
                said += self._number(kind, values[what])
            elif item in self._moments:
                inner = [one for one in self._moments[item] if isinstance(one, Mapping) or one not in self._moments]
                said += self._moment(inner, moment)
            else:
                said.append(item.format_map(values))
        return said


def _rule(data: Mapping[str, Any]) -> Rule:
    unit = int(data.get("unit", 1))
    if unit < 1:
        raise ValueError(f"a rule divides by {unit}; write a unit of 1 or more")
    exact = data.get("exact")
    return Rule(int(data["from"]), unit, tuple(data["say"]), None if exact is None else tuple(exact))


def _characters(data: Mapping[Any, str]) -> dict[str, str]:
    """Return the sound of each character; a key is one, or a range such as ``a-z``."""
    found: dict[str, str] = {}
    for key, sound in data.items():
        text = str(key)
        first, last = (text[0], text[2]) if len(text) == 3 and text[1] == "-" else (text, text)
        for number in range(ord(first), ord(last) + 1):
            found[chr(number)] = sound.format(character=chr(number))
    return found


def load_language(name: str) -> LanguagePack:
    """Return a pack by its name (``en``) or its file's path. Raises EnvironmentFault if it cannot be used."""
    path = Path(name) if "/" in name or name.endswith((".yaml", ".yml")) else _FOLDER / f"{name}.yaml"
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(data, Mapping):
            raise ValueError("it is no mapping")
        pack = LanguagePack(path.stem, data)
        # What cannot be said would be found out by a caller.
        for kind in ("number", "ordinal"):
            for value in (0, 1, 10, 11, 21, 30, 99, 100, 101, 999, 1000, 1_000_001, 999_999_999):
                pack.say(kind, str(value), _SOME_DAY)
        for kind in ("date", "time", "datetime"):
            pack.say(kind, "2026-12-31T12:00", _SOME_DAY)
    except OSError as error:
        known = ", ".join(sorted(one.stem for one in _FOLDER.glob("*.yaml")))
        raise EnvironmentFault(
            f"The language pack {path} cannot be read: {error.strerror}; known are {known}."
        ) from error
    except (ValueError, KeyError, yaml.YAMLError) as error:
        raise EnvironmentFault(f"The language pack {path} is faulty: {error}.") from error
    return pack
