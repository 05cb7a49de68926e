"""SIPp as caller and callee: calls at a rate, what became of them, and how long each took to be answered."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import LOOPBACK, free_range, running

__all__ = ["Answer", "Calls", "answers", "callee", "calling", "percentile", "results"]

_ANSWER = Path(__file__).with_name("uas.xml")
_PATIENCE = 20
"""Seconds beyond the time that the calls themselves take."""


@dataclass(frozen=True)
class Calls:
    """What became of the calls of one run."""

    done: int
    failed: int
    delays: list[float] = field(default_factory=list)
    """Milliseconds from each INVITE to its 200, sorted."""


@dataclass(frozen=True)
class Answer:
    """How long one call took to be answered."""

    at: float
    """When its INVITE was sent, seconds of the wall clock."""
    delay: float
    """Milliseconds."""


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the sorted values lie; not a number if there is none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


@contextmanager
def callee(folder: Path, port: int) -> Iterator[None]:
    """Answer every call that comes to a port."""
    media, _ = free_range(8)
    command = ["sipp", "-sf", str(_ANSWER), "-i", LOOPBACK, "-p", str(port), "-mp", str(media), "-nostdin"]
    with running(command, folder / f"uas-{port}.log", cwd=folder):
        yield


@contextmanager
def calling(
    folder: Path, server: int, port: int, rate: int, calls: int, hold: int = 500, *, delays: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """Make calls from a port at a steady rate, each `hold` milliseconds long; `results` says what became of them."""
    media, _ = free_range(8)
    for old in folder.glob("uac*"):
        old.unlink()
    command = ["sipp", "-sn", "uac", f"{LOOPBACK}:{server}", "-s", "3000", "-i", LOOPBACK, "-p", str(port)]
    command += ["-mp", str(media), "-r", str(rate), "-m", str(calls), "-l", str(rate * 20), "-d", str(hold)]
    command += ["-nostdin", "-recv_timeout", "10000", "-timeout", f"{calls / rate + hold / 1000 + _PATIENCE:.0f}s"]
    command += ["-trace_stat", "-stf", "uac.csv", "-fd", "1"]
    command += ["-trace_shortmsg", "-shortmessage_file", "uac.messages"] if delays else []
    with running(command, folder / "uac.log", cwd=folder) as process:
        yield process


def results(folder: Path, calls: int) -> Calls:
    """Return what became of the `calls` that were asked for, once they have ended."""
    with (folder / "uac.csv").open() as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    done = int(last["SuccessfulCall(C)"])
    return Calls(done, calls - done, sorted(one.delay for one in answers(folder)))


def answers(folder: Path) -> Iterator[Answer]:
    """Return how long each call took that was answered, in the order in which they were; none without `delays`."""
    messages = folder / "uac.messages"
    if not messages.exists():
        return
    # SIPp's short messages: date, time, seconds, S or R, Call-ID, CSeq and first line, by tabs.
    sent: dict[str, float] = {}
    with messages.open() as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if len(fields) != 7 or not fields[5].endswith("INVITE"):
                continue
            _, _, at, way, call, _, first = fields
            if way == "S" and first.startswith("INVITE"):
                sent.setdefault(call, float(at))
            elif way == "R" and first.startswith("SIP/2.0 200") and call in sent:
                began = sent.pop(call)
                yield Answer(began, (float(at) - began) * 1000)
