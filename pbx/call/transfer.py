"""A transfer within a call: one party leaves, the other one is led elsewhere.

A blind transfer makes the party that stays the caller and performs the steps that the dialplan has for the new number,
while the one who asked waits to hear how it went, and has the party back if nobody answers. An attended one joins the
parties of two calls: the party of the other call moves into this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pbx.call import commands
from pbx.call.events import HungUp, Rejected
from pbx.call.ports import LegHandle
from pbx.call.summary import Attempt, LegSummary
from pbx.cause import EndCause, cause_named
from pbx.media.session import Moving

if TYPE_CHECKING:
    from pbx.call.call import Call
    from pbx.dialplan.decision import Decision

__all__ = ["Transfer", "join", "move_in", "pick_up", "transfer"]

TRANSFERRED = "transferred"


class Transfer:
    """A blind transfer under way. `leg` asked for it."""

    __slots__ = ("_call", "_present", "leg")

    def __init__(self, call: Call, leg: str) -> None:
        self._call = call
        self.leg = leg
        self._present = True

    def ringing(self) -> None:
        """Take that somebody's phone rings."""
        self._report(180)

    def connected(self) -> None:
        """Take that the party that stays is answered: whoever asked is done."""
        self._call.transfer = None
        if self._call.routes is not None:
            self._call.routes.leave(self.leg)
        if self._present:
            self._call.session.close(self.leg)
            self._report(200, cause_named(TRANSFERRED))

    def failed(self, cause: EndCause) -> bool:
        """Take that nobody answered, for this cause. Return whether the call goes on, with the one who asked."""
        call = self._call
        call.transfer = None
        if not self._present:
            return False
        if cause.sip_status < 300:
            # The steps have been done without an answer: an announcement before it, for instance.
            self._report(200)
            return False
        self._report(cause.sip_status)
        call.route.clear()
        if call.routes is not None:
            call.routes.leave()
        call.connect_with(self.leg)
        call.session.connect(call.caller, self.leg)
        call.recording.resume(call, self.leg)
        return True

    def take(self, item: object) -> bool:
        """Take what a leg tells; return whether it was of concern here: the one who asked has hung up."""
        if not isinstance(item, (HungUp, Rejected)) or item.leg != self.leg:
            return False
        self._present = False
        self._call.legs.strike(item)
        self._call.session.close(self.leg)
        return True

    def _report(self, status: int, then: EndCause | None = None) -> None:
        if self._present:
            self._call.command(commands.ReportRefer(self.leg, status, then))


class _Moved(NamedTuple):
    """A leg on its way from one call to another."""

    handle: LegHandle
    summary: LegSummary
    media: Moving


def transfer(call: Call, leg: str, decision: Decision) -> None:
    """Transfer the party that `leg` talks to as the dialplan has decided (a blind transfer)."""
    call.command(commands.AcceptRefer(leg))
    call.summary.attempts.append(Attempt(call.summary.legs[leg].target, TRANSFERRED, f"to {decision.number}"))
    staying = call.bridge.other_than(leg)
    if call.routes is not None:
        call.routes.reached(call.bridge.callee)
    call.come_into(decision)
    _part(call)
    call.session.disconnect(staying)
    call.transfer = Transfer(call, leg)
    call.lead(staying, decision.query.source)
    call.route.replace(call, decision.steps)


def join(call: Call, leg: str, other: Call, other_leg: str) -> None:
    """Connect the party that `leg` talks to in one call with the one that `other_leg` talks to in another (an attended
    transfer): that one moves into `call`, and the other call ends."""
    coming = other.bridge.other_than(other_leg)
    call.command(commands.AcceptRefer(leg))
    call.summary.attempts.append(
        Attempt(call.summary.legs[leg].target, TRANSFERRED, f"to {other.summary.legs[coming].target}")
    )
    move_in(call, leg, other, coming)
    call.command(commands.ReportRefer(leg, 200, cause_named(TRANSFERRED)))
    other.end(cause_named(TRANSFERRED))


def move_in(call: Call, leaving: str, other: Call, coming: str) -> None:
    """Connect the party that `leaving` talks to with a leg of another call, which moves here. The end of `leaving` and
    of the other call is the caller's business."""
    staying = call.bridge.other_than(leaving)
    if call.routes is not None:
        call.routes.reached(call.bridge.callee)
        call.routes.leave(leaving)
    _part(call)
    moved = _give_away(other, coming, call)
    call.session.disconnect(staying)
    call.session.close(leaving)
    call.session.adopt(moved.media, like=staying)
    call.legs.adopt(moved.handle, moved.summary)
    call.caller = staying
    call.connect_with(coming)
    call.bridge.join()
    call.recording.resume(call, coming)
    call.summary.destination = moved.summary.target


def pick_up(call: Call, other: Call, number: str, maximum: float | None) -> bool:
    """Answer the caller, who dialled `number`, and connect it with the caller of another call, who moves here; return
    False if the caller cannot be answered, which has ended this call."""
    if not call.answer_ourselves():
        return False
    coming = other.caller
    moved = _give_away(other, coming, call)
    call.session.adopt(moved.media, like=call.caller)
    call.legs.adopt(moved.handle, moved.summary)
    call.talk(coming, number, maximum)
    call.bridge.join()
    return True


def _part(call: Call) -> None:
    """End what belongs to the two who talked: recording, music, what they were agreeing on, and those who listened in,
    for who is transferred is no longer the call that they were to hear."""
    if call.connected:
        call.bridge.part()
    call.end_supervision()
    call.recording.interrupt(call)
    call.music.stop(call)


def _give_away(call: Call, leg: str, to: Call) -> _Moved:
    """Let a leg go into another call, which hears from it from now on; this one is to be ended."""
    if call.routes is not None and call.connected:
        call.routes.reached(call.bridge.callee)
        call.routes.give(leg, to.held_routes())
    _part(call)
    if call.emergency or to.emergency:
        to.call_for_help()
        to.services.gone(leg)
    handle, summary = call.legs.release(leg)
    call.forward(leg, to)
    return _Moved(handle, summary, call.session.release(leg))
