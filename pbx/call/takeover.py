"""INVITE with Replaces (RFC 3891): somebody takes the place of a leg of another call, as a phone does that picks up a
call which rings elsewhere, or to which an attended transfer was handed by others than us.

The call that comes in is answered, and its leg moves into the call that it is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pbx.call.commands import HangUp
from pbx.call.events import OfferAnswered
from pbx.call.fork import Fork
from pbx.call.items import HangUpWanted, Wish
from pbx.call.serve import WithStream
from pbx.call.summary import Attempt
from pbx.call.transfer import move_in
from pbx.cause import cause_named
from pbx.errors import ProtocolError
from pbx.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from pbx.call.call import Call
    from pbx.call.dialogs import DialogTable
    from pbx.sip.ext.replaces import Replaces

__all__ = ["Replaced", "TakeOver", "to_replace"]

_TIMER = "step"
_PATIENCE = 32.0
"""Seconds for whoever has sent an INVITE without an offer to say in its ACK what it can do."""
_GONE = "replaced-gone"
_TRANSFERRED = "transferred"


@dataclass(frozen=True, slots=True)
class Replaced:
    """The leg that a call is to take the place of."""

    leg: str
    early: bool
    """It rings."""


def to_replace(
    wanted: Replaces,
    source: str,
    dialogs: DialogTable,
    find_call: Callable[[str], Call | None],
    may: Callable[[str, str, bool], bool],
) -> Replaced:
    """Return what `source` wants to take the place of; `may(source, target, early)` says whether it may. Raises
    ProtocolError with the status of RFC 3891 §3."""
    leg, early = _leg_to_replace(dialogs, wanted)
    call = find_call(leg)
    if call is None:
        raise ProtocolError("There is no such dialog", 481)
    # Who knows the identifiers of somebody else's dialog may not take that call over.
    if not may(source, call.summary.legs[leg].target, early):
        raise ProtocolError("This call may not be taken over", 403)
    if not _can_be_taken(call, leg, early=early):
        raise ProtocolError("This call cannot be taken over now", 603)
    return Replaced(leg, early)


def _leg_to_replace(dialogs: DialogTable, wanted: Replaces) -> tuple[str, bool]:
    """Return the leg whose dialog is named, and whether it is early."""
    owner = dialogs.lookup(wanted.call_id, wanted.to_tag, wanted.from_tag)
    if owner is None:
        # If no match is found, the UAS rejects the INVITE and returns a 481 Call/Transaction Does Not Exist response.
        raise ProtocolError("There is no such dialog", 481)
    if owner.leaving:
        # If the Replaces header field matches a dialog which has already terminated, the UA SHOULD decline the request
        # with a 603 Declined response.
        raise ProtocolError("That call is over", 603)
    if owner.is_confirmed(wanted.from_tag):
        if wanted.early_only:
            # If the "early-only" flag is present and the dialog is confirmed, the UA MUST return a 486 Busy Here.
            raise ProtocolError("That call was answered", 486)
        return owner.id, False
    if not owner.initiated:
        # If the Replaces header field matches an early dialog that was not initiated by this UA, it returns a 481.
        raise ProtocolError("That call still rings", 481)
    return owner.id, True


def _can_be_taken(call: Call, leg: str, *, early: bool) -> bool:
    """Return whether somebody may come in the place of a leg: the callee that rings, or one of two that talk."""
    if not early:
        return call.connected and leg in (call.caller, call.bridge.callee)
    fork = call.route.running
    # A caller that has made no offer gets that of who answers, which here has been answered already.
    return isinstance(fork, Fork) and fork.rings(leg) and not (call.late_offer and call.answer_is_due)


class TakeOver(WithStream):
    """Performed by the call that came in with Replaces: answers it, and moves its leg into `other`."""

    __slots__ = ("_early", "_leg", "_other")

    def __init__(self, call: Call, other: Call, leg: str, *, early: bool) -> None:
        """`leg` is the one of `other` that is replaced."""
        super().__init__(call)
        self._other = other
        self._leg = leg
        self._early = early

    def begin(self) -> bool:
        """Answer, and move, now or when the answer to our offer is there."""
        call = self._call
        if not _can_be_taken(self._other, self._leg, early=self._early):
            call.end(cause_named(_GONE))
        elif call.answer_ourselves():
            call.set_timer(_TIMER, _PATIENCE)
            if not call.late_offer:
                self._move()
        return True

    def happened(self, item: Any) -> None:
        """Move, now that the audio of whoever came is agreed on; end if the other call has ended meanwhile."""
        if isinstance(item, OfferAnswered):
            self._move()
        elif getattr(item, "name", "") == _TIMER:
            self._call.end(cause_named(_GONE))

    def _move(self) -> None:
        self._other.post(Wish(self._perform))

    def _perform(self) -> None:
        """Put the leg of this call in the place of that of the other; what the other asks of the engine is submitted
        with its own."""
        call, other, leg = self._call, self._other, self._leg
        if not _can_be_taken(other, leg, early=self._early):
            call.post(HangUpWanted(cause_named(_GONE)))
            return
        call.summary.destination = other.summary.source
        fork = other.route.running
        if isinstance(fork, Fork):
            fork.picked_up(call)
        else:
            replaced = other.summary.legs[leg].target
            other.summary.attempts.append(Attempt(replaced, _TRANSFERRED, f"to {call.summary.source}"))
            call.summary.destination = other.summary.legs[other.bridge.other_than(leg)].target
            move_in(other, leg, call, call.caller)
            other.legs.dismiss(HangUp(leg, cause_named(_TRANSFERRED)))
        call.post(HangUpWanted(cause_named(_TRANSFERRED)))
