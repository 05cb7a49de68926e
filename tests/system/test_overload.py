"""More calls than the server can carry, from a trunk, which no limit of strangers holds back."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from pbx.sip.message import Request, Response
from tests.peers.support import ports
from tests.peers.support.baresip import Baresip
from tests.peers.support.flood import Flood
from tests.peers.support.idle import socket_phone
from tests.peers.support.server import Site, serving
from tests.peers.support.sipp import Sipp
from tests.peers.support.waiting import until
from tests.support.pbx import Phone, sdp

pytestmark = [pytest.mark.peers, pytest.mark.alone]

RATE = int(os.environ.get("TANDEM_FLOOD_RATE", "2000"))
"""INVITEs a second: ten times and more what a processor carries that three programs share."""
PATIENCE = (0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0)
"""Seconds between one sending of a request and the next, and until it is given up (RFC 3261 §17.1.2.2)."""
FLOODER = "127.0.93.1"
CUSTOMER, CARRIER = "127.0.94.1", ports.port()
PLAN = {
    "numbering": {"country": "49", "emergency": ["112"]},
    "routes": [
        {"name": "out", "when": {"from": "trunk/customer"}, "do": [{"dial": "trunk/carrier"}]},
        {"name": "phones", "when": {"from": "extension", "number": "1XX"}, "do": [{"dial": "extension/{number}"}]},
        {"name": "in", "when": {"from": "trunk/flooder"}, "do": [{"dial": "extension/109"}]},
    ],
}


def invites(number: int, host: str, port: int) -> bytes:
    body = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    return (
        f"INVITE sip:200@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK-{number};rport\r\n"
        f"Max-Forwards: 70\r\nTo: <sip:200@127.0.0.1>\r\nFrom: <sip:1@{host}>;tag={number}\r\n"
        f"Call-ID: {number}@{host}\r\nCSeq: 1 INVITE\r\nContact: <sip:1@{host}:{port}>\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@dataclass(frozen=True)
class Outcome:
    """What became of a call: how it was answered, and how long that took from when it was first asked for, in
    seconds."""

    status: int
    took: float


def persistent(phone: Phone, request: Request) -> Response:
    """Send a request until it is answered, as a client does."""
    for patience in PATIENCE:
        phone.say(request, phone.server)
        with suppress(AssertionError):
            return phone.final(request, patience)
    raise AssertionError(f"no answer to {request.method} {request.uri}")


def called(phone: Phone, number: str) -> Outcome:
    """Call through the flooded server. A call that is answered must come to its end."""
    invite = phone.compose("INVITE", f"sip:{number}@127.0.0.1", sdp())
    asked = time.monotonic()
    answer = persistent(phone, invite)
    outcome = Outcome(answer.status, time.monotonic() - asked)
    phone.acknowledge(invite, answer)
    if answer.status == 200:
        ends = [("From", invite.headers.get("From") or ""), ("To", answer.headers.get("To") or "")]
        bye = phone.compose("BYE", str(answer.contacts[0].uri), headers=ends, call_id=invite.call_id)
        assert persistent(phone, bye).status == 200
    else:
        assert "Retry-After" in answer.headers, answer.to_bytes().decode()
    return outcome


def asked(port: int) -> bytes:
    """Return what is answered to one INVITE more, sent as often as a client would."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind((FLOODER, 0))
        for patience in PATIENCE:
            asker.settimeout(patience)
            asker.sendto(invites(10**9, *asker.getsockname()), ("127.0.0.1", port))
            try:
                return asker.recv(2000)
            except TimeoutError:
                continue
    raise AssertionError("nothing was answered")


def test_a_call_does_not_notice_and_what_is_too_much_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path / "server", media=40_000, media_ports=10_000)
    settings = site.settings(
        extensions={number: {"password": f"secret-of-{number}"} for number in ("101", "102", "109")},
        trunks={
            "flooder": {"address": f"sip:{FLOODER}:5999", "identify": [FLOODER]},
            "customer": {"address": f"sip:{CUSTOMER}:5999", "identify": [CUSTOMER]},
            "carrier": {"address": f"sip:127.0.0.1:{CARRIER}", "identify": []},
        },
        sip={"trace": {"calls": 100}},
    )
    with serving(site, settings, PLAN) as server:
        one = Baresip(tmp_path / "one", "101", "secret-of-101", site.sip, hertz=440)
        other = Baresip(tmp_path / "other", "102", "secret-of-102", site.sip, hertz=1000)
        carrier = Sipp(tmp_path, "uas", CARRIER, calls=1000, rate=20).start()
        customer = socket_phone(site.sip, host=CUSTOMER)
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
                emergencies, others = [], []
                for _ in range(5):
                    emergencies.append(called(customer, "112"))
                    others += [called(customer, "300") for _ in range(3)]
            metrics = server.metrics()
            assert answer.split(b" ")[1] in (b"503", b"100", b"480")
            assert {call.status for call in emergencies} == {200}
            # Those that are taken come to their end, which `called` sees to; the rest is refused, and told when to try.
            assert {call.status for call in others} <= {200, 503}
            # A refusal needs one look at what came; a call that is taken waits for the carrier's answer, too.
            refused = [call.took for call in others if call.status == 503]
            assert refused, "the flood left room for every call"
            assert median(refused) < median([call.took for call in emergencies])
            assert flood.sent > RATE
            assert metrics["process_resident_memory_bytes"] - before < 150e6
            one.hang_up()
            one.wait_ended()
            other.wait_ended()
        finally:
            carrier.end()
            customer.close()
            one.quit()
            other.quit()
        until(lambda: server.metrics()["tandem_overload_rate"] == 0, "the end of the overload", 20)
        (record,) = server.api("/call-records?source=extension/101")["records"]
        for leg in record["legs"]:
            assert leg["lost"] == 0
            # The phones have little of a processor, too.
            assert leg["received_packets"] > 25 * record["duration"]
