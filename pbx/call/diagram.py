"""Draws the call's table for `docs/call.md`.

``python -m pbx.call.diagram > docs/call.md`` writes it anew; a test fails while the file and the table differ.
"""

from __future__ import annotations

import sys

from pbx.call.table import TABLE, Action, Input, State

__all__ = ["document"]

_INTRODUCTION = """\
# A call

Drawn from `pbx/call/table.py` by `python -m pbx.call.diagram`; don't edit.

A call has one inbox. Whatever happens (a leg's event, the engine's, a timer, an operator's wish) is put there and
handled in order.

```mermaid
stateDiagram-v2
    [*] --> setting_up: an INVITE came in, its caller is known, the dialplan gave it steps
    setting_up --> serving: the server itself answers (answer, play, echo, record)
    setting_up --> talking: somebody answered a dial
    serving --> talking: somebody answered a dial
    setting_up --> ending: refused, cancelled, or nobody answered
    serving --> ending: hung up, or the steps are done
    talking --> ending: either side hung up, silence, the longest duration, a fault
    ending --> ended: legs, streams and files are closed
    ended --> [*]
```

*Caller* is the leg that the call began with, *callee* any other. What is done with each input in each state:

"""


def document() -> str:
    """Return the whole of `docs/call.md`."""
    states = list(State)
    lines = [
        "| input | " + " | ".join(state.value for state in states) + " |",
        "|---" * (len(states) + 1) + "|",
    ]
    for given in Input:
        cells = ["" if (action := TABLE[state][given]) is Action.IGNORE else action.value for state in states]
        lines.append(f"| {given.value} | " + " | ".join(cells) + " |")
    return _INTRODUCTION + "\n".join(lines) + "\n\nAn empty cell: it came too late to matter, and nothing is done.\n"


if __name__ == "__main__":
    sys.stdout.write(document())
