"""The media engine alone, for what the rest of the server adds to it: reads lines of two ports, where the two ends of a
call hear; prints the KiB that are resident before there is a call, a line of two ports each, where they send to, and
"ready"; relays until it is ended.

    python -m bench.engine FIRST_PORT LAST_PORT [FOLDER [CODEC CODEC]]

With a folder it records each call into it, unless that is empty; the codecs are those of the two sides, PCMU if left
out.
"""

from __future__ import annotations

import os
import select
import sys
import time

from bench.processes import LOOPBACK, usage
from pbx.media.commands import Codec, Connect, Open, Record, SetRemote
from pbx.media.engine import Engine
from pbx.media.events import Opened

_PATIENCE = 20.0
CODECS = {
    "PCMU": Codec(0, "PCMU", 8000),
    "PCMA": Codec(8, "PCMA", 8000),
    "G722": Codec(9, "G722", 8000),
    "opus": Codec(96, "opus", 48000, 2, "useinbandfec=1"),
}


def main(first: int, last: int, folder: str = "", *codecs: str) -> None:
    """Relay."""
    sides = [(CODECS[name],) for name in codecs] or [(CODECS["PCMU"],)] * 2
    engine = Engine(first, last)
    calls = [tuple(int(port) for port in line.split()) for line in sys.stdin]
    print(usage(os.getpid()).resident)
    for number, ports in enumerate(calls):
        for side, port in enumerate(ports):
            engine.submit(Open(f"{number}.{side}", f"{number}", LOOPBACK))
            remote = SetRemote(f"{number}.{side}", LOOPBACK, port, LOOPBACK, port + 1, False, sides[side])
            engine.submit(remote)
        engine.submit(Connect(f"{number}.0", f"{number}.1"))
        if folder:
            engine.submit(Record(f"r{number}", f"{number}.0", f"{number}.1", f"{folder}/{number}.wav"))
    opened: dict[str, int] = {}
    end = time.monotonic() + _PATIENCE
    while len(opened) < 2 * len(calls) and time.monotonic() < end:
        select.select([engine.fileno()], [], [], 0.1)
        opened |= {event.stream: event.rtp_port for event in engine.drain() if isinstance(event, Opened)}
    for number in range(len(calls)):
        print(opened[f"{number}.0"], opened[f"{number}.1"])
    print("ready", flush=True)
    while True:
        select.select([engine.fileno()], [], [])
        engine.drain()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
