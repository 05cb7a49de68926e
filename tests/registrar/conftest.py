from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pbx.ids import Ids
from pbx.registrar.authentication import Authenticator
from pbx.registrar.binding import StoredBinding
from pbx.registrar.location import BindingChange, Location
from pbx.registrar.rules import Limits
from pbx.registrar.service import RegistrarService, RegistrarSettings
from pbx.security.edge import EdgeGuard, EdgeLimits
from pbx.security.sources import Network, contains, source_of
from pbx.sip.digest import Credential, DigestClient, DigestServer
from pbx.sip.message import Request, Response, make_response
from pbx.sip.parser import MessageError, parse_message, validate
from pbx.sip.stack import Flow

WALL = 1_770_000_000.0


class FakeStack:
    """A stack with a stepped clock, that remembers what was answered."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.calls: list[tuple[float, int, Callable[[], None]]] = []
        self.counter = itertools.count()

    def now(self) -> float:
        return self.time

    def later(self, delay: float, call: Callable[[], None]) -> Any:
        entry = [self.time + delay, next(self.counter), call]
        heapq.heappush(self.calls, entry)  # type: ignore[arg-type]
        return FakeTimer(entry)

    def send_response(self, transaction: FakeTransaction, response: Response) -> None:
        assert not transaction.responses, "answered twice"
        transaction.responses.append(response)
        parsed = parse_message(response.to_bytes())
        validate(parsed)

    def advance(self, seconds: float) -> None:
        until = self.time + seconds
        while self.calls and self.calls[0][0] <= until:
            self.time, _, call = heapq.heappop(self.calls)
            if call is not None:
                call()
        self.time = until


@dataclass
class FakeTimer:
    entry: list[Any]

    def cancel(self) -> None:
        self.entry[2] = None


@dataclass
class FakeTransaction:
    request: Request
    flow: Flow
    responses: list[Response] = field(default_factory=list)

    @property
    def final_sent(self) -> bool:
        return bool(self.responses)


class FakeKeeper:
    """What the store would hold."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], StoredBinding] = {}
        self.writes = 0

    def put(self, aor: str, slot: str, binding: StoredBinding) -> None:
        self.writes += 1
        self.kept[aor, slot] = binding

    def delete(self, aor: str, slot: str) -> None:
        self.kept.pop((aor, slot), None)

    def rows(self) -> list[dict[str, Any]]:
        return [stored.row() for stored in self.kept.values()]


class Rig:
    """A registrar for biloxi.com with bob and 101 to 103, each with the password ``<name>-secret``."""

    def __init__(
        self,
        limits: Limits | None = None,
        keeper: FakeKeeper | None = None,
        contacts: int = 10,
        stack: FakeStack | None = None,
        edge_proxies: tuple[Network, ...] = (),
        **settings: Any,
    ) -> None:
        self.stack = stack or FakeStack()
        self.keeper = keeper or FakeKeeper()
        self.open_pinholes: list[Flow] = []
        self.wall_shift = 0.0
        self.location = Location(self.keeper, self.stack.now, self.wall, self.keep_alive, source_of)
        self.changes: list[BindingChange] = []
        self.location.subscribe(self.changes.append)
        self.guard: EdgeGuard[Flow] = EdgeGuard(self.location.has_flow, EdgeLimits())
        ids = Ids()
        self.digest = DigestServer(ids, "biloxi.com", b"0123456789abcdef")
        users = {name: Credential(name, f"{name}-secret") for name in ("bob", "101", "102", "103")}
        stack_: Any = self.stack
        self.authenticator = Authenticator(stack_, self.digest, users.get, self.guard, ids)
        self.service = RegistrarService(
            stack_,
            self.location,
            self.authenticator.authenticate,
            lambda user, name: contacts if user == name or (user, name) == ("101", "null-\0-null") else 0,
            RegistrarSettings(
                "biloxi.com",
                frozenset({"ss2.biloxi.example.com", "example.com"}),
                limits=limits or Limits(),
                is_edge_proxy=lambda host: contains(edge_proxies, host),
                **settings,
            ),
            ids,
            self.wall,
        )

    def wall(self) -> float:
        return WALL + self.stack.time + self.wall_shift

    def keep_alive(self, flow: Flow) -> Callable[[], None]:
        self.open_pinholes.append(flow)
        return lambda: self.open_pinholes.remove(flow)

    def send(self, request: Request | bytes | str, flow: Flow) -> Response | None:
        """Hand a request in, as the stack does; return what it was answered at once."""
        if isinstance(request, str):
            request = request.encode()
        if isinstance(request, bytes):
            parsed = parse_message(request.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
            assert isinstance(parsed, Request)
            request = parsed
        transaction = FakeTransaction(request, flow)
        try:
            validate(request)
        except MessageError as error:
            # The transaction layer answers what is malformed, and nobody above hears of it.
            return make_response(request, error.status, error.reason, to_tag="x")
        self.service.on_register(transaction, request)  # type: ignore[arg-type]
        self.last = transaction
        return transaction.responses[0] if transaction.responses else None

    def phone(self, name: str = "bob", **options: Any) -> Phone:
        return Phone(self, name, **options)


class Phone:
    """Registers, answers challenges, and counts its CSeq."""

    def __init__(
        self,
        rig: Rig,
        name: str,
        *,
        call_id: str = "",
        flow: Flow | None = None,
        secret: str = "",
        to: str = "",
        target: str = "sip:biloxi.com",
    ) -> None:
        self.rig = rig
        self.name = name
        self.call_id = call_id or f"call-id-of-{name}"
        self.cseq = 0
        self.flow = flow or Flow("udp", ("192.0.2.201", 5060), ("192.0.2.1", 5060))
        self.to = to or f"sip:{name}@biloxi.com"
        self.target = target
        credential = Credential(name, secret or f"{name}-secret")
        self.client = DigestClient(lambda realm: credential)

    def request(self, *contacts: str, expires: int | str | None = None, headers: str = "", vias: int = 1) -> Request:
        self.cseq += 1
        lines = [f"REGISTER {self.target} SIP/2.0"]
        lines += [f"Via: SIP/2.0/UDP 192.0.2.{9 - hop}:5060;branch=z9hG4bK{self.cseq}{hop}" for hop in range(vias)]
        lines += [
            f"From: <{self.to}>;tag=1",
            f"To: <{self.to}>",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq} REGISTER",
            "Max-Forwards: 70",
            "User-Agent: test phone",
        ]
        lines += [f"Contact: {contact}" for contact in contacts]
        if expires is not None:
            lines.append(f"Expires: {expires}")
        lines += [line for line in headers.split("\n") if line]
        parsed = parse_message("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
        assert isinstance(parsed, Request)
        return parsed

    def register(self, *contacts: str, **options: Any) -> Response:
        """Register with credentials; a challenge is answered."""
        request = self.request(*contacts, **options)
        self.client.authorize(request, "cnonce")
        response = self.rig.send(request, self.flow)
        assert response is not None
        if response.status == 401:
            again = self.request(*contacts, **options)
            if not self.client.answer(again, response, "cnonce"):
                return response
            response = self.rig.send(again, self.flow)
            assert response is not None
        return response


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def make_rig() -> type[Rig]:
    return Rig
