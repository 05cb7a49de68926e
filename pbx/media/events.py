"""What the media engine tells: each event names the stream, play or recording that its command named."""

from __future__ import annotations

from typing import get_args

from pbx.values import Enum, dataclass

__all__ = [
    "EVENTS",
    "ActiveSpeaker",
    "Closed",
    "Digit",
    "Event",
    "Latched",
    "NoMedia",
    "Opened",
    "PlayEnded",
    "RecordingBehind",
    "RecordingEnded",
    "RecordingFailed",
    "RecordingFinishing",
    "Refusal",
    "Statistics",
    "StreamStatistics",
    "Verdict",
]


class Refusal(Enum):
    """Why ICMP says that what we send does not arrive."""

    NOT = "not"
    PORT = "port"
    """Nobody listens there."""
    HOST = "host"
    """There is no way to it."""
    POLICY = "policy"
    """A firewall."""


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """Counts of one stream since it was opened. Packets and octets are of RTP; octets are UDP payload."""

    received_packets: int = 0
    received_octets: int = 0
    sent_packets: int = 0
    sent_octets: int = 0
    lost: int = 0
    """Expected minus received packets, cumulative (RFC 3550 §A.3)."""
    jitter: float = 0.0
    """Interarrival jitter in milliseconds (RFC 3550 §6.4.1)."""
    round_trip: float = -1.0
    """Milliseconds, from the peer's last receiver report that quoted a sender report; -1 while unknown."""
    remote_lost: int = 0
    """Packets that the peer reports as lost on the way to it."""
    remote_jitter: float = 0.0
    """Milliseconds, as the peer reports."""
    rtcp_received: int = 0
    rtcp_sent: int = 0
    stun_received: int = 0
    dropped_stranger: int = 0
    """Packets from an address that is not the peer's."""
    dropped_source: int = 0
    """Packets of a second source (SSRC) beside the one that is heard."""
    dropped_invalid: int = 0
    """Datagrams that are neither RTP nor RTCP nor STUN of version and length that the RFCs allow."""
    dropped_payload: int = 0
    """RTP of a payload type that was not negotiated, here or on the stream that it should be relayed to."""
    dropped_late: int = 0
    """Packets from before a change of source that came after it."""
    dropped_unconnected: int = 0
    """Good packets that had nowhere to go: no connection, muted, or the other side on hold."""
    transcoded_packets: int = 0
    """Packets that were decoded for the other side."""
    concealed: int = 0
    """Milliseconds of sound made up where packets to be decoded were lost."""
    dropped_overdue: int = 0
    """Packets that came too late to be decoded."""
    buffer_delay: float = 0.0
    """Milliseconds that sound waits to be decoded, now; 0 where nothing is decoded."""
    dropped_unauthentic: int = 0
    """SRTP or SRTCP that the peer's key does not open."""
    dropped_replayed: int = 0
    """SRTP or SRTCP that came before, or is too old to tell."""
    processed: int = 0
    """Milliseconds of sound processed (`pbx.media.commands.Process`)."""
    voiced: int = 0
    """Of these, what was speech."""
    send_errors: int = 0
    """Sends that the operating system refused."""
    extended_received: int = 0
    """Extended reports (RFC 3611) of the peer."""
    remote_rating: int = -1
    """The R factor of what the peer hears, as it says in them; -1 unknown."""
    remote_score: float = -1.0
    """The same as MOS."""
    refused: int = 0
    """ICMP errors that came of RTP to the peer's address."""
    refused_rtcp: int = 0
    """The same of RTCP, which many phones do without."""
    inspected: int = 0
    """Packets of sound whose payload was looked at: one in 16."""
    silent: int = 0
    """Of these, of digital silence."""
    clipped: int = 0
    """Of these, cut off at full scale (G.711 and L16)."""
    refusal: Refusal = Refusal.NOT
    """What the last ICMP error of RTP said."""
    payload_type: int = -1
    """Of the last packet received."""
    level: int = -128
    """Of what the peer says in its mix, in dBov (RFC 6464): 0 is full, -127 silence; -128: it is in no mix."""
    source: str = ""
    """The address that is sending, ``host:port``; empty while nothing arrived."""
    stranger: str = ""
    """The address whose RTP was dropped last as `dropped_stranger`; empty if none was."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream has its ports."""

    stream: str
    address: str
    rtp_port: int
    rtcp_port: int


@dataclass(frozen=True, slots=True)
class Latched:
    """A stream's peer sends from another address than it said, and is believed from here on."""

    stream: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Digit:
    """A key was pressed on a stream's peer; told once, at its end."""

    stream: str
    digit: str
    duration: int
    """Milliseconds."""
    relayed: bool = False
    """It goes on, as it came, to the peer of the stream that this one is connected to."""


@dataclass(frozen=True, slots=True)
class PlayEnded:
    """A play is over; `failure` is empty when it ran to its end or was stopped, else says why it could not."""

    stream: str
    play: str
    failure: str = ""
    played: int = 0
    """Milliseconds."""
    digit: str = ""
    """What the peer pressed to stop it (`Play.stopped_by`)."""


@dataclass(frozen=True, slots=True)
class RecordingEnded:
    """A recording is whole on disk under its final name."""

    recording: str
    path: str
    duration: int
    octets: int
    sha256: str
    gaps: int = 0
    """Milliseconds of silence written where packets were missing, of both sides: lost ones, and the time of a side that
    sent nothing though it should have."""
    note: str = ""
    """Why it is a WAV, as the path says, although another format was asked for; empty if all is as asked."""


@dataclass(frozen=True, slots=True)
class RecordingBehind:
    """The disk is too slow: packets are missing in a recording, which goes on. Told once."""

    recording: str


@dataclass(frozen=True, slots=True)
class RecordingFinishing:
    """A recording is over and safe on disk as a WAV, and is being converted. Told again every second until it has
    ended, so that whoever waits for it knows that it comes."""

    recording: str


@dataclass(frozen=True, slots=True)
class RecordingFailed:
    """A recording could not start or go on; what was written stays, as a WAV."""

    recording: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class NoMedia:
    """Nothing arrived on a stream for its no-media timeout. Told again each time that so long has passed, until packets
    come."""

    stream: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class ActiveSpeaker:
    """Another member of a mix has the floor: told when one talks for a moment and nobody else does, or much louder; at
    most some times a second."""

    mix: str
    stream: str
    """Empty: nobody has talked for a while."""
    level: int = -127
    """dBov."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The answer to Query."""

    stream: str
    counts: StreamStatistics


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the audio of one direction does, told when it changes: made of two Statistics by `pbx.media.judging`."""

    stream: str
    arriving: bool
    """True of the audio from the peer, False of that to it."""
    finding: str
    """A `pbx.media.verdict.Finding`: ``flowing``, ``nothing`` …"""
    text: str
    """One plain sentence."""
    remedy: str = ""
    """What can be done; empty where nothing need be."""
    fault: bool = False
    """Somebody should do something about it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A stream is gone; `reason` is empty when it was closed by command, else says why it could not live."""

    stream: str
    counts: StreamStatistics
    reason: str = ""


Event = (
    Opened
    | Latched
    | Digit
    | PlayEnded
    | RecordingEnded
    | RecordingFailed
    | RecordingBehind
    | RecordingFinishing
    | NoMedia
    | ActiveSpeaker
    | Statistics
    | Verdict
    | Closed
)
EVENTS: frozenset[type] = frozenset(get_args(Event))
"""The classes of events; to look one up here is quicker than `isinstance`."""
