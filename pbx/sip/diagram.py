"""Draws the transaction tables as Mermaid state diagrams, for `docs/transactions.md`.

``python -m pbx.sip.diagram > docs/transactions.md`` writes it anew; a test fails while the file and the tables differ.
"""

from __future__ import annotations

import sys

from pbx.sip.transaction import MACHINES, Action, Input, State, Table

__all__ = ["document", "mermaid"]

_INTRODUCTION = """\
# The transaction machines

Drawn from the tables of `pbx/sip/transaction.py` by `python -m pbx.sip.diagram`; don't edit. RFC 3261 §17 with RFC 6026
and RFC 4320. An arrow says what happens and, after the stroke, what is done. "TU" is the transaction user. T1 is 0.5 s,
T2 4 s, T4 5 s.

| timer | length | over TCP, TLS, WebSocket |
|---|---|---|
| A, E, G | T1, doubled each time; E and G to T2 at most | none |
| B, F, H | 64*T1 | the same |
| C | 185 s after the last provisional response | the same |
| D, J | 64*T1 | 0 |
| I, K | T4 | 0 |
| L, M | 64*T1 | the same |
"""


def mermaid(table: Table) -> str:
    """Return one table as a Mermaid ``stateDiagram-v2``. Inputs that do the same are drawn as one arrow."""
    lines = ["stateDiagram-v2"]
    for state, edges in table.items():
        arrows: dict[tuple[State, tuple[Action, ...]], list[Input]] = {}
        for given, (actions, following) in edges.items():
            arrows.setdefault((following, actions), []).append(given)
        for (following, actions), inputs in arrows.items():
            source = "[*]" if state is State.INITIAL else state
            target = "[*]" if following is State.TERMINATED else following
            done = f" / {', '.join(actions)}" if actions else ""
            lines.append(f"    {source} --> {target}: {', '.join(inputs)}{done}")
    return "\n".join(lines)


def document() -> str:
    """Return the whole of `docs/transactions.md`."""
    parts = [_INTRODUCTION]
    parts += [f"## {name}\n\n```mermaid\n{mermaid(table)}\n```\n" for name, table in MACHINES.items()]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(document())
