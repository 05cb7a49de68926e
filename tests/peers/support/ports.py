"""Ports on loopback that nobody uses.

They lie below the range that the kernel gives to clients, so that nothing is handed one between the look and the use.
"""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

__all__ = ["block", "port", "taken"]


def _share() -> tuple[int, int]:
    """Return the range of this process: pytest-xdist's workers have a part each, so that no two are given the same."""
    first, last = 10_000, 32_000
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    index = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (last - first) // count // 2 * 2
    return first + index * size, first + (index + 1) * size


_FIRST, _LAST = _share()
# Several test runs on one machine begin at different places. From there on, all are given before one is given again.
_next = random.Random(os.getpid()).randrange(_FIRST, _LAST, 2)


def port() -> int:
    """Return a port that is free for UDP and TCP."""
    return block(1)


def block(count: int) -> int:
    """Return the first of `count` neighbouring ports, an even one; all of them free for UDP and TCP."""
    global _next
    for _ in range(_FIRST, _LAST, 2):
        first = _next if _next + count <= _LAST else _FIRST
        busy = next((number for number in range(first, first + count) if not _free(number)), None)
        if busy is None:
            _next = first + count + count % 2
            return first
        _next = busy + 2 - busy % 2
    raise RuntimeError(f"no {count} neighbouring ports are free")


def taken(number: int) -> bool:
    """Return whether somebody has this port, for UDP or to listen on TCP."""
    wanted = f"{number:04X}"
    for name, states in (("udp", ("07",)), ("tcp", ("0A",))):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].partition(":")[2] == wanted and fields[3] in states:
                return True
    return False


def _free(number: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                return False
    return True
