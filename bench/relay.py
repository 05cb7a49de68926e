"""What a relayed call costs: G.711, 50 packets a second each way, through the whole server (calls set up by SIP), its
engine alone, the least that C can do (bench/media/bare_loop.c) and rtpengine in userspace; and the same recorded. Both
ends are bench/media/rtp_load.c."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.phones import Phones
from bench.processes import free_ports, free_range, lines_of, running, say, usage, wait_for
from bench.rtpengine import PROGRAM, rtpengine
from bench.table import Heading, Line, Row, number, ratio
from bench.tandem import ROOT, tandem

__all__ = ["Bench", "rows"]

_SOURCES = ROOT / "bench" / "media"
_SOCKETS = 4
"""Sockets of each side of the generator, which all calls share."""
_WARM_UP = 3.0
_RATE = 100

Ports = list[tuple[int, int]]
"""For each call the port of its caller's side and that of its callee's."""
Relay = AbstractContextManager[tuple[int, Ports]]
"""A process id (0: none) and the ports that both ends send to."""


@dataclass(frozen=True)
class _Measured:
    cpu: float
    """Percent of a core for each call."""
    sent: int
    lost: int
    p50: float
    """Microseconds on the way."""
    p99: float


class Bench:
    """The generator, and the ports that it hears on: `media`."""

    def __init__(self, folder: Path, calls: int, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds
        ports = free_ports(2 * _SOCKETS)
        pairs = list(zip(ports[::2], ports[1::2], strict=True))
        self.media: Ports = [pairs[number % _SOCKETS] for number in range(calls)]
        for name in ("bare_loop", "rtp_load"):
            command = ["cc", "-O2", "-D_GNU_SOURCE", "-o", str(folder / name), str(_SOURCES / f"{name}.c")]
            subprocess.run(command, check=True)

    def write_calls(self, server: Ports) -> Path:
        """Write what the C programs read of each call: generator, server, for one side and the other."""
        path = self.folder / "calls"
        lines = [f"{a} {sa} {b} {sb}\n" for (a, b), (sa, sb) in zip(self.media, server, strict=True)]
        path.write_text("".join(lines))
        return path

    def measure(self, name: str, relay: Relay) -> _Measured:
        """Send through a relay, and return what it took."""
        with relay as (pid, server):
            path = self.write_calls(server)
            command = [str(self.folder / "rtp_load"), str(path), str(_WARM_UP), str(self.seconds)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            try:
                time.sleep(_WARM_UP)
                before = usage(pid) if pid else None
                time.sleep(self.seconds)
                after = usage(pid) if pid else None
                output, _ = process.communicate(timeout=20)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        found = json.loads(output)
        share = (after.cpu - before.cpu) / (after.at - before.at) if before and after else 0.0
        cpu = share / len(self.media) * 100
        measured = _Measured(cpu, found["sent"], found["sent"] - found["received"], found["p50"], found["p99"])
        say(f"  {name}: {cpu:.4f} % of a core, {measured.lost} lost, {measured.p50} µs, {measured.p99} µs at 99 %")
        return measured

    # -- what relays

    @contextmanager
    def nobody(self) -> Iterator[tuple[int, Ports]]:
        """Let both ends send to each other."""
        yield 0, [(b, a) for a, b in self.media]

    @contextmanager
    def loop(self) -> Iterator[tuple[int, Ports]]:
        """Forward by the bare loop."""
        free = free_ports(2 * len(self.media))
        server = list(zip(free[::2], free[1::2], strict=True))
        path, log = self.write_calls(server), self.folder / "loop.log"
        with running([str(self.folder / "bare_loop"), str(path)], log) as process:
            wait_for(lambda: "ready" in log.read_text(), 10, "the bare loop's start", process)
            yield process.pid, server

    @contextmanager
    def whole(self, *, record: bool = False) -> Iterator[tuple[int, Ports]]:
        """Relay by the whole server; calls to 2XXX are recorded."""
        folder = self.folder / ("recorded" if record else "relayed")
        folder.mkdir()
        first = 2000 if record else 30_000
        with (
            tandem(folder, len(self.media)) as server,
            Phones(server.port, server.caller, server.callee, self.media) as phones,
        ):
            calls = phones.call((str(first + count) for count in range(len(self.media))), _RATE)
            yield server.pid, [(call.server[0], call.server[1]) for call in calls]
            phones.hang_up(calls, _RATE)

    @contextmanager
    def engine(self, *, record: bool = False) -> Iterator[tuple[int, Ports]]:
        """Relay by the media engine alone."""
        first, last = free_range(4 * len(self.media) + 400)
        folder, log = self.folder / "engine", self.folder / "engine.log"
        folder.mkdir(exist_ok=True)
        heard = self.folder / "engine.in"
        heard.write_text("".join(f"{a} {b}\n" for a, b in self.media))
        command = [sys.executable, "-m", "bench.engine", str(first), str(last), *([str(folder)] if record else [])]
        with running(command, log, cwd=ROOT, stdin=heard) as process:
            try:
                wait_for(lambda: "ready" in log.read_text(), 20, "the engine's start", process)
            except (RuntimeError, TimeoutError) as error:
                raise RuntimeError(f"{error}\n{lines_of(log)}") from error
            lines = [line.split() for line in log.read_text().splitlines()[: len(self.media)]]
            yield process.pid, [(int(a), int(b)) for a, b in lines]


def rows(folder: Path, calls: int, seconds: float) -> list[Line]:
    """Measure and return the lines of the table."""
    bench = Bench(folder, calls, seconds)
    direct = bench.measure("nothing between", bench.nobody())
    loop = bench.measure("bare loop", bench.loop())
    whole = bench.measure("Tandem", bench.whole())
    engine = bench.measure("its engine alone", bench.engine())
    recorded = bench.measure("Tandem, recording", bench.whole(record=True))
    alone = bench.measure("its engine alone, recording", bench.engine(record=True))
    peer = pcap = None
    if PROGRAM is not None:
        (folder / "peer").mkdir()
        (folder / "peer-recorded").mkdir()
        peer = bench.measure("rtpengine", rtpengine(folder / "peer", bench.media))
        pcap = bench.measure("rtpengine, recording", rtpengine(folder / "peer-recorded", bench.media, record=True))
    return [
        Heading(f"A relayed call, G.711, 50 packets/s each way, {calls:,} at once; % of a core", "bare C loop"),
        _cpu("whole server, calls set up by SIP", whole, loop, "≤ 1.25; ≤ 0.08 %", lambda us, by: by <= 1.25),
        _cpu("media engine alone", engine, loop),
        _cpu("whole server, recording in stereo", recorded, loop, "≤ 0.11 %", lambda us, by: us <= 0.11),
        _cpu("media engine alone, recording in stereo", alone, loop),
        _delay("packet delay added, p50", whole.p50 - direct.p50, loop.p50 - direct.p50, 60),
        _delay("packet delay added, p99", whole.p99 - direct.p99, loop.p99 - direct.p99),
        _delay("packet delay added while recording, p50", recorded.p50 - direct.p50, loop.p50 - direct.p50, 60),
        _lost("packets lost", whole, loop),
        _lost("packets lost while recording", recorded, loop),
        *_beside_rtpengine(whole, recorded, direct, peer, pcap),
    ]


def _beside_rtpengine(
    whole: _Measured, recorded: _Measured, direct: _Measured, peer: _Measured | None, pcap: _Measured | None
) -> list[Line]:
    if peer is None or pcap is None:
        return []
    return [
        Heading("The same beside rtpengine in userspace", "rtpengine"),
        _cpu("whole server, calls set up by SIP", whole, peer),
        _cpu("whole server, recording in stereo (rtpengine: into pcap)", recorded, pcap),
        _delay("packet delay added, p50", whole.p50 - direct.p50, peer.p50 - direct.p50),
        _delay("packet delay added, p99", whole.p99 - direct.p99, peer.p99 - direct.p99),
        _lost("packets lost", whole, peer),
    ]


def _cpu(
    what: str,
    ours: _Measured,
    other: _Measured,
    goal: str = "",
    met: Callable[[float, float], bool] | None = None,
) -> Row:
    by = ours.cpu / other.cpu
    good = met(ours.cpu, by) if met else None
    return Row(what, f"{ours.cpu:.3f} %", f"{other.cpu:.3f} %", ratio(by), goal, good)


def _delay(what: str, ours: float, other: float, goal: int = 0) -> Row:
    met = ours <= goal if goal else None
    return Row(what, number(ours, "µs"), number(other, "µs"), "", f"≤ {goal} µs" if goal else "", met)


def _lost(what: str, ours: _Measured, other: _Measured) -> Row:
    return Row(f"{what}, of {ours.sent:,}", str(ours.lost), str(other.lost), "", "0", ours.lost == 0)
