"""Churn: thousands of short calls, and what the server holds while they come and after they have gone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench.plot import Panel, draw
from bench.processes import Usage, say
from bench.sipp import Calls, callee, calling, results
from bench.table import Heading, Line, Row, number
from bench.tandem import Tandem, tandem

__all__ = ["Churn", "churn"]

_HOLD = 100
"""Milliseconds that a call lasts."""
_WARM_UP = 100
_FULL = 40.0
"""Seconds until as many calls are forgotten as come: the longest timers of RFC 3261 take 32, a media port is kept out
of use for five. So long it takes until memory ought to be flat, and so long it rests when the calls are over."""
_SAMPLES = 300
_FLAT = 0.05
"""Share by which memory may still grow and count as flat. The heap of the C library goes on to fray a little, more and
more slowly; in a run of 50,000 calls this share is 0.2 KiB a call, less than the smallest thing that could be left."""


@dataclass(frozen=True)
class Churn:
    """The lines of the table, and the picture."""

    lines: list[Line]
    picture: str


def churn(folder: Path, calls: int, rate: int) -> Churn:
    """Make that many calls, and wait until the last timer has run out."""
    with tandem(folder) as server, callee(folder, server.callee):
        _make(folder, server, rate, _WARM_UP, [])
        server.metrics()
        time.sleep(1)
        before = server.usage()
        samples = [before]
        found = _make(folder, server, rate, calls, samples)
        last = samples[-1]
        say(f"  until the last timer has run out, {_FULL:.0f} s")
        _watch(server, samples, _FULL, _every(calls / rate))
        left = server.metrics()
    held = int(left["tandem_calls_active"]), int(left["tandem_media_streams"])
    return Churn(_lines(calls, rate, found, samples, last, held), _picture(samples, last))


def _every(seconds: float) -> float:
    return max(0.5, seconds / _SAMPLES)


def _make(folder: Path, server: Tandem, rate: int, calls: int, samples: list[Usage]) -> Calls:
    with calling(folder, server.port, server.caller, rate, calls, _HOLD, delays=False) as process:
        told = time.monotonic()
        while process.poll() is None:
            _watch(server, samples, _every(calls / rate), _every(calls / rate))
            if time.monotonic() > told + 15:
                told = time.monotonic()
                now = samples[-1]
                say(
                    f"  {told - samples[0].at:.0f} s of {calls / rate:.0f}: {now.resident / 1024:.1f} MiB, "
                    f"{now.descriptors} descriptors, {now.threads} threads"
                )
    return results(folder, calls)


def _watch(server: Tandem, samples: list[Usage], seconds: float, every: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(every)
        samples.append(server.usage())


def _lines(calls: int, rate: int, found: Calls, samples: list[Usage], last: Usage, held: tuple[int, int]) -> list[Line]:
    first, end = samples[0], samples[-1]
    full = next(sample for sample in samples if sample.at >= min(first.at + _FULL, first.at + (last.at - first.at) / 2))
    later = calls * (last.at - full.at) / (last.at - first.at)
    grown = last.resident - full.resident
    memory = " / ".join(f"{one.resident / 1024:.0f}" for one in (first, full, last, end))
    descriptors, threads = [one.descriptors for one in samples], [one.threads for one in samples]
    text = f"{number(grown / 1024, 'MiB')}, {number(grown / later, 'KiB')} a call"
    return [
        Heading(f"Churn: {calls:,} calls of {_HOLD} ms, {rate}/s; then {_FULL:.0f} s of rest"),
        Row("calls failed", str(found.failed), "", "", "0", found.failed == 0),
        Row(
            f"resident memory before / after {full.at - first.at:.0f} s / at the end / after the rest", f"{memory} MiB"
        ),
        Row(f"grown in the last {later:,.0f} calls", text, "", "", f"≤ {_FLAT:.0%}", grown <= _FLAT * full.resident),
        _held("descriptors before / most / after the rest", descriptors),
        _held("threads before / most / after the rest", threads),
        Row("calls / media streams left", f"{held[0]} / {held[1]}", "", "", "0 / 0", held == (0, 0)),
    ]


def _held(what: str, values: list[int]) -> Row:
    text = f"{values[0]} / {max(values)} / {values[-1]}"
    return Row(what, text, "", "", "as before", values[-1] <= values[0])


def _picture(samples: list[Usage], last: Usage) -> str:
    start = samples[0].at
    return draw(
        "seconds",
        [sample.at - start for sample in samples],
        [
            Panel("resident memory, MiB", [sample.resident / 1024 for sample in samples]),
            Panel("descriptors", [float(sample.descriptors) for sample in samples]),
            Panel("threads", [float(sample.threads) for sample in samples]),
        ],
        [(last.at - start, "the last call ends")],
    )
