"""What REGISTERs cost, and what calls notice of them: thousands of phones with digest, over UDP on loopback."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

from bench.processes import say
from bench.registering import Fleet
from bench.sipp import Calls, callee, calling, percentile, results
from bench.table import Heading, Line, Row, number, ratio
from bench.tandem import Tandem, tandem

__all__ = ["rows"]

_CALL_RATE = 25
_MINUTE = 60.0


def rows(folder: Path, phones: int, seconds: float) -> list[Line]:
    """Register that many phones, refresh them for so long as fast as can be, then at the pace of once a minute each
    beside calls for as long; return the lines of the table."""
    with (
        tandem(folder, extensions=phones) as server,
        callee(folder, server.callee),
        closing(Fleet(server.port, phones)) as fleet,
    ):
        say(f"  {phones} phones register")
        fleet.all_once()
        before = server.usage()
        start = time.monotonic()
        done = fleet.refresh(seconds)
        took = time.monotonic() - start
        time.sleep(1)  # until the last ones are in the database
        after = server.usage()
        each = (after.cpu - before.cpu) / done
        say(f"  {done / took:.0f} refreshes a second, {each * 1e6:.0f} µs CPU each; {fleet.sent_again} sent again")
        _calls(folder, server, 2)  # what is loaded and allocated at the first calls is not counted
        alone = _calls(folder, server, seconds)
        beside = _calls_beside(folder, server, seconds, fleet, phones / _MINUTE)
    share = each * phones / _MINUTE
    return [
        Heading(f"REGISTER with digest (SHA-256), {phones:,} phones, each at an address of its own"),
        Row("refreshes sustained", f"{done / took:,.0f} /s"),
        Row("CPU each", number(each * 1e6, "µs")),
        Row("all of them once a minute, of a core", number(share * 100, "%")),
        Heading(f"Calls at {_CALL_RATE}/s while they refresh once a minute each", "without refreshes"),
        *(_delay(f"time to the answer, p{share * 100:.0f}", share, beside, alone) for share in (0.5, 0.99)),
        Row(
            f"calls failed, of {beside.done + beside.failed:,}",
            str(beside.failed),
            str(alone.failed),
            "",
            "0",
            not beside.failed,
        ),
    ]


def _calls(folder: Path, server: Tandem, seconds: float) -> Calls:
    count = round(_CALL_RATE * seconds)
    with calling(folder, server.port, server.caller, _CALL_RATE, count) as process:
        process.wait()
    return results(folder, count)


def _calls_beside(folder: Path, server: Tandem, seconds: float, fleet: Fleet, rate: float) -> Calls:
    stop = threading.Event()
    faults: list[Exception] = []

    def refresh() -> None:
        try:
            fleet.keep_refreshing(rate, stop.is_set)
        except Exception as fault:  # noqa: BLE001 - told by the thread that waits for it
            faults.append(fault)

    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        found = _calls(folder, server, seconds)
    finally:
        stop.set()
        thread.join()
    if faults:
        raise faults[0]
    delay = percentile(found.delays, 0.5)
    say(f"  {_CALL_RATE} calls/s beside {rate:.0f} refreshes/s: {found.failed} failed, {delay:.1f} ms")
    return found


def _delay(what: str, share: float, beside: Calls, alone: Calls) -> Row:
    with_it, without = percentile(beside.delays, share), percentile(alone.delays, share)
    return Row(what, number(with_it, "ms"), number(without, "ms"), ratio(with_it / without))
