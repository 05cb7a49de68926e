"""Reads session descriptions (RFC 8866), with the leniency that real devices need.

What is forgiven, since devices in the field send it: lines ended by LF or CR alone, trailing spaces, lines out of
order, a missing o=, s= or t= line, spaces in the user name of o=, a session-level line in a media section, lines that
have no ``x=`` form or a type letter we do not know (for those, RFC 8866 §5 would have us reject the whole description).
"""

from __future__ import annotations

from pbx.errors import ParseError
from pbx.sdp.model import (
    Attribute,
    Bandwidth,
    Connection,
    MediaDescription,
    Origin,
    SessionDescription,
    TimeDescription,
)

__all__ = ["MAXIMUM_MEDIA", "MAXIMUM_OCTETS", "parse"]

MAXIMUM_OCTETS = 65536
"""A longer body is refused unread."""

MAXIMUM_MEDIA = 64
"""More m= sections than this are refused: every one must be repeated in each answer (RFC 3264 §6)."""

_NO_ORIGIN = Origin("-", "0", "0", "0.0.0.0")


def parse(body: bytes | str) -> SessionDescription:
    """Return what `body` says. Raises ParseError, and nothing else, for what is no description."""
    sections = _text(body).split("\nm=")
    if len(sections) > MAXIMUM_MEDIA + 1:
        raise ParseError("session description with too many media")
    head = sections[0].split("\n")
    if head[0].rstrip() != "v=0":
        # RFC 8866 §5.1: the version number is 0, and there is no minor version number.
        raise ParseError("session description does not begin with v=0")
    media = tuple([_media(section.split("\n")) for section in sections[1:]])
    return _session(head, media)


def _text(body: bytes | str) -> str:
    """Decode; what is not UTF-8 survives as surrogates, so that it is written again as it was."""
    if len(body) > MAXIMUM_OCTETS:
        raise ParseError("session description too long")
    if isinstance(body, str):
        try:
            body = body.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as fault:
            raise ParseError("session description holds unpaired surrogates") from fault
    text = body.decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise ParseError("session description holds a NUL")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.lstrip("\n")


def _session(lines: list[str], media: tuple[MediaDescription, ...]) -> SessionDescription:
    origin = _NO_ORIGIN
    connection: Connection | None = None
    attributes: list[Attribute] = []
    bandwidths: list[Bandwidth] = []
    times: list[TimeDescription] = []
    emails: list[str] = []
    phones: list[str] = []
    single = {"s": "", "i": "", "u": "", "z": "", "k": ""}
    for line in lines:
        if line[1:2] != "=":
            continue
        letter = line[0]
        value = line[2:].rstrip()
        if letter == "a":
            attributes.append(_attribute(value))
        elif letter == "o":
            origin = _origin(value)
        elif letter == "c":
            connection = connection or _connection(value)
        elif letter == "t":
            times.append(_time(value))
        elif letter in single:
            single[letter] = single[letter] or value
        elif letter == "b":
            bandwidths.append(_bandwidth(value))
        elif letter == "r" and times:
            last = times[-1]
            times[-1] = TimeDescription(last.start, last.stop, (*last.repeats, value))
        elif letter == "e":
            emails.append(value)
        elif letter == "p":
            phones.append(value)
    return SessionDescription(
        origin,
        single["s"] or "-",
        connection,
        tuple(bandwidths),
        tuple(times) or _ALWAYS,
        tuple(attributes),
        media,
        single["i"],
        single["u"],
        tuple(emails),
        tuple(phones),
        single["z"],
        single["k"],
    )


_ALWAYS = (TimeDescription(),)


def _media(lines: list[str]) -> MediaDescription:
    """Read one section; its first line has lost its ``m=``, so that it could pass for another kind of line."""
    fields = lines.pop(0).split()
    if len(fields) < 3:
        raise ParseError("m= line too short")
    port, slash, count = fields[1].partition("/")
    port_count = _number(count, 65535, "m= port count") if slash else 1
    connection: Connection | None = None
    information = key = ""
    bandwidths: list[Bandwidth] = []
    attributes: list[Attribute] = []
    for line in lines:
        if line[1:2] != "=":
            continue
        letter = line[0]
        if letter == "a":
            attributes.append(_attribute(line[2:].rstrip()))
        elif letter == "c":
            connection = connection or _connection(line[2:])
        elif letter == "b":
            bandwidths.append(_bandwidth(line[2:].rstrip()))
        elif letter == "i":
            information = information or line[2:].rstrip()
        elif letter == "k":
            key = key or line[2:].rstrip()
    return MediaDescription(
        fields[0],
        _number(port, 65535, "m= port"),
        fields[2],
        tuple(fields[3:]),
        port_count,
        information,
        connection,
        tuple(bandwidths),
        key,
        tuple(attributes),
    )


def _attribute(value: str) -> Attribute:
    name, colon, rest = value.partition(":")
    return (name, rest if colon else None)


def _origin(value: str) -> Origin:
    # From the right, since some devices put their owner's name, spaces and all, where the user name belongs.
    fields = value.rsplit(None, 5)
    if len(fields) != 6:
        raise ParseError("o= line needs six fields")
    return Origin(fields[0].strip(), fields[1], fields[2], fields[5], fields[4], fields[3])


def _connection(value: str) -> Connection:
    fields = value.split()
    if len(fields) < 3:
        raise ParseError("c= line needs three fields")
    address, slash, rest = fields[2].partition("/")
    return Connection(address, fields[1], fields[0], slash + rest)


def _time(value: str) -> TimeDescription:
    fields = value.split()
    if len(fields) < 2:
        raise ParseError("t= line needs two fields")
    return TimeDescription(fields[0], fields[1])


def _bandwidth(value: str) -> Bandwidth:
    modifier, _, amount = value.partition(":")
    return (modifier, amount)


def _number(text: str, maximum: int, what: str) -> int:
    """Return a decimal number; `int` alone would take signs, spaces, underscores and other scripts' digits."""
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        raise ParseError(f"{what} is not a number")
    number = int(text)
    if number > maximum:
        raise ParseError(f"{what} is too large")
    return number
