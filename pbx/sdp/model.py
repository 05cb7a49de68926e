"""What a session description says (RFC 8866, which replaces RFC 4566): immutable values.

They are made by `pbx.sdp.parser` or by hand, and keep what a peer wrote in its order. What they mean for a call is the
business of `pbx.sdp.codecs`, `pbx.sdp.transport` and `pbx.sdp.offer_answer`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pbx.values import Enum, dataclass

__all__ = [
    "Attribute",
    "Bandwidth",
    "Connection",
    "Direction",
    "MediaDescription",
    "Origin",
    "SessionDescription",
    "TimeDescription",
    "direction_for",
]

Attribute = tuple[str, str | None]
"""One a= line: name and value; the value is None for a property attribute (``a=sendrecv``), may be empty (``a=x:``)."""

Bandwidth = tuple[str, str]
"""One b= line: modifier and value; kilobits per second for ``AS`` and ``CT``, bits per second for the rest."""


class Direction(Enum):
    """Which way media flows, seen from the one who wrote the description (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """True if its writer wants to send."""
        return self is Direction.SENDRECV or self is Direction.SENDONLY

    @property
    def receives(self) -> bool:
        """True if its writer wants to receive."""
        return self is Direction.SENDRECV or self is Direction.RECVONLY

    @property
    def reversed(self) -> Direction:
        """The same flow, seen from the other end (RFC 3264 §6.1)."""
        return _REVERSED[self]

    def limited_to(self, other: Direction) -> Direction:
        """Return the flow that both this direction and `other` allow."""
        return direction_for(self.sends and other.sends, self.receives and other.receives)


_REVERSED = {
    Direction.SENDRECV: Direction.SENDRECV,
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
    Direction.INACTIVE: Direction.INACTIVE,
}

_DIRECTION_NAMES = {direction.value: direction for direction in Direction}


def direction_for(sends: bool, receives: bool) -> Direction:
    """Return the direction of who does (or does not) send and receive."""
    if sends:
        return Direction.SENDRECV if receives else Direction.SENDONLY
    return Direction.RECVONLY if receives else Direction.INACTIVE


@dataclass(frozen=True, slots=True)
class Origin:
    """The o= line. `session_id` and `version` are decimal numbers of up to 64 bits, kept as written."""

    username: str
    session_id: str
    version: str
    address: str
    family: str = "IP4"
    network: str = "IN"


@dataclass(frozen=True, slots=True)
class Connection:
    """A c= line: `address` is numeric or a host name, `suffix` what follows it for multicast (``/127``, ``/127/3``)."""

    address: str
    family: str = "IP4"
    network: str = "IN"
    suffix: str = ""

    @property
    def unspecified(self) -> bool:
        """True for ``0.0.0.0`` and ``::``: "do not send to me", the hold of RFC 2543 (RFC 3264 §8.4)."""
        return self.address in _UNSPECIFIED


_UNSPECIFIED = frozenset(("0.0.0.0", "::", "0::0", "0:0:0:0:0:0:0:0"))


@dataclass(frozen=True, slots=True)
class TimeDescription:
    """A t= line in seconds since 1900 (0: no bound) with its r= lines as written."""

    start: str = "0"
    stop: str = "0"
    repeats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One m= section. Port 0 means refused, or in an offer "not now" (RFC 3264 §5.1, §6)."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    port_count: int = 1
    information: str = ""
    connection: Connection | None = None
    bandwidths: tuple[Bandwidth, ...] = ()
    key: str = ""
    attributes: tuple[Attribute, ...] = ()

    def has(self, name: str) -> bool:
        """Return whether there is such an attribute, with or without a value."""
        return any(attribute[0] == name for attribute in self.attributes)

    def value(self, name: str) -> str | None:
        """Return the value of the first such attribute; None if there is none or it has no value."""
        for attribute in self.attributes:
            if attribute[0] == name:
                return attribute[1]
        return None

    def values(self, name: str) -> Iterator[str]:
        """Yield the values of all such attributes."""
        for key, value in self.attributes:
            if key == name and value is not None:
                yield value


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description; its media inherit connection and direction from it (`connection_of`, `direction_of`)."""

    origin: Origin
    name: str = "-"
    connection: Connection | None = None
    bandwidths: tuple[Bandwidth, ...] = ()
    times: tuple[TimeDescription, ...] = (TimeDescription(),)
    attributes: tuple[Attribute, ...] = ()
    media: tuple[MediaDescription, ...] = ()
    information: str = ""
    uri: str = ""
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    zone: str = ""
    key: str = ""

    def value(self, name: str) -> str | None:
        """Return the value of the first such session attribute; None if there is none or it has no value."""
        for attribute in self.attributes:
            if attribute[0] == name:
                return attribute[1]
        return None

    def has(self, name: str) -> bool:
        """Return whether there is such a session attribute, with or without a value."""
        return any(attribute[0] == name for attribute in self.attributes)

    def connection_of(self, media: MediaDescription) -> Connection | None:
        """Return where to send `media`: its own c= line, else the session's (RFC 8866 §5.7), else None."""
        return media.connection or self.connection

    def direction_of(self, media: MediaDescription) -> Direction:
        """Return the direction of `media`: its own, else the session's, else sendrecv (RFC 8866 §6.7)."""
        for attributes in (media.attributes, self.attributes):
            for name, _ in attributes:
                if name in _DIRECTION_NAMES:
                    return _DIRECTION_NAMES[name]
        return Direction.SENDRECV
