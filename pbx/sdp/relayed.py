"""Sections that are relayed unread (video, text, T.38): what of a peer's section the other peer must know.

Formats keep their numbers, so that what one peer sends means to the other what its own description said. Attributes
pass by an allow-list and nothing else does: no address, candidate, source or key of one peer reaches the other.
"""

from __future__ import annotations

from pbx.sdp.model import Attribute, Bandwidth, Direction, MediaDescription, SessionDescription
from pbx.sdp.transport import Transport, place_of, transport_of
from pbx.values import dataclass

__all__ = ["IMAGE", "RELAYED_KINDS", "RelayedMedia", "read_relayed", "relayed_section"]

IMAGE = "image"
"""T.38 by UDPTL (ITU-T T.38 Annex D)."""

RELAYED_KINDS = frozenset(("video", "text", IMAGE))
"""Kinds of media that can be relayed; any other is refused (RFC 3264 §6: port zero)."""

_RTP_ATTRIBUTES = frozenset(
    # RFC 8866 §6; RFC 4585 (rtcp-fb), RFC 5506 (rtcp-rsize), RFC 6236 (imageattr), RFC 4796 (content), RFC 5285
    # header extensions pass with the packets, so extmap passes too.
    ("rtpmap", "fmtp", "framerate", "quality", "rtcp-fb", "rtcp-rsize", "imageattr", "content", "extmap")
)
_T38_ATTRIBUTES = frozenset(
    name.lower()
    for name in (
        # ITU-T T.38 Annex D, as registered in RFC 3362 and by IANA; spelled in any case.
        "T38FaxVersion",
        "T38MaxBitRate",
        "T38FaxMaxBitRate",
        "T38FaxFillBitRemoval",
        "T38FaxTranscodingMMR",
        "T38FaxTranscodingJBIG",
        "T38FaxRateManagement",
        "T38FaxMaxBuffer",
        "T38FaxMaxDatagram",
        "T38FaxMaxIFP",
        "T38FaxUdpEC",
        "T38FaxUdpECDepth",
        "T38FaxUdpFECMaxSpan",
        "T38ModemType",
        "T38VendorInfo",
    )
)
_BANDWIDTHS = frozenset(("AS", "TIAS", "RS", "RR"))
_UDPTL = "udptl"

MOST_FORMATS = 64
"""Formats of one section; browsers offer some forty for video."""


@dataclass(frozen=True, slots=True)
class RelayedMedia:
    """One section of a peer's description that can be relayed."""

    index: int
    """The place of its m= line."""
    kind: str
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    """Those that the other peer may know."""
    bandwidths: tuple[Bandwidth, ...]
    direction: Direction
    address: str
    port: int
    rtcp_address: str
    rtcp_port: int
    rtcp_mux: bool

    @property
    def is_rtp(self) -> bool:
        """True if its datagrams are RTP, and RTCP goes with them."""
        return self.kind != IMAGE

    @property
    def terms(self) -> tuple[object, ...]:
        """What both peers must agree to: everything but addresses and places."""
        return (self.kind, self.protocol.upper(), self.formats, self.attributes, self.direction)


def read_relayed(description: SessionDescription, index: int) -> RelayedMedia | None:
    """Return section `index` as far as it can be relayed; None if it cannot, or is not in use.

    Raises NegotiationError if it names no address (RFC 8866 §5.7 demands one).
    """
    media = description.media[index]
    if media.port == 0 or media.kind not in RELAYED_KINDS:
        return None
    if media.kind == IMAGE:
        if media.protocol.lower() != _UDPTL or "t38" not in [name.lower() for name in media.formats]:
            return None
        known = _T38_ATTRIBUTES
    else:
        if transport_of(description, media) is not Transport.PLAIN or len(media.formats) > MOST_FORMATS:
            return None
        known = _RTP_ATTRIBUTES
    place = place_of(description, media)
    return RelayedMedia(
        index,
        media.kind,
        media.protocol,
        media.formats,
        tuple([attribute for attribute in media.attributes if attribute[0].lower() in known]),
        tuple([bandwidth for bandwidth in media.bandwidths if bandwidth[0] in _BANDWIDTHS]),
        place.direction,
        place.address,
        media.port,
        place.rtcp_address,
        place.rtcp_port,
        place.rtcp_mux,
    )


def relayed_section(
    other: RelayedMedia, protocol: str, port: int, rtcp_port: int, direction: Direction, rtcp_mux: bool
) -> MediaDescription:
    """Return our section that tells one peer what the other one said, received at our `port`."""
    attributes = list(other.attributes)
    if other.is_rtp:
        if rtcp_mux:
            attributes.append(("rtcp-mux", None))
        if rtcp_port != port + 1:
            attributes.append(("rtcp", str(rtcp_port)))
        attributes.append((direction.value, None))
    return MediaDescription(
        other.kind, port, protocol, other.formats, bandwidths=other.bandwidths, attributes=tuple(attributes)
    )
