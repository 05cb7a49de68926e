"""Legs under test: what they tell, and the peer at their other end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeVar

from pbx.call import commands, events
from pbx.call.commands import Party
from pbx.call.leg import InboundLeg, Leg, LegContext, LegSettings, OutboundLeg
from pbx.sdp import parser
from pbx.sdp.model import SessionDescription
from pbx.sip.headers import Headers
from pbx.sip.message import Request, Response, make_response
from pbx.sip.stack import Destination
from pbx.sip.uri import Uri
from tests.support.clock import SteppedClock
from tests.support.fake_stack import FLOW, FakeClient, FakeServer, FakeStack
from tests.support.sip import counted_ids

__all__ = ["CALLEE", "Bench", "InboundPeer", "OutboundPeer", "body", "sdp"]

E = TypeVar("E")

CALLEE = Destination(Uri.parse("sip:bob@198.51.100.7:5062"))


def body(port: int = 4000, version: int = 1, direction: str = "sendrecv") -> bytes:
    return (
        f"v=0\r\no=- 7 {version} IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 8\r\na={direction}\r\n"
    ).encode()


def sdp(port: int = 4000, version: int = 1, direction: str = "sendrecv") -> SessionDescription:
    return parser.parse(body(port, version, direction))


class Bench:
    """A stack, a context and the events told."""

    def __init__(self, settings: LegSettings | None = None, **context: object) -> None:
        self.stack = FakeStack()
        self.counts: Counter[str] = Counter()
        self.events: list[events.Event] = []
        self.context = LegContext(
            self.stack,
            counted_ids(),
            settings=settings or LegSettings(product="Tandem", session_expires=0),
            count=lambda name: self.counts.update((name,)),
            **context,  # type: ignore[arg-type]
        )

    @property
    def clock(self) -> SteppedClock:
        return self.stack.clock

    def told(self, kind: type[E]) -> E:
        """Return the only event not yet asked for, which must be of that kind."""
        assert self.events, f"nothing was told, {kind.__name__} expected"
        event = self.events.pop(0)
        assert isinstance(event, kind), f"{event} was told, {kind.__name__} expected"
        assert not self.events, f"and also {self.events}"
        return event

    def silent(self) -> None:
        assert not self.events, self.events

    def nothing_left(self, *legs: Leg) -> None:
        """Assert that nothing of any leg remains."""
        assert all(leg.finished for leg in legs), [leg.state for leg in legs]
        assert len(self.context.dialogs) == 0
        assert not self.clock.getDelayedCalls(), self.clock.getDelayedCalls()

    # -- beginnings

    def inbound(self, offer: bytes | None = None, settings: LegSettings | None = None, **extra: str) -> InboundPeer:
        """Return the peer of an inbound leg whose INVITE was taken."""
        peer = InboundPeer(self, settings)
        peer.invite(body() if offer is None else offer, **extra)
        return peer

    def outbound(self, offer: SessionDescription | None = None, late: bool = False, **dial: object) -> OutboundPeer:
        """Return the peer of an outbound leg whose INVITE was sent."""
        return OutboundPeer(self, None if late else offer or sdp(5000), **dial)


def _headers(extra: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), value) for name, value in extra.items()]


@dataclass
class _Peer:
    """The far end of a dialog with a leg."""

    bench: Bench
    call_id: str = "call@198.51.100.7"
    tag: str = "peer"
    leg_tag: str = ""
    cseq: int = 1
    number: int = 0
    flow: object = field(default=FLOW)

    leg: Leg = field(init=False)

    def message(
        self,
        method: str,
        content: bytes = b"",
        cseq: int | None = None,
        content_type: str = "application/sdp",
        **extra: str,
    ) -> Request:
        """Return a request of the peer in the dialog, without handing it over."""
        if cseq is None:
            if method != "ACK":
                self.cseq += 1
            cseq = self.cseq
        self.number += 1
        headers = Headers(
            [
                ("Via", f"SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKpeer{self.number}"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:bob@example.net>;tag={self.tag}"),
                ("To", f"<sip:100@example.com>;tag={self.leg_tag}"),
                ("Call-ID", self.call_id),
                ("CSeq", f"{cseq} {method}"),
            ]
        )
        if method in ("INVITE", "UPDATE") and "Contact" not in extra:
            headers.add("Contact", "<sip:bob@198.51.100.7:5062>")
        for name, value in _headers(extra):
            headers.add(name, value)
        if content:
            headers.add("Content-Type", content_type)
        return Request(method, "sip:192.0.2.1:5060", headers, content)

    def send(self, method: str, content: bytes = b"", **extra: str) -> FakeServer:
        """Send a request in the dialog, through the dialog table as the registry does."""
        request = self.message(method, content, **extra)
        owner = self.bench.context.dialogs.find(request)
        assert owner is not None, "481 from the registry"
        server = FakeServer(request, self.flow, owner)  # type: ignore[arg-type]
        owner.on_request(server, request)
        return server

    def ack(self, cseq: int | None = None, content: bytes = b"") -> None:
        """Send an ACK; one that belongs to no leg is dropped."""
        request = self.message("ACK", content, cseq=self.cseq if cseq is None else cseq)
        owner = self.bench.context.dialogs.find(request)
        if owner is not None:
            owner.on_ack(request, FLOW)

    def do(self, command: commands.Command) -> None:
        self.leg.handle(command)


class InboundPeer(_Peer):
    """The caller of an inbound leg."""

    leg: InboundLeg
    server: FakeServer

    def __init__(self, bench: Bench, settings: LegSettings | None = None) -> None:
        super().__init__(bench)
        self.leg = InboundLeg("in", bench.context, bench.events.append, settings)

    def invite(
        self,
        offer: bytes = b"",
        *,
        content_type: str = "application/sdp",
        contact: bool = True,
        uri: str = "sip:100@example.com",
        **extra: str,
    ) -> bool:
        headers = Headers(
            [
                ("Via", "SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKinvite"),
                ("Max-Forwards", "70"),
                ("From", f'"Alice" <sip:alice@example.net>;tag={self.tag}'),
                ("To", "<sip:100@example.com>"),
                ("Call-ID", self.call_id),
                ("CSeq", f"{self.cseq} INVITE"),
            ]
        )
        if contact:
            headers.add("Contact", "<sip:alice@198.51.100.7:5062>")
        for name, value in _headers(extra):
            headers.add(name, value)
        if offer:
            headers.add("Content-Type", content_type)
        request = Request("INVITE", uri, headers, offer)
        self.server = FakeServer(request, self.flow, self.leg)  # type: ignore[arg-type]
        taken = self.leg.start(self.server, request)
        self.leg_tag = self.leg.local_tag
        return taken

    def cancel(self, **extra: str) -> None:
        cancel = self.message("CANCEL", cseq=1, **extra)
        self.leg.on_cancel(self.server, cancel)

    def answered(self, answer: SessionDescription | None = None) -> InboundPeer:
        """Answer and acknowledge."""
        self.do(commands.Answer("in", answer or sdp(5000)))
        assert self.server.last.status == 200
        self.ack(1)
        return self


class OutboundPeer(_Peer):
    """The callee of an outbound leg."""

    leg: OutboundLeg
    client: FakeClient

    def __init__(self, bench: Bench, offer: SessionDescription | None, **dial: object) -> None:
        super().__init__(bench, cseq=0)
        settings = dial.pop("settings", None)
        self.leg = OutboundLeg("out", bench.context, bench.events.append, settings)  # type: ignore[arg-type]
        if not dial.pop("dialled", True):
            return
        arguments: dict[str, object] = {
            "destination": CALLEE,
            "caller": Party("100", "Alice"),
            "called": Party("200"),
            "offer": offer,
            **dial,
        }
        self.do(commands.Dial("out", **arguments))  # type: ignore[arg-type]
        self.client = bench.stack.take("INVITE")
        self.call_id = self.client.request.call_id
        self.leg_tag = self.client.request.from_.tag or ""

    def response(
        self, status: int, content: bytes = b"", tag: str | None = None, contact: bool = True, **extra: str
    ) -> Response:
        client = self.client
        response = make_response(client.request, status, to_tag=None if status == 100 else tag or self.tag)
        if contact and 100 < status < 300:
            response.headers.add("Contact", f"<sip:{tag or 'bob'}@198.51.100.7:5062>")
        for name, value in _headers(extra):
            response.headers.add(name, value)
        if content:
            response.headers.add("Content-Type", "application/sdp")
            response.body = content
        return response

    def respond(self, status: int, content: bytes = b"", **extra: str) -> Response:
        response = self.response(status, content, **extra)  # type: ignore[arg-type]
        self.client.respond(response)
        return response

    def reliable(self, status: int, rseq: int, content: bytes = b"", **extra: str) -> Response:
        return self.respond(status, content, Require="100rel", RSeq=str(rseq), **extra)

    def answered(self, answer: bytes | None = None, **extra: str) -> OutboundPeer:
        """Answer the INVITE; the leg acknowledges."""
        acks = len(self.bench.stack.acks)
        self.respond(200, body() if answer is None else answer, **extra)
        assert len(self.bench.stack.acks) == acks + 1
        self.bench.told(events.Answered)
        return self


def reply(client: FakeClient, status: int, content: bytes = b"", **extra: str) -> None:
    """Answer a request of a leg inside its dialog."""
    response = make_response(client.request, status)
    if client.method in ("INVITE", "UPDATE") and status < 300:
        response.headers.add("Contact", "<sip:bob@198.51.100.7:5062>")
    for name, value in _headers(extra):
        response.headers.add(name, value)
    if content:
        response.headers.add("Content-Type", "application/sdp")
        response.body = content
    client.respond(response)
