"""A media engine on loopback with phones made of sockets, for the engine's tests."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pbx.media.commands import Close, Codec, Command, Open, Query, SetRemote
from pbx.media.engine import Engine
from pbx.media.events import Closed, Event, Opened, Statistics, StreamStatistics

__all__ = ["ALAW", "EVENT", "G722", "OPUS", "ULAW", "Desk", "Heard", "Phone", "wait_until"]

ULAW = Codec(0, "PCMU", 8000)
ALAW = Codec(8, "PCMA", 8000)
G722 = Codec(9, "G722", 8000)
OPUS = Codec(107, "opus", 48000, 2)
EVENT = Codec(101, "telephone-event", 8000)

LOOPBACK = "127.0.0.1"
PATIENCE = 5.0
"""Seconds that anything may take on a machine that is busy with other things."""

_SO_TIMESTAMPNS = 35

E = TypeVar("E", bound=Event)


def wait_until(done: object, patience: float = PATIENCE) -> None:
    """Wait until a callable returns something true."""
    assert callable(done)
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end, "that took too long"
        time.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Heard:
    """An RTP packet that a phone received."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    at: float
    """When the system received it, by the wall clock."""
    size: int


class Phone:
    """A pair of sockets, or one with `mux`, and the numbers of one source."""

    def __init__(self, address: str = LOOPBACK, ssrc: int = 0x1000, sequence: int = 100, *, port: int = 0) -> None:
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.rtp = self._socket(address, port)
        self.rtcp = self._socket(address, 0)
        self.address = address
        self.ssrc, self.sequence, self.timestamp = ssrc, sequence, 5000
        self.to = (address, 0)
        self.began = 0.0

    def _socket(self, address: str, port: int) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        made.bind((address, port))
        made.settimeout(PATIENCE)
        return made

    @property
    def port(self) -> int:
        return int(self.rtp.getsockname()[1])

    @property
    def rtcp_port(self) -> int:
        return int(self.rtcp.getsockname()[1])

    def packet(
        self,
        payload: bytes,
        payload_type: int = 0,
        *,
        marker: bool = False,
        sequence: int | None = None,
        timestamp: int | None = None,
        ssrc: int | None = None,
    ) -> bytes:
        """Return an RTP packet with this phone's numbers, or others."""
        return (
            struct.pack(
                "!BBHII",
                0x80,
                marker << 7 | payload_type,
                (self.sequence if sequence is None else sequence) & 0xFFFF,
                (self.timestamp if timestamp is None else timestamp) & 0xFFFFFFFF,
                self.ssrc if ssrc is None else ssrc,
            )
            + payload
        )

    def send(self, payload: bytes, payload_type: int = 0, *, marker: bool = False, step: int | None = None) -> None:
        """Send the next packet; the timestamp goes on by `step`, of itself by one unit an octet."""
        self.rtp.sendto(self.packet(payload, payload_type, marker=marker), self.to)
        self.sequence += 1
        self.timestamp += len(payload) if step is None else step

    def send_raw(self, data: bytes) -> None:
        self.rtp.sendto(data, self.to)

    def skip(self, packets: int, step: int = 160) -> None:
        """Lose packets on the way."""
        self.sequence += packets
        self.timestamp += packets * step

    def talk(self, payload: bytes, payload_type: int = 0, *, octets: int = 160, every: float = 0.02) -> None:
        """Send a long payload in real time; `began` is when its first packet went out."""
        self.began = due = time.monotonic()
        for start in range(0, len(payload), octets):
            self.send(payload[start : start + octets], payload_type)
            due += every
            time.sleep(max(0.0, due - time.monotonic()))

    def hear(self, patience: float = PATIENCE) -> Heard:
        """Return the next RTP packet; RTCP on the same port is passed over."""
        self.rtp.settimeout(patience)
        while True:
            data, extra, _, _ = self.rtp.recvmsg(4096, 64)
            if not 192 <= data[1] <= 223:
                break
        seconds, nanoseconds = struct.unpack("qq", extra[0][2])
        _, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
        return Heard(
            second & 0x7F,
            bool(second >> 7),
            sequence,
            timestamp,
            ssrc,
            data[12:],
            seconds + nanoseconds / 1e9,
            len(data),
        )

    def hear_all(self, quiet: float = 0.15) -> list[Heard]:
        """Return what comes until nothing has come for a while."""
        heard = []
        while True:
            try:
                heard.append(self.hear(quiet))
            except TimeoutError:
                return heard

    def hear_for(self, seconds: float) -> list[Heard]:
        """Return what comes during a time."""
        end = time.monotonic() + seconds
        heard = []
        while (left := end - time.monotonic()) > 0:
            try:
                heard.append(self.hear(left))
            except TimeoutError:
                break
        return heard

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


