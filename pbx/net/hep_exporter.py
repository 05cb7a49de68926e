"""Sends what the capture ring sees to a HEP collector: from a thread of its own, which may wait for names and
connections. The reactor only puts messages into a bounded list and hands that over ten times a second."""

from __future__ import annotations

import queue
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pbx.net.hep import hep3
from pbx.net.trace import call_id_of
from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.net.clock import Clock
    from pbx.net.trace import Captured
    from pbx.sip.stack import Timer

__all__ = ["HepExporter", "HepSettings"]

_PAUSE = 0.1
"""Seconds between two times that messages are handed over."""
_MOST_WAITING = 20_000
"""Messages that wait for a collector that is slow or away; what comes beyond is dropped and counted."""
_MOST_CALLS = 20_000
"""Call-IDs whose call is remembered beyond its end, for the messages that come after it."""
_CONNECT_PATIENCE, _RETRY = 5.0, 5.0


@dataclass(frozen=True, slots=True)
class HepSettings:
    """Whom to send to, and as whom."""

    transport: str
    """``udp`` or ``tcp``."""
    host: str
    port: int
    agent: int = 2001
    node: str = ""
    key: str = ""


class HepExporter:
    """A subscriber of the trace. `calls` tells the SIP Call-IDs of each running call, by the call's id."""

    def __init__(
        self,
        settings: HepSettings,
        epoch: float,
        clock: Clock,
        calls: Callable[[], Iterable[tuple[str, tuple[str, ...]]]],
    ) -> None:
        self.settings = settings
        self._epoch = epoch
        self._clock = clock
        self._calls = calls
        self._call_of: OrderedDict[bytes, str] = OrderedDict()
        """By SIP Call-ID; empty for what is no call's."""
        self._waiting: list[Captured] = []
        self._timer: Timer | None = None
        self._batches: queue.SimpleQueue[list[tuple[Captured, str]] | None] = queue.SimpleQueue()
        self._handed = 0
        self._done = 0
        self._dropped = 0
        self._sent = 0
        self._failed = 0
        self._socket: socket.socket | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pbx-hep", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def take(self, message: Captured) -> None:
        """Take one message, between the socket and the parser: it is sent within moments, or dropped and counted."""
        if self._handed - self._done + len(self._waiting) >= _MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(message)
        if self._timer is None:
            self._timer = self._clock.later(_PAUSE, self._hand_over)

    def remember(self, call: str, call_ids: Iterable[str]) -> None:
        """Take the SIP Call-IDs of a call; to be told of each that ends, which may have been shorter than a pause."""
        for call_id in call_ids:
            self._call_of[call_id.encode("utf-8", "replace")] = call

    def counts(self) -> Mapping[str, float]:
        """Return what became of messages: ``sent``, ``failed`` (the network refused) and ``dropped`` (too many
        waited)."""
        return {"sent": self._sent, "failed": self._failed, "dropped": self._dropped}

    def stop(self, patience: float = 2.0) -> None:
        """Send what waits, but for no longer than `patience` seconds, and end."""
        if self._timer is not None:
            self._timer.cancel()
            self._hand_over()
        self._stopping.set()
        self._batches.put(None)
        if self._thread.is_alive():
            self._thread.join(patience)

    def _hand_over(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        named = [(message, call_id_of(message.data)) for message in waiting]
        if any(self._may_be_new(message, call_id) for message, call_id in named):
            for call, call_ids in self._calls():
                self.remember(call, call_ids)
        for _, call_id in named:
            self._call_of.setdefault(call_id, "")
        while len(self._call_of) > _MOST_CALLS:
            self._call_of.popitem(last=False)
        self._handed += len(waiting)
        self._batches.put([(message, self._call_of.get(call_id, "")) for message, call_id in named])

    def _may_be_new(self, message: Captured, call_id: bytes) -> bool:
        """Return whether all calls must be gone through to know whose a message is: with thousands of them that is not
        to be done ten times a second. What is no call's (a registration) becomes one by an INVITE only."""
        known = self._call_of.get(call_id)
        return known is None or (not known and message.data.startswith(b"INVITE "))

    # -- the thread

    def _run(self) -> None:
        settings, away = self.settings, False
        while (batch := self._batches.get()) is not None:
            for message, call in batch:
                # What is left at the end is not held against a collector that is away, packet by packet.
                if not away and self._send(
                    hep3(message, self._epoch, settings.agent, settings.node, settings.key, call)
                ):
                    self._sent += 1
                else:
                    self._failed += 1
                    away = self._stopping.is_set()
                self._done += 1
        self._disconnect()

    def _send(self, packet: bytes) -> bool:
        """Send one packet, over a new connection if the old one is broken; False if that cannot be."""
        for _ in range(2):
            try:
                if self._socket is None:
                    self._socket = self._connect()
                self._socket.sendall(packet)
                return True
            except ConnectionRefusedError:
                # Over UDP that is what became of an earlier packet: nobody listens there now.
                self._disconnect()
            except OSError:
                self._disconnect()
                break
        self._stopping.wait(_RETRY if self.settings.transport == "tcp" else 0)
        return False

    def _connect(self) -> socket.socket:
        settings = self.settings
        if settings.transport == "tcp":
            return socket.create_connection((settings.host, settings.port), _CONNECT_PATIENCE)
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        made.connect(address)
        return made

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
