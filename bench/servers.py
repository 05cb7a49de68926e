"""Tandem between the two ends of calls: the whole server, its calls set up by SIP, or its media engine alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.load import Between, Ports
from bench.phones import Call, Phones
from bench.processes import free_range, lines_of, running, wait_for
from bench.tandem import ROOT, tandem

__all__ = ["agreed", "engine", "listed_ports", "whole"]

_RATE = 50
"""Calls set up a second."""
_WARM_UP = 20
"""Calls that come and go before, so that what a server allocates once does not count as memory of a call."""
_SETTLE = 1.0
_PATIENCE = 20.0


@contextmanager
def whole(
    folder: Path, media: Ports, *, record: bool = False, secure: tuple[bool, bool] = (False, False), rate: int = _RATE
) -> Iterator[Between]:
    """Run the whole server with a call for each pair of ports. `secure` says whether caller and callee encrypt;
    recordings go to `var/recordings` in `folder`."""
    folder.mkdir()
    first = 2000 if record else 30_000
    if record and len(media) > 1000:
        raise ValueError("the recorded route of the shipped dialplan has 1000 numbers")
    with (
        tandem(folder, len(media) + _WARM_UP, secure=secure) as server,
        Phones(server.port, server.caller, server.callee, media, secure) as phones,
    ):
        phones.hang_up(phones.call((str(90_000 + count) for count in range(_WARM_UP)), rate), rate)
        time.sleep(_SETTLE)
        empty = server.usage().resident
        calls = phones.call((str(first + count) for count in range(len(media))), rate)
        ports, keys = agreed(calls)
        yield Between(server.pid, ports, empty, keys if any(secure) else [])
        phones.hang_up(calls, rate)
        if record:
            _finished(folder)


def _finished(folder: Path) -> None:
    """Wait until no recording runs."""
    end = time.monotonic() + _PATIENCE
    while any((folder / "var").rglob("*.part")) and time.monotonic() < end:
        time.sleep(0.1)


def agreed(calls: Sequence[Call]) -> tuple[Ports, list[tuple[str, str]]]:
    """Return the server's ports of calls that are up, and the keys of what comes from there."""
    ports, keys = [], []
    for call in calls:
        to_caller, to_callee = call.server
        if to_caller is None or to_callee is None:
            raise RuntimeError(f"call {call.number} is not up")
        ports.append((to_caller.port, to_callee.port))
        keys.append((to_caller.key, to_callee.key))
    return ports, keys


def listed_ports(log: Path, process: subprocess.Popen[bytes]) -> list[list[int]]:
    """Return the numbers in each line that `bench.engine` or `bench.room` prints before it is ready."""
    try:
        wait_for(lambda: "ready" in log.read_text(), 20, "the engine's start", process)
    except (RuntimeError, TimeoutError) as error:
        raise RuntimeError(f"{error}\n{lines_of(log)}") from error
    lines = log.read_text().partition("ready")[0].splitlines()
    return [[int(word) for word in line.split()] for line in lines]


@contextmanager
def engine(folder: Path, media: Ports, *, record: bool = False, codecs: Sequence[str] = ()) -> Iterator[Between]:
    """Run the media engine alone with a call for each pair of ports; `codecs` are those of the sides, PCMU if left
    out."""
    folder.mkdir()
    first, last = free_range(4 * len(media) + 400)
    log, heard = folder / "engine.log", folder / "engine.in"
    heard.write_text("".join(f"{a} {b}\n" for a, b in media))
    command = [sys.executable, "-m", "bench.engine", str(first), str(last), str(folder) if record else "", *codecs]
    with running(command, log, cwd=ROOT, stdin=heard) as process:
        (empty,), *ports = listed_ports(log, process)
        yield Between(process.pid, [(a, b) for a, b in ports], empty)
