"""Somebody who sends as much as told to, and reads nothing."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence

__all__ = ["Flood", "garbage", "registers"]

_TICK = 0.01


class Flood:
    """Sends `rate` datagrams a second from these addresses in turn, on a thread, until it is stopped."""

    def __init__(self, port: int, hosts: Sequence[str], rate: int, make: Callable[[int, str, int], bytes]) -> None:
        """`make(number, host, port)` returns what is sent from an address."""
        self._target = ("127.0.0.1", port)
        self._rate = rate
        self._make = make
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in hosts]
        for one, host in zip(self._sockets, hosts, strict=True):
            one.bind((host, 0))
            one.setblocking(False)
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for one in self._sockets:
            one.close()

    def _run(self) -> None:
        start = time.monotonic()
        places = [one.getsockname() for one in self._sockets]
        while not self._stop.wait(_TICK):
            for _ in range(round((time.monotonic() - start) * self._rate) - self.sent):
                place = self.sent % len(places)
                # If its own buffer is full, a flood does not mind.
                with contextlib.suppress(OSError):
                    self._sockets[place].sendto(self._make(self.sent, *places[place]), self._target)
                self.sent += 1


_random = random.Random(4475)
_PIECES = (
    b"INVITE sip:101@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP ",
    b"REGISTER sip:127.0.0.1 SIP/2.0\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n",
    b"\r\n\r\n",
    b"\0\1\0\0!\x12\xa4B",
    b"Content-Length: 999999999999\r\n",
    b'From: "' + b"a" * 200,
    b"v=0\r\n",
)


def garbage(number: int, host: str, port: int) -> bytes:
    """Return bytes that are no message, some that begin like one."""
    return _random.choice(_PIECES) + _random.randbytes(number % 400)


def registers(number: int, host: str, port: int) -> bytes:
    """Return a REGISTER of somebody who may be there; every second one with a proof that proves nothing."""
    user = 101 + number % 50
    proof = (
        f'Authorization: Digest username="{user}", realm="tandem", nonce="{number:032x}", uri="sip:127.0.0.1", '
        f'response="{number:032x}", algorithm=MD5, qop=auth, cnonce="1", nc=00000001\r\n'
        if number % 2
        else ""
    )
    return (
        f"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bKflood{number}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:{user}@127.0.0.1>;tag={number}\r\nTo: <sip:{user}@127.0.0.1>\r\n"
        f"Call-ID: flood{number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:{user}@{host}:{port}>\r\n{proof}"
        "Content-Length: 0\r\n\r\n"
    ).encode()
