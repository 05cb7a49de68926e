"""A whole server on loopback in the test's own loop, and phones and carriers made of one socket each."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pbx.app.reload import Reloader
from pbx.app.server import Server
from pbx.loading import load_configured
from pbx.sip.digest import Credential
from pbx.sip.digest.client import Challenge
from pbx.sip.framing import StreamFramer
from pbx.sip.headers import Headers
from pbx.sip.message import Request, Response, make_response
from pbx.sip.parser import parse_message

if TYPE_CHECKING:
    from pbx.net.network import NetworkReactor
    from pbx.net.transport import Address
    from tests.support.loopback import World

__all__ = ["LOOPBACK", "Connect", "Pbx", "Phone", "Serve", "free_ports", "sdp"]

LOOPBACK = "127.0.0.1"
PATIENCE = 30.0
"""Seconds: no test waits for that long but on a machine that has much else to do."""
_numbers = itertools.count(1)
_media_ports = itertools.count(41_000, 40)


def free_ports(number: int = 1) -> list[int]:
    """Return UDP ports that nobody has now."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(number)]
        for one in found:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in found]


def sdp(port: int = 9, codecs: str = "0 8 101", address: str = LOOPBACK, *, extra: str = "") -> bytes:
    """Return a description of audio at `port`; payload types 96 and above are opus, 9 is G.722."""
    maps = "".join(f"a=rtpmap:{number} opus/48000/2\r\n" for number in codecs.split() if int(number) in (96, 111))
    return (
        f"v=0\r\no=phone 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {codecs}\r\na=rtpmap:101 telephone-event/8000\r\n{maps}{extra}"
    ).encode()


