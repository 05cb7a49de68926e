"""Dialling somebody whom the server itself wants on the line: an originated call's caller, a supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.commands import Dial

if TYPE_CHECKING:
    from pbx.call.call import Call
    from pbx.call.ports import Candidate

__all__ = ["dial_with_own_offer"]


def dial_with_own_offer(call: Call, leg: str, candidate: Candidate) -> None:
    """Dial an open leg with an offer of the engine's own; it is shown the call's caller."""
    call.command(
        Dial(
            leg,
            candidate.destination,
            caller=call.summary.caller,
            called=candidate.called,
            offer=call.session.local_offer(leg),
            max_forwards=call.max_forwards,
            credentials=candidate.credentials,
            headers=candidate.headers,
        )
    )
