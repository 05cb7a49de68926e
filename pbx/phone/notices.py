"""What a phone tells whoever watches it. Each is one line on a terminal, or one object of JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = [
    "Answered",
    "Called",
    "Calling",
    "EarlyMedia",
    "Fault",
    "Held",
    "HungUp",
    "KeyHeard",
    "KeysSent",
    "MediaChanged",
    "Moved",
    "Notice",
    "PlayEnded",
    "Quality",
    "RecordingEnded",
    "Registered",
    "Registering",
    "RegistrationTrouble",
    "Resumed",
    "Ringing",
    "Silent",
    "TextHeard",
    "Unregistered",
    "Waiting",
    "Who",
]


class Who(Enum):
    """Who ended a call."""

    US = "us"
    PEER = "peer"
    NETWORK = "network"
    """Nobody meant to: no answer from the network, no ACK, no refresh."""


@dataclass(frozen=True, slots=True)
class Registering:
    """The first REGISTER is on its way."""

    user: str
    server: str


@dataclass(frozen=True, slots=True)
class Registered:
    """The server has a binding of ours, or has renewed it after trouble."""

    user: str
    seconds: int
    contact: str


@dataclass(frozen=True, slots=True)
class RegistrationTrouble:
    """There is no binding, or it could not be renewed."""

    text: str
    """A sentence that says what is wrong and, where that is known, what to do."""
    status: int = 0
    retry: float = 0.0
    """Seconds until it is tried again; 0 if it is not."""


@dataclass(frozen=True, slots=True)
class Unregistered:
    """The binding is removed; `confirmed` if the server said so."""

    confirmed: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """The phone waits for a call."""

    contact: str


@dataclass(frozen=True, slots=True)
class Calling:
    """An INVITE is on its way."""

    uri: str


@dataclass(frozen=True, slots=True)
class Called:
    """Somebody calls us."""

    number: str
    name: str
    called: str


@dataclass(frozen=True, slots=True)
class Ringing:
    """The far end rings, or `here` we do."""

    here: bool = False


@dataclass(frozen=True, slots=True)
class EarlyMedia:
    """The far end sends audio before it answers."""

    codec: str
    address: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The call is up. `codec` is what we send by, `address` where to."""

    codec: str
    address: str
    here: bool = False


@dataclass(frozen=True, slots=True)
class MediaChanged:
    """The peer changed codec or address in mid-call."""

    codec: str
    address: str


@dataclass(frozen=True, slots=True)
class Held:
    """The peer put us on hold. `music`: it still sends, such as music."""

    music: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """The hold is over."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The peer's audio comes from another address than it said, as through a NAT; ours goes there from here on."""

    address: str


@dataclass(frozen=True, slots=True)
class Silent:
    """No audio has come for this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class KeyHeard:
    """The peer pressed a key. `way` is ``rtp`` or ``info``."""

    key: str
    milliseconds: int
    way: str


@dataclass(frozen=True, slots=True)
class KeysSent:
    """We pressed keys."""

    keys: str
    way: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class TextHeard:
    """The peer sent a text inside the call."""

    text: str


@dataclass(frozen=True, slots=True)
class PlayEnded:
    """The sound file is over; `failure` says why it could not be played."""

    path: str
    seconds: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class RecordingEnded:
    """What was heard is on disk; `failure` says why it is not."""

    path: str
    seconds: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over, or never came about."""

    who: Who
    cause: str
    """The slug of `pbx.cause`."""
    text: str
    """What it means, in a sentence."""
    detail: str = ""
    answered: bool = False
    seconds: float = 0.0
    """Since the answer."""
    status: int = 0
    """The response that refused it; 0 if none did."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How the call sounded. None: unknown."""

    codec: str
    sent: int
    received: int
    lost: int
    loss: float | None
    """Percent."""
    jitter: float | None
    """Milliseconds."""
    round_trip: float | None
    """Milliseconds."""
    mos: float | None
    """1 to 4.41: what we heard."""
    remote_lost: int | None
    remote_jitter: float | None
    remote_mos: float | None
    """What the peer heard, by its reports."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something is wrong that ends it all, in a sentence."""

    text: str
    detail: str = field(default="")


Notice = (
    Registering
    | Registered
    | RegistrationTrouble
    | Unregistered
    | Waiting
    | Calling
    | Called
    | Ringing
    | EarlyMedia
    | Answered
    | MediaChanged
    | Held
    | Resumed
    | Moved
    | Silent
    | KeyHeard
    | KeysSent
    | TextHeard
    | PlayEnded
    | RecordingEnded
    | HungUp
    | Quality
    | Fault
)
