"""A soak: short calls at a steady rate and long calls with sound, some of them recorded, for an hour; and what the
server holds and how quick it is, over time.

    python -m bench.soak [--write]       the picture goes to docs/soak.svg, the table into docs/performance.md

It takes an hour and leaves the machine some room: what is looked for is what rises, not what is fast.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.load import Between, Generator, Measured
from bench.machine import describe
from bench.phones import Call, Phones
from bench.plot import Panel, draw
from bench.processes import Usage, free_ports, say, unwind_at_end
from bench.servers import agreed
from bench.sipp import Answer, answers, callee, calling, percentile, results
from bench.table import Heading, Line, Row, fill, number, ratio, render
from bench.tandem import ROOT, Tandem, tandem

__all__ = ["main"]

_PLAN = {
    "routes": [
        {
            "name": "recorded",
            "when": {"from": "trunk/customer", "number": "2XXX"},
            "do": [{"dial": "trunk/studio", "record": True}],
        },
        {"name": "relayed", "when": {"from": "trunk/customer", "number": "9XXXX"}, "do": [{"dial": "trunk/studio"}]},
        {"name": "short", "when": {"from": "trunk/customer", "number": "."}, "do": [{"dial": "trunk/carrier"}]},
    ]
}
"""Short calls go to `carrier`, which is SIPp; those with sound to `studio`, where their ports are known."""
_HOLD = 2000
"""Milliseconds that a short call lasts."""
_SET_UP = 20
"""Calls with sound that are set up a second."""
_RECORDED = 5
"""One in so many of them is recorded."""
_EVERY = 10.0
"""Seconds between two samples."""
_FULL = 600.0
"""Seconds after which nothing ought to rise any more: caches and the C library's heap have settled."""
_FLAT, _STEADY = 0.05, 0.25
"""Shares by which memory, and by which delays, may be above what they were."""
_REST = 45.0


@dataclass(frozen=True)
class _Round:
    """What became of the calls with sound of one round."""

    at: float
    calls: int
    measured: Measured


@dataclass(frozen=True)
class _Soak:
    """What an hour has shown."""

    seconds: float
    samples: list[Usage]
    last: int
    """The sample when the last call had ended."""
    rounds: list[_Round]
    answers: list[Answer]
    """Of the short calls; their times are those of the samples."""
    made: int
    failed: int
    held: tuple[int, int]


