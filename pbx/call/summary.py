"""What is known of a call: the one value that records, metrics, the API and the log lines are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pbx.call.commands import Party
from pbx.cause import EndCause
from pbx.media.events import StreamStatistics, Verdict
from pbx.media.quality import Quality
from pbx.trunks.verification import UNVERIFIED, Verification

__all__ = ["PASSED_OVER", "Attempt", "LegSummary", "RecordingSummary", "Summary"]

PASSED_OVER = "passed-over"
"""The outcome of what was not tried, because it is known to be down."""


@dataclass(slots=True)
class LegSummary:
    """One leg. Times are seconds of the monotonic clock, 0 while not yet."""

    leg: str
    target: str
    """Who is at its other end: ``extension/101``, ``trunk/carrier``."""
    sip_call_id: str = ""
    remote: str = ""
    """The signalling address, ``transport:host:port``."""
    codec: str = ""
    encryption: str = ""
    """The SRTP suite of its audio; empty for plain RTP."""
    started: float = 0.0
    answered: float = 0.0
    ended: float = 0.0
    cause: EndCause | None = None
    counts: StreamStatistics | None = None
    quality: Quality | None = None
    receiving: Verdict | None = None
    """How the audio from it does; None while nobody has judged."""
    sending: Verdict | None = None
    """How the audio to it does."""


@dataclass(slots=True)
class Attempt:
    """One thing that was tried to answer the call, and what came of it."""

    target: str
    outcome: str
    """A cause's slug, ``answered`` or `PASSED_OVER`."""
    detail: str = ""
    is_host: bool = False
    """It was one host of the target, and the call went on to the next one of that target."""


@dataclass(slots=True)
class RecordingSummary:
    """One recording of a call."""

    recording: str
    path: str
    started_at: datetime
    left: str = ""
    """Who is heard left: a leg's target. In a mono file the only one."""
    right: str = ""
    status: str = "running"
    """``running``, ``complete`` or ``failed``."""
    duration: int = 0
    """Milliseconds."""
    octets: int = 0
    sha256: str = ""
    gaps: int = 0
    """Milliseconds of silence in the place of missing packets."""
    failure: str = ""
    mixed: bool = False
    """Both sides in one channel."""
    pauses: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    """From when to when it was paused; None while it is."""
    note: str = ""
    """What is not as it was asked for: another format, packets lost to a slow disk."""


@dataclass(slots=True)
class Summary:
    """One call."""

    call: str
    source: str
    caller: Party
    called: str
    """As the caller dialled it."""
    started_at: datetime
    started: float
    """Monotonic seconds, as `answered` and `ended`."""
    route: str = ""
    destination: str = ""
    """The target that answered, or the last one tried."""
    number: str = ""
    """As it was dialled on towards the destination."""
    rang: float = 0.0
    answered: float = 0.0
    answered_at: datetime | None = None
    ended: float = 0.0
    ended_at: datetime | None = None
    cause: EndCause | None = None
    state: str = "setting-up"
    legs: dict[str, LegSummary] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    """The steps of the route that were begun, by their words in the dialplan."""
    verification: Verification = UNVERIFIED
    attempts: list[Attempt] = field(default_factory=list)
    recordings: list[RecordingSummary] = field(default_factory=list)

    @property
    def caller_leg(self) -> str:
        """The leg that the call began with."""
        return next(iter(self.legs), "")

    @property
    def duration(self) -> float:
        """Seconds from the answer to the end; 0 if never answered or still going on."""
        return self.ended - self.answered if self.answered and self.ended else 0.0

    @property
    def sip_call_ids(self) -> tuple[str, ...]:
        """The Call-IDs of all legs, which find the messages of a call in the capture ring."""
        return tuple(leg.sip_call_id for leg in self.legs.values() if leg.sip_call_id)
