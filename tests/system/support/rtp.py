"""A machine that sends audio where it has no business to."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Sequence

from tests.support.sound import tone, ulaw_encode
from tests.system.support.namespaces import Machine

__all__ = ["Stranger"]

_PACKET = 160
_INTERVAL = 0.02


class Stranger:
    """Sends a tone in PCMU to ports that are somebody else's, and notes whether anything is sent to it."""

    def __init__(self, machine: Machine, host: str) -> None:
        with machine.inside():
            self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.heard = 0

    def close(self) -> None:
        self.socket.close()

    def speak(self, host: str, ports: Sequence[int], seconds: float, hertz: int) -> None:
        """Send a tone for a while."""
        samples = ulaw_encode(tone(hertz, 1, amplitude=12_000))
        sources = {port: (random.getrandbits(32), random.getrandbits(16), random.getrandbits(32)) for port in ports}
        start = time.monotonic()
        for number in range(round(seconds / _INTERVAL)):
            begin = number * _PACKET % len(samples)
            for port, (source, sequence, stamp) in sources.items():
                header = struct.pack(
                    ">BBHII", 0x80, 0, sequence + number & 0xFFFF, stamp + number * _PACKET & 0xFFFFFFFF, source
                )
                self.socket.sendto(header + samples[begin : begin + _PACKET], (host, port))
            self.listen()
            time.sleep(max(0.0, start + (number + 1) * _INTERVAL - time.monotonic()))

    def listen(self) -> None:
        """Count what has come."""
        while True:
            try:
                self.socket.recv(2048)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue
            self.heard += 1
