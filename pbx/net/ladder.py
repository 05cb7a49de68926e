"""The ladder: what went between the parties of a call, readable on a terminal."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING

from pbx.net.trace import redacted
from pbx.net.transport import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pbx.net.trace import Captured
    from pbx.net.transport import Address

__all__ = ["ladder"]

_COLUMN = 36
"""Characters between two parties."""
_TIME = 14
_OURS = "Tandem"
_LONGEST_LABEL = _COLUMN - 7

_CSEQ = re.compile(rb"\ncseq[ \t]*+:[ \t]*+[0-9]++[ \t]++([^\r\n \t]++)", re.IGNORECASE)
_MEDIA = re.compile(rb"^m=([a-z]+) ([0-9]+)(?:/[0-9]+)? (\S+) ([0-9 ]+)", re.MULTILINE)
_RTPMAP = re.compile(rb"^a=rtpmap:([0-9]+) ([^/\r\n ]+)/([0-9]+)", re.MULTILINE)
_DIRECTION = re.compile(rb"^a=(sendonly|recvonly|inactive)\r?$", re.MULTILINE)
_STATIC = {0: "PCMU", 3: "GSM", 4: "G723", 8: "PCMA", 9: "G722", 13: "CN", 18: "G729"}
_NO_CODEC = ("telephone-event", "CN")
_MOST_CODECS = 2


def ladder(messages: Sequence[Captured], epoch: float = 0.0, *, bodies: bool = False) -> str:
    """Return a text with a column for each party and one for us, an arrow for each message, in the order of time.

    `messages` may be those of several Call-IDs; the parties are told apart by transport and address, us in between:
    those we first heard from stand left of us, those we called right. Times are UTC, from `epoch` on, which is the
    wall-clock time in seconds at zero of the messages' clock. With `bodies` the messages follow in full, without
    secrets.
    """
    if not messages:
        return "no messages\n"
    left, right = _parties(messages)
    columns = [*left, None, *right]
    names = [_OURS if party is None else _name(party) for party in columns]
    ours = len(left)
    lines = [_heading(names), _rail(len(columns))]
    previous = ""
    for message in messages:
        date = _wall(message.when, epoch)
        day = date.strftime("%Y-%m-%d")
        if day != previous:
            lines.append(f"{day} UTC".ljust(_TIME) + _rail(len(columns))[_TIME:])
            previous = day
        theirs = columns.index(_party(message))
        time = date.strftime("%H:%M:%S.%f")[:-3]
        lines.append(time.ljust(_TIME) + _arrow(len(columns), ours, theirs, message))
    lines.append(_rail(len(columns)))
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    return text + _in_full(messages, epoch) if bodies else text


Party = tuple[str, "Address"]


def _party(message: Captured) -> Party:
    flow = message.flow
    return flow.transport, flow.remote


def _name(party: Party) -> str:
    transport, address = party
    name = show(address)
    return name if transport == "udp" else f"{transport} {name}"


def _parties(messages: Sequence[Captured]) -> tuple[list[Party], list[Party]]:
    left: dict[Party, None] = {}
    right: dict[Party, None] = {}
    for message in messages:
        party = _party(message)
        if party not in left and party not in right:
            (right if message.outgoing else left)[party] = None
    return list(left), list(right)


def _wall(when: float, epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(epoch + when, tz=datetime.UTC)


def _heading(names: list[str]) -> str:
    line = " " * _TIME
    for number, name in enumerate(names):
        centre = _TIME + 10 + number * _COLUMN
        start = max(centre - len(name) // 2, len(line) + 1 if number else 0)
        line = line.ljust(start) + name
    return line


def _rail(columns: int) -> str:
    line = " " * (_TIME + 10)
    return line + (" " * (_COLUMN - 1)).join("|" * columns)


def _arrow(columns: int, ours: int, theirs: int, message: Captured) -> str:
    """Draw one message. The label stands beside our column, whatever rails the arrow crosses."""
    low, high = sorted((ours, theirs))
    rightward = (theirs > ours) == message.outgoing
    cells = list(_rail(columns)[_TIME:])
    start, end = 10 + low * _COLUMN + 1, 10 + high * _COLUMN - 1
    cells[start : end + 1] = "-" * (end - start + 1)
    if rightward:
        cells[end] = ">"
    else:
        cells[start] = "<"
    label = f" {_label(message.data)} "
    if len(label) > _LONGEST_LABEL:
        label = label[: _LONGEST_LABEL - 2] + "~ "
    at = (end - _COLUMN + 2 if theirs < ours else start) + (_COLUMN - 1 - len(label)) // 2
    cells[at : at + len(label)] = label
    return "".join(cells)


def _label(data: bytes) -> str:
    line, _, _ = data.partition(b"\r\n")
    words = line.decode("utf-8", "replace").split(" ", 2)
    if words[0].upper().startswith("SIP/"):
        what = words[1] if len(words) > 1 else "?"
        match = _CSEQ.search(data)
        if match is not None and match[1] != b"INVITE":
            what += " " + match[1].decode("ascii", "replace")
        elif len(words) > 2:
            what += " " + words[2]
    else:
        what = words[0]
    what = "".join(character if character.isprintable() else "?" for character in what)
    hint = _codecs(data)
    return f"{what} ({hint})" if hint else what


def _codecs(data: bytes) -> str:
    """Return what a session description offers for audio, like ``PCMA PCMU +1 sendonly``; empty if there is none."""
    _, _, body = data.partition(b"\r\n\r\n")
    media = _MEDIA.search(body)
    if media is None:
        return ""
    if media[2] == b"0":
        return f"{media[1].decode()} off"
    if media[1] != b"audio":
        return media[1].decode()
    mapped = {int(match[1]): match[2].decode("ascii", "replace") for match in _RTPMAP.finditer(body)}
    names = [mapped.get(number) or _STATIC.get(number, str(number)) for number in map(int, media[4].split()[:16])]
    names = [name for name in dict.fromkeys(names) if name not in _NO_CODEC]
    if len(names) > _MOST_CODECS:
        names[_MOST_CODECS:] = [f"+{len(names) - _MOST_CODECS}"]
    if b"/SAVP" in media[3] or b"/TLS" in media[3]:
        names.append("srtp")
    direction = _DIRECTION.search(body)
    if direction is not None:
        names.append(direction[1].decode())
    return " ".join(names)


def _in_full(messages: Iterable[Captured], epoch: float) -> str:
    parts = []
    for message in messages:
        flow = message.flow
        ends = (show(flow.local), show(flow.remote)) if message.outgoing else (show(flow.remote), show(flow.local))
        time = _wall(message.when, epoch).strftime("%H:%M:%S.%f")
        text = redacted(message.data).decode("utf-8", "replace").replace("\r\n", "\n")
        shown = "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
        parts.append(f"\n--- {time} {flow.transport} {ends[0]} -> {ends[1]}\n{shown.rstrip()}\n")
    return "".join(parts)
