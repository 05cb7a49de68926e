"""Memory for each call that is up: resident memory of the server with none, and with some hundreds, each with its
dialogs on both sides and its four media sockets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from bench.phones import Call, Phones
from bench.processes import say
from bench.table import Heading, Line, Row, number
from bench.tandem import tandem

__all__ = ["rows"]

_RATE = 100
_WARM_UP = 50
_SETTLE = 2.0
_GOAL = 60


def rows(folder: Path, steps: Sequence[int]) -> list[Line]:
    """Bring up as many calls as each step says, one after the other, and return the lines of the table."""
    lines: list[Line] = [Heading("Memory of calls in progress, resident, with their media ports open")]
    with (
        tandem(folder, calls=max(steps) + _WARM_UP) as server,
        Phones(server.port, server.caller, server.callee) as phones,
    ):
        phones.hang_up(phones.call((f"9{n:05}" for n in range(_WARM_UP)), _RATE), _RATE)
        time.sleep(_SETTLE)
        empty = server.usage()
        calls: list[Call] = []
        for step in steps:
            calls += phones.call((f"3{n:05}" for n in range(len(calls), step)), _RATE)
            time.sleep(_SETTLE)
            now = server.usage()
            each = (now.resident - empty.resident) / step
            descriptors = (now.descriptors - empty.descriptors) / step
            say(f"  {step} calls up: {each:.0f} KiB and {descriptors:.1f} descriptors each")
            lines.append(Row(f"a call, {step:,} up", number(each, "KiB"), "", "", f"≤ {_GOAL} KiB", each <= _GOAL))
        phones.hang_up(calls, _RATE)
    lines.insert(1, Row("the server without calls", number(empty.resident / 1024, "MiB")))
    return lines
