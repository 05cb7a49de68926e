"""Offer and answer (RFC 3264): reading one media section of a peer's description, and writing our own descriptions.

What is written here is made afresh from a few named values, never by changing what a peer sent: what is not asked for
cannot leak from one leg of a call to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pbx.errors import NegotiationError
from pbx.sdp.codecs import (
    PayloadFormat,
    codec_attributes,
    codecs_of,
    maximum_packet_time_of,
    packet_time_of,
    same_codec,
)
from pbx.sdp.model import (
    Attribute,
    Connection,
    Direction,
    MediaDescription,
    Origin,
    SessionDescription,
)
from pbx.sdp.sdes import ACCEPTING, MasterKey, PeerKey, Protection, answered_key, offered_key
from pbx.sdp.transport import Transport, place_of, transport_of
from pbx.values import dataclass

__all__ = [
    "NO_KEYS",
    "OFFERED_REPORTS",
    "LocalMedia",
    "RemoteMedia",
    "answer_codecs",
    "check_answer",
    "describe",
    "family_of",
    "find_audio",
    "number_codecs",
    "read_media",
    "refused_section",
    "section",
]

NO_KEYS: Mapping[str, MasterKey] = MappingProxyType({})

_REFUSALS = {
    Transport.SDES: "SRTP in answer to plain RTP",
    Transport.DTLS: "DTLS-SRTP is not supported yet",
    Transport.ICE_ONLY: "ICE is not supported yet, and there is no other address",
    Transport.OTHER: "only RTP is supported",
}


@dataclass(frozen=True, slots=True)
class RemoteMedia:
    """One section of a peer's description, read: what the peer wants there."""

    index: int
    """The place of its m= line."""
    kind: str
    protocol: str
    codecs: tuple[PayloadFormat, ...]
    direction: Direction
    """As the peer sees it. An unspecified address (``0.0.0.0``) takes the receiving away."""
    address: str
    """Numeric or a host name."""
    port: int
    rtcp_address: str
    rtcp_port: int
    rtcp_mux: bool
    packet_time: int | None
    maximum_packet_time: int | None
    key: PeerKey | None = None
    """What the peer protects with; None for plain RTP."""
    extended_reports: tuple[str, ...] = ()
    """The extended reports (RFC 3611 §5.1) that it knows and we do."""


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Our end of a section: where the peer shall send."""

    kind: str
    protocol: str
    address: str
    port: int
    rtcp_port: int
    rtcp_mux: bool


def find_audio(
    description: SessionDescription, preferred: int = -1, protection: Protection = ACCEPTING
) -> tuple[int, PeerKey | None]:
    """Return the place of the audio section to use, `preferred` if it is usable, else the first that is; and its key.

    Raises NegotiationError that says what is wrong with all of them.
    """
    refusal = NegotiationError("no audio")
    media = description.media
    order: Sequence[int] = range(len(media))
    if 0 <= preferred < len(media):
        order = sorted(order, key=lambda index: index != preferred)
    for index in order:
        candidate = media[index]
        if candidate.kind != "audio":
            continue
        if candidate.port == 0:
            refusal = NegotiationError("the audio is refused")
            continue
        transport = transport_of(description, candidate)
        if transport not in (Transport.PLAIN, Transport.SDES):
            refusal = NegotiationError(_REFUSALS[transport])
            continue
        try:
            return index, offered_key(candidate, protection)
        except NegotiationError as error:
            refusal = error
    raise refusal


def read_media(
    description: SessionDescription,
    index: int,
    known: tuple[PayloadFormat, ...] = (),
    key: PeerKey | None = None,
) -> RemoteMedia:
    """Return what the peer wants in section `index`; `known` as in `codecs_of`, `key` what it protects with.

    Raises NegotiationError if the section names no address (RFC 8866 §5.7 demands one).
    """
    media = description.media[index]
    place = place_of(description, media)
    return RemoteMedia(
        index,
        media.kind,
        media.protocol,
        codecs_of(media, known),
        place.direction,
        place.address,
        media.port,
        place.rtcp_address,
        place.rtcp_port,
        place.rtcp_mux,
        packet_time_of(media),
        maximum_packet_time_of(media),
        key,
        extended_reports_of(media),
    )


_EXTENDED_REPORTS = ("rcvr-rtt=all", "rcvr-rtt=sender", "voip-metrics")

OFFERED_REPORTS = "rcvr-rtt=all voip-metrics"
"""What our first offer says of them in a=rtcp-xr: we read these blocks, and answer in kind (RFC 3611 §5.2)."""


def extended_reports_of(media: MediaDescription) -> tuple[str, ...]:
    """Return what of a=rtcp-xr (RFC 3611 §5.1) we can do: the round trip of receivers, VoIP metrics."""
    said = (media.value("rtcp-xr") or "").split()
    wanted = [word.partition(":")[0] for word in said]  # rcvr-rtt may have a largest size behind it
    return tuple([word for word in _EXTENDED_REPORTS if word in wanted])


def check_answer(
    answer: SessionDescription,
    offer: tuple[MediaDescription, ...],
    index: int,
    keys: Mapping[str, MasterKey] = NO_KEYS,
) -> PeerKey | None:
    """Check that `answer` answers section `index` of an offer, which had `keys` by tag; return the key that it chose.

    An answer with fewer sections than its offer (RFC 3264 §6 forbids it) is let pass while ours is there; so is one
    that says RTP/SAVP with a key where RTP/AVP was offered with keys. Raises NegotiationError if it is no answer.
    """
    if index >= len(answer.media):
        raise NegotiationError("the answer lacks the section that was offered")
    answered, offered = answer.media[index], offer[index]
    if answered.kind != offered.kind:
        raise NegotiationError(f"another kind of media in answer to {offered.kind}")
    if answered.port == 0:
        raise NegotiationError(f"the {offered.kind} is refused")
    transport = transport_of(answer, answered)
    if transport is not Transport.PLAIN and not (transport is Transport.SDES and keys):
        raise NegotiationError(_REFUSALS[transport])
    key = answered_key(answered, keys)
    if key is None and (transport is Transport.SDES or offered.protocol.upper().startswith("RTP/SAVP")):
        raise NegotiationError("no key in answer to an offer of SRTP", 488, "srtp-required")
    return key


def answer_codecs(offered: Iterable[PayloadFormat], wanted: Iterable[PayloadFormat]) -> tuple[PayloadFormat, ...]:
    """Return those of `wanted` that were offered, in their order and with their parameters, by the offer's numbers.

    RFC 3264 §6.1: the answer's formats are a subset of the offer's, and its payload type numbers should be the offer's.
    Raises NegotiationError if nothing that carries a voice is common.
    """
    offered = tuple(offered)
    chosen: list[PayloadFormat] = []
    numbers: set[int] = set()
    for codec in wanted:
        match = same_codec(codec, offered)
        if match is not None and match.payload_type not in numbers:
            numbers.add(match.payload_type)
            if match.parameters != codec.parameters:
                match = replace(match, parameters=codec.parameters)
            chosen.append(match)
    if all(codec.is_companion for codec in chosen):
        raise NegotiationError("no codec in common")
    return tuple(chosen)


def number_codecs(
    codecs: Iterable[PayloadFormat], history: Mapping[int, tuple[str, int, int]]
) -> tuple[PayloadFormat, ...]:
    """Return `codecs` numbered for an offer in a session where `history` says what each number has meant so far.

    RFC 3264 §8.3.2: the mapping from a payload type number to a codec MUST NOT change for the duration of a session. So
    a number keeps its codec, and a codec whose number has meant another one gets one that it had, or a fresh one.
    """
    codecs = tuple(codecs)
    taken = {codec.payload_type for codec in codecs if history.get(codec.payload_type, codec.key) == codec.key}
    if len(taken) == len(codecs):
        return codecs
    numbered: list[PayloadFormat] = []
    for codec in codecs:
        if history.get(codec.payload_type, codec.key) != codec.key:
            earlier = [number for number, key in history.items() if key == codec.key]
            fresh = [number for number in _DYNAMIC if number not in history]
            free = [number for number in earlier + fresh if number not in taken]
            if not free:
                continue
            taken.add(free[0])
            codec = replace(codec, payload_type=free[0])
        numbered.append(codec)
    return tuple(numbered)


_DYNAMIC = (*range(96, 128), *range(35, 64))
"""RFC 3551 §3: 96 to 127 are dynamic; once they are used up, the unassigned ones below 64 may be taken."""


def family_of(address: str) -> str:
    """Return ``IP6`` or ``IP4`` for a numeric address."""
    return "IP6" if ":" in address else "IP4"


def section(
    local: LocalMedia,
    codecs: tuple[PayloadFormat, ...],
    direction: Direction,
    packet_time: int | None = None,
    maximum_packet_time: int | None = None,
    keys: Iterable[Attribute] = (),
) -> MediaDescription:
    """Return our m= section; everything in it comes from the arguments."""
    attributes: list[Attribute] = [*codec_attributes(codecs), *keys]
    if packet_time:
        attributes.append(("ptime", str(packet_time)))
    if maximum_packet_time:
        attributes.append(("maxptime", str(maximum_packet_time)))
    if local.rtcp_mux:
        attributes.append(("rtcp-mux", None))
    if local.rtcp_port != local.port + 1:
        # RFC 3605; RFC 5761 §5.1.3 wants it beside rtcp-mux too if the fallback port is not the next one.
        attributes.append(("rtcp", str(local.rtcp_port)))
    attributes.append((direction.value, None))
    formats = tuple([str(codec.payload_type) for codec in codecs])
    return MediaDescription(local.kind, local.port, local.protocol, formats, attributes=tuple(attributes))


def refused_section(media: MediaDescription) -> MediaDescription:
    """Return the section that refuses `media`: its port is zero (RFC 3264 §6)."""
    return MediaDescription(media.kind, 0, media.protocol, media.formats)


def describe(session_id: int, version: int, address: str, sections: tuple[MediaDescription, ...]) -> SessionDescription:
    """Return our description with that origin; all its sections are received at `address`.

    RFC 3264 §5 sets s= to ``-`` and t= to ``0 0``; the user name of o= says nothing (RFC 8866 §5.2 allows ``-``).
    """
    family = family_of(address)
    return SessionDescription(
        Origin("-", str(session_id), str(version), address, family),
        connection=Connection(address, family),
        media=sections,
    )
