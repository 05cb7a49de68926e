"""Which codecs a media section names: a=rtpmap and a=fmtp over the static table of RFC 3551."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from pbx.sdp.model import Attribute, MediaDescription
from pbx.values import dataclass

__all__ = [
    "COMPANIONS",
    "TELEPHONE_EVENT",
    "PayloadFormat",
    "codec_attributes",
    "codecs_of",
    "maximum_packet_time_of",
    "packet_time_of",
    "same_codec",
    "telephone_event_of",
]

TELEPHONE_EVENT = "telephone-event"
"""RFC 4733."""

COMPANIONS = frozenset((TELEPHONE_EVENT, "cn", "tone"))
"""Encoding names, in lower case, that accompany a voice codec and carry no conversation by themselves."""


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """One RTP payload type and what it carries; `rate` is the RTP clock in Hz, `parameters` the text of a=fmtp."""

    payload_type: int
    name: str
    rate: int
    channels: int = 1
    parameters: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes two formats the same codec: name without case, rate and channels (RFC 8866 §6.6)."""
        return (self.name.lower(), self.rate, self.channels)

    @property
    def is_companion(self) -> bool:
        """True for comfort noise and telephone-events: formats that cannot carry a conversation alone."""
        return self.name.lower() in COMPANIONS


_STATIC = {
    static.payload_type: static
    for static in (
        # RFC 3551 §6, table 4; 19 is the number that comfort noise had before it, and some gateways still use it.
        PayloadFormat(0, "PCMU", 8000),
        PayloadFormat(3, "GSM", 8000),
        PayloadFormat(4, "G723", 8000),
        PayloadFormat(5, "DVI4", 8000),
        PayloadFormat(6, "DVI4", 16000),
        PayloadFormat(7, "LPC", 8000),
        PayloadFormat(8, "PCMA", 8000),
        PayloadFormat(9, "G722", 8000),
        PayloadFormat(10, "L16", 44100, 2),
        PayloadFormat(11, "L16", 44100),
        PayloadFormat(12, "QCELP", 8000),
        PayloadFormat(13, "CN", 8000),
        PayloadFormat(14, "MPA", 90000),
        PayloadFormat(15, "G728", 8000),
        PayloadFormat(16, "DVI4", 11025),
        PayloadFormat(17, "DVI4", 22050),
        PayloadFormat(18, "G729", 8000),
        PayloadFormat(19, "CN", 8000),
        # RFC 3551 §6, table 5.
        PayloadFormat(25, "CelB", 90000),
        PayloadFormat(26, "JPEG", 90000),
        PayloadFormat(28, "nv", 90000),
        PayloadFormat(31, "H261", 90000),
        PayloadFormat(32, "MPV", 90000),
        PayloadFormat(33, "MP2T", 90000),
        PayloadFormat(34, "H263", 90000),
    )
}


_CACHED = 256
"""Formats as peers write them, which all of a phone's calls share."""
_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^_`a-z{|}~]{1,64}")


def codecs_of(media: MediaDescription, known: Iterable[PayloadFormat] = ()) -> tuple[PayloadFormat, ...]:
    """Return the formats of an RTP section in the order of its m= line.

    A number without a=rtpmap is looked up in `known` (what the other side offered: some devices leave a=rtpmap out of
    their answers), then in the static table. A number that stays unknown is left out; nobody could decode it.
    """
    maps: dict[str, str] = {}
    parameters: dict[str, str] = {}
    for name, value in media.attributes:
        if name == "rtpmap" and value:
            number, _, rest = value.strip().partition(" ")
            maps.setdefault(number, rest)
        elif name == "fmtp" and value:
            number, _, rest = value.strip().partition(" ")
            parameters.setdefault(number, rest.strip())
    fallback = {codec.payload_type: codec for codec in known}
    found: list[PayloadFormat] = []
    seen: set[int] = set()
    for text in media.formats:
        payload_type = _number(text, 127)
        if payload_type is None or payload_type in seen:
            continue
        seen.add(payload_type)
        fmtp = parameters.get(text, "")
        mapping = maps.get(text)
        mapped = _mapped(payload_type, mapping, fmtp) if mapping else None
        if mapped is None:
            default = fallback.get(payload_type) or _STATIC.get(payload_type)
            if default is None:
                continue
            mapped = default if default.parameters == fmtp else replace(default, parameters=fmtp)
        found.append(mapped)
    return tuple(found)


@lru_cache(maxsize=_CACHED)
def _mapped(payload_type: int, mapping: str, parameters: str) -> PayloadFormat | None:
    """Read ``name/rate[/channels]``; None if it makes no sense.

    The name is a token (RFC 8866 §6.6); it ends in call records and on the other leg, so it is held to that.
    """
    fields = mapping.strip().split("/")
    if len(fields) < 2 or not _TOKEN.fullmatch(fields[0]):
        return None
    rate = _number(fields[1].strip(), 1_000_000)
    channels = _number(fields[2].strip(), 64) if len(fields) > 2 else 1
    if not rate:
        return None
    if fields[0].lower() == "opus":
        channels = 2  # RFC 7587 §7: it MUST be 2; some leave it out
    return PayloadFormat(payload_type, fields[0], rate, channels or 1, parameters)


def codec_attributes(codecs: Iterable[PayloadFormat]) -> list[Attribute]:
    """Return the a=rtpmap and a=fmtp lines that say `codecs`.

    RFC 3264 §5.1: a=rtpmap SHOULD be given for static payload types too.
    """
    lines: list[Attribute] = []
    for codec in codecs:
        channels = f"/{codec.channels}" if codec.channels != 1 else ""
        lines.append(("rtpmap", f"{codec.payload_type} {codec.name}/{codec.rate}{channels}"))
        if codec.parameters:
            lines.append(("fmtp", f"{codec.payload_type} {codec.parameters}"))
    return lines


def same_codec(wanted: PayloadFormat, among: Iterable[PayloadFormat]) -> PayloadFormat | None:
    """Return the format of `among` that is the codec `wanted`: of several the one with its number, else the first."""
    first: PayloadFormat | None = None
    key = wanted.key
    for codec in among:
        if codec.key == key:
            if codec.payload_type == wanted.payload_type:
                return codec
            first = first or codec
    return first


def telephone_event_of(codecs: Iterable[PayloadFormat], rate: int = 8000) -> PayloadFormat | None:
    """Return the telephone-event format of that clock rate, else of any, else None.

    RFC 4733 §2.1: its clock should be that of the codec it goes with.
    """
    first: PayloadFormat | None = None
    for codec in codecs:
        if codec.name.lower() == TELEPHONE_EVENT:
            if codec.rate == rate:
                return codec
            first = first or codec
    return first


def packet_time_of(media: MediaDescription) -> int | None:
    """Return a=ptime in whole milliseconds (RFC 8866 §6.4), None if absent or outside 1 to 200."""
    return _milliseconds(media.value("ptime"))


def maximum_packet_time_of(media: MediaDescription) -> int | None:
    """Return a=maxptime in whole milliseconds (RFC 8866 §6.5), None if absent or outside 1 to 1000."""
    return _milliseconds(media.value("maxptime"), 1000)


def _milliseconds(value: str | None, maximum: int = 200) -> int | None:
    # Fractions occur ("20.0" from some gateways, "0.125" in AES67).
    number = _number(value.strip().partition(".")[0], maximum) if value else None
    return number or None


def _number(text: str, maximum: int) -> int | None:
    """Return a decimal number up to `maximum`, else None."""
    if not (text.isascii() and text.isdigit()) or len(text) > 7:
        return None
    number = int(text)
    return number if number <= maximum else None
