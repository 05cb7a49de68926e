"""What a signalling-only call costs: SIPp → server → SIPp over UDP on loopback, for Tandem and sippy's b2bua_simple,
and SIPp → SIPp to know what of the set-up delay is SIPp's own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import LOOPBACK, free_ports, lines_of, running, say, usage
from bench.sipp import Calls, callee, calling, percentile, results
from bench.table import Heading, Line, Row, number, ratio
from bench.tandem import tandem

__all__ = ["Measured", "Server", "load", "rows", "sippy_server"]

_PAUSE = 1.0
"""Seconds between two loads."""


@dataclass(frozen=True)
class Measured:
    """What came of a load."""

    calls: Calls
    cpu: float
    """Milliseconds a call."""


@dataclass(frozen=True)
class Server:
    """A server under load; `pid` is 0 if there is none between the two SIPps."""

    name: str
    pid: int
    port: int
    caller: int


def load(folder: Path, server: Server, rate: int, seconds: float) -> Measured:
    """Have calls made at a rate for so long, to their end."""
    calls = max(1, round(rate * seconds))
    before = usage(server.pid).cpu if server.pid else 0.0
    with calling(folder, server.port, server.caller, rate, calls) as process:
        process.wait()
    after = usage(server.pid).cpu if server.pid else 0.0
    found = Measured(results(folder, calls), (after - before) / calls * 1000)
    delay = percentile(found.calls.delays, 0.5)
    say(f"  {server.name}, {rate}/s: {found.calls.failed} of {calls} failed, {found.cpu:.2f} ms CPU, {delay:.1f} ms")
    time.sleep(_PAUSE)
    return found


@contextmanager
def _tandem(folder: Path) -> Iterator[Server]:
    with tandem(folder) as server, callee(folder, server.callee):
        yield Server("Tandem", server.pid, server.port, server.caller)


@contextmanager
def sippy_server(folder: Path, program: Path) -> Iterator[Server]:
    """Run sippy's b2bua_simple between two SIPps."""
    port, caller, target = free_ports(3)
    command = [str(program), "-f", "-l", LOOPBACK, "-p", str(port), "-n", f"{LOOPBACK}:{target}"]
    log = folder / "sippy.log"
    with callee(folder, target), running(command, log, cwd=folder) as process:
        time.sleep(2)  # it says nothing when it is up
        if process.poll() is not None:
            raise RuntimeError(f"sippy's b2bua_simple did not start:\n{lines_of(log)}")
        yield Server("sippy", process.pid, port, caller)


@contextmanager
def _nobody(folder: Path) -> Iterator[Server]:
    caller, target = free_ports(2)
    with callee(folder, target):
        yield Server("SIPp to SIPp", 0, target, caller)


def _measure(folder: Path, server: Server, rates: Sequence[int], seconds: float) -> dict[int, Measured]:
    if server.pid:
        load(folder, server, 20, 2)  # what is loaded and allocated at the first calls is not counted
    return {rate: load(folder, server, rate, seconds) for rate in rates}


def rows(folder: Path, rates: Sequence[int], seconds: float, sippy: Path | None) -> list[Line]:
    """Measure and return the lines of the table; without `sippy` only Tandem's."""
    with _nobody(folder) as nobody:
        direct = _measure(folder, nobody, rates, seconds)
    with _tandem(folder) as server:
        ours = _measure(folder, server, rates, seconds)
    theirs: dict[int, Measured] = {}
    if sippy is not None:
        with sippy_server(folder, sippy) as server:
            theirs = _measure(folder, server, rates, seconds)
    lines: list[Line] = [Heading("A signalling-only call, SIPp → server → SIPp over UDP", "sippy b2bua_simple")]
    lines += [_cpu(rate, ours[rate], theirs.get(rate)) for rate in rates]
    for rate in rates:
        lines += [_delay(rate, share, ours[rate], theirs.get(rate), direct[rate]) for share in (0.5, 0.99)]
    lines += [_failed(rate, ours[rate], theirs.get(rate)) for rate in rates]
    return lines


def _cpu(rate: int, ours: Measured, theirs: Measured | None) -> Row:
    beside = number(theirs.cpu, "ms") if theirs else ""
    share = ours.cpu / theirs.cpu if theirs else None
    met = ours.cpu <= 1.1 and (share is None or share <= 0.25)
    return Row(f"CPU at {rate} calls/s", number(ours.cpu, "ms"), beside, ratio(share), "≤ 0.25; ≤ 1.1 ms", met)


def _delay(rate: int, share: float, ours: Measured, theirs: Measured | None, direct: Measured) -> Row:
    without = percentile(direct.calls.delays, share)
    added = percentile(ours.calls.delays, share) - without
    other = percentile(theirs.calls.delays, share) - without if theirs else None
    return Row(
        f"set-up delay added at {rate} calls/s, p{share * 100:.0f}",
        number(added, "ms"),
        number(other, "ms") if other is not None else "",
        ratio(added / other if other else None),
        "≤ 2 ms" if share == 0.5 else "",
        added <= 2 if share == 0.5 else None,
    )


def _failed(rate: int, ours: Measured, theirs: Measured | None) -> Row:
    return Row(
        f"calls failed at {rate} calls/s, of {ours.calls.done + ours.calls.failed:,}",
        str(ours.calls.failed),
        str(theirs.calls.failed) if theirs else "",
        "",
        "0",
        ours.calls.failed == 0,
    )
