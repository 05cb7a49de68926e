"""What a call needs from the rest of the server, as Protocols: `pbx.app` gives the real things, tests give small
ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from pbx.call import commands
from pbx.call.commands import Party, Voucher
from pbx.call.events import Event as LegEvent
from pbx.call.events import ReferRequested
from pbx.call.header_rules import HeaderRules
from pbx.call.occupancy import Occupancy
from pbx.call.rates import CallRates
from pbx.call.summary import LegSummary, RecordingSummary, Summary
from pbx.cause import EndCause
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.steps import Recording, Target
from pbx.failover import NextOn
from pbx.media.commands import Command as MediaCommand
from pbx.media.events import Verdict
from pbx.media.keys import DtmfMode
from pbx.media.processing import Processing
from pbx.sdp.sdes import Srtp
from pbx.sip.stack import Destination, Timer
from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.call.call import Call
    from pbx.call.steps import Runner

__all__ = ["CallSettings", "Candidate", "Directory", "LegHandle", "Observer", "Services", "Transfers"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to reach a target: a phone's contact, or a trunk's address."""

    target: str
    """``extension/102`` or ``trunk/carrier``."""
    destination: Destination
    called: Party
    credentials: str = ""
    """Whose password answers a challenge; empty for none."""
    latch: bool = True
    """Believe the first good source of audio rather than the address said (a phone behind NAT)."""
    peer: str = ""
    """The numeric address that the peer's signalling comes from; empty while unknown."""
    local: str = ""
    """Our own numeric address on the way there; empty while unknown."""
    codecs: tuple[str, ...] = ()
    """The voice codecs that may pass, best first; empty for those of the server."""
    dtmf: DtmfMode = DtmfMode.AUTO
    """How keys come and go."""
    processing: Processing | None = None
    """What is done to what it says; None as the server has it."""
    srtp: Srtp | None = None
    """Whether the audio is encrypted; None as the server has it."""
    early_offer: bool = False
    """It wants an offer in every INVITE, also when the caller makes none."""
    headers: tuple[tuple[str, str], ...] = ()
    header_rules: HeaderRules = HeaderRules()
    """What becomes of these and of the route's headers."""


class Directory(Protocol):
    """Where everybody is."""

    def candidates(self, target: Target) -> tuple[Candidate, ...]:
        """Return the ways to reach a target, best first; those of one extension ring together. Empty: nobody is
        there."""

    def shown_to(self, target: str, source: str, caller: Party) -> Party:
        """Return whom a target is shown as the caller."""

    def allowed(self, target: str, party: Party) -> Party:
        """Return a caller as a target may be shown it, whatever a route has set."""

    def voucher(self, target: str, source: str, caller: Party) -> Voucher | None:
        """Return how far we vouch for a caller as `target` is shown it; None if calls to it are not signed."""

    def verstat(self, target: str, outcome: str, caller: Party, shown: Party) -> str:
        """Return what a target is told that is `shown` somebody, of whom there was the `outcome` of a check when it
        called as `caller` (`Dial.verstat`); empty for nothing."""

    def latches(self, source: str) -> bool:
        """Return whether a source's audio may come from elsewhere than it says (see `Candidate.latch`)."""

    def codecs(self, source: str) -> tuple[str, ...]:
        """Return the voice codecs that may pass to and from a source (see `Candidate.codecs`)."""

    def dtmf(self, source: str) -> DtmfMode:
        """Return how keys come from a source and go to it."""

    def processing(self, source: str) -> Processing | None:
        """Return what is done to what a source says (see `Candidate.processing`)."""

    def srtp(self, source: str) -> Srtp | None:
        """Return whether a source's audio is encrypted (see `Candidate.srtp`)."""

    def redirected(self, target: str, contacts: tuple[str, ...]) -> tuple[Target, ...]:
        """Return where a call may go that a target redirects to `contacts`, best first; of the kind ``number`` where
        the dialplan decides. Empty: it is not followed."""

    def is_down(self, target: Target) -> bool:
        """Return whether a target is known not to take calls now, so that the next one of a list is tried at once."""

    def next_on(self, target: str) -> NextOn:
        """Return which failures of a target go on to the next one, where the route does not say."""

    def patience(self, target: str) -> float | None:
        """Return how long a target may say nothing at all of a call; None for a few seconds where there is another one,
        and as long as SIP waits otherwise."""

    def overloaded(self, target: str, seconds: int) -> None:
        """Take that a target wants no calls for some seconds (503 with Retry-After, RFC 3261 §21.5.4)."""


