"""A STUN server for one test (RFC 8489), on a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from pbx.rtp.stun import BINDING, Attribute, MessageClass, StunMessage, encode_address

__all__ = ["StunHost", "mirror", "success"]

Answers = Callable[[StunMessage, tuple[str, int]], list[bytes]]
"""What is said to a request from an address."""


def success(request: StunMessage, host: str, transaction: bytes = b"") -> bytes:
    """Return the answer that says `host`."""
    transaction = transaction or request.transaction
    value = encode_address(host, 4321, transaction)
    return StunMessage(MessageClass.SUCCESS, BINDING, transaction, ((Attribute.XOR_MAPPED_ADDRESS, value),)).to_bytes()


def mirror(request: StunMessage, source: tuple[str, int]) -> list[bytes]:
    """Say where the request came from, as an honest server does."""
    return [success(request, source[0])]


class StunHost:
    """Listens at `host`, in the namespace of who makes it; `place` is where."""

    def __init__(self, host: str, answers: Answers = mirror, port: int = 0) -> None:
        self.answers = answers
        self._line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._line.bind((host, port))
        self._line.settimeout(0.1)
        self.place: tuple[str, int] = self._line.getsockname()
        self._stopped = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stopped:
            try:
                data, source = self._line.recvfrom(2048)
            except TimeoutError:
                continue
            for answer in self.answers(StunMessage.parse(data), source):
                self._line.sendto(answer, source)

    def stop(self) -> None:
        """End, and let go of the port."""
        self._stopped = True
        self._thread.join()
        self._line.close()
