"""The figures of docs/performance.md, in one run, each beside a peer that was measured in the same minutes.

    make bench                  or  python -m bench.run
    make bench ARGS=--write     the same, and puts the table and the picture into docs/

Everything happens on loopback, on ports that are free, in a temporary folder; what is started is ended.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import bridge, capacity, conference, memory, registration, relay, secure, signalling, transcode
from bench.churn import churn
from bench.machine import describe
from bench.processes import say, unwind_at_end
from bench.table import Line, fill, render
from bench.tandem import ROOT

__all__ = ["main"]

_DOCUMENT = ROOT / "docs" / "performance.md"
_PICTURE = ROOT / "docs" / "churn.svg"
_NAMES = (
    *("signalling", "relay", "secure", "transcode", "conference", "capacity"),
    *("memory", "registration", "churn", "bridge"),
)
_SIPPY = ROOT / ".venv-bench" / "bin" / "b2bua_simple"


@dataclass(frozen=True)
class _Part:
    name: str
    seconds: float
    """About how long it takes."""
    measure: Callable[[Path], list[Line]]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--write", action="store_true", help="put the table and the picture into docs/")
    add("--only", nargs="+", choices=_NAMES, default=[])
    add("--quick", action="store_true", help="a tenth of everything: to see that it works, not how fast")
    add("--rates", type=int, nargs="+", default=[25, 50, 100], metavar="N", help="calls a second")
    add("--seconds", type=float, default=5.0, help="how long each load lasts")
    add("--relayed", type=int, default=200, metavar="CALLS", help="relayed at once, at most 1000")
    add("--recorded", type=int, default=1000, metavar="CALLS", help="recorded at once that are tried at most")
    add("--up", type=int, nargs="+", default=[500, 1000], metavar="CALLS", help="up at once while memory is measured")
    add("--phones", type=int, default=10_000, help="that register")
    add("--churn", type=int, default=5000, metavar="CALLS", help="short calls; 50000 for the hour's equivalent")
    add("--churn-rate", type=int, default=75, metavar="N", help="short calls a second")
    add("--bridge-rate", type=int, default=200, metavar="N", help="calls a second of the bridge, if it carries them")
    add("--bridge-seconds", type=float, default=20.0, help="how long it has to; 300 is what is promised")
    add("--sippy", type=Path, default=_SIPPY, metavar="PATH", help="sippy's b2bua_simple")
    options = parser.parse_args(arguments)
    if max(options.relayed, options.recorded) > 1000:
        parser.error("--relayed, --recorded: the recorded route of the shipped dialplan has 1000 numbers")
    if options.write and (options.only or options.quick):
        parser.error("--write is for whole runs: not with --only or --quick")
    if options.quick:
        options.seconds, options.relayed = options.seconds / 5, options.relayed // 10
        options.recorded //= 10
        options.up, options.phones = [step // 10 for step in options.up], options.phones // 10
        options.churn //= 10
        options.bridge_rate, options.bridge_seconds = options.bridge_rate // 10, options.bridge_seconds / 5
    return options


def _parts(options: argparse.Namespace, sippy: Path | None, pictures: list[str]) -> list[_Part]:
    seconds, rates = options.seconds, options.rates

    def churned(folder: Path) -> list[Line]:
        found = churn(folder, options.churn, options.churn_rate)
        pictures.append(found.picture)
        return found.lines

    servers = 3 if sippy else 2
    registered = 3 * seconds + options.phones / 1000 + 15
    return [
        _Part(
            "signalling",
            servers * len(rates) * (seconds + 2) + 15,
            lambda folder: signalling.rows(folder, rates, seconds, sippy),
        ),
        _Part("relay", 8 * (seconds + 8), lambda folder: relay.rows(folder, options.relayed, seconds)),
        _Part("secure", 5 * (seconds + 8), lambda folder: secure.rows(folder, options.relayed // 2, seconds)),
        _Part(
            "transcode", 7 * (seconds + 5) + 15, lambda folder: transcode.rows(folder, options.relayed // 2, seconds)
        ),
        _Part("conference", 4 * (seconds + 4), lambda folder: conference.rows(folder, seconds)),
        _Part("capacity", 90, lambda folder: capacity.rows(folder, options.recorded, seconds / 2)),
        _Part("memory", 10 + max(options.up) / 50, lambda folder: memory.rows(folder, options.up)),
        _Part("registration", registered, lambda folder: registration.rows(folder, options.phones, seconds)),
        _Part("churn", options.churn / options.churn_rate + 48, churned),
        _Part(
            "bridge",
            options.bridge_seconds + (2 if sippy else 1) * 10 * (seconds + 4) + 30,
            lambda folder: bridge.rows(folder, options.bridge_rate, options.bridge_seconds, seconds, sippy),
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are wanted; return the exit status."""
    options = _options(arguments)
    for program in ("sipp", "cc"):
        if shutil.which(program) is None:
            say(f"bench: {program} is missing; `make bench` installs it where it may")
            return 1
    sippy = options.sippy if options.sippy.exists() else None
    pictures: list[str] = []
    parts = [part for part in _parts(options, sippy, pictures) if not options.only or part.name in options.only]
    about = describe(sippy)
    say(f"{about}\n- about {sum(part.seconds for part in parts) / 60:.0f} minutes")
    started = time.monotonic()
    lines: list[Line] = []
    faults: list[str] = []
    for part in parts:
        say(f"{part.name}, about {part.seconds:.0f} s")
        try:
            with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
                lines += part.measure(Path(folder))
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as fault:
            say(f"{part.name} could not be measured: {fault}")
            faults.append(part.name)
    text = f"{about}\n- {(time.monotonic() - started) / 60:.1f} minutes\n\n{render(lines)}"
    sys.stdout.write(text)
    if faults:
        say(f"not measured: {', '.join(faults)}{'; nothing is written' if options.write else ''}")
        return 1
    if options.write:
        fill(_DOCUMENT, "bench", text)
        for picture in pictures:
            _PICTURE.write_text(picture)
        say(f"written to {_DOCUMENT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    unwind_at_end()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
