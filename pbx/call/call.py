"""A call: one inbox, one state, one running step, one cause at the end.

Everything that happens to a call (a leg's event, the engine's event, a timer, an operator's wish) is posted to its
inbox and drained in order. What is done with it stands in `pbx.call.table` and `pbx.call.actions`; which step of its
route is performed, in `pbx.call.route`, and what that makes of it, in `pbx.call.fork` and `pbx.call.serve`; how two
connected legs renegotiate, in `pbx.call.bridge`; how one of them is exchanged, in `pbx.call.transfer`; how it all ends,
in `pbx.call.ending`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard, cast

from pbx.call import commands
from pbx.call.actions import ACTIONS
from pbx.call.bridge import Bridge
from pbx.call.commands import Party
from pbx.call.ending import Ending
from pbx.call.items import HangUpWanted, Item, TimerDue, classify
from pbx.call.keys import Keys
from pbx.call.legs import Legs
from pbx.call.music import Music
from pbx.call.ports import Candidate, Services
from pbx.call.recording import CallRecording
from pbx.call.recording_log import RecordingLog
from pbx.call.route import Route
from pbx.call.route_limits import HeldRoutes
from pbx.call.silence import Silence
from pbx.call.summary import Summary
from pbx.call.supervision import Supervision
from pbx.call.table import TABLE, Action, State
from pbx.call.timers import Timers
from pbx.call.transfer import Transfer
from pbx.call.verdicts import Verdicts
from pbx.cause import EndCause, cause_named
from pbx.dialplan.decision import Decision
from pbx.errors import NegotiationError
from pbx.media import events as media
from pbx.media.session import MediaSession
from pbx.sdp.model import SessionDescription

__all__ = ["Call"]

_MAXIMUM = "maximum-duration"


def _not_moved(leg: str, call: Call) -> None:
    """Tell nobody that a leg has moved."""


class Call:
    """One call, from the caller's INVITE to the last closed stream."""

    __slots__ = (
        "_bridge",
        "_draining",
        "_inbox",
        "_keys",
        "_maximum",
        "_moved",
        "_on_moved",
        "_shown",
        "_timers",
        "answer_is_due",
        "caller",
        "emergency",
        "ending",
        "files",
        "id",
        "late_offer",
        "legs",
        "max_forwards",
        "music",
        "payer",
        "recorded",
        "recording",
        "recording_ends_call",
        "redirected",
        "redirections",
        "route",
        "routes",
        "services",
        "session",
        "silence",
        "state",
        "summary",
        "supervisors",
        "transfer",
        "verdicts",
    )

    def __init__(
        self,
        services: Services,
        session: MediaSession,
        summary: Summary,
        caller: str,
        on_ended: Callable[[Call], None],
        on_moved: Callable[[str, Call], None] = _not_moved,
    ) -> None:
        self.id = summary.call
        self.services = services
        self.session = session
        self.summary = summary
        self.state = State.SETTING_UP
        self.caller = caller
        self.files = RecordingLog(summary, services.observer.recording_changed)
        self.legs = Legs(summary.legs, services.occupancy, services.now, services.gone)
        self.late_offer = False
        """The caller's INVITE had no description: who answers makes the offer."""
        self.answer_is_due = True
        """The caller waits for a final response."""
        self.max_forwards = services.settings.max_forwards
        """Of the INVITEs that this call sends."""
        self.redirections: tuple[commands.Redirection, ...] = ()
        """Who has sent the call on before, the last one first."""
        self.payer = summary.source
        """Who answers for what is dialled: the caller, or whoever sent the call on (a forward, a transfer)."""
        self.redirected = 0
        """How many redirections have been followed."""
        self.emergency = False
        """It is for help: no limit stops it, and it spends no budget."""
        self.recorded = ""
        """The path of the last RecordStep's file."""
        self.recording_ends_call = services.settings.recording.failure == "end"
        self.recording = CallRecording(services.settings.recording)
        self.music = Music()
        self._keys = Keys()
        self._bridge: Bridge | None = None
        self._inbox: list[Item] = []
        self._draining = False
        self._timers = Timers(services.later, self._timer_due)
        self._maximum: float = services.settings.maximum_duration
        self.silence = Silence()
        self.verdicts = Verdicts()
        self.transfer: Transfer | None = None
        """The blind transfer under way."""
        self.routes: HeldRoutes | None = None
        """The routes with limits that it is in."""
        self._shown: tuple[str, Party] | None = None
        self._moved: dict[str, Call] = {}
        self._on_moved = on_moved
        self.supervisors: Supervision | None = None
        """Those who listen in, once anybody has."""
        self.route = Route()
        """What is still to be done of what was decided."""
        self.ending = Ending(on_ended)

    # -- the inbox

    def post(self, item: Item) -> None:
        """Put something that happened into the inbox; it is handled now, or after what is being handled."""
        moved = self._moved.get(getattr(item, "leg", "")) if self._moved else None
        if moved is not None:
            moved.post(item)
            return
        self._inbox.append(item)
        if not self._draining:
            self._drain()

    def _drain(self) -> None:
        self._draining = True
        try:
            while self._inbox:
                item = self._inbox.pop(0)
                try:
                    self._handle(item)
                except Exception as error:  # noqa: BLE001  # our own bug: it ends this call and no other
                    self.services.observer.fault(self.id, error)
                    self.ending.collapse(self)
                self._submit()
        finally:
            self._draining = False

    def _submit(self) -> None:
        for command in self.session.take_commands():
            self.services.submit(command)

    def _handle(self, item: Item) -> None:
        found = self._keys.take(self, item)
        if found is not None:
            self._take(found)

    def take_key(self, item: media.Digit) -> None:
        """Take a key that has waited until it was plain that it is one."""
        self._take(item)

    def _take(self, item: Item) -> None:
        if type(item) in media.EVENTS:
            event = cast("media.Event", item)
            self.session.on_event(event)
            if self._lacks_ports(event):
                # Video or text without ports is refused in our description: the leg goes on as if it were ready.
                item = media.Opened(event.stream, "", 0, 0)
        found = classify(item, self.caller)
        if found is None:
            return
        action = TABLE[self.state][found]
        if action is not Action.IGNORE:
            ACTIONS[action](self, item)

    def _lacks_ports(self, item: media.Event) -> TypeGuard[media.Closed]:
        late = self.state in (State.ENDING, State.ENDED)
        return (
            isinstance(item, media.Closed) and bool(item.reason) and not late and not self.session.is_audio(item.stream)
        )

    # -- the caller

    def take_offer(self, offer: SessionDescription) -> bool:
        """Take the description of the caller's INVITE; False if it cannot be met, which has ended the call."""
        try:
            self.session.set_remote(self.caller, offer, offer=True)
        except NegotiationError as error:
            self.post(HangUpWanted(cause_named(error.cause, error.reason)))
            return False
        return True

    def come_into(self, decision: Decision, *, was_for_help: bool = False) -> None:
        """Take that the steps of a decision come now: the call is one of its route's, if that takes only so many, and
        it is for help if they are, or if it stays so."""
        if decision.emergency or was_for_help:
            self.call_for_help()
        elif self.emergency:
            self.emergency = False
            self._limit()
        if decision.route is not None and decision.limits is not None:
            self.held_routes().enter(decision.route)

    def call_for_help(self) -> None:
        """Take that it is for help from now on: no limit ends it, and none of its legs spends a budget any more."""
        self.emergency = True
        self.clear_timer(_MAXIMUM)
        for leg in self.summary.legs:
            self.services.gone(leg)

    def held_routes(self) -> HeldRoutes:
        """Return the routes with limits that it is in, made when it first comes into one."""
        if self.routes is None:
            self.routes = HeldRoutes(self.services.occupancy, self.id)
        return self.routes

    # -- what steps do

    def command(self, command: commands.Command) -> None:
        """Give a command to the leg that it names; one that is gone gets none."""
        self.legs.command(command)

    def open_leg(self, leg: str, candidate: Candidate) -> None:
        """Make an outbound leg and its streams; Dial follows once these have their ports."""
        self.legs.add(leg, candidate.target, self.services.open_leg(leg, candidate, self.post))
        self.session.protect(leg, candidate.srtp)
        self.session.open(
            leg,
            latch=candidate.latch,
            peer=candidate.peer,
            local=candidate.local,
            codecs=candidate.codecs,
            dtmf=candidate.dtmf,
            processing=candidate.processing,
            like=self.caller if self.caller not in (leg, "") else None,
        )

    def drop_leg(self, leg: str, cause: EndCause) -> None:
        """End a leg that is no longer wanted; it stays until it says that it is gone."""
        self.session.close(leg)
        self.legs.dismiss(commands.HangUp(leg, cause))

    def forget_leg(self, leg: str, cause: EndCause) -> None:
        """Strike off a leg that was never dialled."""
        self.session.close(leg)
        self.legs.forget(leg, cause)

    def ring(self) -> None:
        """Let the caller hear that it rings."""
        if not self.summary.rang:
            self.summary.rang = self.services.now()
        if self.transfer is not None:
            self.transfer.ringing()
        elif self.answer_is_due:
            self.command(commands.Ring(self.caller))

    def progress(self, sdp: SessionDescription, ringing: bool = False) -> None:
        """Give the caller early media."""
        if ringing and not self.summary.rang:
            self.summary.rang = self.services.now()
        if self.answer_is_due:
            self.command(commands.Progress(self.caller, sdp, ringing))

    def answer(self, sdp: SessionDescription) -> None:
        """Answer the caller, if that has not been done."""
        if self.answer_is_due:
            self.answer_is_due = False
            self._mark_answered()
            self.command(commands.Answer(self.caller, sdp))

    def answer_ourselves(self) -> bool:
        """Answer the caller with the engine's own media; return False if that is impossible, which has ended the
        call."""
        if self.transfer is not None:
            self.transfer.connected()
            self.command(commands.Offer(self.caller, self.session.local_offer(self.caller)))
        if not self.answer_is_due:
            return True
        try:
            sdp = self.session.local_offer(self.caller) if self.late_offer else self.session.local_answer(self.caller)
        except NegotiationError as error:
            self.end(cause_named("media-unacceptable", error.reason))
            return False
        self.answer(sdp)
        self.state = State.SERVING
        self._limit()
        return True

    def talk(self, callee: str, number: str, maximum: float | None) -> None:
        """Connect caller and callee, who was dialled by `number`, for good: the step is over, and with it the list of
        steps."""
        self.route.clear()
        self.connect_with(callee)
        self.summary.state = State.TALKING.value
        leg = self.summary.legs[callee]
        leg.answered = self.services.now()
        self.summary.destination = leg.target
        if not self.emergency:
            self.services.charge(callee, self.payer, leg.target, number)
        self.legs.describe(self.session)
        if not self.summary.answered:
            self._mark_answered()
        if maximum is not None:
            self._maximum = maximum
        if self.transfer is None:
            self._limit()
            self.services.observer.call_answered(self.summary)
        else:
            self.transfer.connected()
            self.bridge.refresh(self.caller)
        self.recording.resume(self, callee)

    # -- who talks

    @property
    def shown(self) -> tuple[str, Party]:
        """Who calls where this call dials: a source, and whom the far end sees; after a transfer the transferred."""
        return self._shown or (self.summary.source, self.summary.caller)

    def party_of(self, leg: str) -> Party:
        """Return who is at the other end of a leg."""
        summary = self.summary
        if leg == summary.caller_leg:
            return summary.caller
        kind, _, name = summary.legs[leg].target.partition("/")
        return Party(name if kind == "extension" else summary.number)

    def connect_with(self, callee: str) -> None:
        """Let the caller talk to this leg from now on."""
        self._bridge = Bridge(self, callee)
        self.state = State.TALKING
        self._keys.connect(self)

    def lead(self, leg: str, payer: str) -> None:
        """Make a leg, left alone by whom it talked to, the caller of what comes now, for which `payer` answers."""
        self.session.clamp_keys(leg, "never")  # whoever is reached now is told of none before it has answered
        self._shown = self.summary.legs[leg].target, self.party_of(leg)
        self.caller = leg
        self.payer = payer
        self._bridge = None
        self.state = State.SERVING

    def forward(self, leg: str, to: Call) -> None:
        """Let another call hear of whatever happens to a leg from now on."""
        self._moved[leg] = to
        self._on_moved(leg, to)

    @property
    def bridge(self) -> Bridge:
        """How caller and callee are connected; only while they are."""
        if self._bridge is None:
            raise LookupError(f"call {self.id} connects nobody")
        return self._bridge

    @property
    def connected(self) -> bool:
        """Whether caller and callee are."""
        return self._bridge is not None

    @property
    def connectable(self) -> bool:
        """Whether its end is still to be decided."""
        return self.state not in (State.ENDING, State.ENDED)

    @property
    def supervision(self) -> Supervision:
        """Those who listen in, made when it is first asked for."""
        if self.supervisors is None:
            self.supervisors = Supervision(self)
        return self.supervisors

    def end_supervision(self) -> None:
        """Send those who listen in away."""
        if self.supervisors is not None:
            self.supervisors.end()
            self.supervisors = None

    def begin_with(self, leg: str) -> None:
        """Take a leg that was dialled, and has answered, for the caller."""
        self.caller = leg
        self.legs.put_first(leg)
        self.answer_is_due = False
        self._mark_answered()
        self.state = State.SERVING
        self._limit()

    def _mark_answered(self) -> None:
        self.summary.answered = self.services.now()
        self.summary.answered_at = self.services.wall()
        self.summary.state = State.SERVING.value
        self.summary.legs[self.caller].answered = self.summary.answered
        self.verdicts.begin(self)

    def _limit(self) -> None:
        if self._maximum > 0 and not self.emergency:
            self.set_timer(_MAXIMUM, self._maximum)

    # -- timers

    def set_timer(self, name: str, delay: float) -> None:
        """Post TimerDue(name) after `delay` seconds; an earlier timer of that name is forgotten."""
        self._timers.set(name, delay)

    def clear_timer(self, name: str) -> None:
        """Forget a timer; harmless if there is none."""
        self._timers.clear(name)

    def _timer_due(self, name: str) -> None:
        if name == _MAXIMUM:
            self.post(HangUpWanted(cause_named(_MAXIMUM)))
        else:
            self.post(TimerDue(name))

    # -- the end

    def end(self, cause: EndCause) -> None:
        """Decide the end of the call, unless that is done; it is over when legs, streams and recordings are closed."""
        self.ending.decide(self, cause)

    def let_go(self) -> None:
        """Forget steps, connection and timers: the call ends."""
        self.route.clear()
        self._bridge = self.supervisors = None
        self._timers.clear_all()

    def write_up(self) -> None:
        """Complete the summary of a call that is over."""
        self._timers.stop()
        if self.routes is not None:
            self.routes.leave_all()
        for leg in self.summary.legs.values():
            leg.codec = self.session.codec_name(leg.leg)
            leg.encryption = self.session.encryption(leg.leg)
        self._note_counts()
        self.verdicts.finish(self)

    def describe(self) -> Summary:
        """Return what is known of the call now."""
        self.legs.describe(self.session)
        self._note_counts()
        return self.summary

    def _note_counts(self) -> None:
        for leg in self.summary.legs.values():
            leg.counts = self.session.counts(leg.leg)
            leg.quality = self.session.quality(leg.leg)
