"""Which codecs stand in where two legs have none in common, so that the engine transcodes between them.

What both sides can do always comes first, and where it suffices nothing here is used: nothing is decoded that could be
relayed.
"""

from __future__ import annotations

from collections.abc import Iterable

from pbx.media.policy import MAXIMUM_FORMATS, MediaSettings
from pbx.sdp.codecs import TELEPHONE_EVENT, PayloadFormat, same_codec

__all__ = ["as_ours", "merged", "numbered", "one_voice", "stand_ins", "transcoded_answer"]

_FALLBACK = ("pcma", "pcmu")
"""Offered beside what a caller offers when nobody lists codecs: every phone has one of these, and one turns into the
other at next to no cost. More would tempt a phone away from what need only be relayed."""

_DYNAMIC = range(127, 95, -1)


def stand_ins(
    settings: MediaSettings,
    source: Iterable[PayloadFormat],
    common: tuple[PayloadFormat, ...],
    agreed: Iterable[PayloadFormat],
    names: tuple[str, ...],
) -> tuple[PayloadFormat, ...]:
    """Return voice codecs to offer to a leg behind what is `common`.

    `source` is what may pass to and from the other side, `agreed` what the leg itself does now, so that a change on the
    other side does not take its codec away, and `names` the leg's own list of codecs. Empty if the other side has
    nothing that can be decoded.
    """
    source = tuple(source)
    if not settings.transcode or not any(settings.decodes(codec) for codec in source if not codec.is_companion):
        return ()
    wanted = [codec for codec in agreed if not codec.is_companion and settings.decodes(codec)]
    wanted += settings.own_voices(names or settings.codecs or _FALLBACK)
    taken = {codec.payload_type for codec in common}
    known = {codec.key for codec in common}
    added: list[PayloadFormat] = []
    for codec in wanted:
        if codec.key in known or len(common) + len(added) >= MAXIMUM_FORMATS:
            continue
        number = codec.payload_type
        if number in taken:
            number = next(free for free in _DYNAMIC if free not in taken)
        taken.add(number)
        known.add(codec.key)
        added.append(numbered(codec, number))
    return tuple(added)


def merged(common: tuple[PayloadFormat, ...], added: tuple[PayloadFormat, ...]) -> tuple[PayloadFormat, ...]:
    """Return what is common and what stands in for it: voices first, as everywhere."""
    if not added:
        return common
    voices = [codec for codec in common if not codec.is_companion]
    return (*voices, *added, *[codec for codec in common if codec.is_companion])


def transcoded_answer(
    settings: MediaSettings, offered: Iterable[PayloadFormat], other: Iterable[PayloadFormat], names: tuple[str, ...]
) -> tuple[PayloadFormat, ...]:
    """Return what to answer to a leg that `offered` codecs of which the other side, which does `other`, has none.

    Empty if that cannot be transcoded either. `names` is the leg's own list of codecs.
    """
    other = tuple(other)
    if not settings.transcode or not any(settings.decodes(codec) for codec in other if not codec.is_companion):
        return ()
    permitted = settings.permitted(offered, decodable_only=True, names=names)
    voice = next((codec for codec in permitted if not codec.is_companion), None)
    if voice is None:
        return ()
    companions = [
        codec
        for codec in permitted
        if codec.is_companion and (codec.rate == voice.rate if codec.name.lower() == "cn" else same_codec(codec, other))
    ]
    return (as_ours(voice), *companions)


def one_voice(codecs: tuple[PayloadFormat, ...]) -> tuple[PayloadFormat, ...]:
    """Return the first voice codec, and the telephone-event that goes with it."""
    voice = next((codec for codec in codecs if not codec.is_companion), None)
    if voice is None:
        return ()
    events = [codec for codec in codecs if codec.name.lower() == TELEPHONE_EVENT]
    fitting = [codec for codec in events if codec.rate == voice.rate] or events
    return (as_ours(voice), *fitting[:1])


def as_ours(codec: PayloadFormat) -> PayloadFormat:
    """Return a codec with the parameters that we answer where the engine itself decodes and encodes it.

    RFC 7587 §7.1: Opus' parameters are each side's own wishes. What comes is made mono, and so is what we send.
    """
    if codec.name.lower() != "opus":
        return codec
    parameters = "useinbandfec=1;stereo=0;sprop-stereo=0" if "stereo" in codec.parameters else "useinbandfec=1"
    return PayloadFormat(codec.payload_type, codec.name, codec.rate, codec.channels, parameters)


def numbered(codec: PayloadFormat, payload_type: int) -> PayloadFormat:
    """Return a codec under another payload type number."""
    return PayloadFormat(payload_type, codec.name, codec.rate, codec.channels, codec.parameters)
