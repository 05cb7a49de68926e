"""Draws a leg's tables for `docs/leg.md`.

``python -m pbx.call.leg.diagram > docs/leg.md`` writes it anew; a test fails while the file and the tables differ.
"""

from __future__ import annotations

import sys

from pbx.call.leg.negotiation import TABLE as NEGOTIATION
from pbx.call.leg.table import INBOUND, OUTBOUND, Action, Input, Table

__all__ = ["document"]

_INTRODUCTION = """\
# The states of a leg

Drawn from `pbx/call/leg/table.py` and `negotiation.py` by `python -m pbx.call.leg.diagram`; don't edit.

Each row is an input, each column a state; the cell names the method of a leg that takes it. A dash is what holds unless
a state says otherwise: a command is dropped and counted, a request gets 481 (RFC 3261 §12.2.2), anything else is
counted as late or strange. Columns of dashes alone are left out.
"""

_DEFAULTS = (Action.DROP, Action.REFUSE_NO_DIALOG, Action.IGNORE)


def _cell(action: Action) -> str:
    return "-" if action in _DEFAULTS else f"`{action}`"


def _drawn(table: Table) -> str:
    states = [state for state in table if any(action not in _DEFAULTS for action in table[state].values())]
    lines = [f"| | {' | '.join(states)} |", "|---" * (len(states) + 1) + "|"]
    for given in Input:
        cells = [_cell(table[state][given]) for state in states]
        if any(cell != "-" for cell in cells):
            lines.append(f"| {given} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _negotiation() -> str:
    lines = ["stateDiagram-v2", "    [*] --> nothing"]
    for phase, steps in NEGOTIATION.items():
        lines += [f"    {phase.value} --> {after.value}: {step.value}" for step, after in steps.items()]
    return "\n".join(lines)


def document() -> str:
    """Return the whole of `docs/leg.md`."""
    return "\n".join(
        (
            _INTRODUCTION,
            f"## Inbound: the peer's INVITE\n\n{_drawn(INBOUND)}\n",
            f"## Outbound: our INVITE\n\n{_drawn(OUTBOUND)}\n",
            "## Offer and answer in one dialog\n",
            "RFC 3264 §4. An offer withdrawn or refused leads back to *agreed* if there ever was a session.\n",
            f"```mermaid\n{_negotiation()}\n```\n",
        )
    )


if __name__ == "__main__":
    sys.stdout.write(document())
