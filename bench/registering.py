"""Phones that register: each with a socket and a loopback address of its own, as a server sees them in the field.

They answer a challenge once and then refresh with the same nonce, counting, as phones do (RFC 7616 §3.4).
"""

from __future__ import annotations

import hashlib
import re
import resource
import select
import socket
import time
from collections import OrderedDict
from collections.abc import Callable

from bench.processes import LOOPBACK

__all__ = ["Fleet"]

_AGAIN = 0.5
"""RFC 3261's T1: after so many seconds without a response the request is sent once more, and again."""
_PATIENCE = 10.0
_CHALLENGE = re.compile(rb"^WWW-Authenticate: *Digest (.*?)\r$", re.MULTILINE | re.IGNORECASE)
_PARAMETER = re.compile(rb'(\w+)="?([^",]*)"?')
_SPARE_DESCRIPTORS = 200


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Phone:
    __slots__ = ("address", "cseq", "nonce", "nonce_count", "realm", "request", "secret", "since", "socket", "user")

    def __init__(self, number: int, server: tuple[str, int]) -> None:
        self.user = str(10_000 + number)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((f"127.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", 0))
        self.socket.connect(server)
        host, port = self.socket.getsockname()
        self.address = f"{host}:{port}"
        self.cseq = self.nonce_count = 0
        self.nonce = self.realm = self.secret = ""
        self.request = b""
        self.since = 0.0

    def compose(self) -> bytes:
        """Return the next REGISTER, with credentials once a challenge is known."""
        self.cseq += 1
        self.request = (
            f"REGISTER sip:{LOOPBACK} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.address};rport;branch=z9hG4bK{self.user}{self.cseq}\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <sip:{self.user}@{LOOPBACK}>;tag=4fxaed73sl\r\n"
            f"To: <sip:{self.user}@{LOOPBACK}>\r\n"
            f"Call-ID: 7TVUS{self.user}@{self.address}\r\n"
            f"CSeq: {self.cseq} REGISTER\r\n"
            f"Contact: <sip:{self.user}@{self.address};transport=udp>\r\n"
            "User-Agent: A phone 1.2.3\r\n"
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE\r\n"
            f"{self._credentials()}"
            "Expires: 600\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
        return self.request

    def _credentials(self) -> str:
        if not self.nonce:
            return ""
        self.nonce_count += 1
        count, uri, nonce = f"{self.nonce_count:08x}", f"sip:{LOOPBACK}", self.nonce
        response = _sha256(f"{self.secret}:{nonce}:{count}:0a4f113b:auth:{_sha256(f'REGISTER:{uri}')}")
        return (
            f'Authorization: Digest username="{self.user}", realm="{self.realm}", nonce="{nonce}", uri="{uri}", '
            f'algorithm=SHA-256, qop=auth, nc={count}, cnonce="0a4f113b", response="{response}"\r\n'
        )

    def challenged(self, response: bytes) -> None:
        """Learn a challenge. RuntimeError if none is for SHA-256."""
        for value in _CHALLENGE.findall(response):
            parameters = {name.lower(): text.decode() for name, text in _PARAMETER.findall(value)}
            if parameters.get(b"algorithm") == "SHA-256":
                self.nonce, self.nonce_count = parameters[b"nonce"], 0
                self.realm = parameters[b"realm"]
                self.secret = _sha256(f"{self.user}:{self.realm}:{self.user}")
                return
        raise RuntimeError(f"no challenge for SHA-256 in {response[:200]!r}")


class Fleet:
    """All phones, refreshing one after the other, round and round."""

    def __init__(self, server: int, phones: int) -> None:
        """Make phones; ValueError if the system does not grant so many descriptors."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most < phones + _SPARE_DESCRIPTORS:
            raise ValueError(f"{phones} phones need as many descriptors; the system grants {most} (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._phones = [_Phone(number, (LOOPBACK, server)) for number in range(phones)]
        self._by_fd = {phone.socket.fileno(): phone for phone in self._phones}
        self._epoll = select.epoll()
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)
        self._waiting: OrderedDict[_Phone, None] = OrderedDict()
        self._next = 0
        self.registered = self.challenged = self.sent_again = 0

    def close(self) -> None:
        """Be gone, without a word."""
        self._epoll.close()
        for phone in self._phones:
            phone.socket.close()

    def all_once(self, window: int = 64) -> None:
        """Let every phone register once, `window` at a time. RuntimeError if one is refused or not answered."""
        self._next = 0
        wanted = self.registered + len(self._phones)
        while self.registered < wanted:
            self._fill(min(window, wanted - self.registered))
            self._listen(0.05)

    def refresh(self, seconds: float, window: int = 64) -> int:
        """Let phones refresh as fast as they are answered, `window` at a time; return how many did."""
        before, end = self.registered, time.monotonic() + seconds
        while time.monotonic() < end:
            self._fill(window)
            self._listen(0.05)
        done = self.registered - before
        self._finish()
        return done

    def keep_refreshing(self, rate: float, stopped: Callable[[], bool]) -> None:
        """Let phones refresh at a steady rate, until told to stop."""
        start, count = time.monotonic(), 0
        while not stopped():
            due = int((time.monotonic() - start) * rate)
            while count < due:
                self._start_next()
                count += 1
            self._listen(1 / rate)
        self._finish()

    def _fill(self, window: int) -> None:
        while len(self._waiting) < window:
            self._start_next()

    def _start_next(self) -> None:
        phone = self._phones[self._next % len(self._phones)]
        self._next += 1
        if phone in self._waiting:
            raise RuntimeError(f"{phone.user} waits for its response since a whole round")
        self._send(phone, phone.compose())

    def _send(self, phone: _Phone, request: bytes) -> None:
        phone.since = time.monotonic()
        self._waiting[phone] = None
        self._waiting.move_to_end(phone)
        phone.socket.send(request)

    def _finish(self) -> None:
        end = time.monotonic() + _PATIENCE
        while self._waiting:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(self._waiting)} REGISTERs were not answered")
            self._listen(0.05)

    def _listen(self, seconds: float) -> None:
        for fd, _ in self._epoll.poll(seconds):
            phone = self._by_fd[fd]
            response = phone.socket.recv(65535)
            if phone not in self._waiting or b"CSeq: %d " % phone.cseq not in response:
                continue  # a keep-alive, or the response to what was sent twice
            del self._waiting[phone]
            if response.startswith(b"SIP/2.0 200"):
                self.registered += 1
            elif response.startswith(b"SIP/2.0 401"):
                self.challenged += 1
                phone.challenged(response)
                self._send(phone, phone.compose())
            else:
                raise RuntimeError(f"{phone.user} heard {response[:60]!r}")
        self._send_again()

    def _send_again(self) -> None:
        while self._waiting:
            phone = next(iter(self._waiting))
            if phone.since + _AGAIN > time.monotonic():
                return
            self.sent_again += 1
            self._send(phone, phone.request)
