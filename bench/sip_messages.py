"""What one SIP message costs: `python -m bench.sip_messages`. Microseconds, the quickest of several rounds."""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable

from pbx.ids import Ids
from pbx.sip.digest import Credential, DigestClient, DigestServer
from pbx.sip.framing import StreamFramer
from pbx.sip.headers import NameAddress, Via
from pbx.sip.message import Request, make_response, stamp_received
from pbx.sip.parser import parse_message, validate
from pbx.sip.uri import Uri, _parse_uri

BODY = (
    "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.101\r\ns=-\r\nc=IN IP4 192.0.2.101\r\nt=0 0\r\n"
    "m=audio 49172 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)
INVITE = (
    "INVITE sip:0301234567@pbx.example.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bK74bf9a7c2e;rport\r\n"
    "Max-Forwards: 70\r\n"
    'From: "Alice" <sip:101@pbx.example.com>;tag=9fxced76sl\r\n'
    "To: <sip:0301234567@pbx.example.com>\r\n"
    "Call-ID: 3848276298220188511@192.0.2.101\r\n"
    "CSeq: 2 INVITE\r\n"
    "Contact: <sip:101@192.0.2.101:5060;transport=udp>\r\n"
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, REFER, NOTIFY\r\n"
    "Supported: replaces, timer, 100rel\r\n"
    "Session-Expires: 1800\r\n"
    "User-Agent: Example Phone 5.2.1\r\n"
    "Content-Type: application/sdp\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n{BODY}"
).encode()


def measure(label: str, work: Callable[[], object], number: int = 10_000) -> None:
    best = min(timeit.repeat(work, number=number, repeat=7)) / number * 1e6
    print(f"{label:<58}{best:8.2f}")


def lazily() -> None:
    message = parse_message(INVITE)
    message.top_via.branch  # noqa: B018
    message.cseq  # noqa: B018


def fully() -> None:
    message = parse_message(INVITE)
    stamp_received(message, "192.0.2.101", 5060)
    validate(message)


def main() -> None:
    request = parse_message(INVITE)
    assert isinstance(request, Request)
    validate(request)
    via, sender = request.headers.all("Via")[0], request.headers.all("From")[0]
    uri = "sip:101@192.0.2.101:5060;transport=udp"
    framer = StreamFramer()

    def respond() -> bytes:
        response = make_response(request, 180, to_tag="314159")
        response.headers.add("Contact", "<sip:192.0.2.1:5060>")
        response.headers.add("Server", "Tandem")
        return response.to_bytes()

    print(f"{f'an INVITE of {len(INVITE)} octets, CPython {sys.version.split()[0]}':<58}{'µs':>8}")
    measure("parse: start line and headers apart", lambda: parse_message(INVITE))
    measure("  and the top Via and CSeq", lazily)
    measure("  and received noted and everything checked", fully)
    measure("cut from a stream, before parsing", lambda: framer.feed(INVITE))
    measure("make a 180, add two headers, write it", respond)
    measure("write the INVITE", request.to_bytes)
    measure("one Via", lambda: Via.parse(via))
    measure("one From (its URI in the cache)", lambda: NameAddress.parse(sender))
    measure("one URI, in the cache", lambda: Uri.parse(uri))
    measure("one URI, not in the cache", lambda: _parse_uri(uri))

    ids = Ids()
    server = DigestServer(ids, "pbx", b"s" * 32, lifetime=1e9)
    credential = Credential("101", "secret")
    client = DigestClient({"pbx": credential}.get)
    response = make_response(request, 401)
    for value in server.challenges(1.0):
        response.headers.add("WWW-Authenticate", value)
    client.answer(request, response, "c")

    def authenticate() -> None:
        client.authorize(request, "0a4f113b")
        values = request.headers.all("Authorization")
        assert server.check(values, "INVITE", request.uri, b"", 2.0, {"101": credential}.get).ok

    measure("digest: challenge with two algorithms", lambda: server.challenges(2.0))
    measure("digest: answer and check (SHA-256), both sides", authenticate, 2000)


if __name__ == "__main__":
    main()
