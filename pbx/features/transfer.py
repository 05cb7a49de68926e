"""Transfers that a peer asks for by REFER: carried out here, passed on to the other party, or refused.

A blind transfer is routed by the dialplan with the rights of who asks for it: nobody reaches by transfer what he could
not dial. An attended one joins two calls of the same extension or trunk.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from pbx.call import commands
from pbx.call.events import ReferRequested
from pbx.call.route_limits import route_refusal
from pbx.call.transfer import join, transfer
from pbx.cause import cause_named
from pbx.dialplan.decision import Decision, Query

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Transfers"]

_NO_DIALOG = 481
_FORBIDDEN = 403
_DECLINED = 603


class Transfers:
    """Decides what becomes of a transfer that a leg asks for.

    `policy(source)` is ``handle``, ``pass`` or ``refuse``. `find_leg` returns the leg with a dialog (Call-ID, our tag,
    the peer's tag), `find_call` the call of a leg.
    """

    def __init__(
        self,
        policy: Callable[[str], str],
        decide: Callable[[Query], Decision],
        wall: Callable[[], datetime],
        find_leg: Callable[[tuple[str, str, str]], str | None],
        find_call: Callable[[str], Call | None],
    ) -> None:
        self._policy = policy
        self._decide = decide
        self._wall = wall
        self._find_leg = find_leg
        self._find_call = find_call

    def requested(self, call: Call, item: ReferRequested) -> None:
        """Take a request of a leg that talks to another one."""
        source = call.summary.legs[item.leg].target
        policy = self._policy(source)
        if policy == "refuse":
            call.command(commands.DeclineRefer(item.leg, _DECLINED))
        elif item.replaces is not None:
            self._attended(call, item, source)
        elif policy == "pass":
            call.bridge.pass_refer(item)
        else:
            self._blind(call, item.leg, source, item.number)

    def _blind(self, call: Call, leg: str, source: str, number: str, instead_of: str = "") -> bool:
        """Return whether the transfer has begun. It may be carried out `instead_of` a call, which is to end."""
        party = call.party_of(call.bridge.other_than(leg))
        decision = self._decide(
            Query(
                source,
                number,
                self._wall(),
                caller="" if party.anonymous else party.number,
                caller_name=party.name,
            )
        )
        if decision.route is None:
            refusal = cause_named(decision.refusal or "no-route")
            call.command(commands.DeclineRefer(leg, refusal.sip_status))
            return False
        full = route_refusal(call.services, decision, instead_of)
        if full is not None:
            call.command(commands.DeclineRefer(leg, full.sip_status))
            return False
        transfer(call, leg, decision)
        return True

    def _attended(self, call: Call, item: ReferRequested, source: str) -> None:
        assert item.replaces is not None
        found = self._find_leg(item.replaces)
        other = self._find_call(found) if found is not None else None
        if found is None or other is None or other is call or found not in _parties(other):
            call.command(commands.DeclineRefer(item.leg, _NO_DIALOG))
        elif other.summary.legs[found].target != source:
            # Who knows the identifiers of somebody else's dialog may not take that call over.
            call.command(commands.DeclineRefer(item.leg, _FORBIDDEN))
        elif other.connected:
            join(call, item.leg, other, found)
        elif self._blind(call, item.leg, source, other.summary.called, other.id):
            # It still rings there, or a service of the server has answered: what was dialled is dialled again for the
            # party that is transferred.
            other.end(cause_named("transferred"))


def _parties(call: Call) -> tuple[str, ...]:
    """Return the legs that a transfer can take over: no phone that still rings, and nobody who listens in."""
    return (call.caller, call.bridge.callee) if call.connected else (call.caller,)