class Pbx:
    """A server that was started with a configuration; UDP on `sip`, and whatever the configuration adds.

    `text` is the configuration without `sip.listen`'s usual entry, the storage, the ports of media and HTTP, which a
    test has no interest in: each is added where its section is not there. It does not look how late its timers are:
    a machine that is busy with other tests is no overload.
    """

    def __init__(
        self,
        world: World,
        folder: Path,
        text: str = "",
        plan: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.world, self.folder = world, folder
        self.path = folder / "pbx.yaml"
        self._environ = environ or {}
        first = next(_media_ports)
        self._defaults = {
            "sip": f'sip: {{listen: ["udp://{LOOPBACK}:0"]}}',
            "media": f"media: {{ports: {first}-{first + 39}}}",
            "http": "http: null",
        }
        self.write(text, plan)
        configured = load_configured(self.path, self._environ)
        self.server = Server(self.path, configured, cast("NetworkReactor", world.reactor), world.loop, self._environ)
        self.server.start()
        self.server.shedding.stop()
        self.reloader = Reloader(world.loop, self.server.load, self.server.apply)

    def write(self, text: str, plan: str = "") -> None:
        """Write configuration and dialplan."""
        lines = [text]
        lines += [line for key, line in self._defaults.items() if not _has_section(text, key)]
        if plan:
            lines.append("dialplan: dialplan.yaml")
            (self.folder / "dialplan.yaml").write_text(plan)
        self.path.write_text("\n".join(lines) + "\n")
        self.path.chmod(0o600)

    def reload(self, text: str, plan: str = "") -> bool:
        """Write other files and have them put in force; return whether they were."""
        self.write(text, plan)
        told: list[bool] = []
        self.reloader.request(told.append)
        self.world.until(lambda: told)
        return told[0]

    def address(self, transport: str = "udp", place: int = 0) -> Address:
        """Return where it listens."""
        found = [bound for listener, bound in self.server.network.listening if listener.transport == transport]
        return found[place]

    def stop(self) -> None:
        """End it."""
        self.reloader.stop()
        self.server.stop()
        self.world.run(0.02)


def _has_section(text: str, key: str) -> bool:
    return any(line.startswith(f"{key}:") for line in text.splitlines())


class Phone:
    """One socket (UDP, or a TCP connection to the server) that sends what it is told and keeps what it hears.

    What a busy machine makes the server send again over UDP is heard once, unless it `hears_repeats`.
    """

    def __init__(
        self,
        world: World,
        server: Address,
        user: str = "",
        password: str = "",
        *,
        host: str = LOOPBACK,
        port: int = 0,
        tcp: bool = False,
    ) -> None:
        self.world, self.server, self.user, self.password = world, server, user, password
        self._framer: StreamFramer | None = None
        if tcp:
            self._framer = StreamFramer()
            self.socket = socket.create_connection(server, PATIENCE, source_address=(host, port))
        else:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.address: Address = self.socket.getsockname()
        self.transport = "TCP" if tcp else "UDP"
        self.inbox: list[Request | Response] = []
        self._heard: set[bytes] = set()
        self.hears_repeats = False
        self.closed = False
        self.tag = f"phone{next(_numbers)}"
        self._cseq = itertools.count(1)
        self._count = itertools.count(1)

    def close(self) -> None:
        self.socket.close()

    # -- hearing

    def listen(self) -> None:
        """Take what has come."""
        while True:
            try:
                data, source = self.socket.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                return
            if self._framer is None:
                self.server = source
                if data.strip(b"\r\n\0") and (self.hears_repeats or data not in self._heard):
                    self._heard.add(data)
                    self.inbox.append(parse_message(data))
                continue
            if not data:
                self.closed = True
                return
            self.inbox += [parse_message(item) for item in self._framer.feed(data) if item.strip()]

    def wait(self, wanted: Callable[[Request | Response], bool], longest: float = PATIENCE) -> Request | Response:
        """Return the first message that is wanted; those before it stay."""
        found: list[Request | Response] = []

        def come() -> bool:
            self.listen()
            found[:] = [message for message in self.inbox if wanted(message)]
            return bool(found)

        try:
            self.world.until(come, longest)
        except AssertionError:
            lines = [message.start_line() for message in self.inbox]
            raise AssertionError(f"{self.user or 'a phone'} did not hear what it waits for, but {lines}") from None
        self.inbox.remove(found[0])
        return found[0]

    def silent(self, seconds: float = 0.15) -> bool:
        """Return whether nothing comes for a while."""
        self.world.run(seconds)
        self.listen()
        return not self.inbox

    def request(self, method: str, longest: float = PATIENCE) -> Request:
        """Wait for a request."""
        found = self.wait(lambda one: isinstance(one, Request) and one.method == method, longest)
        assert isinstance(found, Request)
        return found

    def final(self, sent: Request, longest: float = PATIENCE) -> Response:
        """Wait for the final response to a request."""
        return self._response(sent, 200, longest)

    def provisional(self, sent: Request, status: int, longest: float = PATIENCE) -> Response:
        """Wait for one provisional response."""
        return self._response(sent, status, longest, status)

    def _response(self, sent: Request, least: int, longest: float, most: int = 699) -> Response:
        found = self.wait(
            lambda one: (
                isinstance(one, Response)
                and least <= one.status <= most
                and one.call_id == sent.call_id
                and one.cseq == sent.cseq
            ),
            longest,
        )
        assert isinstance(found, Response)
        return found

    # -- speaking

    def say(self, message: Request | Response, to: Address | None = None) -> None:
        """Send a message."""
        data = message.to_bytes()
        if self._framer is None:
            self.socket.sendto(data, to or self.server)
        else:
            self.socket.setblocking(True)
            self.socket.sendall(data)
            self.socket.setblocking(False)

    def compose(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        *,
        call_id: str = "",
        to: str = "",
        via: Address | None = None,
    ) -> Request:
        """Return a request; headers given replace the usual ones."""
        host, port = via or self.address
        given = list(headers)
        names = {name.lower() for name, _ in given}
        usual = [
            ("Via", f"SIP/2.0/{self.transport} {host}:{port};branch=z9hG4bK{next(_numbers)};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.user or 'somebody'}@{LOOPBACK}>;tag={self.tag}"),
            ("To", to or f"<{target}>"),
            ("Call-ID", call_id or f"call{next(_numbers)}@phone"),
            ("CSeq", f"{next(self._cseq)} {method}"),
            ("Contact", f"<sip:{self.user or 'phone'}@{self.address[0]}:{self.address[1]}>"),
        ]
        fields = [(name, value) for name, value in usual if name.lower() not in names] + given
        if body:
            fields.append(("Content-Type", "application/sdp"))
        return Request(method, target, Headers(fields), body)

    def ask(
        self,
        method: str,
        target: str = "",
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        *,
        call_id: str = "",
        longest: float = PATIENCE,
    ) -> Response:
        """Send a request, answer a challenge, and return the final response."""
        sent = self.start(method, target, body, headers, call_id=call_id)
        return self.final(sent, longest)

    def start(
        self,
        method: str,
        target: str = "",
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        *,
        call_id: str = "",
    ) -> Request:
        """Send a request, answer a challenge, and return the request that was last sent."""
        target = target or f"sip:{LOOPBACK}"
        given = tuple(headers)
        sent = self.compose(method, target, body, given, call_id=call_id)
        self.say(sent)
        if not self.password:
            return sent
        challenged = self.final(sent)
        if challenged.status != 401:
            self.inbox.insert(0, challenged)
            return sent
        if method == "INVITE":
            self.acknowledge(sent, challenged)
        again = self.compose(method, target, body, (*given, self.proof(sent, challenged)), call_id=sent.call_id)
        self.say(again)
        return again

    def proof(self, sent: Request, challenged: Response, algorithm: str = "") -> tuple[str, str]:
        """Return the header that answers a challenge."""
        challenges = [Challenge.parse(value) for value in challenged.headers.raw("WWW-Authenticate")]
        chosen = next(one for one in challenges if one is not None and algorithm in ("", one.algorithm))
        value = chosen.answer(
            Credential(self.user, password=self.password),
            sent.method,
            str(sent.uri),
            sent.body,
            os.urandom(4).hex(),
            next(self._count),
        )
        assert value is not None
        return "Authorization", value

    def acknowledge(self, invite: Request, response: Response) -> None:
        """Send the ACK of a final response: in the same transaction if it refuses, else in the dialog."""
        if response.status >= 300:
            target, via = str(invite.uri), invite.headers.raw("Via")[0]
        else:
            target = str(response.contacts[0].uri)
            host, port = self.address
            via = f"SIP/2.0/{self.transport} {host}:{port};branch=z9hG4bK{next(_numbers)};rport"
        fields = [
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", invite.headers.get("From") or ""),
            ("To", response.headers.get("To") or ""),
            ("Call-ID", invite.call_id),
            ("CSeq", f"{invite.cseq.number} ACK"),
        ]
        self.say(Request("ACK", target, Headers(fields)))

    def answer(
        self,
        asked: Request,
        status: int,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
    ) -> Response:
        """Answer a request that came."""
        response = make_response(asked, status, to_tag=self.tag if status > 100 else None)
        if status < 300 and asked.method == "INVITE" and status > 100:
            response.headers.add("Contact", f"<sip:{self.user or 'phone'}@{self.address[0]}:{self.address[1]}>")
        for name, value in headers:
            response.headers.add(name, value)
        if body:
            response.headers.add("Content-Type", "application/sdp")
            response.body = body
        self.say(response)
        return response

    # -- the usual

    def register(self, expires: int | None = 600, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """Register this phone."""
        more = [] if expires is None else [("Expires", str(expires))]
        target = f"sip:{self.user}@{LOOPBACK}"
        return self.ask("REGISTER", f"sip:{LOOPBACK}", headers=[("To", f"<{target}>"), *more, *headers])

    def dial(self, number: str, body: bytes | None = None, headers: Iterable[tuple[str, str]] = ()) -> Request:
        """Call a number; return the INVITE that was taken."""
        offer = sdp() if body is None else body
        return self.start("INVITE", f"sip:{number}@{self.server[0]}:{self.server[1]}", offer, headers)

    def pick_up(self, invite: Request, body: bytes | None = None, headers: Iterable[tuple[str, str]] = ()) -> Request:
        """Answer a call; return its ACK."""
        self.answer(invite, 200, sdp() if body is None else body, headers)
        return self.request("ACK")

    def hang_up(self, invite: Request, answer: Response) -> Response:
        """Leave a call that this phone made."""
        bye = self.compose(
            "BYE",
            str(answer.contacts[0].uri),
            headers=[("From", invite.headers.get("From") or ""), ("To", answer.headers.get("To") or "")],
            call_id=invite.call_id,
        )
        bye.headers.set("CSeq", f"{invite.cseq.number + 1} BYE")
        self.say(bye)
        return self.final(bye)


Serve = Callable[..., Pbx]
"""Starts a server: `serve(configuration, dialplan)`."""
Connect = Callable[..., Phone]
"""Makes a phone: `phone(server, user, password, transport)`."""
