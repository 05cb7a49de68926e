"""Dialling: targets in order or all at once, every contact of an extension together, the first to answer wins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pbx.call.choices import as_told, drawn, worse
from pbx.call.commands import AcceptOffer, Dial, Party, Voucher
from pbx.call.events import Answered, HungUp, OfferAnswered, OfferDeclined, Progressing, Rejected, Ringing
from pbx.call.ports import Candidate
from pbx.call.redirect import follow
from pbx.call.summary import PASSED_OVER, Attempt
from pbx.call.transfer import pick_up
from pbx.cause import EndCause, cause_named
from pbx.dialplan.steps import DialStep, Target
from pbx.errors import NegotiationError
from pbx.media import events as media

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Fork"]

_TIMER = "ring"
_RINGING = "tone:ringback"
_QUEUE = "queue"
_LOOK_AGAIN = 0.25
"""Seconds after which a call that waits looks whether a target has room again."""


@dataclass(slots=True)
class _Branch:
    """One leg of the fork."""

    leg: str
    candidate: Candidate
    dialled_as: str
    """The number that was dialled, as it is written here."""
    dialled: bool = False


class Fork:
    """A DialStep that runs."""

    __slots__ = (
        "_branches",
        "_call",
        "_cause",
        "_early",
        "_full",
        "_groups",
        "_progressed",
        "_ringback",
        "_step",
        "_waited",
    )

    def __init__(self, call: Call, step: DialStep) -> None:
        self._call = call
        self._step = step
        # What rings together: all targets at once, or one target after the other.
        self._groups: list[tuple[Target, ...]] = (
            [step.targets]
            if step.strategy == "all"
            else [(target,) for target in (drawn(step, call.services.chance) if step.weights else step.targets)]
        )
        self._branches: dict[str, _Branch] = {}
        self._cause: EndCause | None = None
        self._early = ""
        self._progressed = False
        self._ringback = ""
        self._full: list[Target] = []
        """Targets that the call waits for."""
        self._waited = 0.0

    def start(self) -> bool:
        """Dial the first group."""
        self._call.summary.number = self._step.number
        self._call.recording_ends_call = self._recording_ends_call()
        self._next_group()
        return True

    def take(self, item: Any) -> None:
        """Take what a leg of the fork, its stream or the timer says."""
        if isinstance(item, (media.Opened, media.Closed)):
            self._stream(item)
        elif isinstance(item, Ringing):
            if item.leg in self._branches:
                self._ring()
        elif isinstance(item, Progressing):
            self._progress(item)
        elif isinstance(item, Answered):
            self._answered(item)
        elif isinstance(item, (Rejected, HungUp)):
            self._gone(item)
        elif isinstance(item, (OfferAnswered, OfferDeclined)):
            self._caller_answered()
        elif getattr(item, "name", "") == _TIMER:
            self._timed_out()
        elif getattr(item, "name", "") == _QUEUE:
            self._next_group()

    def rings(self, leg: str) -> bool:
        """Return whether a leg was dialled and has not answered yet."""
        branch = self._branches.get(leg)
        return branch is not None and branch.dialled

    def picked_up(self, by: Call) -> None:
        """Let whoever has called with `by` answer in the place of those who ring."""
        call, coming = self._call, by.caller
        call.clear_timer(_TIMER)
        self._stop_ringback()
        for branch in list(self._branches.values()):
            self._drop(branch, cause_named("answered-elsewhere"))
            call.summary.attempts.append(Attempt(branch.candidate.target, "answered-elsewhere"))
        if not pick_up(call, by, self._step.number, self._step.max_duration):
            return
        call.summary.attempts.append(Attempt(by.summary.source, "answered", "it has picked the call up"))
        if self._step.record is not None:
            call.recording.begin(call, coming, self._step.record)

    # -- groups

    def _next_group(self) -> None:
        call = self._call
        while self._groups:
            for target in self._not_down(self._groups.pop(0)):
                cause = self._limit(target)
                if cause is not None:
                    if cause.slug == "too-many-calls" and self._waited < self._step.wait_for_line:
                        self._full.append(target)
                        continue
                    self._failed(str(target), cause)
                    if target.kind != "extension" and not self._goes_on(str(target), cause, 0):
                        self._groups.clear()
                    continue
                refusal = None if call.emergency else call.services.permit(call.id, call.payer, target)
                if refusal is not None:
                    self._failed(str(target), refusal)
                    continue
                candidates = call.services.directory.candidates(target)
                if not candidates:
                    self._failed(str(target), cause_named("unavailable"))
                for candidate in candidates:
                    if self._step.codecs:
                        candidate = replace(candidate, codecs=self._step.codecs)
                    leg = f"{call.id}-{len(call.summary.legs)}"
                    self._branches[leg] = _Branch(leg, candidate, target.number)
                    call.open_leg(leg, candidate)
            if self._branches:
                call.set_timer(_TIMER, self._step.timeout)
                return
        if self._full:
            # Nobody else is left to try: the call waits for one of those that are full.
            self._groups, self._full = [(target,) for target in self._full], []
            self._waited += _LOOK_AGAIN
            call.set_timer(_QUEUE, _LOOK_AGAIN)
            return
        cause = self._cause or cause_named("unavailable")
        self._stop_ringback()
        call.route.step_failed(call, cause, self._step.after(cause))

    def _limit(self, target: Target) -> EndCause | None:
        """Return why a target takes no more calls now; None if it takes this one, which counts as begun then."""
        services, name = self._call.services, str(target)
        if self._call.emergency:
            return None
        if services.occupancy.full(name):
            busy = "busy" if target.kind == "extension" else "too-many-calls"
            return cause_named(busy, f"{target} has as many calls as it may have")
        if target.kind != "extension" and not services.rates.allows(name):
            return cause_named("too-many-calls", f"{target} gets as many calls a second as it may")
        return None

    def _not_down(self, group: tuple[Target, ...]) -> tuple[Target, ...]:
        """Return the targets of a group to try now: none that is down, unless nothing else is left to try."""
        down = [target for target in group if self._call.services.directory.is_down(target)]
        if not down or (len(down) == len(group) and not self._groups):
            return group
        for target in down:
            self._call.summary.attempts.append(Attempt(str(target), PASSED_OVER, "it is down"))
        return tuple([target for target in group if target not in down])

    def _failed(self, target: str, cause: EndCause) -> None:
        self._cause = worse(self._cause, as_told(target, cause))
        self._call.summary.attempts.append(Attempt(target, cause.slug, cause.detail))

    def _note_passed(self, branch: _Branch, item: Answered | Rejected) -> None:
        """Write down the hosts of a target that the call was tried at before the one that has decided it."""
        for cause in item.passed:
            self._call.summary.attempts.append(Attempt(branch.candidate.target, cause.slug, cause.detail, is_host=True))

    def _goes_on(self, target: str, cause: EndCause, status: int) -> bool:
        """Return whether after this failure the next target is tried."""
        policy = self._step.next_on or self._call.services.directory.next_on(target)
        return policy.holds(cause.slug, status)

    def _timed_out(self) -> None:
        cause = cause_named("no-answer")
        for branch in list(self._branches.values()):
            self._drop(branch, cause)
            self._failed(branch.candidate.target, cause)
            if not self._goes_on(branch.candidate.target, cause, 0):
                self._groups.clear()
        self._next_group()

    def _drop(self, branch: _Branch, cause: EndCause) -> None:
        del self._branches[branch.leg]
        if self._early == branch.leg:
            self._early = ""
        call = self._call
        if branch.dialled:
            call.drop_leg(branch.leg, cause)
        else:
            call.forget_leg(branch.leg, cause)

    # -- streams

    def _stream(self, item: media.Opened | media.Closed) -> None:
        call = self._call
        leg = call.session.leg_of(item.stream)
        if leg == call.caller and isinstance(item, media.Closed):
            call.end(cause_named("no-ports", item.reason))
            return
        branch = self._branches.get(leg or "")
        if branch is None or branch.dialled:
            return
        if isinstance(item, media.Closed):
            self._lost(branch, cause_named("no-ports", item.reason))
        elif call.session.ready(branch.leg) and not call.session.awaits_answer(call.caller):
            self._dial(branch)

    def _caller_answered(self) -> None:
        """Dial what had to wait until the caller answered an offer of ours: in the 2xx to an INVITE without one, or
        after a transfer."""
        for branch in list(self._branches.values()):
            if not branch.dialled and self._call.session.ready(branch.leg):
                self._dial(branch)

    def _dial(self, branch: _Branch) -> None:
        call = self._call
        try:
            offer = None
            if not call.late_offer or not call.answer_is_due:
                offer = call.session.offer_to(branch.leg, call.caller, decodable_only=self._step.record is not None)
            elif branch.candidate.early_offer:
                # The caller makes no offer and this peer wants one: it gets ours, and the caller that of its answer.
                offer = call.session.local_offer(branch.leg)
        except NegotiationError as error:
            self._lost(branch, cause_named("media-unacceptable", error.reason))
            return
        branch.dialled = True
        candidate = branch.candidate
        patience = call.services.directory.patience(candidate.target)
        # A phone may have to wake up first; and its others ring meanwhile.
        another = bool(self._groups) and not candidate.target.startswith("extension/")
        destination = candidate.destination
        if patience is not None or another:
            destination = replace(destination, patience=patience or call.services.settings.patience)
        caller = self._caller(candidate.target)
        call.command(
            Dial(
                branch.leg,
                destination,
                caller=caller,
                called=candidate.called,
                offer=offer,
                max_forwards=call.max_forwards,
                credentials=candidate.credentials,
                headers=self._headers(candidate),
                redirections=call.redirections,
                voucher=self._voucher(candidate.target, caller),
                verstat=self._verstat(candidate.target, caller),
                gives_up_silent=patience is not None or another,
            )
        )

    def _voucher(self, target: str, caller: Party) -> Voucher | None:
        call = self._call
        voucher = call.services.directory.voucher(target, call.shown[0], caller)
        came = call.summary.verification
        if voucher is None or not came.identity or call.shown[0] != call.summary.source:
            return voucher
        return replace(voucher, received=came.identity, originator=came.originator, destinations=came.destinations)

    def _verstat(self, target: str, shown: Party) -> str:
        """Return what a target is told of the caller's signature: nothing if none was looked for, or if it is shown
        somebody else than who called."""
        call = self._call
        came, (source, caller) = call.summary.verification, call.shown
        if not came.detail or source != call.summary.source:
            return ""
        return call.services.directory.verstat(target, came.outcome, caller, shown)

    def _headers(self, candidate: Candidate) -> tuple[tuple[str, str], ...]:
        summary, (source, caller) = self._call.summary, self._call.shown
        values = {
            "number": candidate.called.number,
            "called": summary.called,
            "caller": "" if caller.anonymous else caller.number,
            "caller_name": "" if caller.anonymous else caller.name,
            "source": source,
        }
        return candidate.header_rules.apply(candidate.headers + self._step.headers, values)

    def _lost(self, branch: _Branch, cause: EndCause) -> None:
        self._failed(branch.candidate.target, cause)
        self._drop(branch, cause)
        self._next_if_none()

    def _caller(self, target: str) -> Party:
        (source, caller), override = self._call.shown, self._step.caller
        party = self._call.services.directory.shown_to(target, source, caller)
        if self._call.emergency and party.number:
            # Whoever answers has to know where to call back: that a caller withholds its number does not count here.
            party = replace(party, anonymous=False)
        if override is not None:
            party = Party(
                party.number if override.number is None else override.number,
                party.name if override.name is None else override.name,
                party.anonymous if override.anonymous is None else override.anonymous,
            )
        return self._call.services.directory.allowed(target, party)

    # -- what the legs say

    def _ring(self) -> None:
        call = self._call
        call.ring()
        # Who is being transferred has no phone that makes a ring-back tone any more: it has been answered.
        ringback = self._step.ringback or (_RINGING if call.transfer is not None else "")
        if ringback and not self._early and not self._ringback and not (call.late_offer and call.answer_is_due):
            try:
                sdp = call.session.local_answer(call.caller) if call.answer_is_due else None
            except NegotiationError:
                return  # the caller's own ring-back tone has to do
            if sdp is not None:
                call.progress(sdp)
            self._ringback = call.session.play(call.caller, *call.services.sounds(ringback), loop=True)

    def _stop_ringback(self) -> None:
        if self._ringback:
            self._call.session.stop_playing(self._call.caller, self._ringback)
            self._ringback = ""

    def _progress(self, item: Progressing) -> None:
        call = self._call
        if item.leg not in self._branches or call.late_offer:
            if item.leg in self._branches and item.ringing:
                call.ring()
            return
        # The first phone with early media is heard; the others' only rings, until that one is gone.
        if self._early not in ("", item.leg):
            call.ring()
            return
        try:
            call.session.set_remote(item.leg, item.sdp, offer=False)
            answer = call.session.answer_to(call.caller, item.leg) if call.answer_is_due else None
        except NegotiationError:
            call.ring()  # a description that cannot be met is judged at the answer, not before
            return
        self._early = item.leg
        self._stop_ringback()
        if answer is not None:
            call.progress(answer, item.ringing)
        elif item.ringing:
            call.ring()
        call.session.connect(call.caller, item.leg)

    def _answered(self, item: Answered) -> None:
        call, session = self._call, self._call.session
        branch = self._branches.get(item.leg)
        if branch is None:
            return
        late = call.late_offer and call.answer_is_due
        try:
            session.set_remote(item.leg, item.sdp, offer=item.is_offer)
            if late:
                to_caller = session.offer_to(call.caller, item.leg, decodable_only=self._step.record is not None)
            elif call.answer_is_due:
                to_caller = session.answer_to(call.caller, item.leg)
            else:
                to_caller = None
        except NegotiationError as error:
            if not branch.candidate.target.startswith("extension/"):
                self._groups.clear()  # somebody has picked up; another carrier would ring the same phone again
            self._lost(branch, cause_named("media-refused", error.reason))
            return
        call.clear_timer(_TIMER)
        self._stop_ringback()
        for other in list(self._branches.values()):
            if other is not branch:
                self._drop(other, cause_named("answered-elsewhere"))
                call.summary.attempts.append(Attempt(other.candidate.target, "answered-elsewhere"))
        self._note_passed(branch, item)
        call.summary.attempts.append(Attempt(branch.candidate.target, "answered"))
        if to_caller is not None:
            call.answer(to_caller)
        call.talk(item.leg, branch.dialled_as, self._step.max_duration)
        if late:
            # Where the callee has answered an offer of ours it waits for nothing more.
            call.bridge.expect_answer(asker=item.leg if item.is_offer else "", asked=call.caller)
        elif item.is_offer:
            # The caller was answered earlier; the callee's offer is met from what the caller can do.
            call.command(AcceptOffer(item.leg, session.answer_to(item.leg, call.caller)))
        session.connect(call.caller, item.leg)
        if self._step.record is not None:
            call.recording.begin(call, item.leg, self._step.record)

    def _gone(self, item: Rejected | HungUp) -> None:
        call = self._call
        call.legs.strike(item)
        branch = self._branches.pop(item.leg, None)
        call.session.close(item.leg)
        if branch is None:
            return
        if self._early == item.leg:
            self._early = ""
        if isinstance(item, Rejected) and item.redirected_to and self._redirected(branch, item):
            return
        if isinstance(item, Rejected):
            self._note_passed(branch, item)
        target, status = branch.candidate.target, item.status if isinstance(item, Rejected) else 0
        self._failed(target, item.cause)
        if isinstance(item, Rejected) and status == 503 and item.retry_after:
            call.services.directory.overloaded(target, item.retry_after)
        if 200 <= status < 300 or not self._goes_on(target, item.cause, status):
            # One that was answered, if with nonsense, is not doubled: somebody has picked up, and pays.
            self._groups.clear()
            for other in list(self._branches.values()):
                if item.cause.slug == "declined" and isinstance(item, Rejected) and item.status >= 600:
                    # RFC 3261 §16.7 step 5: a 6xx response: the client SHOULD cancel all pending client transactions.
                    self._drop(other, replace(item.cause))
        self._next_if_none()

    def _redirected(self, branch: _Branch, item: Rejected) -> bool:
        """Go where a 3xx leads, if policy lets it; return whether it does."""
        call = self._call
        way = follow(call, branch.candidate, item)
        if way is None:
            return False
        if way.target is not None:
            self._groups.insert(0, (way.target,))
            self._next_if_none()
            return True
        for other in list(self._branches.values()):
            self._drop(other, cause_named("answered-elsewhere"))
        call.clear_timer(_TIMER)
        self._stop_ringback()
        call.route.step_failed(call, item.cause, way.steps)
        return True

    def _next_if_none(self) -> None:
        if not self._branches:
            self._call.clear_timer(_TIMER)
            self._next_group()

    def _recording_ends_call(self) -> bool:
        default = self._call.services.settings.recording
        return (self._step.record.over(default) if self._step.record is not None else default).failure == "end"
