"""The headers of a message: an ordered multimap without case, and the structured values that stand in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeVar

from pbx.errors import ParseError, UsageError
from pbx.sip.grammar import split_first, split_list
from pbx.sip.names import CANONICAL, LISTS, canonical, is_header_name, key_of
from pbx.sip.values import CSeq, NameAddress, Via

__all__ = ["MOST_VALUES", "CSeq", "Headers", "NameAddress", "Via"]

MOST_VALUES: Final = 1000
"""More elements of one list, or more header lines, than this are refused: nobody needs them, and reading them takes
milliseconds."""

_T = TypeVar("_T")

_NONE_REPEATED: Final[AbstractSet[str]] = frozenset()
"""What most messages have: sets are replaced, not changed, so that all of these share one."""
_TOP_VIA = "top Via"
"""Where the parsed top Via is kept; no header can have a space in its name."""


class Headers:
    """Headers in order. Names compare without case and in compact or long form; known ones are given in their canonical
    spelling, unknown ones as they were spelled.

    A value is raw text without line breaks. Structured values are parsed on demand and kept until that header is
    changed.
    """

    __slots__ = ("_first", "_items", "_parsed", "_repeated")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: list[tuple[str, str]] = []
        self._first: dict[str, str] = {}
        self._repeated: AbstractSet[str] = _NONE_REPEATED
        self._parsed: dict[str, Any] = {}
        if items:
            self.extend(items)

    @classmethod
    def of_lines(cls, lines: Iterable[str]) -> Headers:
        """Read header lines already unfolded. Raises ParseError for a line that is no header."""
        headers = cls()
        items, first = headers._items, headers._first
        repeated: set[str] = set()
        known = CANONICAL.get
        for line in lines:
            name, colon, value = line.partition(":")
            key = known(name)
            if key is None:
                name = name.rstrip(" \t")
                if not is_header_name(name):
                    raise ParseError("A header line without a name")
                key = key_of(name)
                name = CANONICAL.get(key, name)
            else:
                name = key
            if not colon:
                raise ParseError("A header line without a colon")
            value = value.strip(" \t")
            items.append((name, value))
            if key in first:
                repeated.add(key)
            else:
                first[key] = value
        if repeated:
            headers._repeated = repeated
        return headers

    # -- reading

    def get(self, name: str) -> str | None:
        """Return the first raw value of a header, None if there is none."""
        return self._first.get(CANONICAL.get(name) or key_of(name))

    def raw(self, name: str) -> list[str]:
        """Return every raw value of a header, one a line as received, unsplit."""
        key = CANONICAL.get(name) or key_of(name)
        if key not in self._repeated:
            value = self._first.get(key)
            return [] if value is None else [value]
        return [value for spelled, value in self._items if _is(spelled, key)]

    def all(self, name: str) -> list[str]:
        """Return every value of a header, a list's elements one by one (RFC 3261 §7.3.1). Raises ParseError for an open
        quote.

        An element left empty (``a,,b``) stays in; a header with an empty value has no element.
        """
        values = self.raw(name)
        if not values or canonical(name) not in LISTS:
            return values
        if len(values) == 1:
            return split_list(values[0])
        return [part for value in values for part in split_list(value)]

    def repeated(self) -> AbstractSet[str]:
        """Return the names of the headers that stand on more than one line."""
        return self._repeated

    def __contains__(self, name: str) -> bool:
        return (CANONICAL.get(name) or key_of(name)) in self._first

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Headers) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"

    def copy(self) -> Headers:
        """Return headers that can be changed without changing these."""
        other = Headers()
        other._items = self._items.copy()
        other._first = self._first.copy()
        other._repeated = self._repeated
        other._parsed = self._parsed.copy()
        return other

    # -- changing

    def add(self, name: str, value: str) -> None:
        """Add a header after all others. Raises UsageError for a name that is none or a value with a line break."""
        name, key = _checked(name, value)
        self._items.append((name, value))
        if key in self._first:
            self._repeated = self._repeated | {key}
        else:
            self._first[key] = value
        self._forget(key)

    def extend(self, items: Iterable[tuple[str, str]]) -> None:
        """Add headers after all others, as `add` does each, at less cost."""
        append, first, parsed = self._items.append, self._first, self._parsed
        for name, value in items:
            key = CANONICAL.get(name)
            if key is None or "\n" in value or "\r" in value:
                name, key = _checked(name, value)
            else:
                name = key
            append((name, value))
            if key in first:
                self._repeated = self._repeated | {key}
            else:
                first[key] = value
            if parsed:
                self._forget(key)

    def prepend(self, name: str, value: str) -> None:
        """Add a header before all others of its name (a Via, a Record-Route); before all headers if it is the first."""
        name, key = _checked(name, value)
        self._items.insert(self._position(key) or 0, (name, value))
        if key in self._first:
            self._repeated = self._repeated | {key}
        self._first[key] = value
        self._forget(key)

    def set(self, name: str, value: str) -> None:
        """Make `value` the only one of that header, in the place of the first if there was one, else after all
        others."""
        name, key = _checked(name, value)
        position = self._position(key)
        if position is None:
            self._items.append((name, value))
        else:
            self._items[position] = (name, value)
            if key in self._repeated:
                before, after = self._items[: position + 1], self._items[position + 1 :]
                self._items = before + [item for item in after if not _is(item[0], key)]
                self._repeated = self._repeated - {key}
        self._first[key] = value
        self._forget(key)

    def remove(self, name: str) -> None:
        """Remove a header with all its values; harmless if there is none."""
        key = key_of(name)
        if key in self._first:
            self._items = [item for item in self._items if not _is(item[0], key)]
            del self._first[key]
            self._repeated = self._repeated - {key}
            self._forget(key)

    def replace_first(self, name: str, value: str | None) -> None:
        """Replace the first element of a list header, which may share its line with others; None removes it.

        Raises UsageError if there is none.
        """
        key = key_of(name)
        position = self._position(key)
        if position is None:
            raise UsageError(f"no {name} to replace")
        spelled, line = self._items[position]
        rest = split_first(line)[1]
        if value is not None:
            _checked(name, value)
            rest = f"{value}, {rest}" if rest else value
        if rest:
            self._items[position] = (spelled, rest)
            self._first[key] = rest
        else:
            del self._items[position]
            self._reindex(key)
        self._forget(key)

    def _reindex(self, key: str) -> None:
        values = [value for name, value in self._items if _is(name, key)]
        if len(values) < 2:
            self._repeated = self._repeated - {key}
        if values:
            self._first[key] = values[0]
        else:
            del self._first[key]

    def _position(self, key: str) -> int | None:
        if key in self._first:
            for number, (name, _) in enumerate(self._items):
                if _is(name, key):
                    return number
        return None

    # -- structured values

    def _forget(self, key: str) -> None:
        parsed = self._parsed
        if parsed:
            parsed.pop(key, None)
            if key == "Via":
                parsed.pop(_TOP_VIA, None)

    def one(self, key: str, parse: Callable[[str], _T]) -> _T:
        """Return the parsed value of a header that must be there; `key` is its canonical name. Raises ParseError."""
        parsed: _T | None = self._parsed.get(key)
        if parsed is None:
            value = self._first.get(key)
            if value is None:
                raise ParseError(f"{key} is missing")
            parsed = self._parsed[key] = parse(value)
        return parsed

    def maybe(self, key: str, parse: Callable[[str], _T]) -> _T | None:
        """Return the parsed value of a header, None if it is not there; `key` is its canonical name. Raises
        ParseError."""
        return self.one(key, parse) if key in self._first else None

    def each(self, key: str, parse: Callable[[str], _T]) -> tuple[_T, ...]:
        """Return the parsed elements of a list header, `key` being its canonical name. Raises ParseError."""
        if key not in self._first:
            return ()
        parsed: tuple[_T, ...] | None = self._parsed.get(key)
        if parsed is None:
            values = self.all(key)
            if len(values) > MOST_VALUES:
                raise ParseError(f"Too many values of {key}")
            parsed = self._parsed[key] = tuple([parse(value) for value in values])
        return parsed

    def top_via(self) -> Via:
        """Return the first Via. Raises ParseError, also if there is none."""
        via: Via | None = self._parsed.get(_TOP_VIA)
        if via is None:
            value = self._first.get("Via")
            if value is None:
                raise ParseError("Via is missing")
            via = self._parsed[_TOP_VIA] = Via.parse(split_first(value)[0])
        return via

    def set_top_via(self, via: Via) -> None:
        """Replace the first Via by `via`."""
        self.replace_first("Via", str(via))
        self._parsed[_TOP_VIA] = via


def _is(name: str, key: str) -> bool:
    """Return whether a name as kept (canonical, or unknown in any spelling) belongs to a key."""
    return name == key or (key not in CANONICAL and name.lower() == key)


def _checked(name: str, value: str) -> tuple[str, str]:
    """Return the spelling and the key of a header about to be written by us."""
    if "\r" in value or "\n" in value:
        raise UsageError(f"a line break in the value of {name}")
    key = CANONICAL.get(name)
    if key is not None:
        return key, key
    if not is_header_name(name):
        raise UsageError(f"{name!r} names no header")
    key = key_of(name)
    return CANONICAL.get(key, name), key
