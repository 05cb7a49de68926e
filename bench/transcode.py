"""What a transcoded call costs: 50 packets a second each way of recorded speech, the sides in different codecs, through
the media engine and through rtpengine in userspace. Both ends are bench/media/codec_load.c."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.engine import CODECS
from bench.processes import LOOPBACK, free_ports, free_range, lines_of, running, say, usage, wait_for
from bench.rtpengine import PROGRAM, rtpengine
from bench.table import Heading, Line, Row, ratio
from bench.tandem import ROOT
from pbx.media.commands import Codec, Open, Play, SetRemote
from pbx.media.engine import Engine

__all__ = ["rows"]

_PAIRS = (("PCMA", 0.10), ("G722", 0.20), ("opus", 0.0))
"""What PCMU is turned into and back, and the goal in percent of a core; 0 for none."""
_SPEECHES = sorted(Path("/usr/share/asterisk/sounds").glob("en*/demo-instruct.wav"))
_SOURCES = ROOT / "bench" / "media"
_WARM_UP = 3.0
_SOCKETS = 4
_FRAMES = 150

Ports = list[tuple[int, int]]


@dataclass(frozen=True)
class _Measured:
    cpu: float
    """Percent of a core for each call."""
    sent: int
    received: int


def _frames(folder: Path, codec: Codec) -> Path:
    """Write the packets of recorded speech in a codec, as the engine plays it."""
    path = folder / f"{codec.name}.frames"
    first, last = free_range(100)
    engine = Engine(first, last)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear, path.open("wb") as file:
        ear.bind((LOOPBACK, 0))
        ear.settimeout(5)
        port = ear.getsockname()[1]
        engine.submit(Open("s", "g", LOOPBACK))
        engine.submit(SetRemote("s", LOOPBACK, port, LOOPBACK, port, True, (codec,)))
        engine.submit(Play("s", "p", (str(_SPEECHES[0]),), loop=True))
        written = 0
        while written < _FRAMES:
            data = ear.recv(4096)
            if 192 <= data[1] <= 223:
                continue
            file.write(len(data[12:]).to_bytes(2, "big") + data[12:])
            written += 1
            select.select([engine.fileno()], [], [], 0)
            engine.drain()
    engine.close()
    return path


@contextmanager
def _engine(folder: Path, media: Ports, other: str) -> Iterator[tuple[int, Ports]]:
    first, last = free_range(4 * len(media) + 400)
    log, heard = folder / f"engine-{other}.log", folder / "engine.in"
    heard.write_text("".join(f"{a} {b}\n" for a, b in media))
    command = [sys.executable, "-m", "bench.engine", str(first), str(last), "", "PCMU", other]
    with running(command, log, cwd=ROOT, stdin=heard) as process:
        try:
            wait_for(lambda: "ready" in log.read_text(), 20, "the engine's start", process)
        except (RuntimeError, TimeoutError) as error:
            raise RuntimeError(f"{error}\n{lines_of(log)}") from error
        lines = [line.split() for line in log.read_text().splitlines()[: len(media)]]
        yield process.pid, [(int(a), int(b)) for a, b in lines]


def rows(folder: Path, calls: int, seconds: float) -> list[Line]:
    """Measure and return the lines of the table."""
    if not _SPEECHES:
        raise RuntimeError(
            "the prompts of asterisk-core-sounds-en-wav are missing; `make setup` installs them where it may"
        )
    load = folder / "codec_load"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", str(load), str(_SOURCES / "codec_load.c")], check=True)
    ports = free_ports(2 * _SOCKETS)
    pairs = list(zip(ports[::2], ports[1::2], strict=True))
    media = [pairs[number % _SOCKETS] for number in range(calls)]
    voices: dict[str, list[str]] = {}
    for name, codec in CODECS.items():
        voices[name] = [str(codec.payload_type), str(codec.rate // 50), str(_frames(folder, codec))]

    def measure(name: str, other: str, pid: int, server: Ports) -> _Measured:
        path = folder / "calls"
        path.write_text("".join(f"{a} {sa} {b} {sb}\n" for (a, b), (sa, sb) in zip(media, server, strict=True)))
        command = [str(load), str(path), str(_WARM_UP), str(seconds), *voices["PCMU"], *voices[other]]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            time.sleep(_WARM_UP)
            before = usage(pid)
            time.sleep(seconds - 0.2)
            after = usage(pid)
            output, _ = process.communicate(timeout=20)
        found = json.loads(output)
        cpu = (after.cpu - before.cpu) / (after.at - before.at) / calls * 100
        say(f"  {name}, PCMU and {other}: {cpu:.4f} % of a core, {found}")
        if found["wrong"] or found["received"] < 0.5 * found["sent"]:
            raise RuntimeError(f"{name} did not turn PCMU into {other}: {found}")
        return _Measured(cpu, found["sent"], found["received"])

    lines: list[Line] = [Heading(f"A transcoded call, {calls:,} at once; % of a core", "rtpengine")]
    for other, goal in _PAIRS:
        with _engine(folder, media, other) as (pid, server):
            ours = measure("Tandem's engine", other, pid, server)
        theirs = None
        if PROGRAM is not None:
            (folder / f"peer-{other}").mkdir()
            with rtpengine(folder / f"peer-{other}", media, codecs=(CODECS["PCMU"], CODECS[other])) as (pid, server):
                theirs = measure("rtpengine", other, pid, server)
        lines.append(
            Row(
                f"PCMU and {other}, both ways",
                f"{ours.cpu:.3f} %",
                f"{theirs.cpu:.3f} %" if theirs else "",
                ratio(ours.cpu / theirs.cpu) if theirs else "",
                f"≤ {goal:.2f} %" if goal else "",
                ours.cpu <= goal if goal else None,
            )
        )
    return lines


if __name__ == "__main__":
    import tempfile

    from bench.table import render

    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as name:
        print(render(rows(Path(name), int(sys.argv[1]), float(sys.argv[2]))))
