"""Carriers that refuse every call, and a customer who makes one: enough to see where calls go."""

from __future__ import annotations

import itertools
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from pbx.sip.framing import StreamFramer
from pbx.sip.headers import Headers
from pbx.sip.message import Request, Response, make_response
from pbx.sip.parser import parse_message
from tests.system.support.namespaces import Machine

__all__ = ["Carrier", "Customer"]

_TICK = 0.1
_numbers = itertools.count(1)


class Carrier:
    """Listens at one address. Gives each INVITE the status, or with 0 never says a word."""

    def __init__(
        self,
        machine: Machine,
        host: str,
        port: int = 5060,
        *,
        status: int = 486,
        headers: Sequence[tuple[str, str]] = (),
        stream: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._status, self._headers, self._tls = status, headers, tls
        self._stream = stream or tls is not None
        self._lock = threading.Lock()
        self._invites: dict[str, Request] = {}
        self._stopped = False
        with machine.inside():
            self._socket = self._listen(host, port)
        self._socket.settimeout(_TICK)
        serve = self._accept if self._stream else self._serve
        self._threads = [threading.Thread(target=serve, daemon=True)]
        self._threads[0].start()

    def _listen(self, host: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if self._stream:
            return socket.create_server((host, port), family=family)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((host, port))
        return sock

    def close(self) -> None:
        """Be gone: what is sent here from now on is refused."""
        self._stopped = True
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    @property
    def invites(self) -> list[Request]:
        """The first INVITE of each call that came here, in order."""
        with self._lock:
            return list(self._invites.values())

    def _answer(self, data: bytes) -> bytes:
        message = parse_message(data)
        if not isinstance(message, Request) or message.method != "INVITE":
            return b""
        with self._lock:
            self._invites.setdefault(message.call_id, message)
        if not self._status:
            return b""
        response = make_response(message, self._status, to_tag="carrier")
        response.headers.extend(self._headers)
        return response.to_bytes()

    def _serve(self) -> None:
        while not self._stopped:
            with suppress(TimeoutError):
                data, source = self._socket.recvfrom(65535)
                answer = self._answer(data) if data.strip() else b""
                if answer:
                    self._socket.sendto(answer, source)

    def _accept(self) -> None:
        while not self._stopped:
            with suppress(TimeoutError):
                connection, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._converse, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(_TICK * 20)
        framer = StreamFramer()
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            connection.settimeout(_TICK)
            while not self._stopped:
                with suppress(TimeoutError):
                    data = connection.recv(65536)
                    if not data:
                        return
                    for item in framer.feed(data):
                        connection.sendall(self._answer(item) if item.strip() else b"")
        except OSError:
            return  # whoever called is not content with us, or gone
        finally:
            connection.close()


class Customer:
    """A trunk from which calls come, by UDP."""

    def __init__(self, machine: Machine, host: str, server: str) -> None:
        with machine.inside():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind((host, 5060))
        self._host, self._server = host, server

    def close(self) -> None:
        self._socket.close()

    def call(self, number: str, seconds: float = 20.0) -> tuple[int, float]:
        """Call a number that nobody will answer; return the final status and how many seconds it took."""
        invite = self._request(number)
        start = time.monotonic()
        response = self._exchange(invite, start + seconds)
        took = time.monotonic() - start
        ack = Request("ACK", str(invite.uri), Headers(invite.headers), b"")
        ack.headers.set("To", response.headers.get("To") or "")
        ack.headers.set("CSeq", "1 ACK")
        ack.headers.remove("Content-Type")
        self._socket.sendto(ack.to_bytes(), (self._server, 5060))
        return response.status, took

    def _request(self, number: str) -> Request:
        host, place = self._host, next(_numbers)
        fields = [
            ("Via", f"SIP/2.0/UDP {host}:5060;branch=z9hG4bK{os.urandom(6).hex()};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:+4930111@{host}>;tag=customer{place}"),
            ("To", f"<sip:{number}@{self._server}>"),
            ("Call-ID", f"{os.urandom(6).hex()}@{host}"),
            ("CSeq", "1 INVITE"),
            ("Contact", f"<sip:customer@{host}:5060>"),
            ("Content-Type", "application/sdp"),
        ]
        body = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        return Request("INVITE", f"sip:{number}@{self._server}", Headers(fields), body.encode())

    def _exchange(self, invite: Request, end: float) -> Response:
        while time.monotonic() < end:
            self._socket.sendto(invite.to_bytes(), (self._server, 5060))
            self._socket.settimeout(1.0)
            with suppress(TimeoutError):
                while time.monotonic() < end:
                    message = parse_message(self._socket.recv(65535))
                    if isinstance(message, Response) and message.call_id == invite.call_id and message.status >= 200:
                        return message
        raise AssertionError(f"no final response to {invite.uri}")
