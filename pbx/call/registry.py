"""Every call there is: where they begin, how the engine's events find them, and how all of them end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from pbx.call.call import Call
from pbx.call.commands import Party
from pbx.call.draining import Drain, Waits
from pbx.call.events import Event as LegEvent
from pbx.call.events import Incoming
from pbx.call.items import HangUpWanted, RecordingWanted, Wish
from pbx.call.legs import call_of as call_of_leg
from pbx.call.originated import CallerRunner
from pbx.call.ports import CallSettings, LegHandle, Services
from pbx.call.refusals import Refusals
from pbx.call.rooms import Rooms
from pbx.call.route_limits import route_refusal
from pbx.call.summary import Summary
from pbx.call.supervision import Mode
from pbx.call.takeover import Replaced, TakeOver
from pbx.cause import EndCause, cause_named
from pbx.dialplan.decision import Query
from pbx.dialplan.steps import Target
from pbx.media import events as media
from pbx.media.session import MediaSession, call_of
from pbx.sdp.codecs import codecs_of
from pbx.sdp.model import SessionDescription
from pbx.sip.stack import Flow
from pbx.trunks.verification import UNVERIFIED, Verification
from pbx.values import dataclass

__all__ = ["CallRegistry", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the whole server carries."""

    calls: int | None = None
    """Calls at once; None: no limit."""
    per_second: float | None = None
    """Calls that may begin in a second; None: no limit."""


_SYSTEM = "*"


def _no_emergency() -> bool:
    return False


def _tell_nobody(calls: tuple[Summary, ...], seconds: float) -> None:
    """Tell nobody."""


