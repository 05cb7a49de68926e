"""Callers and callees of calls that stay up: two sockets, one for each trunk, and as many calls as are wanted.

SIPp makes short calls and measures them; here calls are set up at a rate, kept up while something else is measured,
and hung up, and each one's media ports are known.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.description import Keyed, audio_of, description
from bench.processes import LOOPBACK

__all__ = ["Call", "Phones"]

_PATIENCE = 10.0
_ROOM = 4 * 1024 * 1024
_HEADER = re.compile(rb"^(Via|From|To|Call-ID|CSeq|Contact|Record-Route) *: *(.*?)\r?$", re.MULTILINE | re.IGNORECASE)
_URI = re.compile(rb"<?(sip:[^>;]*[^>]*)>?")


@dataclass
class Call:
    """One call, from the caller's side."""

    number: str
    media: tuple[int, int]
    """The ports where caller and callee want to hear it."""
    server: list[Keyed | None]
    """What the server says of its media: to the caller, and to the callee; None until it has."""
    to: str = ""
    target: str = ""
    over: bool = False

    @property
    def up(self) -> bool:
        """Whether it was answered, and both media ports are known."""
        return bool(self.target) and all(self.server)


class Phones:
    """All callers on one socket and all callees on another."""

    def __init__(
        self,
        server: int,
        caller: int,
        callee: int,
        media: Sequence[tuple[int, int]] = ((9, 9),),
        secure: tuple[bool, bool] = (False, False),
    ) -> None:
        """Call through the server at port `server`, from port `caller` to port `callee`. The calls take the pairs of
        `media`, ports of caller and callee, in turn; `secure` says which of the two encrypt their sound."""
        self._server = (LOOPBACK, server)
        self._media = media
        self._secure = secure
        self._caller, self._callee = _bound(caller), _bound(callee)
        self._ports = (caller, callee)
        self._calls: dict[str, Call] = {}
        self.refused: list[str] = []

    def __enter__(self) -> Phones:
        return self

    def __exit__(self, *exception: object) -> None:
        self._caller.close()
        self._callee.close()

    def sound_at(self, media: Sequence[tuple[int, int]]) -> None:
        """Let calls to come hear at these ports."""
        self._media = media

    def call(self, numbers: Iterable[str], rate: int) -> list[Call]:
        """Call these numbers, `rate` a second, and return the calls once all are up. RuntimeError if one does not
        come up."""
        made: list[Call] = []
        start = time.monotonic()
        for count, number in enumerate(numbers):
            self._listen(start + count / rate)
            call = Call(number, self._media[count % len(self._media)], [None, None])
            self._calls[number] = call
            made.append(call)
            body = description(0, call.media[0], tag=int(self._secure[0]))
            self._request(call, "INVITE", f"sip:{number}@{LOOPBACK}:{self._server[1]}", body)
        self._until(lambda: all(call.up for call in made), made, "came up")
        return made

    def hang_up(self, calls: Sequence[Call], rate: int) -> None:
        """End calls from the caller's side. RuntimeError if a BYE is not answered."""
        start = time.monotonic()
        for count, call in enumerate(calls):
            self._listen(start + count / rate)
            self._request(call, "BYE", call.target)
        self._until(lambda: all(call.over for call in calls), calls, "ended")

    def _until(self, condition: Callable[[], bool], calls: Sequence[Call], what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > end or self.refused:
                good = sum(call.over if what == "ended" else call.up for call in calls)
                raise RuntimeError(f"{good} of {len(calls)} calls {what}; {' '.join(self.refused[:3])}")
            self._listen(time.monotonic() + 0.05)

    # -- what is sent

    def _request(self, call: Call, method: str, uri: str, body: str = "") -> None:
        sequence = 2 if method == "BYE" else 1
        port = self._ports[0]
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {LOOPBACK}:{port};branch=z9hG4bK{method}{call.number}",
            "Max-Forwards: 70",
            f"From: <sip:caller@{LOOPBACK}:{port}>;tag=c{call.number}",
            f"To: {call.to or f'<sip:{call.number}@{LOOPBACK}>'}",
            f"Call-ID: {call.number}@bench",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:caller@{LOOPBACK}:{port}>",
        ]
        self._caller.sendto(_message(lines, body), self._server)

    def _answer(self, request: bytes, fields: dict[bytes, list[bytes]]) -> None:
        body = ""
        lines = ["SIP/2.0 200 OK"]
        lines += [f"Via: {value.decode()}" for value in fields[b"via"]]
        lines += [f"Record-Route: {value.decode()}" for value in fields.get(b"record-route", [])]
        lines += [f"{name}: {fields[name.lower().encode()][0].decode()}" for name in ("From", "Call-ID", "CSeq")]
        to = fields[b"to"][0].decode()
        lines.append(f"To: {to}" if "tag=" in to else f"To: {to};tag=callee")
        if request.startswith(b"INVITE"):
            number = request.split(b" ", 2)[1].partition(b":")[2].partition(b"@")[0].decode()
            call = self._calls[number]
            call.server[1] = offered = audio_of(1, request)
            lines.append(f"Contact: <sip:callee@{LOOPBACK}:{self._ports[1]}>")
            body = description(1, call.media[1], tag=offered.tag if self._secure[1] else 0)
        self._callee.sendto(_message(lines, body), self._server)

    # -- what comes

    def _listen(self, until: float) -> None:
        """Take what comes until that time, and at least what has come."""
        sockets = [self._caller, self._callee]
        while True:
            ready, _, _ = select.select(sockets, [], [], max(0.0, until - time.monotonic()))
            for sock in ready:
                self._take(sock.recv(65535), sock)
            if not ready and time.monotonic() >= until:
                return

    def _take(self, data: bytes, sock: socket.socket) -> None:
        fields: dict[bytes, list[bytes]] = {}
        for name, value in _HEADER.findall(data.partition(b"\r\n\r\n")[0]):
            fields.setdefault(name.lower(), []).append(value)
        if sock is self._callee:
            if data.startswith((b"INVITE", b"BYE", b"UPDATE")):
                self._answer(data, fields)
            return
        if not data.startswith(b"SIP/2.0") or data.startswith(b"SIP/2.0 1"):
            return
        call = self._calls[fields[b"call-id"][0].partition(b"@")[0].decode()]
        if not data.startswith(b"SIP/2.0 200"):
            self.refused.append(f"{call.number}: {_first(data)}.")
        elif fields[b"cseq"][0].endswith(b"BYE"):
            call.over = True
        else:
            found = _URI.match(fields[b"contact"][0])
            assert found is not None
            call.to, call.target = fields[b"to"][0].decode(), found[1].decode()
            call.server[0] = audio_of(0, data)
            self._request(call, "ACK", call.target)


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
    sock.bind((LOOPBACK, port))
    return sock


def _message(lines: list[str], body: str) -> bytes:
    lines = [*lines, *(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _first(message: bytes) -> str:
    return message.split(b"\r\n", 1)[0].decode()