class LegHandle(Protocol):
    """A leg, as a call sees it."""

    @property
    def sip_call_id(self) -> str:
        """The Call-ID of its dialog; empty while it has none."""

    @property
    def remote(self) -> str:
        """The signalling address of its peer, ``transport:host:port``; empty while unknown."""

    @property
    def takes_info(self) -> bool:
        """Whether its peer says that it takes INFO (Allow)."""

    def handle(self, command: commands.Command) -> None:
        """Carry a command out."""


class Observer(Protocol):
    """Who wants to know of calls: records, metrics, the API. Must not raise and must not block."""

    def call_started(self, summary: Summary) -> None:
        """A call has come in and was given a route."""

    def call_answered(self, summary: Summary) -> None:
        """Somebody talks."""

    def recording_changed(self, summary: Summary, recording: RecordingSummary) -> None:
        """A recording began, is whole, or failed. Those that begin before the answer's event are told before it."""

    def audio_judged(self, summary: Summary, leg: LegSummary, verdict: Verdict) -> None:
        """The verdict on one direction of a leg's audio is there, or has changed."""

    def call_ended(self, summary: Summary) -> None:
        """It is over, and its legs and streams are gone."""

    def fault(self, call: str, error: BaseException) -> None:
        """Our own bug ended a call."""


class Transfers(Protocol):
    """What becomes of the transfers that peers ask for: `pbx.features.transfer`."""

    def requested(self, call: Call, item: ReferRequested) -> None:
        """Take that a leg of a call that talks asks for a transfer, and answer it by AcceptRefer or DeclineRefer."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What holds for every call. Times are seconds."""

    ring_timeout: float = 60.0
    """How long one extension rings when the route does not say."""
    trunk_timeout: float = 180.0
    """How long a trunk may ring when the route does not say: Timer C (RFC 3261 §16.6)."""
    maximum_duration: float = 0.0
    """0: no limit."""
    end_without_media: bool = True
    """Whether NoMedia ends a call; else it is only recorded."""
    recording: Recording = Recording()
    """How calls are recorded where their route does not say."""
    max_forwards: int = 70
    """Of calls that begin here (RFC 3261 §8.1.1.6)."""
    retry_after: float = 5.0
    """What a caller is told who is refused for a limit: when to try again (RFC 3261 §20.33)."""
    patience: float = 4.0
    """How long a target may say nothing at all of a call before the next one is tried."""
    verdict_after: float = 5.0
    """How long after the answer the audio is judged, and how often from then on; 0: never."""
    media_grace: float = 5.0
    """How long the end of a call waits for the engine's last counts and files."""


def _charge_nobody(leg: str, payer: str, target: str, number: str) -> None:
    """Charge nobody."""


def _is_over(leg: str) -> None:
    """Do nothing."""


def _permit_all(call: str, source: str, target: Target) -> EndCause | None:
    return None


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that calls share."""

    now: Callable[[], float]
    """Seconds on a clock that never goes back."""
    wall: Callable[[], datetime]
    """Aware wall-clock time."""
    later: Callable[[float, Callable[[], None]], Timer]
    token: Callable[[], str]
    """A short random text for ids."""
    chance: Callable[[], float]
    """A random number from 0 to 1, 1 excluded."""
    decide: Callable[[Query], Decision]
    asks_codecs: Callable[[], bool]
    """Whether a route asks for the codecs that a caller offers."""
    directory: Directory
    submit: Callable[[MediaCommand], None]
    """Hands a command to the media engine."""
    open_leg: Callable[[str, Candidate, Callable[[LegEvent], None]], LegHandle]
    """Makes an outbound leg: its id, whom it will dial, and who hears of it."""
    recording_path: Callable[[str, datetime], str]
    """Where a recording of this id that starts at this time belongs."""
    sounds: Callable[[str], tuple[str, ...]]
    """What is to be played for a name of a step: a file's, a tone's (``tone:busy``), or what is said
    (``say:number/42``)."""
    music: Callable[[], tuple[str, ...]]
    """The music on hold; empty for silence."""
    occupancy: Occupancy
    rates: CallRates
    observer: Observer
    settings: CallSettings
    refused: Counter[str] = field(default_factory=Counter)
    """Calls, transfers and redirections that a limit has refused, by the limit; see `CallRegistry.refused`."""
    transfers: Transfers | None = None
    """Who carries transfers out; None: all are refused."""
    permit: Callable[[str, str, Target], EndCause | None] = _permit_all
    """Asked for a call, whoever answers for it and a target before it is dialled: None, or why it may not be."""
    charge: Callable[[str, str, str, str], None] = _charge_nobody
    """Told that a leg talks from now on, until it is gone: who answers for it, its target, and the number dialled
    there. Whatever call it moves to, it costs."""
    gone: Callable[[str], None] = _is_over
    """Told that a leg is."""
    features: dict[str, Callable[[Call, Any], Runner]] = field(default_factory=dict, hash=False)
    """What performs the steps of a feature, by its word in the dialplan."""
