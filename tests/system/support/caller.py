"""A trunk that calls, is answered, and sends what a test has it send: any packets, from any place."""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from pbx.sip.headers import Headers
from pbx.sip.message import Request, Response
from pbx.sip.parser import parse_message
from tests.system.support.namespaces import Machine

__all__ = ["Caller", "rtcp_report", "rtp"]

_INTERVAL = 0.02
_PORT = 5060


def rtp(number: int, payload: bytes, payload_type: int = 0, ssrc: int = 0xCA11) -> bytes:
    """Return the packet of this number in a stream of PCMU's clock."""
    return struct.pack(">BBHII", 0x80, payload_type, 1000 + number, 160 * number, ssrc) + payload


def rtcp_report(ssrc: int = 0xCA11) -> bytes:
    """Return an empty receiver report with its SDES (RFC 3550 §6.4.2, §6.5)."""
    return struct.pack(">BBHI", 0x80, 201, 1, ssrc) + struct.pack(">BBHIBBBx", 0x81, 202, 2, ssrc, 1, 1, 0x61)


class Caller:
    """Sends and receives SIP by UDP from `host`; `server` is where that goes, whatever a Contact says."""

    def __init__(self, machine: Machine, host: str, server: str) -> None:
        self._machine, self._host, self._server = machine, host, server
        self._sip = self._bound(_PORT)
        self.audio = self._bound(4000)
        self.reports = self._bound(4001)
        self._invite: Request | None = None
        self._to = ""
        self.answer = ""
        """The description in the answer of the server."""

    def _bound(self, port: int) -> socket.socket:
        with self._machine.inside():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((self._host, port))
        made.settimeout(1.0)
        return made

    def close(self) -> None:
        for one in (self._sip, self.audio, self.reports):
            one.close()

    def call(
        self, number: str, *, says: str = "", port: int = 4000, codecs: str = "0", lines: tuple[str, ...] = ()
    ) -> tuple[str, int]:
        """Call, be answered, and return where the server wants audio. `says` is the address in the description."""
        profile = "RTP/SAVP" if any(line.startswith("a=crypto") for line in lines) else "RTP/AVP"
        said = says or self._host
        body = "".join(
            f"{line}\r\n"
            for line in (
                *("v=0", f"o=- 1 1 IN IP4 {said}", "s=-", f"c=IN IP4 {said}", "t=0 0"),
                *(f"m=audio {port} {profile} {codecs}", *lines),
            )
        )
        fields = [
            ("Via", f"SIP/2.0/UDP {self._host}:{_PORT};branch=z9hG4bK{os.urandom(6).hex()};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:+4930111@{self._host}>;tag={os.urandom(4).hex()}"),
            ("To", f"<sip:{number}@{self._server}>"),
            ("Call-ID", f"{os.urandom(6).hex()}@{self._host}"),
            ("CSeq", "1 INVITE"),
            ("Contact", f"<sip:caller@{self._host}:{_PORT}>"),
            ("Content-Type", "application/sdp"),
        ]
        self._invite = Request("INVITE", f"sip:{number}@{self._server}", Headers(fields), body.encode())
        response = self._exchange(self._invite)
        assert response.status == 200, response.start_line()
        self._to = response.headers.get("To") or ""
        self._send(self._follow_up("ACK", 1))
        self.answer = response.body.decode()
        host, media = re.search(r"c=IN IP4 (\S+)", self.answer), re.search(r"m=audio (\d+)", self.answer)
        assert host is not None
        assert media is not None
        return host[1], int(media[1])

    def hang_up(self) -> None:
        assert self._exchange(self._follow_up("BYE", 2)).status == 200

    def send_for(self, seconds: float, send: Callable[[int], None]) -> None:
        """Call `send` with the number of each packet, fifty times a second."""
        start = time.monotonic()
        for number in range(round(seconds / _INTERVAL)):
            with suppress(OSError):  # an ICMP error of a packet before: there may be no way there
                send(number)
            time.sleep(max(0.0, start + (number + 1) * _INTERVAL - time.monotonic()))

    def _follow_up(self, method: str, number: int) -> Request:
        assert self._invite is not None
        made = Request(method, str(self._invite.uri), Headers(self._invite.headers), b"")
        made.headers.set("Via", f"SIP/2.0/UDP {self._host}:{_PORT};branch=z9hG4bK{os.urandom(6).hex()};rport")
        made.headers.set("To", self._to)
        made.headers.set("CSeq", f"{number} {method}")
        made.headers.remove("Content-Type")
        return made

    def _send(self, request: Request) -> None:
        self._sip.sendto(request.to_bytes(), (self._server, _PORT))

    def _exchange(self, request: Request) -> Response:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            self._send(request)
            with suppress(TimeoutError):
                while time.monotonic() < end:
                    message = parse_message(self._sip.recv(65535))
                    if (
                        isinstance(message, Response)
                        and message.cseq == request.cseq
                        and message.call_id == request.call_id
                        and message.status >= 200
                    ):
                        return message
        raise AssertionError(f"no final response to {request.method}")
