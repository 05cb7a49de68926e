"""What a member of a conference costs: G.711, mixed at 16 kHz, three who talk and the rest silent.

rtpengine does not mix; beside it stands what the bare loop takes to receive and send one stream (half of a relayed
call)."""

from __future__ import annotations

import socket
import struct
import sys
import time
from pathlib import Path

from bench.load import Generator, share_of
from bench.processes import LOOPBACK, free_range, running, say, usage
from bench.servers import listed_ports
from bench.table import Heading, Line, Row, number, ratio
from bench.tandem import ROOT

__all__ = ["rows"]

_SIZES = (3, 10, 50)
_TALKERS = 3
_WARM_UP = 2.0
_PERIOD = 0.02
_VOICE = bytes(0x80 | ((number * 37) & 0x3F) if number % 16 < 8 else (number * 37) & 0x3F for number in range(160))
"""PCMU, loud."""
_SILENCE = b"\xff" * 160


def _measure(folder: Path, members: int, seconds: float) -> tuple[float, float]:
    """Return the percent of a core and the KiB for each member."""
    first, last = free_range(2 * members + 100)
    heard, log = folder / f"room{members}.in", folder / f"room{members}.log"
    phones = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(members)]
    try:
        for phone in phones:
            phone.bind((LOOPBACK, 0))
            phone.setblocking(False)
        heard.write_text("".join(f"{phone.getsockname()[1]}\n" for phone in phones))
        with running(
            [sys.executable, "-m", "bench.room", str(first), str(last)], log, cwd=ROOT, stdin=heard
        ) as process:
            (empty,), *lines = listed_ports(log, process)
            ports = [port for (port,) in lines]
            _talk(phones, ports, _WARM_UP, 0)
            before = usage(process.pid)
            _talk(phones, ports, seconds, round(_WARM_UP / _PERIOD))
            after = usage(process.pid)
    finally:
        for phone in phones:
            phone.close()
    share = share_of(before.cpu, after.cpu, after.at - before.at, members)
    memory = (after.resident - empty) / members
    say(f"  conference of {members}: {share:.4f} % of a core and {memory:.0f} KiB for each member")
    return share, memory


def _talk(phones: list[socket.socket], ports: list[int], seconds: float, first: int) -> None:
    due = time.monotonic()
    for turn in range(first, first + round(seconds / _PERIOD)):
        for place, (phone, port) in enumerate(zip(phones, ports, strict=True)):
            head = struct.pack("!BBHII", 0x80, 0, turn & 0xFFFF, turn * 160, place + 1)
            phone.sendto(head + (_VOICE if place < _TALKERS else _SILENCE), (LOOPBACK, port))
            try:
                while True:
                    phone.recv(2048)
            except BlockingIOError:
                pass
        due += _PERIOD
        time.sleep(max(0.0, due - time.monotonic()))


def rows(folder: Path, seconds: float) -> list[Line]:
    """Measure and return the lines of the table."""
    generator = Generator(folder, max(_SIZES), seconds)
    loop = generator.measure("bare loop", generator.loop()).cpu / 2
    lines: list[Line] = [
        Heading("A member of a conference, G.711 mixed at 16 kHz, three talk; % of a core", "bare C loop")
    ]
    for members in _SIZES:
        share, memory = _measure(folder, members, seconds)
        lines += [
            Row(f"conference of {members}", f"{share:.3f} %", f"{loop:.3f} %", ratio(share / loop)),
            Row(f"conference of {members}: memory", number(memory, "KiB")),
        ]
    return lines
