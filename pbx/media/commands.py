"""What callers ask of the media engine.

Each command is a small serialisable value: strings, numbers and tuples of them, so that it can cross a process
boundary. A *stream* is one RTP session of one leg (an RTP port and, unless multiplexed, the RTCP port above it); its id
is chosen by the caller and never used twice. Every command answers later, by an event of `pbx.media.events`, and none
raises for what happens in the engine. Addresses are numeric text, times are milliseconds unless a name says otherwise.
"""

from __future__ import annotations

from typing import Literal

from pbx.media.processing import Processing
from pbx.sdp.sdes import MasterKey
from pbx.values import dataclass

__all__ = [
    "Clamp",
    "Close",
    "Codec",
    "Command",
    "Connect",
    "Disconnect",
    "HearDigits",
    "Join",
    "Leave",
    "Mute",
    "Open",
    "PausePlaying",
    "PauseRecording",
    "Play",
    "Process",
    "Query",
    "Record",
    "SeekPlaying",
    "SendDigits",
    "SetKeys",
    "SetRemote",
    "SetRole",
    "SetVolume",
    "StopPlaying",
    "StopRecording",
    "TakeDigit",
]


@dataclass(frozen=True, slots=True)
class Codec:
    """One RTP payload type of a stream: `name` as in a=rtpmap (compared without case), `rate` the RTP clock in Hz."""

    payload_type: int
    name: str
    rate: int
    channels: int = 1
    parameters: str = ""
    """The text of a=fmtp, as received."""


@dataclass(frozen=True, slots=True)
class Open:
    """Bind a port pair for a new stream; answered by Opened, or by Closed with a reason.

    Streams of one `group` (a call) share a packet thread and may be connected to each other.
    """

    stream: str
    group: str
    address: str
    """The local address to bind, IPv4 or IPv6."""


@dataclass(frozen=True, slots=True)
class SetRemote:
    """Say where the peer wants its media and what it may send. May be repeated; each one re-opens the latch.

    With `latch`, the first source that sends valid RTP from another address than said becomes the peer (a phone behind
    NAT), and is locked; without it only the said address is believed.
    """

    stream: str
    address: str
    port: int
    """0: the peer's address is not known yet, send nothing."""
    rtcp_address: str
    rtcp_port: int
    rtcp_mux: bool
    codecs: tuple[Codec, ...]
    """In the order preferred; the first one is what we send with when we play."""
    send: bool = True
    """False while the peer must not be sent media (it put us on hold)."""
    receive: bool = True
    """False while the peer is not expected to send; stops the no-media clock."""
    latch: bool = True
    packet_time: int = 20
    no_media_timeout: int = 0
    """Milliseconds without a packet until NoMedia is told; 0 never."""
    opaque: bool = False
    """Relay datagrams as they come, to a stream that is opaque too: RTP and RTCP of video and text, UDPTL. Such a
    stream has no codecs."""


@dataclass(frozen=True, slots=True)
class SetKeys:
    """Make a stream SRTP, or plain RTP again; before the SetRemote of the exchange in which the keys were agreed on.

    A key said again goes on with its packet counts. With a new one of the peer's the old one stays good until the peer
    is heard under the new one.
    """

    stream: str
    secured: bool
    receive: MasterKey | None = None
    """What the peer protects with. None: not known yet (a DTLS handshake); nothing passes until it is."""
    send: MasterKey | None = None
    """What we protect with."""
    after_peer: bool = False
    """Go on sending under our old key until the peer is heard under its new one: it has yet to be told of ours."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Relay between two streams of one group, both ways; a stream connected to itself is an echo. Ends earlier
    connections of both."""

    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the relaying to and from a stream."""

    stream: str


@dataclass(frozen=True, slots=True)
class Join:
    """Take part in a mix: hear what its members say, without oneself, and be heard by them.

    A mix is named by whoever joins first and ends with the last who leaves; members may be of different calls and speak
    different codecs. Ends the stream's connection, and its part in another mix. ActiveSpeaker tells who has the floor.
    """

    stream: str
    mix: str
    rate: int = 16000
    """Hz of the mix, 8000, 16000 or 48000: what the first one says."""
    mute: bool = False
    deaf: bool = False
    hearers: tuple[str, ...] = ()
    """See SetRole."""


@dataclass(frozen=True, slots=True)
class SetRole:
    """Say whom a member of a mix hears and who hears it.

    Listening in is to be muted, a whisper has one hearer, to barge in is to be a member like any other.
    """

    stream: str
    mute: bool = False
    """Nobody hears it."""
    deaf: bool = False
    """It hears nobody."""
    hearers: tuple[str, ...] = ()
    """The streams that alone hear it, at most 8; empty: all do."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End a stream's part in its mix. It is connected to nobody then."""

    stream: str


