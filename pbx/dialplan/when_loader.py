"""Reading ``when:`` of a route: from the positioned tree to conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from pbx.codecs import parse_codec
from pbx.dialplan.conditions import (
    ANONYMOUS,
    VERIFICATIONS,
    CallerCondition,
    CodecCondition,
    Condition,
    HeaderCondition,
    NumberCondition,
    Source,
    TimeCondition,
    VerificationCondition,
)
from pbx.dialplan.pattern import compile_pattern
from pbx.dialplan.reader import Reader
from pbx.dialplan.windows import Window, parse_window
from pbx.positions import Entry, MappingNode, Node, Position
from pbx.units import suggestion

__all__ = ["When", "load_when", "read_source", "read_verification"]

_KEYS = ("from", "number", "caller", "header", "codec", "verification", "at")
_ANYONE = (Source("any"),)


@dataclass(frozen=True, slots=True)
class When:
    """What a route asks for."""

    sources: tuple[Source, ...] = _ANYONE
    named_sources: tuple[tuple[Source, Position], ...] = ()
    """Those that name one extension or trunk, and where."""
    number: NumberCondition | None = None
    conditions: tuple[Condition, ...] = ()


def load_when(
    reader: Reader, entry: Entry | None, hours: Mapping[str, tuple[Window, ...]], zone: tzinfo | None
) -> When:
    """Read ``when:``; without one a route takes every call. `hours` are the plan's named times."""
    when = reader.mapping(entry.value, "`when`", _KEYS) if entry is not None else None
    if when is None:
        return When()
    sources, named = _sources(reader, when)
    number = None
    if each := when.get("number"):
        patterns = reader.converted_items(each.value, "`number`", compile_pattern)
        number = NumberCondition(tuple(patterns)) if patterns else None
    conditions: list[Condition] = []
    if each := when.get("caller"):
        conditions.append(_caller(reader, each.value))
    if each := when.get("header"):
        conditions += _headers(reader, each.value)
    if each := when.get("codec"):
        names = reader.converted_items(each.value, "`codec`", parse_codec)
        if names:
            conditions.append(CodecCondition(tuple(names)))
    if each := when.get("verification"):
        outcomes = reader.converted_items(each.value, "`verification`", read_verification)
        if outcomes:
            conditions.append(VerificationCondition(tuple(outcomes)))
    if each := when.get("at"):
        conditions.append(_times(reader, each.value, hours, zone))
    return When(sources, named, number, tuple(conditions))


def _sources(reader: Reader, when: MappingNode) -> tuple[tuple[Source, ...], tuple[tuple[Source, Position], ...]]:
    entry = when.get("from")
    if entry is None:
        return _ANYONE, ()
    sources, named = [], []
    for text, position in reader.texts(entry.value, "`from`"):
        source = reader.attempt(position, "`from`", text, read_source)
        if source is not None:
            sources.append(source)
            if source.name:
                named.append((source, position))
    return tuple(sources) or _ANYONE, tuple(named)


def read_verification(text: str) -> str:
    """Return what `verification` names; ValueError says what is wrong with it."""
    if text not in VERIFICATIONS:
        raise ValueError(f"`{text}` is no verification; write passed, failed or none{suggestion(text, VERIFICATIONS)}")
    return text


def read_source(text: str) -> Source:
    """Return where calls come from that ``from:`` names; ValueError says what is wrong with it."""
    kind, slash, name = text.partition("/")
    if text == "any" or (kind in ("extension", "trunk") and bool(slash) == bool(name)):
        return Source(kind, name)
    hint = suggestion(kind, ("extension", "trunk", "any"))
    raise ValueError(f"`{text}` is no source; write extension, extension/NUMBER, trunk, trunk/NAME or any{hint}")


def _caller(reader: Reader, node: Node) -> Condition:
    read = reader.converted_items(node, "`caller`", lambda text: None if text == ANONYMOUS else compile_pattern(text))
    patterns = tuple(pattern for pattern in read if pattern is not None)
    return CallerCondition(patterns, len(patterns) < len(read))


def _headers(reader: Reader, node: Node) -> list[Condition]:
    conditions: list[Condition] = []
    for entry in reader.mapping(node, "`header`") or ():
        what = f"`header: {entry.key}`"
        text = reader.text(entry.value, what)
        if text is None:
            continue
        is_regex = len(text) > 2 and text.startswith("/") and text.endswith("/")
        regex = reader.converted(entry.value, what, compile_pattern) if is_regex else None
        conditions.append(HeaderCondition(entry.key, text, regex))
    return conditions


def _times(reader: Reader, node: Node, hours: Mapping[str, tuple[Window, ...]], zone: tzinfo | None) -> Condition:
    def read(text: str) -> tuple[str, tuple[Window, ...]]:
        bare = text.removeprefix("not ").strip()
        return text, hours[bare] if bare in hours else (_window(bare, hours),)

    within: list[Window] = []
    outside: list[Window] = []
    times = reader.converted_items(node, "`at`", read)
    for text, windows in times:
        (outside if text.startswith("not ") else within).extend(windows)
    return TimeCondition(" or ".join(text for text, _ in times), tuple(within), tuple(outside), zone)


def _window(text: str, hours: Mapping[str, tuple[Window, ...]]) -> Window:
    try:
        return parse_window(text)
    except ValueError as error:
        known = f"; nor is it one of `hours`{suggestion(text, hours)}" if hours else ""
        raise ValueError(f"{error}{known}") from None
