"""A bridge at the rate of a small carrier, for minutes: calls over two trunks with call records, limits and header
rules on, and the largest rate at which none of them fails. sippy's b2bua_simple, which has none of that, stands beside
it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import Usage, say, usage
from bench.signalling import Measured, Server, load, sippy_server
from bench.sipp import callee, percentile
from bench.table import Heading, Line, Row, number, ratio
from bench.tandem import tandem

__all__ = ["largest", "rows"]

_STEPS = 8
"""Rates that are tried on the way up."""
_BISECTIONS = 2
_SETTLE = 5.0
"""Seconds for what a server that was too slow has still to finish, before it is tried again."""
_LONG_TRIES = 3
_BACK_OFF = 0.9


@dataclass(frozen=True)
class _Long:
    """The long load: `rate` calls a second without a failed one, or the last rate that was tried."""

    rate: int
    measured: Measured
    before: Usage
    after: Usage
    records: int


def largest(works: Callable[[int], bool], most: int) -> int:
    """Return the largest rate up to `most` at which a short load `works`, to within a 32nd of it; 0 if none does."""
    good, bad = 0, 0
    for step in range(1, _STEPS + 1):
        rate = max(1, round(most * step / _STEPS))
        if not works(rate):
            bad = rate
            break
        good = rate
    for _ in range(_BISECTIONS if bad else 0):
        middle = (good + bad) // 2
        if middle in (good, bad):
            break
        if works(middle):
            good = middle
        else:
            bad = middle
    return good


def _options(most: int) -> dict[str, Any]:
    """Return what is on: limits that are looked at for each call and never reached, and rules for headers."""
    trunk = {"max_calls": most * 60, "max_calls_per_second": most * 10}
    rules = {"remove": ["X-Tenant", "X-Internal"], "set": {"X-Account": "{header.X-Tenant}", "X-Caller": "{caller}"}}
    return {
        "limits": {"calls": most * 60, "calls_per_second": most * 10},
        "trunks": {"customer": trunk, "carrier": {**trunk, "headers": rules}},
    }


@contextmanager
def _bridge(folder: Path, most: int) -> Iterator[Server]:
    with tandem(folder, calls=most * 4, more=_options(most)) as server, callee(folder, server.callee):
        yield Server("Tandem", server.pid, server.port, server.caller)


def _works(folder: Path, server: Server, seconds: float) -> Callable[[int], bool]:
    def works(rate: int) -> bool:
        failed = load(folder, server, rate, seconds).calls.failed
        if failed:
            time.sleep(_SETTLE)
        return not failed

    return works


def _records(folder: Path) -> int:
    """Return how many calls are in the database and over."""
    with closing(sqlite3.connect(folder / "var" / "tandem.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM call_records WHERE ended IS NOT NULL").fetchone()
        return int(count)


def _long(folder: Path, server: Server, rate: int, seconds: float) -> _Long:
    """Put the long load on, at a lower rate if calls fail."""
    for _ in range(_LONG_TRIES):
        time.sleep(_SETTLE)
        records, before = _records(folder), usage(server.pid)
        measured = load(folder, server, rate, seconds)
        after = usage(server.pid)
        time.sleep(_SETTLE)
        found = _Long(rate, measured, before, after, _records(folder) - records)
        if not measured.calls.failed:
            break
        rate = max(1, int(rate * _BACK_OFF))
    return found


def rows(folder: Path, rate: int, seconds: float, probe: float, sippy: Path | None) -> list[Line]:
    """Measure at `rate` calls a second or the largest rate that is carried, for `seconds`, after loads of `probe`
    seconds that look for it; return the lines of the table."""
    with _bridge(folder, rate) as server:
        load(folder, server, max(1, rate // 10), 2)  # what is loaded and allocated at the first calls is not counted
        ours = largest(_works(folder, server, probe), rate)
        long = _long(folder, server, max(1, ours), seconds)
    theirs: Measured | None = None
    their_rate = 0
    if sippy is not None:
        with sippy_server(folder, sippy) as server:
            load(folder, server, max(1, rate // 10), 2)
            their_rate = largest(_works(folder, server, probe), rate)
            theirs = load(folder, server, max(1, min(their_rate, long.rate)), probe)
    failed = long.measured.calls.failed
    say(f"  {long.rate}/s for {seconds:.0f} s: {failed or 'no'} calls failed; sippy {their_rate}/s for {probe:.0f} s")
    return _lines(rate, seconds, probe, ours, long, their_rate, theirs)


def _lines(
    rate: int, seconds: float, probe: float, ours: int, long: _Long, their_rate: int, theirs: Measured | None
) -> list[Line]:
    calls = long.measured.calls
    total = calls.done + calls.failed
    share = (long.after.cpu - long.before.cpu) / (long.after.at - long.before.at) * 100
    grown = (long.after.resident - long.before.resident) / 1024
    beside = number(their_rate, "/s") if theirs else ""
    lines: list[Line] = [
        Heading(
            "A bridge with call records, limits and header rules, SIPp → server → SIPp over UDP", "sippy b2bua_simple"
        ),
        Row(
            f"largest rate up to {rate}/s without a failed call in {probe:.0f} s",
            number(ours, "/s"),
            beside,
            ratio(ours / their_rate if theirs and their_rate else None),
            f"{rate} /s",
            ours >= rate,
        ),
        Row(
            f"calls failed at {long.rate}/s for {seconds:.0f} s, of {total:,}",
            str(calls.failed),
            "",
            "",
            "0",
            not calls.failed,
        ),
        Row("records written of them", f"{long.records:,}", "", "", f"{calls.done:,}", long.records >= calls.done),
        Row("CPU of the server meanwhile", number(share, "%")),
        Row(
            "CPU of a call",
            number(long.measured.cpu, "ms"),
            number(theirs.cpu, "ms") if theirs else "",
            ratio(long.measured.cpu / theirs.cpu if theirs else None),
        ),
        Row("memory that it grew by", number(max(0.0, grown), "MiB")),
    ]
    for part in (0.5, 0.99):
        mine = percentile(calls.delays, part)
        other = percentile(theirs.calls.delays, part) if theirs else float("nan")
        lines.append(
            Row(
                f"set-up delay, p{part * 100:.0f}",
                number(mine, "ms"),
                number(other, "ms") if theirs else "",
                ratio(mine / other if theirs else None),
            )
        )
    return lines
