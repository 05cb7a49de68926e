"""A phone among fakes: the test plays the server, the network and the media engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from pbx.call.leg import LegContext, LegSettings
from pbx.media import commands as c
from pbx.media import events as e
from pbx.media.policy import MediaSettings
from pbx.phone.line import read_line
from pbx.phone.notices import Notice
from pbx.phone.phone import Phone
from pbx.phone.plan import Plan
from pbx.sip.headers import Headers
from pbx.sip.message import Request, Response, make_response
from pbx.sip.stack import Flow
from pbx.sip.targets import Target
from pbx.sip.uri import Uri
from tests.support.fake_stack import FLOW, FakeClient, FakeServer, FakeStack
from tests.support.sip import counted_ids

__all__ = ["ANSWER", "FakeBeneath", "PhoneDesk", "sdp_body"]

N = TypeVar("N")
C = TypeVar("C", bound=c.Command)

PEER = "198.51.100.7"
PORT = 20_000


def sdp_body(
    *, port: int = 4000, direction: str = "sendrecv", formats: str = "0 101", address: str = PEER, version: int = 1
) -> bytes:
    """Return a description of PCMU, with telephone-events as 101 if `formats` has them."""
    events = "a=rtpmap:101 telephone-event/8000\r\n" if "101" in formats.split() else ""
    return (
        f"v=0\r\no=- 7 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {formats}\r\n{events}a={direction}\r\n"
    ).encode()


ANSWER = sdp_body()


class FakeBeneath:
    """Implements `pbx.phone.ports.Beneath`."""

    def __init__(self) -> None:
        self.stack = FakeStack()
        self.counts: Counter[str] = Counter()
        settings = LegSettings(product="Tandem-phone", session_expires=0)
        self.context = LegContext(
            self.stack, counted_ids(), settings=settings, count=lambda name: self.counts.update((name,))
        )
        self.media = MediaSettings(codecs=("pcmu",))
        self.submitted: list[c.Command] = []
        self.targets: Sequence[Target] = (Target("udp", PEER, 5060),)
        self.asked: list[str] = []
        self.source = "192.0.2.1"
        self.kept_alive: list[tuple[Flow, float]] = []
        self.failure = ""
        """What keeps a recording from getting its name."""

    def submit(self, command: c.Command) -> None:
        self.submitted.append(command)

    def resolve(self, uri: Uri, done: Callable[[Sequence[Target], str], None]) -> None:
        self.asked.append(str(uri))
        done(self.targets, "" if self.targets else f"{uri.host} has no address")

    def source_towards(self, host: str) -> str:
        return self.source

    def keep_alive(self, flow: Flow, interval: float) -> Callable[[], None]:
        entry = flow, interval
        self.kept_alive.append(entry)
        return lambda: self.kept_alive.remove(entry)

    def silence(self, seconds: float) -> str:
        return f"silence-{seconds}"

    def scratch(self, path: str) -> str:
        return f"{path}.scratch"

    def keep(self, scratch: str, path: str) -> str:
        return self.failure


class PhoneDesk:
    """One phone; `told` is what it has told and was not asked for yet, `codes` how it ended."""

    def __init__(self, plan: Plan | None = None, password: str = "secret", **line: str) -> None:
        self.beneath = FakeBeneath()
        self.stack = self.beneath.stack
        self.told: list[Notice] = []
        self.codes: list[int] = []
        given = {"server": "pbx.example.com", "user": "101", "password": password, **line}
        self.phone = Phone(read_line(**given), plan or Plan(), self.beneath, self.told.append, self.codes.append)
        self._invites = 0

    # -- what it told

    def names(self) -> list[str]:
        """Return the names of all notices not asked for yet, and forget them."""
        names = [type(notice).__name__ for notice in self.told]
        self.told.clear()
        return names

    def one(self, kind: type[N]) -> N:
        """Return the one notice of a kind, and forget all up to it."""
        found = [notice for notice in self.told if isinstance(notice, kind)]
        assert len(found) == 1, self.told
        del self.told[: self.told.index(found[0]) + 1]  # type: ignore[arg-type]
        return found[0]

    # -- the server

    def open(self, method: str) -> FakeClient:
        """Return the open request of a method."""
        found = [client for client in self.stack.all(method) if not client.finished]
        assert found, f"no {method} is open"
        return found[-1]

    def answer(self, method: str, status: int, body: bytes = b"", **headers: str) -> Response:
        """Answer the open request of a method."""
        client = self.open(method)
        to_tag = None if client.request.to.tag else "theirs"
        response = make_response(client.request, status, to_tag=to_tag)
        if method == "INVITE" and 100 < status < 300:
            response.headers.add("Contact", f"<sip:600@{PEER}:5060>")
            response.headers.add("Allow", "INVITE, ACK, BYE, CANCEL, INFO")
        for name, value in headers.items():
            response.headers.add(name.replace("_", "-"), value)
        if body:
            response.headers.add("Content-Type", "application/sdp")
            response.body = body
        client.respond(response)
        return response

    def register(self) -> None:
        """Start the phone and accept its registration."""
        self.phone.start()
        self.answer("REGISTER", 200, Expires="300")

    def call(self, answer: bytes = ANSWER) -> None:
        """Register, open ports, and answer the INVITE."""
        self.register()
        self.open_ports()
        self.answer("INVITE", 200, answer)

    def leave(self) -> None:
        """Answer whatever the phone says at its end: BYE, and the removal of its registration."""
        for method in ("BYE", "REGISTER"):
            for client in self.stack.all(method):
                if not client.finished:
                    client.respond(make_response(client.request, 200))
        self.stack.clock.advance(0.1)

    # -- the peer

    def invite(self, body: bytes = ANSWER) -> FakeServer:
        """Send an INVITE that begins a call, as the server does."""
        self._invites += 1
        headers = Headers(
            (
                ("Via", f"SIP/2.0/UDP {PEER}:5060;branch=z9hG4bKinvite{self._invites}"),
                ("Max-Forwards", "70"),
                ("From", '"Bob" <sip:102@pbx.example.com>;tag=bob'),
                ("To", "<sip:101@pbx.example.com>"),
                ("Call-ID", f"theirs-{self._invites}"),
                ("CSeq", "1 INVITE"),
                ("Contact", f"<sip:102@{PEER}:5060>"),
            )
        )
        if body:
            headers.add("Content-Type", "application/sdp")
        server = FakeServer(Request("INVITE", "sip:101@192.0.2.1:5060", headers, body), FLOW)
        self.phone.door.on_request(server, server.request)
        return server

    def request(
        self,
        method: str,
        body: bytes = b"",
        kind: str = "application/sdp",
        *,
        invite: FakeServer | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> FakeServer:
        """Send a request inside the dialog that the phone's own INVITE made, or that `invite` did."""
        if invite is not None:
            first = invite.request
            theirs, ours = first.headers.get("From") or "", invite.last.headers.get("To") or ""
        else:
            first = self.stack.all("INVITE")[0].request
            theirs, ours = f"{first.headers.get('To')};tag=theirs", first.headers.get("From") or ""
        self._invites += 1
        number = 1 if method == "ACK" else 10 + self._invites
        fields = Headers(
            (
                ("Via", f"SIP/2.0/UDP {PEER}:5060;branch=z9hG4bKin{self._invites}"),
                ("Max-Forwards", "70"),
                ("From", theirs),
                ("To", ours),
                ("Call-ID", first.call_id),
                ("CSeq", f"{number} {method}"),
                ("Contact", f"<sip:600@{PEER}:5060>"),
                *headers,
            )
        )
        if body:
            fields.add("Content-Type", kind)
        request = Request(method, "sip:101@192.0.2.1:5060", fields, body)
        server = FakeServer(request, FLOW)
        if method == "ACK":
            self.phone.door.on_ack(request, FLOW)
        else:
            self.phone.door.on_request(server, request)
        return server

    # -- the engine

    def commands(self, kind: type[C]) -> list[C]:
        """Return the commands of a kind given so far."""
        return [command for command in self.beneath.submitted if isinstance(command, kind)]

    def last(self, kind: type[C]) -> C:
        """Return the last command of a kind."""
        found = self.commands(kind)
        assert found, f"no {kind.__name__} was given"
        return found[-1]

    def tell(self, *told: e.Event) -> None:
        """Tell what happens in the engine."""
        self.phone.on_media(told)

    def open_ports(self) -> None:
        """Open the ports asked for."""
        command = self.last(c.Open)
        self.tell(e.Opened(command.stream, command.address, PORT, PORT + 1))

    def close_ports(self, **counts: float) -> None:
        """Close what is to be closed, with these counts."""
        statistics = e.StreamStatistics(**counts)  # type: ignore[arg-type]
        self.tell(e.Closed(self.last(c.Close).stream, statistics))

    # -- the end

    def nothing_left(self) -> None:
        """Assert that nothing of the phone remains."""
        assert len(self.beneath.context.dialogs) == 0
        assert not self.stack.clock.getDelayedCalls(), self.stack.clock.getDelayedCalls()
        assert self.beneath.kept_alive == []