@dataclass(frozen=True, slots=True)
class Play:
    """Play sounds to a stream's peer, one after the other, in place of what is relayed to it; answered by PlayEnded.

    A sound is the path of a file, with or without its suffix (of several the best for the codec is taken), or a tone:
    ``tone:440+480/2000,0/4000`` in hertz and milliseconds.

    With the name of a mix as `stream`, all its members hear it, beside each other; it can then be stopped and no more.
    """

    stream: str
    play: str
    sounds: tuple[str, ...]
    loop: bool = False
    """From the first one again after the last, until it is stopped."""
    start: int = 0
    """Milliseconds into the first sound."""
    volume: int = 0
    """In dB, -60 to 20."""
    stopped_by: str = ""
    """Digits (``0-9*#A-D``) that end it as soon as the peer presses one."""
    shared: bool = False
    """Join those who hear the same sounds, at the place where they are, as on the radio; it loops."""


@dataclass(frozen=True, slots=True)
class PausePlaying:
    """Let the peer hear nothing (`paused`), or go on where that began."""

    stream: str
    play: str
    paused: bool


@dataclass(frozen=True, slots=True)
class SeekPlaying:
    """Go so many `milliseconds` on, or back if negative; not beyond the beginning."""

    stream: str
    play: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class SetVolume:
    """Play louder or softer from here on: `decibels` from -60 to 20, 0 as the sounds are."""

    stream: str
    play: str
    decibels: int


@dataclass(frozen=True, slots=True)
class StopPlaying:
    """Stop a play; its PlayEnded follows."""

    stream: str
    play: str


@dataclass(frozen=True, slots=True)
class Record:
    """Record what `left` and, if given, `right` receive into one file, one channel a stream or both `mixed` into one.

    Answered by RecordingEnded or RecordingFailed. While it runs the file is `path` + ".part", a WAV in any case and
    playable at any moment; in the end it is converted if its format is another one.

    With the name of a mix as `left`, and no `right`: what all its members may hear.
    """

    recording: str
    left: str
    right: str
    """Empty: a mono recording of `left`."""
    path: str
    maximum: int = 0
    """Milliseconds after which it ends by itself; 0 never."""
    format: str = "wav"
    """``wav``, ``flac`` or ``opus`` (in Ogg)."""
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class PauseRecording:
    """Write silence from here on (`paused`), or sound again; each change is marked in the sidecar."""

    recording: str
    paused: bool


@dataclass(frozen=True, slots=True)
class StopRecording:
    """End a recording; its RecordingEnded follows once the file is whole on disk."""

    recording: str


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Send keys to a stream's peer: characters of ``0-9*#A-D``, each for `duration` milliseconds.

    They go as telephone-events (RFC 4733) where the peer takes these, else as tones in the voice.
    """

    stream: str
    digits: str
    duration: int = 160


Clamp = Literal["never", "events", "always"]
"""Whether keys that are heard as tones are kept out of what goes to the stream that theirs is connected to, since its
peer is told them another way; ``events``: where that one takes telephone-events."""


@dataclass(frozen=True, slots=True)
class HearDigits:
    """Hear keys as tones in what a stream's peer says (`on`), or no more; a Digit tells of each. Sound that is clamped
    comes 40 ms later."""

    stream: str
    on: bool
    clamp: Clamp = "never"


@dataclass(frozen=True, slots=True)
class TakeDigit:
    """Let a key that a stream's peer pressed by INFO end what a key ends there; no Digit tells of it."""

    stream: str
    digit: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Drop what a stream's peer sends (`receive`), or what would be sent to it (`send`), until said otherwise."""

    stream: str
    receive: bool
    send: bool


@dataclass(frozen=True, slots=True)
class Process:
    """Process what a stream's peer says from here on, wherever it is decoded; and decode it wherever that can be.

    Where the engine was built without speexdsp the command is counted as refused, and sound goes on as it is.
    """

    stream: str
    processing: Processing


@dataclass(frozen=True, slots=True)
class Query:
    """Ask for a Statistics event now."""

    stream: str


@dataclass(frozen=True, slots=True)
class Close:
    """End a stream, its plays and connections; answered by Closed with the final counts. Its ports drain before
    reuse."""

    stream: str


Command = (
    Open
    | SetRemote
    | SetKeys
    | Connect
    | Disconnect
    | Join
    | SetRole
    | Leave
    | Play
    | PausePlaying
    | SeekPlaying
    | SetVolume
    | StopPlaying
    | Record
    | PauseRecording
    | StopRecording
    | SendDigits
    | HearDigits
    | TakeDigit
    | Mute
    | Process
    | Query
    | Close
)
