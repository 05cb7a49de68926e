"""One conference in the media engine alone: reads lines of a port, where a member hears; prints the KiB that are
resident before there is a member, a line of a port each, where it sends to, and "ready"; mixes until it is ended.

    python -m bench.room FIRST_PORT LAST_PORT
"""

from __future__ import annotations

import os
import select
import sys
import time

from bench.engine import CODECS
from bench.processes import LOOPBACK, usage
from pbx.media.commands import Join, Open, SetRemote
from pbx.media.engine import Engine
from pbx.media.events import Opened

_PATIENCE = 20.0


def main(first: int, last: int) -> None:
    """Mix."""
    engine = Engine(first, last)
    ports = [int(line) for line in sys.stdin]
    print(usage(os.getpid()).resident)
    for number, port in enumerate(ports):
        name = str(number)
        engine.submit(Open(name, name, LOOPBACK))
        engine.submit(SetRemote(name, LOOPBACK, port, LOOPBACK, port, True, (CODECS["PCMU"],)))
        engine.submit(Join(name, "room"))
    opened: dict[str, int] = {}
    end = time.monotonic() + _PATIENCE
    while len(opened) < len(ports) and time.monotonic() < end:
        select.select([engine.fileno()], [], [], 0.1)
        opened |= {event.stream: event.rtp_port for event in engine.drain() if isinstance(event, Opened)}
    for number in range(len(ports)):
        print(opened[str(number)])
    print("ready", flush=True)
    while True:
        select.select([engine.fileno()], [], [])
        engine.drain()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