def _threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def _descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


class Desk:
    """An engine, the events that it told, and its phones. At the end nothing of it may be left."""

    def __init__(
        self, first_port: int = 30000, last_port: int = 30999, *, drain: int = 50, workers: int = 2, spares: int = 0
    ) -> None:
        self._range = (first_port, last_port)
        self._options = {"drain": drain, "workers": workers, "spares": spares}

    def __enter__(self) -> Desk:
        self._threads_before, self._descriptors_before = _threads(), _descriptors()
        self.engine = Engine(*self._range, **self._options)
        self.events: list[Event] = []
        self.phones: list[Phone] = []
        self.ports: dict[str, int] = {}
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        for phone in self.phones:
            phone.close()
        self.events += self.engine.close()
        if kind is not None:
            return
        opened = {event.stream for event in self.events if isinstance(event, Opened)}
        closed = [event.stream for event in self.events if isinstance(event, Closed) and event.stream in opened]
        assert sorted(closed) == sorted(opened), "each stream that was opened is closed exactly once"
        # A thread that was joined may be listed for a moment yet.
        wait_until(lambda: _threads() <= self._threads_before)
        left = {name: what for name, what in _descriptors().items() if self._descriptors_before.get(name) != what}
        assert not left, f"descriptors are left: {left}"

    def submit(self, *commands: Command) -> None:
        for command in commands:
            self.engine.submit(command)

    def drain(self, patience: float = 0.0) -> None:
        """Take the events that wait, or come within a time."""
        select.select([self.engine], [], [], patience)
        self.events += self.engine.drain()

    def wait(self, kind: type[E], patience: float = PATIENCE, **fields: object) -> E:
        """Return the first event of a kind with these fields, told or still to come, and forget it."""
        end = time.monotonic() + patience
        while True:
            for event in self.events:
                if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items()):
                    if not isinstance(event, (Opened, Closed)):
                        self.events.remove(event)
                    return event
            assert time.monotonic() < end, f"no {kind.__name__} {fields} came, but {self.events}"
            self.drain(0.05)

    def none(self, kind: type[Event], seconds: float) -> None:
        """Assert that no such event comes for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.drain(0.02)
            assert not [event for event in self.events if isinstance(event, kind)]

    def open(self, stream: str, group: str = "call", address: str = LOOPBACK) -> int:
        """Open a stream and return its RTP port."""
        self.submit(Open(stream, group, address))
        self.ports[stream] = self.wait(Opened, stream=stream).rtp_port
        return self.ports[stream]

    def phone(
        self,
        stream: str,
        codecs: Iterable[Codec] = (ULAW, EVENT),
        *,
        address: str = LOOPBACK,
        ssrc: int = 0x1000,
        group: str = "call",
        settle: bool = True,
        **remote: object,
    ) -> Phone:
        """Open a stream for a phone, and tell each of the other."""
        phone = Phone(address, ssrc)
        self.phones.append(phone)
        phone.to = (address, self.open(stream, group, address))
        self.set_remote(stream, phone, codecs, settle=settle, **remote)
        return phone

    def set_remote(
        self,
        stream: str,
        phone: Phone,
        codecs: Iterable[Codec] = (ULAW, EVENT),
        *,
        settle: bool = True,
        **remote: object,
    ) -> None:
        values: dict[str, object] = {
            "address": phone.address,
            "port": phone.port,
            "rtcp_address": phone.address,
            "rtcp_port": phone.rtcp_port,
            "rtcp_mux": False,
            "codecs": tuple(codecs),
        }
        self.submit(SetRemote(stream, **(values | remote)))  # type: ignore[arg-type]
        if settle:
            self.counts(stream)

    def counts(self, stream: str) -> StreamStatistics:
        """Return a stream's counts once they stand still; what was submitted before has been carried out then."""
        before = None
        while True:
            self.submit(Query(stream))
            counts = self.wait(Statistics, stream=stream).counts
            if counts == before:
                return counts
            before = counts
            time.sleep(0.01)

    def close(self, stream: str) -> Closed:
        self.submit(Close(stream))
        return self.wait(Closed, stream=stream)

    def folder(self, path: Path) -> list[str]:
        """Return the names of the files below a folder."""
        return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