class _Watch:
    """Samples what a server uses, until it is stopped."""

    def __init__(self, server: Tandem) -> None:
        self._server = server
        self._stop = threading.Event()
        self.samples = [server.usage()]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            self.samples.append(self._server.usage())

    def end(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join()


@contextmanager
def _talking(server: Tandem, phones: Phones, numbers: Sequence[str], recordings: Path) -> Iterator[Between]:
    """Keep calls up; throw their recordings away after, since an hour's would fill the disk."""
    calls: list[Call] = phones.call(numbers, _SET_UP)
    ports, _ = agreed(calls)
    yield Between(server.pid, ports)
    phones.hang_up(calls, _SET_UP)
    shutil.rmtree(recordings, ignore_errors=True)


def _run(folder: Path, seconds: float, rate: int, sounding: int, length: float) -> _Soak:
    plan = folder / "plan.yaml"
    plan.write_text(yaml.safe_dump(_PLAN))
    studio, caller = free_ports(2)
    rounds: list[_Round] = []
    with tandem(folder, sounding + rate * 10, plan=plan, callers=[caller], callees={"studio": studio}) as server:
        watch = _Watch(server)
        start, wall = watch.samples[0].at, time.time()
        made = round(rate * seconds)
        with (
            callee(folder, server.callee),
            Phones(server.port, caller, studio, [(9, 9)]) as phones,
            calling(folder, server.port, server.caller, rate, made, _HOLD) as short,
        ):
            while time.monotonic() - start + length < seconds:
                place = folder / f"round-{len(rounds)}"
                place.mkdir()
                generator = Generator(place, sounding, length - 2 * sounding / _SET_UP - 10)
                phones.sound_at(generator.media)
                numbers = [
                    str(2000 + call) if call % _RECORDED == 0 else str(90_000 + call) for call in range(sounding)
                ]
                talking = _talking(server, phones, numbers, folder / "var" / "recordings")
                at = time.monotonic() - start
                measured = generator.measure(f"{at / 60:.0f} min", talking)
                rounds.append(_Round(at, sounding, measured))
                now = watch.samples[-1]
                say(f"    {now.resident / 1024:.1f} MiB, {now.descriptors} descriptors")
            say("  waiting for the last short calls")
            short.wait(seconds)
        last = len(watch.samples) - 1
        say(f"  until the last timer has run out, {_REST:.0f} s")
        time.sleep(_REST)
        watch.end()
        left = server.metrics()
    answered = [Answer(one.at - wall, one.delay) for one in answers(folder)]
    found = results(folder, made)
    held = int(left["tandem_calls_active"]), int(left["tandem_media_streams"])
    return _Soak(seconds, watch.samples, last, rounds, answered, made, found.failed, held)


def _delays(soak: _Soak, since: float, until: float) -> list[float]:
    return sorted(one.delay for one in soak.answers if since <= one.at < until)


def _lines(soak: _Soak) -> list[Line]:
    samples, rounds = soak.samples, soak.rounds
    first, last, end = samples[0], samples[soak.last], samples[-1]
    full = next(one for one in samples if one.at - first.at >= min(_FULL, soak.seconds / 2))
    descriptors = [one.descriptors for one in samples]
    third = soak.seconds / 3
    early, late = _delays(soak, 0, third), _delays(soak, 2 * third, soak.seconds)
    lost, sent = sum(one.measured.lost for one in rounds), sum(one.measured.sent for one in rounds)
    long = sum(one.calls for one in rounds)
    part = max(1, len(rounds) // 3)
    before = statistics.median(one.measured.p50 for one in rounds[:part])
    after = statistics.median(one.measured.p50 for one in rounds[-part:])
    memory = " / ".join(f"{one.resident / 1024:.0f}" for one in (first, full, last, end))
    grown = (last.resident - full.resident) / full.resident
    cpu = (last.cpu - first.cpu) / (last.at - first.at)
    settled = f"{(full.at - first.at) / 60:.0f} min"
    return [
        Heading(f"A soak of {soak.seconds / 60:.0f} minutes"),
        Row(f"short calls failed, of {soak.made:,}", str(soak.failed), goal="0", met=soak.failed == 0),
        Row(f"packets lost in {long:,} long calls, of {sent:,}", str(lost), goal="0", met=lost == 0),
        Row(f"resident memory before / after {settled} / at the end / at rest", f"{memory} MiB"),
        Row("grown since then", f"{grown:+.1%}", goal=f"≤ {_FLAT:.0%}", met=grown <= _FLAT),
        Row(
            "descriptors before / most / at rest",
            f"{descriptors[0]} / {max(descriptors)} / {descriptors[-1]}",
            goal="as before",
            met=descriptors[-1] <= descriptors[0],
        ),
        _compared("set-up delay, p50, first and last third", percentile(early, 0.5), percentile(late, 0.5), "ms"),
        _compared("set-up delay, p99", percentile(early, 0.99), percentile(late, 0.99), "ms"),
        _compared("packet delay, p50", before, after, "µs"),
        Row("CPU, share of a core", f"{cpu:.0%}"),
        Row("calls / media streams left", f"{soak.held[0]} / {soak.held[1]}", goal="0 / 0", met=soak.held == (0, 0)),
    ]


def _compared(what: str, early: float, late: float, unit: str) -> Row:
    by = late / early
    text = f"{number(early, unit)}, {number(late, unit)}"
    return Row(what, text, "", ratio(by), f"≤ {1 + _STEADY:.2f}", by <= 1 + _STEADY)


def _picture(soak: _Soak) -> str:
    samples = soak.samples[1 : soak.last + 1]
    start = soak.samples[0].at
    places = [(one.at - start) / 60 for one in samples]
    shares = [
        (after.cpu - before.cpu) / (after.at - before.at) * 100
        for before, after in zip(soak.samples, samples, strict=False)
    ]
    delays = [_delays(soak, one.at - start - 60, one.at - start) for one in samples]
    on_the_way = []
    for sample in samples:
        begun = [one for one in soak.rounds if one.at <= sample.at - start]
        on_the_way.append((begun or soak.rounds)[-1 if begun else 0].measured.p50)
    return draw(
        "minutes",
        places,
        [
            Panel("resident memory, MiB", [one.resident / 1024 for one in samples]),
            Panel("descriptors", [float(one.descriptors) for one in samples]),
            Panel("CPU, % of a core", shares),
            Panel("set-up delay of the last minute's short calls, p50, ms", [percentile(one, 0.5) for one in delays]),
            Panel("the same, p99, ms", [percentile(one, 0.99) for one in delays]),
            Panel("packet delay of the long calls, p50, µs", on_the_way),
        ],
    )


def main() -> int:
    """Run it; return the exit status: 1 if something rises, or a call or packet is lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put picture and table into docs/")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=20, metavar="N", help="short calls a second")
    parser.add_argument("--sounding", type=int, default=50, metavar="CALLS", help="calls with sound at once")
    parser.add_argument("--length", type=float, default=280.0, metavar="SECONDS", help="how long each of these lasts")
    options = parser.parse_args()
    about = describe(None)
    say(about)
    with tempfile.TemporaryDirectory(prefix="tandem-soak-") as folder:
        soak = _run(Path(folder), options.minutes * 60, options.rate, options.sounding, options.length)
    lines = _lines(soak)
    text = f"{about}\n\n{render(lines)}"
    sys.stdout.write(text)
    if options.write:
        fill(ROOT / "docs" / "performance.md", "soak", text)
        (ROOT / "docs" / "soak.svg").write_text(_picture(soak))
    return 0 if all(line.met is not False for line in lines if isinstance(line, Row)) else 1


if __name__ == "__main__":
    unwind_at_end()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
