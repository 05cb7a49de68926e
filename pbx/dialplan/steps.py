"""What a call does, step by step: the substituted outcome of a decision.

Nothing here holds a placeholder any more, save `RECORDED`: numbers are rewritten, names filled in, ``set`` and ``goto``
are worked in. The call performs the steps of a `Decision` in order:

- A step that is done is followed by the next one. After the last one the call ends: an answered one with ``completed``,
  an unanswered one with the cause of its last failed `DialStep`, or else ``no-route``.
- A `DialStep` that was answered ends the list: what follows is never performed. One that failed goes on with
  `DialStep.after(cause)` in place of all that follows it, or with what follows it if that is None.
- The caller hanging up ends it all at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from pbx.cause import EndCause
from pbx.failover import NextOn
from pbx.values import dataclass

__all__ = [
    "OUTCOMES",
    "RECORDED",
    "AnswerStep",
    "CallerOverride",
    "ConferenceStep",
    "DialStep",
    "EchoStep",
    "EnterStep",
    "FeatureStep",
    "HangUpStep",
    "PlayStep",
    "RecordStep",
    "Recording",
    "RejectStep",
    "RouteLimits",
    "Step",
    "Target",
    "VoicemailStep",
    "WaitStep",
    "outcome_of",
]

RECORDED = "{recording}"
"""As a file of a `PlayStep`: what the last `RecordStep` of this call recorded; known only while the call runs."""

OUTCOMES = ("busy", "unanswered", "declined", "unavailable", "failed", "any")
"""The keys that ``on:`` may have; ``any`` is taken where the outcome itself has no entry."""

_OUTCOME_OF_CAUSE = {
    "busy": "busy",
    "no-answer": "unanswered",
    "declined": "declined",
    "unavailable": "unavailable",
    "unreachable": "unavailable",
    "callee-timeout": "unavailable",
}


def outcome_of(cause: EndCause) -> str:
    """Return which of `OUTCOMES` a failed dial attempt is; ``failed`` for every cause without a name of its own."""
    return _OUTCOME_OF_CAUSE.get(cause.slug, "failed")


@dataclass(frozen=True, slots=True)
class Target:
    """One place to dial. `kind` is ``extension``, ``trunk`` or ``uri``."""

    kind: str
    name: str
    """The extension's number, the trunk's name in the configuration, or the whole URI."""
    number: str
    """What is dialled there: the user part of the Request-URI. For a URI, the user part of that URI."""

    def __str__(self) -> str:
        return self.name if self.kind == "uri" else f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class CallerOverride:
    """Whom the far end sees as the caller; None leaves what the source's configuration says."""

    number: str | None = None
    name: str | None = None
    anonymous: bool | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """How a dialled call is recorded, from its answer on."""

    failure: str = ""
    """``continue`` or ``end``: what happens to the call when it cannot be recorded; empty for what the server says, as
    all that is left out here."""
    format: str = ""
    """``wav``, ``flac`` or ``opus``."""
    channels: str = ""
    """``stereo`` or ``mixed``."""
    announce: str | None = None
    """A sound that both hear before it begins; empty for none."""
    beep: float | None = None
    """Seconds between tones that both hear while it runs; 0 for none."""
    pause_digit: str | None = None
    """The key by which either side pauses and resumes it; empty for none."""

    def over(self, default: Recording) -> Recording:
        """Return what holds where `default` is what the server says."""
        return Recording(
            self.failure or default.failure,
            self.format or default.format,
            self.channels or default.channels,
            default.announce if self.announce is None else self.announce,
            default.beep if self.beep is None else self.beep,
            default.pause_digit if self.pause_digit is None else self.pause_digit,
        )


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """How many calls a route takes."""

    calls: int | None = None
    """At once."""
    per_second: float | None = None


@dataclass(frozen=True, slots=True)
class EnterStep:
    """Come into another route by ``goto``, one that takes only so many calls: if it has them, the call ends with
    ``too-many-calls``."""

    route: str
    limits: RouteLimits


