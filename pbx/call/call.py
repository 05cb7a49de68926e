"""A call: one inbox, one state, one running step, one cause at the end.

Everything that happens to a call (a leg's event, the engine's event, a timer, an operator's wish) is posted to its
inbox and drained in order. What is done with it stands in `pbx.call.table`; what a route's step makes of it, in
`pbx.call.fork` and `pbx.call.serve`; how two connected legs renegotiate, in `pbx.call.bridge`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, TypeGuard

from pbx.call import commands
from pbx.call.bridge import Bridge
from pbx.call.commands import Party
from pbx.call.events import (
    Answered,
    HungUp,
    OfferAnswered,
    Offered,
    ReferProgress,
    ReferRequested,
    Rejected,
)
from pbx.call.items import HangUpWanted, Item, Start, TimerDue, Wish, classify
from pbx.call.keys import Keys
from pbx.call.legs import Legs
from pbx.call.music import Music
from pbx.call.ports import Candidate, LegHandle, Services
from pbx.call.recording import CallRecording
from pbx.call.recording_log import RecordingLog
from pbx.call.silence import Silence
from pbx.call.steps import Runner, runner_of
from pbx.call.summary import LegSummary, RecordingSummary, Summary
from pbx.call.supervision import Supervision
from pbx.call.table import TABLE, Action, State
from pbx.call.timers import Timers
from pbx.call.transfer import Transfer
from pbx.call.verdicts import Verdicts
from pbx.cause import EndCause, cause_named
from pbx.dialplan.decision import Decision
from pbx.dialplan.selftest import word_of
from pbx.dialplan.steps import RejectStep, Step
from pbx.errors import NegotiationError
from pbx.media import events as media
from pbx.media.session import MediaSession, Moving
from pbx.sdp.model import SessionDescription

__all__ = ["Call"]


class Moved(NamedTuple):
    """A leg on its way from one call to another."""

    handle: LegHandle
    summary: LegSummary
    media: Moving


def _not_moved(leg: str, call: Call) -> None:
    """Tell nobody that a leg has moved."""


class Call:
    """One call, from the caller's INVITE to the last closed stream."""

    __slots__ = (
        "_at_end",
        "_bridge",
        "_draining",
        "_inbox",
        "_keys",
        "_maximum",
        "_moved",
        "_occupied",
        "_on_ended",
        "_on_moved",
        "_runner",
        "_shown",
        "_silence",
        "_steps",
        "_supervision",
        "_timers",
        "_waiting_media",
        "answer_is_due",
        "caller",
        "emergency",
        "files",
        "id",
        "last_failure",
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
        "services",
        "session",
        "state",
        "summary",
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
        self.files = RecordingLog(
            summary.recordings, lambda recording: services.observer.recording_changed(summary, recording)
        )
        self.legs = Legs(summary.legs, services.occupancy, services.now)
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
        """No limit stops it."""
        self.last_failure: EndCause | None = None
        self.recorded = ""
        """The path of the last RecordStep's file."""
        self.recording_ends_call = services.settings.recording.failure == "end"
        self.recording = CallRecording(services.settings.recording)
        self.music = Music()
        self._keys = Keys()
        self._steps: list[Step] = []
        self._runner: Runner | None = None
        self._bridge: Bridge | None = None
        self._inbox: deque[Item] = deque()
        self._draining = False
        self._timers = Timers(services.later, self._timer_due)
        self._occupied = ""
        self._maximum: float = services.settings.maximum_duration
        self._waiting_media: set[str] = set()
        self._silence = Silence()
        self.verdicts = Verdicts()
        self.transfer: Transfer | None = None
        """The blind transfer under way."""
        self._shown: tuple[str, Party] | None = None
        self._moved: dict[str, Call] = {}
        self._on_moved = on_moved
        self._supervision: Supervision | None = None
        self._at_end: list[Callable[[], None]] = []
        self._on_ended = on_ended

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
                item = self._inbox.popleft()
                try:
                    self._handle(item)
                except Exception as error:  # noqa: BLE001  # our own bug: it ends this call and no other
                    self.services.observer.fault(self.id, error)
                    self._collapse()
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
        if isinstance(item, media.Event):
            self.session.on_event(item)
            if self._lacks_ports(item):
                # Video or text without ports is refused in our description: the leg goes on as if it were ready.
                item = media.Opened(item.stream, "", 0, 0)
        found = classify(item, self.caller)
        if found is None:
            return
        action = TABLE[self.state][found]
        if action is Action.STEP:
            if self.transfer is not None and self.transfer.take(item):
                return
            if self._runner is not None:
                self._runner.take(item)
            if isinstance(item, (HungUp, Rejected)):
                self.legs.strike(item)  # one that a step before has left behind
        elif action is not Action.IGNORE:
            _ACTIONS[action](self, item)

    def _lacks_ports(self, item: media.Event) -> TypeGuard[media.Closed]:
        late = self.state in (State.ENDING, State.ENDED)
        return (
            isinstance(item, media.Closed) and bool(item.reason) and not late and not self.session.is_audio(item.stream)
        )

    # -- steps of the route

    def take_offer(self, offer: SessionDescription) -> bool:
        """Take the description of the caller's INVITE; False if it cannot be met, which has ended the call."""
        try:
            self.session.set_remote(self.caller, offer, offer=True)
        except NegotiationError as error:
            self.post(HangUpWanted(cause_named(error.cause, error.reason)))
            return False
        return True

    def run(self, steps: tuple[Step, ...], first: Runner | None = None) -> None:
        """Begin with the steps of a decision, `first` before them. To be called once."""
        self._steps = list(steps)
        self._runner = first
        self.post(Start())

    def step_done(self) -> None:
        """Go on with the next step; the running one is over."""
        self._runner = None
        self._next_step()

    def step_failed(self, cause: EndCause, instead: tuple[Step, ...] | None) -> None:
        """Go on after a dial that nobody answered: with `instead`, or with what follows."""
        self._runner = None
        self.last_failure = cause
        if instead is not None:
            self._steps = list(instead)
        self._next_step()

    def _next_step(self) -> None:
        # A step that is done at once (a wait of 0, an unknown sound) goes on in this loop rather than by recursion.
        while self._runner is None and self.state in (State.SETTING_UP, State.SERVING):
            if not self._steps:
                served = self.state is State.SERVING and self.last_failure is None
                self._stop(cause_named("completed") if served else self.last_failure or cause_named("no-route"))
                return
            step = self._steps.pop(0)
            self.summary.steps.append(word_of(step))
            if isinstance(step, RejectStep):
                self._stop(_reject_cause(step))
                return
            runner = runner_of(step, self)
            self._runner = runner
            if not runner.start() and self._runner is runner:
                self._runner = None

    def _stop(self, cause: EndCause) -> None:
        """End what the steps have come to: the call, or a transfer that leaves it as it was."""
        if self.transfer is None or not self.transfer.failed(cause):
            self.end(cause)

    def occupy(self, name: str) -> None:
        """Count this call as one of `name`'s, a route that takes only so many, until its end."""
        self.services.occupancy.enter(name, self.id)
        self._occupied = name

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
            like=self.caller if leg != self.caller else None,
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

    def talk(self, callee: str, maximum: float | None) -> None:
        """Connect caller and callee for good: the step is over, and with it the list of steps."""
        self._steps.clear()
        self._runner = None
        self._bridge = Bridge(self, callee)
        self.state = State.TALKING
        self.summary.state = State.TALKING.value
        leg = self.summary.legs[callee]
        leg.answered = self.services.now()
        self.summary.destination = leg.target
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
            self._bridge.refresh(self.caller)
        self.recording.resume(self, callee)

    # -- transfers

    @property
    def is_talking(self) -> bool:
        """Whether caller and callee are connected."""
        return self.state is State.TALKING

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

    def lead_elsewhere(self, transfer: Transfer, decision: Decision) -> None:
        """Let the party that stays be the caller of what has been decided; see `return_to`."""
        staying = self.bridge.other_than(transfer.leg)
        self._part()
        self._shown = self.summary.legs[staying].target, self.party_of(staying)
        self.session.disconnect(staying)
        self.caller = staying
        self.transfer = transfer
        self.last_failure = None
        self._bridge = None
        self.state = State.SERVING
        self._steps = list(decision.steps)
        self.payer = decision.query.source
        self._next_step()

    def return_to(self, leg: str) -> None:
        """Connect the caller with the leg that it talked to before a transfer that came to nothing."""
        self._steps.clear()
        self._runner = None
        self._bridge = Bridge(self, leg)
        self.state = State.TALKING
        self.session.connect(self.caller, leg)
        self.recording.resume(self, leg)

    def take_over(self, leaving: str, other: Call, coming: str) -> None:
        """Connect the party that `leaving` talks to with a party of another call, which moves here."""
        staying = self.bridge.other_than(leaving)
        self._part()
        moving = other.give_away(coming, self)
        self.session.disconnect(staying)
        self.session.close(leaving)
        self.session.adopt(moving.media, like=staying)
        self.legs.adopt(moving.handle, moving.summary)
        self.caller = staying
        self._bridge = Bridge(self, coming)
        self._bridge.join()
        self.recording.resume(self, coming)
        self.summary.destination = moving.summary.target

    def _part(self) -> None:
        self._end_supervision()
        self.recording.interrupt(self)
        self.music.stop(self)

    def give_away(self, leg: str, to: Call) -> Moved:
        """Let a leg go into another call, which hears from it from now on; this one is to be ended."""
        self._part()
        handle, summary = self.legs.release(leg)
        self._moved[leg] = to
        self._on_moved(leg, to)
        return Moved(handle, summary, self.session.release(leg))

    def _end_supervision(self) -> None:
        """Send supervisors away: who is transferred is no longer the call that they were to hear."""
        if self._supervision is not None:
            self._supervision.end()
            self._supervision = None

    def pass_refer(self, item: ReferRequested) -> None:
        """Ask the other party to go where this one wants it, itself."""
        self.bridge.pass_refer(item)

    @property
    def supervision(self) -> Supervision:
        """Those who listen in, made when it is first asked for."""
        if self._supervision is None:
            self._supervision = Supervision(self)
        return self._supervision

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

    def record(
        self, left: str, right: str | None, name: str = "", *, sound_format: str = "wav", mixed: bool = False
    ) -> str:
        """Record what two legs say (or one), from now on; return the recording's id.

        `name` is the file's, within the recordings folder.
        """
        path = self._recording_path(name, sound_format)
        recording = self.session.record(left, right, path, sound_format=sound_format, mixed=mixed)
        self.files.began(self._recording_summary(recording, path, left, right, mixed))
        return recording

    def refuse_recording(self, callee: str, reason: str) -> None:
        """Write down that the call should be recorded and is not, and end it if policy says so."""
        path = self._recording_path("", "wav")
        self.files.began(self._recording_summary(f"{self.id}/refused", path, self.caller, callee, False))
        self.post(media.RecordingFailed(f"{self.id}/refused", path, reason))

    def _recording_path(self, name: str, sound_format: str) -> str:
        path = self.services.recording_path(name or self.id, self.services.wall())
        taken = sum(
            one.path.rpartition(".")[0].startswith(path.removesuffix(".wav")) for one in self.summary.recordings
        )
        return f"{path.removesuffix('.wav')}{f'-{taken + 1}' if taken else ''}.{sound_format}"

    def _recording_summary(
        self, recording: str, path: str, left: str, right: str | None, mixed: bool
    ) -> RecordingSummary:
        targets = self.summary.legs
        others = targets[right].target if right is not None else ""
        return RecordingSummary(recording, path, self.services.wall(), targets[left].target, others, mixed=mixed)

    def _mark_answered(self) -> None:
        self.summary.answered = self.services.now()
        self.summary.answered_at = self.services.wall()
        self.summary.state = State.SERVING.value
        self.summary.legs[self.caller].answered = self.summary.answered
        self.verdicts.begin(self)

    def _limit(self) -> None:
        if self._maximum > 0:
            self.set_timer("maximum-duration", self._maximum)

    # -- timers

    def set_timer(self, name: str, delay: float) -> None:
        """Post TimerDue(name) after `delay` seconds; an earlier timer of that name is forgotten."""
        self._timers.set(name, delay)

    def clear_timer(self, name: str) -> None:
        """Forget a timer; harmless if there is none."""
        self._timers.clear(name)

    def _timer_due(self, name: str) -> None:
        if name == "maximum-duration":
            self.post(HangUpWanted(cause_named("maximum-duration")))
        else:
            self.post(TimerDue(name))

    # -- actions of the table

    def _start(self, item: Item) -> None:
        runner = self._runner
        if runner is None or not runner.start():
            self._runner = None
            self._next_step()

    def _begin(self, item: Item) -> None:
        # The caller of an originated call has answered: what it said is the answer to the offer that the engine made.
        assert isinstance(item, Answered)
        try:
            self.session.set_remote(self.caller, item.sdp, offer=False)
        except NegotiationError as error:
            self.end(cause_named("media-unacceptable", error.reason))
            return
        self.answer_is_due = False
        self._mark_answered()
        self.state = State.SERVING
        self._limit()
        if self._runner is not None:
            self._runner.take(item)

    def at_end(self, tell: Callable[[], None]) -> None:
        """Have it told when the end of the call is decided, while its legs and streams are still there."""
        self._at_end.append(tell)

    def _perform(self, item: Item) -> None:
        assert isinstance(item, Wish)
        item.perform()

    def _relay(self, item: Item) -> None:
        if self._supervision is None or not self._supervision.take(item):
            self.bridge.take(item)

    def _answer_offer(self, item: Item) -> None:
        assert isinstance(item, Offered)
        try:
            if item.sdp is None:
                sdp = self.session.local_offer(self.caller)
            else:
                self.session.set_remote(self.caller, item.sdp, offer=True)
                sdp = self.session.local_answer(self.caller)
        except NegotiationError as error:
            self.session.rollback(self.caller)
            self.command(commands.DeclineOffer(self.caller, error.status))
            return
        self.command(commands.AcceptOffer(self.caller, sdp))

    def _take_answer(self, item: Item) -> None:
        assert isinstance(item, OfferAnswered)
        if item.leg == self.caller:
            awaited = self.session.awaits_answer(self.caller)
            try:
                self.session.take_answer(self.caller, item.sdp)
            except NegotiationError as error:
                # An answer cannot be refused (RFC 3264 §6). One that only says again what was agreed changes nothing.
                if awaited:
                    self.end(cause_named("media-unacceptable", error.reason))
                    return
        if self._runner is not None:
            self._runner.take(item)

    def _decline(self, item: Item) -> None:
        assert isinstance(item, Offered)
        self.command(commands.DeclineOffer(item.leg, 491))

    def _transfer(self, item: Item) -> None:
        assert isinstance(item, ReferRequested)
        if self.services.transfers is None or item.leg not in (self.caller, self.bridge.callee):
            self._decline_refer(item)
        else:
            self.services.transfers.requested(self, item)

    def _decline_refer(self, item: Item) -> None:
        assert isinstance(item, ReferRequested)
        self.command(commands.DeclineRefer(item.leg))

    def _refer_progressed(self, item: Item) -> None:
        assert isinstance(item, ReferProgress)
        self.bridge.refer_progressed(item)

    def _end_by(self, item: Item) -> None:
        if isinstance(item, (HungUp, Rejected)):
            self.legs.strike(item)
            self.end(item.cause)
        elif isinstance(item, HangUpWanted):
            self.end(item.cause)
        elif isinstance(item, media.Closed):
            if self._supervision is None or not self._supervision.take(item):
                self.end(cause_named("media-failed", item.reason))
        else:
            raise TypeError(f"{type(item).__name__} does not end a call")

    def _leg_gone(self, item: Item) -> None:
        assert isinstance(item, (HungUp, Rejected))
        talking = self._bridge is not None and item.leg == self._bridge.callee
        self.legs.strike(item)
        if self._supervision is not None:
            self._supervision.gone(item.leg)
        if talking:
            self.end(item.cause)

    def _left(self, item: Item) -> None:
        assert isinstance(item, (HungUp, Rejected))
        self.legs.strike(item)
        self._finish_if_done()

    def _finish(self, item: Item) -> None:
        if isinstance(item, TimerDue):
            if item.name != "media-grace":
                return
            # The engine owes its last word and does not give it: the record is written without it.
            self.files.give_up("the media engine did not finish the file in time")
            self._waiting_media.clear()
        elif isinstance(item, media.Closed):
            self._waiting_media.discard(item.stream)
        elif isinstance(item, (media.RecordingEnded, media.RecordingFailed)):
            self._note(item)
            self._waiting_media.discard(item.recording)
        self._finish_if_done()

    def _note(self, item: Item) -> None:
        if isinstance(item, (media.RecordingEnded, media.RecordingFailed)):
            self.files.note(item)

    def _recording_lost(self, item: Item) -> None:
        assert isinstance(item, (media.RecordingFailed, media.RecordingBehind))
        if isinstance(item, media.RecordingBehind):
            self.files.behind(item)
            reason = "the disk is too slow for it"
        else:
            self.recording.take(self, item)
            reason = item.reason
        if self.recording_ends_call:
            self.end(cause_named("recording-impossible", reason))
        elif self._runner is not None:
            self._runner.take(item)

    def _tape(self, item: Item) -> None:
        if isinstance(item, media.PlayEnded):
            self.music.take(item)
        self.recording.take(self, item)

    def _await(self, item: Item) -> None:
        self.set_timer("media-grace", self.services.settings.media_grace)

    def _silence_told(self, item: Item) -> None:
        assert isinstance(item, media.NoMedia)
        legs = (self.caller, self._bridge.callee) if self._bridge is not None else (self.caller,)
        streams = [self.session.stream_of(leg) for leg in legs]
        if self._silence.reigns(item, streams, self.services.now()) and self.services.settings.end_without_media:
            self.end(cause_named("no-media", f"nothing arrived for {item.milliseconds / 1000:.0f} s"))

    def _ask_audio(self, item: Item) -> None:
        self.verdicts.due(self)

    def _judge(self, item: Item) -> None:
        self.verdicts.take(self)

    # -- the end

    def end(self, cause: EndCause) -> None:
        """Decide the end of the call, unless that is done; legs, streams and recordings are closed and then the call is
        over."""
        if self.state in (State.ENDING, State.ENDED):
            return
        self.state = State.ENDING
        told, self._at_end = self._at_end, []
        for tell in told:
            tell()
        summary = self.summary
        summary.state = State.ENDING.value
        summary.cause = cause
        summary.ended = self.services.now()
        summary.ended_at = self.services.wall()
        self._steps.clear()
        self._runner = None
        self._bridge = self._supervision = None
        self._timers.clear_all()
        for recording in self.files.running:
            self.files.pause(recording, False, summary.ended_at)
            self.session.stop_recording(recording)
            self._waiting_media.add(recording)
        self._waiting_media.update(self.session.close_all())
        refused = self.caller if self.answer_is_due else ""
        self.answer_is_due = False
        headers = self._refusal_headers(cause)
        self.legs.dismiss_all(
            lambda leg: commands.Reject(leg, cause, headers) if leg == refused else commands.HangUp(leg, cause)
        )
        if self._waiting_media:
            self.set_timer("media-grace", self.services.settings.media_grace)
        self._finish_if_done()

    def _refusal_headers(self, cause: EndCause) -> tuple[tuple[str, str], ...]:
        # RFC 3261 §21.5.4: the server MAY indicate when the client should retry the request.
        if cause.slug != "too-many-calls":
            return ()
        return (("Retry-After", f"{max(1, round(self.services.settings.retry_after))}"),)

    def _collapse(self) -> None:
        """End the call after a fault of our own, whatever state it is in: once in good order, at the second fault by
        force."""
        cause = cause_named("internal-error")
        by_force = self.state is State.ENDING
        try:
            self.end(cause)
        except Exception as error:  # noqa: BLE001  # the last resort: nothing of this call may reach another
            self.services.observer.fault(self.id, error)
            by_force = True
        if by_force:
            self.legs.forget_all(cause)
            self._waiting_media.clear()
            self._finish_if_done()

    def describe(self) -> Summary:
        """Return what is known of the call now."""
        self.legs.describe(self.session)
        self._note_counts()
        return self.summary

    def _note_counts(self) -> None:
        for leg in self.summary.legs.values():
            leg.counts = self.session.counts(leg.leg)
            leg.quality = self.session.quality(leg.leg)

    def _finish_if_done(self) -> None:
        if self.state is State.ENDING and not self.legs and not self._waiting_media:
            self.state = State.ENDED
            self.summary.state = State.ENDED.value
            self._timers.stop()
            if self._occupied:
                self.services.occupancy.leave(self._occupied, self.id)
            for leg in self.summary.legs.values():
                leg.codec = self.session.codec_name(leg.leg)
                leg.encryption = self.session.encryption(leg.leg)
            self._note_counts()
            self.verdicts.finish(self)
            self.services.observer.call_ended(self.summary)
            self._on_ended(self)


_ACTIONS: dict[Action, Callable[[Call, Item], None]] = {
    Action.START: Call._start,
    Action.BRIDGE: Call._relay,
    Action.ANSWER_OURSELVES: Call._answer_offer,
    Action.TAKE_ANSWER: Call._take_answer,
    Action.DECLINE: Call._decline,
    Action.TRANSFER: Call._transfer,
    Action.DECLINE_REFER: Call._decline_refer,
    Action.REFER_PASSED: Call._refer_progressed,
    Action.BEGIN: Call._begin,
    Action.END: Call._end_by,
    Action.LEG_GONE: Call._leg_gone,
    Action.LEFT: Call._left,
    Action.FINISH: Call._finish,
    Action.NOTE: Call._note,
    Action.RECORDING_LOST: Call._recording_lost,
    Action.SILENCE: Call._silence_told,
    Action.TAPE: Call._tape,
    Action.AWAIT: Call._await,
    Action.PERFORM: Call._perform,
    Action.ASK_AUDIO: Call._ask_audio,
    Action.JUDGE: Call._judge,
}


def _reject_cause(step: RejectStep) -> EndCause:
    cause = cause_named(step.cause)
    return replace(cause, sip_status=step.status) if step.status else cause
