"""The section ``media:``. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pbx.config.kinds import (
    Address,
    CodecNames,
    FilePath,
    FilePaths,
    Networks,
    PortRange,
    PortRangeText,
    Positive,
    Section,
    Size,
)
from pbx.config.processing_section import Processing

__all__ = ["Media", "Rtcp"]


class Rtcp(Section):
    """Control packets beside the audio."""

    interval: Positive = 5.0
    """How often reports are sent."""
    mux: Literal["off", "accept", "offer"] = "accept"
    """RTCP on the port of RTP (RFC 5761): `off` never, `accept` when the peer offers it, `offer` in our offers too."""


class Media(Section):
    """Audio: addresses, ports, codecs, sounds."""

    address: Address | None = None
    """The address that audio goes through. Left out, it is the one that the signalling of each leg goes through."""
    external_address: Address | None = None
    """The address that peers outside the local networks are told; that of `sip` if left out."""
    local_networks: Networks | None = None
    """Networks whose hosts are told the address itself; those of `sip` if left out."""
    ports: PortRangeText = PortRange(20_000, 29_999)
    """The UDP ports of media. A call takes four: two legs, each with RTP and RTCP; four more each for video, text and
    T.38."""
    threads: int | None = Field(default=None, ge=1, le=256)
    """Threads that move packets; one for each processor if left out."""
    codecs: CodecNames | None = None
    """The codecs that are let through, best first. Left out, all are, in the order that the caller offers."""
    transcode: Literal["auto", "never"] = "auto"
    """Whether calls between peers that have no codec in common are transcoded. `auto`: a peer is offered the other's
    codecs first, and behind them those of its own list, or PCMA and PCMU where there is none; `never`: they fail."""
    processing: Processing = Processing()
    video: Literal["relay", "refuse"] = "relay"
    """Whether the video of a call between two peers that both have it is relayed, unread."""
    text: Literal["relay", "refuse"] = "relay"
    """The same for real-time text (T.140, RFC 4103)."""
    fax: Literal["relay", "refuse"] = "relay"
    """The same for T.38. Where it is refused, fax machines go on by audio, which G.711 carries unchanged."""
    srtp: Literal["off", "accept", "prefer", "require"] = "accept"
    """Encryption of audio (SRTP, with keys in the signalling by RFC 4568): `off` never; `accept` when the other side
    offers it; `prefer` offers it too, beside plain RTP (RFC 8643); `require` refuses with 488 whoever offers none."""
    latch: bool = True
    """Whether the first address that sends valid audio becomes the peer's, for phones behind NAT."""
    no_media_timeout: Positive | None = 300.0
    """A call in which nobody sends audio for so long ends; `null` never. Calls on hold are left alone."""
    verdict_after: Positive | None = 5.0
    """How long after the answer each call's audio is judged, and how often from then on: does it flow, and if not, why
    (docs/audio-verdict.md); `null` never."""
    dscp: int = Field(default=46, ge=0, le=63)
    """DSCP of audio packets; 46 is EF."""
    sounds: FilePaths = (
        Path("/usr/share/asterisk/sounds/en"),
        Path("/usr/share/asterisk/sounds/en_US_f_Allison"),
        Path("/usr/share/asterisk/sounds"),
    )
    """Folders in which sound files are looked for, in this order."""
    sound_memory: Size = 64 * 1024 * 1024
    """How much memory sounds that are prepared for playing may take; each has to fit into it."""
    language: str = "en"
    """How numbers, dates and letters are said: the name of a language pack, or the path of its file."""
    tones: str = "us"
    """The country of tones that are named without one, such as `tone:busy`."""
    music_on_hold: FilePath | None = Path("/usr/share/asterisk/moh")
    """The folder of the music that is heard by whoever an extension puts on hold; `null` for silence."""
    rtcp: Rtcp = Rtcp()