@dataclass(frozen=True, slots=True)
class DialStep:
    """Ring one target or several, and connect the one that answers."""

    targets: tuple[Target, ...]
    """In the order to try; never empty."""
    number: str
    """What was dialled, after rewriting."""
    timeout: float = 60.0
    """Seconds to wait for an answer: of each target in ``sequence``, of all together with ``all``."""
    strategy: str = "sequence"
    """``sequence``: one after the other, the next one on failure. ``all``: at once, the first to answer wins.
    ``weighted``: as a sequence whose order is drawn by `weights` for each call."""
    record: Recording | None = None
    """None: not recorded."""
    max_duration: float | None = None
    """Seconds from the answer on; None for what `limits` says."""
    caller: CallerOverride | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Headers to add on the outbound legs; values hold no control characters."""
    ringback: str = ""
    """A sound file that the caller hears until somebody answers; empty for what the far end sends."""
    weights: tuple[int, ...] = ()
    """With ``weighted``, one a target."""
    prices: tuple[str, ...] = ()
    """Why the targets stand in this order, one text a target, where a table of rates ordered them."""
    next_on: NextOn | None = None
    """Which failures go on to the next target; None for what each target says."""
    wait_for_line: float = 0.0
    """Seconds that a call waits while every target has as many calls as it may have; 0 does not wait."""
    codecs: tuple[str, ...] = ()
    """The voice codecs that the callee may have, best first, transcoded if the caller has none of them; empty for those
    of each target."""
    on: Mapping[str, tuple[Step, ...]] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """What to do next by outcome (`OUTCOMES`); see `after`."""

    def after(self, cause: EndCause) -> tuple[Step, ...] | None:
        """Return the steps to go on with when no target answered and the last one failed with `cause`.

        None means: with those that follow this one.
        """
        if not self.on:
            return None
        steps = self.on.get(outcome_of(cause))
        return steps if steps is not None else self.on.get("any")


@dataclass(frozen=True, slots=True)
class AnswerStep:
    """Answer the caller, unless it has been answered."""


@dataclass(frozen=True, slots=True)
class PlayStep:
    """Play sound files one after the other, answering first unless `early`."""

    files: tuple[str, ...]
    """Names within the sounds folders, without a leading slash or ``..``; tones (``tone:busy/de``); what is said
    (``say:number/42``); or `RECORDED`."""
    early: bool = False
    """As early media, without answering."""
    repeat: int = 1
    """How often the list is played; 0 until the caller hangs up."""
    stopped_by: str = ""
    """Keys of ``0-9*#A-D`` that end it."""
    volume: int = 0
    """In dB, -60 to 20."""
    limit: float | None = None
    """Seconds after which it ends; None for no limit."""


@dataclass(frozen=True, slots=True)
class EchoStep:
    """Answer, and send back what the caller says, until it hangs up or `limit` is over."""

    limit: float | None = None
    """Seconds; None for no limit but that of every call."""


@dataclass(frozen=True, slots=True)
class RecordStep:
    """Answer, and record the caller until it presses a key of `finish`, or `limit` is over."""

    name: str = ""
    """Of the file, within the recordings folder; empty for one that names the call."""
    limit: float = 60.0
    """Seconds."""
    beep: bool = True
    finish: str = "#"
    """Keys that end it, of ``0-9*#A-D``; empty for none."""


@dataclass(frozen=True, slots=True)
class WaitStep:
    """Do nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class RejectStep:
    """Refuse the caller with a cause; an answered call is hung up with it."""

    cause: str
    """A slug of `pbx.cause`, whose status is 400 or higher."""
    status: int = 0
    """The SIP status in place of the cause's own; 0 for that."""


@dataclass(frozen=True, slots=True)
class HangUpStep:
    """End an answered call with `cause`; one that was never answered is rejected with `before_answer`."""

    cause: str = "completed"
    before_answer: str = "declined"


@dataclass(frozen=True, slots=True)
class VoicemailStep:
    """Take a message for a mailbox."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class ConferenceStep:
    """Answer, and let the caller take part in a conference until it hangs up or the conference ends."""

    name: str
    pin: str = ""
    """What the caller must key in first; empty for nothing."""
    moderator_pin: str = ""
    """What makes the caller a moderator, keyed in instead of `pin`."""
    moderator: bool = False
    """Whoever comes by this step is a moderator."""
    mute: bool = False
    """Nobody hears the caller at first; a moderator is never muted."""
    announce: bool = True
    """All hear a tone when somebody comes or goes, and whoever comes first is told that nobody else is there."""
    max_members: int = 0
    """How many the conference may have, this caller included; 0 for no limit."""
    record: bool = False
    """From this caller's coming on."""
    wait_for_moderator: bool = False
    """The caller hears nobody and is not heard until a moderator is there."""
    end_with_moderator: bool = False
    """When the last moderator goes, this caller goes too."""


@dataclass(frozen=True, slots=True)
class FeatureStep:
    """Hand the caller to a feature, by its word in the dialplan (``queue``, ``menu`` …) and a name.

    A feature that this server does not have ends the call with ``not-available``.
    """

    feature: str
    name: str


Step = (
    EnterStep
    | DialStep
    | AnswerStep
    | PlayStep
    | EchoStep
    | RecordStep
    | WaitStep
    | RejectStep
    | HangUpStep
    | VoicemailStep
    | ConferenceStep
    | FeatureStep
)
