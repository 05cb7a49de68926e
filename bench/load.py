"""Sound through what stands between two ends: the generator (bench/media/rtp_load.c) is both ends of many calls, G.711,
50 packets a second each way, plain or encrypted; and what the process between them took for it."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import free_ports, running, say, usage, wait_for
from bench.table import Row, number, ratio
from bench.tandem import ROOT

__all__ = [
    "SOURCES",
    "WARM_UP",
    "Between",
    "Generator",
    "Measured",
    "Ports",
    "compiled",
    "cpu_row",
    "delay_row",
    "lost_row",
    "memory_row",
    "share_of",
    "write_calls",
]

SOURCES = ROOT / "bench" / "media"
WARM_UP = 3.0
_SOCKETS = 4
"""Sockets of each side of the generator, which all calls share."""

Ports = list[tuple[int, int]]
"""For each call the port of its caller's side and that of its callee's."""
Keys = Sequence[tuple[str, str]]
"""For each call the master keys, base64, of what its caller and its callee hear; empty: plain RTP."""


@dataclass(frozen=True)
class Between:
    """What stands between the two ends of the calls, which are up."""

    pid: int
    """0: nothing."""
    ports: Ports
    """That both ends send to."""
    empty: int = 0
    """KiB that were resident before there was a call."""
    keys: Keys = ()


@dataclass(frozen=True)
class Measured:
    """What it took, and what became of the packets."""

    cpu: float
    """Percent of a core for each call."""
    memory: float
    """KiB for each call."""
    sent: int
    lost: int
    p50: float
    """Microseconds on the way."""
    p99: float
    behind: float
    """The most that the generator was late with sending, milliseconds."""


def compiled(folder: Path, name: str) -> Path:
    """Compile a program of bench/media, with libsrtp2 where the system has it, and return its path."""
    found = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libsrtp2"], capture_output=True, text=True, check=False
    )
    secured = ["-DHAVE_LIBSRTP2", *found.stdout.split()] if found.returncode == 0 else []
    program = folder / name
    source = str(SOURCES / f"{name}.c")
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", str(program), source, *secured], check=True)
    return program


def write_calls(path: Path, media: Ports, server: Ports, keys: Keys = ()) -> None:
    """Write what the C programs read of each call: generator, server, for one side and the other, and the keys."""
    lines = []
    for call, ((a, b), (to_a, to_b)) in enumerate(zip(media, server, strict=True)):
        pair = (base64.b64decode(key).hex() or "-" for key in (keys[call] if keys else ("", "")))
        lines.append(f"{a} {to_a} {b} {to_b} {' '.join(pair)}\n")
    path.write_text("".join(lines))


def share_of(before: float, after: float, seconds: float, calls: int) -> float:
    """Return the percent of a core for each call, of CPU seconds before and after."""
    return (after - before) / seconds / calls * 100


class Generator:
    """Both ends of so many calls, and the ports that they hear on: `media`."""

    def __init__(self, folder: Path, calls: int, seconds: float, warm_up: float = WARM_UP) -> None:
        self.folder = folder
        self.seconds = seconds
        self.warm_up = warm_up
        ports = free_ports(2 * _SOCKETS)
        pairs = list(zip(ports[::2], ports[1::2], strict=True))
        self.media: Ports = [pairs[call % _SOCKETS] for call in range(calls)]
        self._load, self._loop = compiled(folder, "rtp_load"), compiled(folder, "bare_loop")

    @property
    def each_sends(self) -> int:
        """Packets that each end of each call sends, all in all."""
        return round((self.warm_up + self.seconds) * 50)

    def measure(self, name: str, between: AbstractContextManager[Between]) -> Measured:
        """Send through it, and return what it took. RuntimeError if what comes encrypted does not authenticate."""
        path, calls = self.folder / "calls", len(self.media)
        with between as what:
            write_calls(path, self.media, what.ports, what.keys)
            command = [str(self._load), str(path), str(self.warm_up), str(self.seconds)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            try:
                time.sleep(self.warm_up)
                before = usage(what.pid) if what.pid else None
                time.sleep(self.seconds)
                after = usage(what.pid) if what.pid else None
                output, _ = process.communicate(timeout=30)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if process.returncode != 0:
            raise RuntimeError(f"the generator ended with {process.returncode}")
        found = json.loads(output)
        if found["unauthentic"]:
            raise RuntimeError(f"{name}: {found['unauthentic']} packets do not authenticate")
        cpu = memory = 0.0
        if before and after:
            cpu = share_of(before.cpu, after.cpu, after.at - before.at, calls)
            memory = (after.resident - what.empty) / calls
        lost = found["sent"] - found["received"]
        measured = Measured(cpu, memory, found["sent"], lost, found["p50"], found["p99"], found["behind"] / 1000)
        say(
            f"  {name}: {cpu:.4f} % of a core, {memory:.0f} KiB, {lost} of {found['sent']} lost, "
            f"{measured.p50} µs, {measured.p99} µs at 99 %, generator up to {measured.behind:.0f} ms behind"
        )
        return measured

    @contextmanager
    def nobody(self) -> Iterator[Between]:
        """Let both ends send to each other."""
        yield Between(0, [(b, a) for a, b in self.media])

    @contextmanager
    def loop(self) -> Iterator[Between]:
        """Forward by the least that C can do."""
        own = {port for pair in self.media for port in pair}
        free = [port for port in free_ports(2 * (len(self.media) + _SOCKETS)) if port not in own]
        free = free[: 2 * len(self.media)]
        server = list(zip(free[::2], free[1::2], strict=True))
        path, log = self.folder / "calls", self.folder / "loop.log"
        write_calls(path, self.media, server)
        with running([str(self._loop), str(path)], log) as process:
            wait_for(lambda: "ready" in log.read_text(), 10, "the bare loop's start", process)
            yield Between(process.pid, server, usage(process.pid).resident)


def cpu_row(what: str, ours: Measured, other: Measured | None, most: float = 0.0) -> Row:
    """Return the line of a share of a core; the goal is that it be at most so many times the other's. 0: none."""
    if other is None:
        return Row(what, f"{ours.cpu:.3f} %")
    by = ours.cpu / other.cpu
    return Row(what, f"{ours.cpu:.3f} %", f"{other.cpu:.3f} %", ratio(by), _at_most(most), by <= most if most else None)


def memory_row(what: str, ours: Measured, other: Measured | None, most: int = 0) -> Row:
    """Return the line of the memory of a call; the goal is at most so many KiB. 0: none."""
    goal, met = (f"≤ {most} KiB", ours.memory <= most) if most else ("", None)
    if other is None:
        return Row(what, number(ours.memory, "KiB"), goal=goal, met=met)
    by = ratio(ours.memory / other.memory) if other.memory > 0 else ""
    return Row(what, number(ours.memory, "KiB"), number(other.memory, "KiB"), by, goal, met)


def delay_row(what: str, ours: float, other: float | None, most: float = 0.0) -> Row:
    """Return the line of a delay that is added, µs; the goal is that it be at most so many times the other's."""
    if other is None:
        return Row(what, number(ours, "µs"))
    by = ours / other if other > 0 else math.nan
    met = by <= most if most and other > 0 else None
    return Row(what, number(ours, "µs"), number(other, "µs"), ratio(by), _at_most(most), met)


def lost_row(what: str, ours: Measured, other: Measured | None) -> Row:
    """Return the line of lost packets."""
    return Row(f"{what}, of {ours.sent:,}", str(ours.lost), str(other.lost) if other else "", "", "0", ours.lost == 0)


def _at_most(most: float) -> str:
    return f"≤ {most:.2f}" if most else ""