class CallRegistry:
    """The calls of this process, by id.

    The ids of legs (``c5f2…-0``), streams, plays and recordings (``c5f2…/3``) begin with that of their call, so
    whatever a leg or the engine tells finds its call without a table.
    """

    def __init__(
        self,
        services: Services,
        open_session: Callable[[str], MediaSession],
        limits: Limits,
    ) -> None:
        self._services = services
        self._open_session = open_session
        self.limits = limits
        self.rooms = Rooms(services)
        self._refusals = Refusals(services)
        self._calls: dict[str, Call] = {}
        self._moved: dict[str, Call] = {}
        """Where the legs are that an attended transfer has moved out of the call whose id they have."""
        self._drain: Drain | None = None
        self.refused = services.refused
        """Calls that were refused before they began, and transfers and redirections, by what was reached: ``draining``,
        ``calls``, ``rate``, ``source-calls``, ``source-rate``, ``route-calls``, ``route-rate``."""
        self._ends = self._ended, self.moved
        """Whom a call tells of its end and of legs that leave it: bound once, not for each call."""
        self.stray_media_events = 0
        """Events of the engine for calls that are over."""

    def __len__(self) -> int:
        return len(self._calls)

    def reconfigure(self, settings: CallSettings, limits: Limits) -> None:
        """Let these hold for calls that begin from now on."""
        self._services = replace(self._services, settings=settings)
        self.limits = limits

    # -- calls begin

    def refusal(
        self, source: str = "", emergency: Callable[[], bool] = _no_emergency, *, waited: bool = False
    ) -> EndCause | None:
        """Return why no new call is taken now, or none from `source`; None if one is. It counts as begun then.

        `emergency` is asked where a limit is reached: a call for help is stopped by none, nor by a server that takes no
        calls any more, as long as it would be waited for. A call that has `waited` since it was asked for before is not
        counted again.
        """
        services, limits = self._services, self.limits
        reached, detail = "", ""
        drain = self._drain
        if drain is not None:
            reached = "draining"
        elif limits.calls is not None and len(self._calls) >= limits.calls:
            reached = "calls"
        elif source and services.occupancy.full(source):
            reached, detail = "source-calls", f"{source} has as many calls as it may have"
        elif not waited and limits.per_second is not None and not services.rates.within(_SYSTEM, limits.per_second):
            reached, detail = "rate", "as many calls a second as the server may take"
        elif not waited and source and not services.rates.allows(source):
            reached, detail = "source-rate", f"{source} makes more calls a second than it may"
        if not reached or (not (drain is not None and drain.over) and emergency()):
            return None
        self.refused[reached] += 1
        return cause_named("shutting-down") if reached == "draining" else cause_named("too-many-calls", detail)

    @property
    def retry_after(self) -> int:
        """Seconds that a caller is told who is refused."""
        return max(1, round(self._services.settings.retry_after))

    def refuse(
        self, source: str, caller: Party, called: str, cause: EndCause, verification: Verification = UNVERIFIED
    ) -> None:
        """Write down a call that was refused before it began."""
        self._refusals.write(source, caller, called, cause, verification)

    def write_refusals(self) -> None:
        """Write down at once what was refused of a flood."""
        self._refusals.flush()

    def new_id(self) -> str:
        """Return an id for a call; the id of its caller's leg is that with ``-0``."""
        return self._services.token()

    def begin(self, incoming: Incoming, leg: LegHandle, call_id: str, flow: Flow) -> Call:
        """Route a call that came in by `flow`. `incoming.leg` must be ``call_id + "-0"``."""
        call = self._admit(incoming, leg, call_id, flow)
        if not call.connectable:
            return call
        codecs = _offered(incoming.offer) if self._services.asks_codecs() else ()
        caller, verified = incoming.caller, incoming.verification.outcome
        self._route(call, self.query(incoming.source, caller, incoming.called, incoming.headers, codecs, verified))
        return call

    def replace(self, incoming: Incoming, leg: LegHandle, call_id: str, flow: Flow, replaced: Replaced) -> None:
        """Let a call that came in by `flow` take the place of a leg of another one. See `begin`."""
        call = self._admit(incoming, leg, call_id, flow)
        other = self.find(replaced.leg)
        if not call.connectable or other is None:
            return
        self._services.observer.call_started(call.summary)
        call.route.run(call, (), first=TakeOver(call, other, replaced.leg, early=replaced.early))

    def _admit(self, incoming: Incoming, leg: LegHandle, call_id: str, flow: Flow) -> Call:
        """Make a call of one that has come in; one whose offer cannot be met has ended."""
        services = self._services
        now, wall = services.now(), services.wall()
        caller = incoming.caller
        summary = Summary(call_id, incoming.source, caller, incoming.called, wall, now)
        summary.verification = incoming.verification
        call = self._make(summary, incoming.leg)
        call.legs.add(incoming.leg, incoming.source, leg)
        call.late_offer = incoming.offer is None
        call.redirections = incoming.redirections
        if incoming.max_forwards is not None:
            call.max_forwards = incoming.max_forwards - 1
        directory, source = services.directory, incoming.source
        call.session.protect(incoming.leg, directory.srtp(source))
        # The offer first: it may ask for another address family than the signalling came by.
        if incoming.offer is not None and not call.take_offer(incoming.offer):
            return call
        call.session.open(
            incoming.leg,
            latch=directory.latches(source),
            peer=flow.remote[0],
            local=flow.local[0],
            codecs=directory.codecs(source),
            dtmf=directory.dtmf(source),
            processing=directory.processing(source),
        )
        return call

    def query(
        self,
        source: str,
        caller: Party,
        called: str,
        headers: tuple[tuple[str, str], ...] = (),
        codecs: tuple[str, ...] = (),
        verification: str = "none",
    ) -> Query:
        """Return what the dialplan is asked for a call that comes in."""
        return Query(
            source,
            called,
            self._services.wall(),
            caller="" if caller.anonymous else caller.number,
            caller_name=caller.name,
            headers=headers,
            codecs=codecs,
            verification=verification,
        )

    def is_emergency(self, query: Query) -> bool:
        """Return whether a call that the dialplan is asked for calls for help."""
        return self._services.decide(query).emergency

    def originate(self, source: str, target: Target, number: str, caller: Party) -> str:
        """Dial `target` and, when one of its phones answers, route `number` as if `source` had called it. Return the
        call's id.

        LookupError if the target cannot be reached at all, no route takes the number, or no new call is taken.
        """
        services = self._services
        decision = services.decide(
            Query(source, number, services.wall(), caller=caller.number, caller_name=caller.name)
        )
        refusal = self.refusal(emergency=lambda: decision.emergency)
        if refusal is not None:
            raise LookupError(refusal.text)
        candidates = services.directory.candidates(target)
        if not candidates:
            raise LookupError(f"{target} has no phone registered")
        full = route_refusal(services, decision)
        if full is not None:
            raise LookupError(full.detail)
        if decision.route is None:
            raise LookupError(f"{number}: {cause_named(decision.refusal or 'no-route').text}")
        summary = Summary(self.new_id(), source, caller, number, services.wall(), services.now())
        call = self._make(summary, "")
        call.answer_is_due = False
        summary.route = decision.route or ""
        call.come_into(decision)
        services.observer.call_started(summary)
        call.route.run(call, decision.steps, first=CallerRunner(call, candidates))
        return call.id

    def _make(self, summary: Summary, leg: str) -> Call:
        call = Call(self._services, self._open_session(summary.call), summary, leg, *self._ends)
        self._calls[summary.call] = call
        return call

    def _route(self, call: Call, query: Query) -> None:
        decision = self._services.decide(query)
        call.summary.route = decision.route or ""
        call.summary.number = decision.number
        self._services.observer.call_started(call.summary)
        cause = route_refusal(self._services, decision)
        if cause is not None:
            call.post(HangUpWanted(cause))
            return
        call.come_into(decision)
        if decision.route is None:
            call.post(HangUpWanted(cause_named(decision.refusal or "no-route", query.number)))
        else:
            call.route.run(call, decision.steps)

    def _ended(self, call: Call) -> None:
        self._calls.pop(call.id, None)
        if self._moved:
            self._moved = {leg: other for leg, other in self._moved.items() if other is not call}
        if self._drain is not None and not self._calls:
            self._drain.emptied()

    # -- what happens to calls

    def deliver(self, event: LegEvent) -> None:
        """Give a leg's event to its call."""
        call = self.find(event.leg)
        if call is not None:
            call.post(event)

    def find(self, leg: str) -> Call | None:
        """Return the call that a leg belongs to; None if that is over."""
        return self._moved.get(leg) or self._calls.get(call_of_leg(leg))

    def moved(self, leg: str, call: Call) -> None:
        """Take that a leg belongs to another call from now on."""
        self._moved[leg] = call

    def on_media(self, events: Iterable[media.Event]) -> None:
        """Give each event of the engine to the call that it belongs to."""
        for event in events:
            owner = call_of(_name_in(event))
            call = self._calls.get(owner)
            if call is not None:
                call.post(event)
            elif not self.rooms.take(owner, event):
                self.stray_media_events += 1

    # -- calls as operators see them

    def get(self, call_id: str) -> Summary | None:
        """Return what is known of a running call."""
        call = self._calls.get(call_id)
        return call.describe() if call is not None else None

    def sip_call_ids(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Give the id of each running call and the SIP Call-IDs of its legs: cheap enough to be asked all the time."""
        return ((call.id, call.legs.sip_call_ids()) for call in self._calls.values())

    def all(self) -> list[Summary]:
        """Return what is known of every running call, the longest one first."""
        return [call.describe() for call in self._calls.values()]

    def hang_up(self, call_id: str, cause: EndCause | None = None) -> bool:
        """End a call; False if there is none of that id."""
        call = self._calls.get(call_id)
        if call is None:
            return False
        call.post(HangUpWanted(cause or cause_named("operator")))
        return True

    def hang_up_leg(self, leg: str, cause: EndCause) -> None:
        """End the call that a leg belongs to, if it is still there."""
        call = self.find(leg)
        if call is not None:
            call.post(HangUpWanted(cause))

    def record(self, call_id: str, action: str) -> str:
        """Start, stop, pause or resume the recording of a call; return why that cannot be, or nothing.

        LookupError if there is no call of that id.
        """
        call = self._calls.get(call_id)
        if call is None:
            raise LookupError(f"there is no call {call_id}")
        refusal = call.recording.refusal(call, action)
        if not refusal:
            call.post(RecordingWanted(action))
        return refusal

    def supervise(self, call_id: str, target: Target, mode: Mode, whisper_to: str = "") -> None:
        """Let `target` listen to a call, whisper or barge in: it is dialled, or has its mode changed if it is there.

        `whisper_to` is ``caller`` or ``callee``; left out it is whichever of them is an extension, the callee if both
        are. LookupError, in words, if that cannot be.
        """
        call = self._calls.get(call_id)
        if call is None:
            raise LookupError("there is no running call of this id")
        against = call.supervision.reason_against()
        if against:
            raise LookupError(against)
        confidant = self._confidant(call, whisper_to)
        if call.supervision.change(str(target), mode, confidant):
            call.post(Wish(lambda: None))  # which submits what the change asks of the engine
            return
        candidates = self._services.directory.candidates(target)
        if not candidates:
            raise LookupError(f"{target} has no phone registered")
        call.post(Wish(lambda: call.supervision.begin(candidates[0], mode, confidant)))

    def _confidant(self, call: Call, whisper_to: str) -> str:
        caller, callee = call.caller, call.bridge.callee
        if whisper_to:
            return caller if whisper_to == "caller" else callee
        legs = call.summary.legs
        inside = [leg for leg in (callee, caller) if legs[leg].target.startswith("extension/")]
        return inside[0] if inside else callee

    def drain(
        self, seconds: float, done: Callable[[], None], *, for_help: float = 0.0, waits: Waits = _tell_nobody
    ) -> None:
        """Take no new calls but for help, let the running ones finish for `seconds`, and those for help for `for_help`
        if that is longer, then end them; `done` is called when none is left. `waits` hears what it waits for."""
        self._drain = Drain(self._services, self._calls.values, seconds, for_help, waits)
        self._drain.wait(done)

    def when_drained(self, done: Callable[[], None]) -> None:
        """Call `done` when no call is left: one for help may have begun when there was none any more."""
        assert self._drain is not None
        self._drain.wait(done)

    def end_all(self) -> None:
        """End every call because the server stops."""
        for call_id in list(self._calls):
            self.hang_up(call_id, cause_named("shutting-down"))

    @property
    def draining(self) -> bool:
        """True once no new call is taken."""
        return self._drain is not None


_OF_RECORDINGS = (media.RecordingEnded, media.RecordingFailed, media.RecordingBehind, media.RecordingFinishing)


def _offered(offer: SessionDescription | None) -> tuple[str, ...]:
    """Return the voice codecs of an offer, best first."""
    audio = next((media for media in offer.media if media.kind == "audio"), None) if offer is not None else None
    return tuple([codec.name for codec in codecs_of(audio) if not codec.is_companion]) if audio is not None else ()


def _name_in(event: media.Event) -> str:
    if isinstance(event, _OF_RECORDINGS):
        return event.recording
    if isinstance(event, media.ActiveSpeaker):
        return event.mix
    return event.stream
