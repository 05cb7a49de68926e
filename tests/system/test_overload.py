"""More calls than the server can carry, from a trunk, which no limit of strangers holds back."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.peers.support.baresip import Baresip
from tests.peers.support.flood import Flood
from tests.peers.support.server import Site, serving
from tests.peers.support.waiting import until

pytestmark = pytest.mark.peers

RATE = int(os.environ.get("TANDEM_FLOOD_RATE", "2000"))
"""INVITEs a second: ten times and more what a processor carries that three programs share."""
FLOODER = "127.0.93.1"
PLAN = {
    "routes": [
        {"name": "phones", "when": {"from": "extension", "number": "1XX"}, "do": [{"dial": "extension/{number}"}]},
        {"name": "in", "when": {"from": "trunk/flooder"}, "do": [{"dial": "extension/109"}]},
    ]
}


def invites(number: int, host: str, port: int) -> bytes:
    body = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    return (
        f"INVITE sip:200@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK-{number};rport\r\n"
        f"Max-Forwards: 70\r\nTo: <sip:200@127.0.0.1>\r\nFrom: <sip:1@{host}>;tag={number}\r\n"
        f"Call-ID: {number}@{host}\r\nCSeq: 1 INVITE\r\nContact: <sip:1@{host}:{port}>\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def asked(port: int) -> bytes:
    """Return what is answered to one INVITE more, sent as often as RFC 3261 §17.1.1.2 has a client send it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind((FLOODER, 0))
        for patience in (0.5, 1.0, 2.0, 4.0):
            asker.settimeout(patience)
            asker.sendto(invites(10**9, *asker.getsockname()), ("127.0.0.1", port))
            try:
                return asker.recv(2000)
            except TimeoutError:
                continue
    raise AssertionError("nothing was answered")


def test_a_call_does_not_notice_and_what_is_too_much_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path / "server")
    settings = site.settings(
        extensions={number: {"password": f"secret-of-{number}"} for number in ("101", "102", "109")},
        trunks={"flooder": {"address": f"sip:{FLOODER}:5999", "identify": [FLOODER]}},
        sip={"trace": {"calls": 100}},
    )
    with serving(site, settings, PLAN) as server:
        one = Baresip(tmp_path / "one", "101", "secret-of-101", site.sip, hertz=440)
        other = Baresip(tmp_path / "other", "102", "secret-of-102", site.sip, hertz=1000)
        try:
            one.start()
            other.start()
            server.registered("101", "102")
            one.dial("102")
            one.wait_established()
            other.wait_established()
            before = server.metrics()["process_resident_memory_bytes"]
            with Flood(site.sip, [FLOODER], RATE, invites) as flood:
                until(lambda: server.metrics()["tandem_overload_refusals_total"] > RATE / 4, "overload", 15)
                answer = asked(site.sip)
            metrics = server.metrics()
            assert answer.split(b" ")[1] in (b"503", b"100", b"480")
            assert flood.sent > RATE
            assert metrics["process_resident_memory_bytes"] - before < 150e6
            one.hang_up()
            one.wait_ended()
            other.wait_ended()
        finally:
            one.quit()
            other.quit()
        until(lambda: server.metrics()["tandem_overload_rate"] == 0, "the end of the overload", 20)
        (record,) = server.api("/call-records?source=extension/101")["records"]
        for leg in record["legs"]:
            assert leg["lost"] == 0
            # The phones have little of a processor, too.
            assert leg["received_packets"] > 25 * record["duration"]
