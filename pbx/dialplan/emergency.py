"""Calls for help: which of them a decision makes, and where they go whatever stands before the number.

Whoever dials ``*31#112``, ``+49112``, or 0112 where 0 is an outside line, calls 112: the call is decided as that number
is, by the route that the plan has for it, with the caller that this route shows. A route that keeps the call in the
house (``*8*112`` picks up the phone 112), or tries somebody there before it calls for help, is left alone, and so is
one that gets it out where the number alone would not get out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.dialplan.steps import AnswerStep, DialStep, EnterStep, HangUpStep, PlayStep, RejectStep, Step, WaitStep

if TYPE_CHECKING:
    from pbx.dialplan.numbering import Numbering

__all__ = ["gets_out", "goes_out_first", "number_dialled_out", "reaches_nobody"]

_REACH_NOBODY = (AnswerStep, EnterStep, HangUpStep, PlayStep, RejectStep, WaitStep)


def number_dialled_out(steps: tuple[Step, ...], numbering: Numbering, *, as_it_is: bool = False) -> str:
    """Return the emergency number that steps dial over a trunk or at a URI, empty if they dial none; `as_it_is`: or
    write a country before it."""
    for step in steps:
        if isinstance(step, DialStep):
            for target in step.targets:
                if target.kind == "extension":
                    continue
                found = numbering.emergency_number(target.number, as_it_is=as_it_is)
                if found:
                    return found
            for handler in step.on.values():
                found = number_dialled_out(handler, numbering, as_it_is=as_it_is)
                if found:
                    return found
    return ""


def goes_out_first(steps: tuple[Step, ...]) -> bool:
    """Return whether the first dial of steps is over a trunk or at a URI, and not to somebody in the house."""
    first = next((step for step in steps if isinstance(step, DialStep)), None)
    return first is not None and any(target.kind != "extension" for target in first.targets)


def gets_out(steps: tuple[Step, ...]) -> bool:
    """Return whether steps dial a trunk or a URI."""
    return any(
        isinstance(step, DialStep)
        and (
            any(target.kind != "extension" for target in step.targets)
            or any(gets_out(handler) for handler in step.on.values())
        )
        for step in steps
    )


def reaches_nobody(steps: tuple[Step, ...]) -> bool:
    """Return whether steps can only say something and end the call."""
    return all(isinstance(step, _REACH_NOBODY) for step in steps)
