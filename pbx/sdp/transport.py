"""How a media section is carried: plain RTP, SDES or DTLS-SRTP; where its RTCP goes; what it says of ICE."""

from __future__ import annotations

from typing import NamedTuple

from pbx.errors import NegotiationError
from pbx.sdp.model import Connection, Direction, MediaDescription, SessionDescription, direction_for
from pbx.values import Enum, dataclass

__all__ = [
    "Candidate",
    "Crypto",
    "Fingerprint",
    "Ice",
    "Place",
    "Transport",
    "crypto_of",
    "fingerprint_of",
    "ice_of",
    "place_of",
    "rtcp_of",
    "transport_of",
]


class Transport(Enum):
    """What keys and carries the RTP of a section."""

    PLAIN = "plain"
    """RTP/AVP, RTP/AVPF (RFC 3551, RFC 4585)."""
    SDES = "sdes"
    """RTP/SAVP(F) with a=crypto (RFC 4568)."""
    DTLS = "dtls"
    """UDP/TLS/RTP/SAVP(F), or RTP/SAVP(F) with a=fingerprint (RFC 5764)."""
    ICE_ONLY = "ice"
    """Plain RTP, but with no address other than ICE candidates still to be tried or trickled (RFC 8840)."""
    OTHER = "other"
    """No RTP at all: UDPTL, TCP, SCTP, MSRP."""


@dataclass(frozen=True, slots=True)
class Crypto:
    """One a=crypto line, its fields as written (RFC 4568 §9.1)."""

    tag: str
    suite: str
    key_parameters: str
    session_parameters: str = ""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """a=fingerprint with the a=setup that goes with it (RFC 8122, RFC 4145)."""

    algorithm: str
    value: str
    setup: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One a=candidate line (RFC 8839 §5.1); `extensions` is what follows the type, as written."""

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    kind: str
    extensions: str = ""


@dataclass(frozen=True, slots=True)
class Ice:
    """What a section says of ICE (RFC 8839), session-level values inherited."""

    ufrag: str
    password: str
    options: tuple[str, ...]
    lite: bool
    candidates: tuple[Candidate, ...]


_PLAIN = frozenset(("RTP/AVP", "RTP/AVPF"))
_SECURE = frozenset(("RTP/SAVP", "RTP/SAVPF"))
_DISCARD_PORT = 9  # RFC 8840 §4.1.1: the port of a section whose candidates all come later.


def transport_of(description: SessionDescription, media: MediaDescription) -> Transport:
    """Return how `media` is to be carried."""
    protocol = media.protocol.upper()
    if protocol in _PLAIN:
        connection = description.connection_of(media)
        unplaced = media.port == _DISCARD_PORT and connection is not None and connection.unspecified
        return Transport.ICE_ONLY if unplaced and _inherited(description, media, "ice-ufrag") else Transport.PLAIN
    if protocol in _SECURE:
        if _inherited(description, media, "fingerprint") and not media.has("crypto"):
            return Transport.DTLS
        return Transport.SDES
    if protocol.startswith(("UDP/TLS/RTP/", "TCP/DTLS/RTP/")):
        return Transport.DTLS
    return Transport.OTHER


def rtcp_of(description: SessionDescription, media: MediaDescription) -> tuple[Connection | None, int, bool]:
    """Return where RTCP goes and whether the section offers (or accepts) to have it on the RTP port.

    The address is that of a=rtcp (RFC 3605) or else of the media; the port that of a=rtcp or else one above the media's
    (RFC 3550 §11); the flag is a=rtcp-mux (RFC 5761 §5.1.1).
    """
    connection = description.connection_of(media)
    port = media.port + 1 if 0 < media.port < 65535 else 0
    fields = (media.value("rtcp") or "").split()
    if fields and fields[0].isascii() and fields[0].isdigit() and len(fields[0]) < 6 and int(fields[0]) < 65536:
        port = int(fields[0])
        if len(fields) >= 4 and fields[1] == "IN" and fields[2] in ("IP4", "IP6"):
            connection = Connection(fields[3], fields[2])
    return connection, port, media.has("rtcp-mux")


class Place(NamedTuple):
    """Where the media and the RTCP of a section go, and which ways."""

    direction: Direction
    address: str
    rtcp_address: str
    rtcp_port: int
    rtcp_mux: bool


def place_of(description: SessionDescription, media: MediaDescription) -> Place:
    """Return where a section's media goes. NegotiationError if it names no address (RFC 8866 §5.7 demands one)."""
    connection = description.connection_of(media)
    if connection is None:
        raise NegotiationError("no connection address")
    direction = description.direction_of(media)
    if connection.unspecified:
        # RFC 3264 §8.4: hold in the manner of RFC 2543: neither RTP nor RTCP should be sent to the peer.
        direction = direction_for(direction.sends, receives=False)
    rtcp, port, mux = rtcp_of(description, media)
    return Place(direction, connection.address, rtcp.address if rtcp else connection.address, port, mux)


def crypto_of(media: MediaDescription) -> tuple[Crypto, ...]:
    """Return the a=crypto lines in the order preferred; malformed ones are left out."""
    found: list[Crypto] = []
    for value in media.values("crypto"):
        fields = value.split(None, 3)
        if len(fields) >= 3:
            found.append(Crypto(fields[0], fields[1], fields[2], fields[3] if len(fields) > 3 else ""))
    return tuple(found)


def fingerprint_of(description: SessionDescription, media: MediaDescription) -> Fingerprint | None:
    """Return the certificate's fingerprint, None if there is none or it makes no sense."""
    fields = (_inherited(description, media, "fingerprint") or "").split()
    if len(fields) != 2:
        return None
    return Fingerprint(fields[0].lower(), fields[1].upper(), _inherited(description, media, "setup") or "")


def ice_of(description: SessionDescription, media: MediaDescription) -> Ice | None:
    """Return what the section says of ICE; None without user fragment and password."""
    ufrag = _inherited(description, media, "ice-ufrag")
    password = _inherited(description, media, "ice-pwd")
    if not ufrag or not password:
        return None
    options = (_inherited(description, media, "ice-options") or "").split()
    candidates = [candidate for candidate in map(_candidate, media.values("candidate")) if candidate]
    return Ice(ufrag, password, tuple(options), description.has("ice-lite"), tuple(candidates))


def _candidate(value: str) -> Candidate | None:
    fields = value.split(None, 8)
    if len(fields) < 8 or fields[6] != "typ":
        return None
    numbers = (fields[1], fields[3], fields[5])
    if not all(number.isascii() and number.isdigit() and len(number) < 11 for number in numbers):
        return None
    component, priority, port = map(int, numbers)
    extensions = fields[8] if len(fields) > 8 else ""
    return Candidate(fields[0], component, fields[2].lower(), priority, fields[4], port, fields[7], extensions)


def _inherited(description: SessionDescription, media: MediaDescription, name: str) -> str | None:
    return media.value(name) or description.value(name)
