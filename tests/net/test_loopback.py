"""Two whole stacks over real loopback sockets, and peers that do their worst."""

from __future__ import annotations

import datetime
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbx.errors import EnvironmentFault
from pbx.net.certificates import ensure_certificate
from pbx.net.counters import Counters
from pbx.net.driver import Driver
from pbx.net.network import RealNetwork
from pbx.net.tls import Tls, TlsSettings, Verification
from pbx.net.transport import Address, Listener, show
from pbx.sip.layer import TransactionLayer
from pbx.sip.message import Request, make_response
from pbx.sip.stack import Destination, Flow, ServerTransaction, TransactionFailure
from pbx.sip.uri import Uri
from tests.support.loopback import World
from tests.support.sip import counted_ids
from tests.support.stack import Caller, TableResolver, compose
from tests.support.vectors import vectors

HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)


class Stack:
    """A driver on real sockets that answers everything 200."""

    def __init__(self, world: World, listeners: list[Listener], tls: Tls | None = None) -> None:
        self.world = world
        self.counters = Counters()
        self.network = RealNetwork(world.reactor, world.clock, listeners, self.counters, tls=tls)
        self.layer = TransactionLayer(counted_ids())
        self.faults: list[tuple[str, Exception]] = []
        self.requests: list[Request] = []
        self.flows: list[Flow] = []
        self.closed: list[Flow] = []
        self.answers = True
        self.driver = Driver(
            world.clock,
            self.layer,
            TableResolver(),
            self.network,
            counted_ids(),
            lambda where, error: self.faults.append((where, error)),
            counters=self.counters,
        )
        self.driver.on_flow_closed(self.closed.append)
        self.driver.start(self)

    def address(self, transport: str) -> Address:
        return next(local for listener, local in self.network.listening if listener.transport == transport)

    def send(self, to: str, method: str = "OPTIONS", body: bytes = b"") -> Caller:
        caller = Caller()
        self.driver.send_request(compose(method, to, body), Destination(Uri.parse(to)), caller)
        return caller

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        self.requests.append(request)
        self.flows.append(transaction.flow)
        if self.answers:
            self.driver.send_response(transaction, make_response(request, 200, to_tag="theirs"))

    def on_ack(self, request: Request, flow: Flow) -> None: ...

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None: ...

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None: ...


def options(address: Address, number: int, transport: str = "UDP") -> bytes:
    return (
        f"OPTIONS sip:bob@{show(address)} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@x>;tag={number}\r\nTo: <sip:b@x>\r\nCall-ID: c{number}\r\nCSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


@pytest.fixture
def stacks() -> Iterator[list[Stack]]:
    stacks: list[Stack] = []
    yield stacks
    for stack in stacks:
        stack.driver.stop()
        assert stack.faults == []


def over(world: World, caller: Caller) -> Caller:
    world.until(lambda: caller.responses or caller.failures)
    return caller


@HOSTS
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_request_and_its_answer(world: World, stacks: list[Stack], tmp_path: Path, transport: str, host: str) -> None:
    certificate, key = ensure_certificate(tmp_path, "localhost", ["127.0.0.1", "::1"], NOW)
    tls = Tls(TlsSettings(certificate, key, default=Verification(authorities=str(certificate))))
    stacks.extend(Stack(world, [Listener(transport, host, 0)], tls) for _ in range(2))
    alice, bob = stacks
    to = f"sip:bob@{show(bob.address(transport))};transport={transport}"
    assert over(world, alice.send(to)).statuses == [200]
    assert over(world, alice.send(to)).statuses == [200]
    assert bob.flows[0] == bob.flows[1]
    via = bob.requests[0].top_via
    assert (via.host, via.port) == alice.address(transport)
    if transport == "tls":
        assert alice.driver.peer_names(Flow("tls", ("", 0), ("", 0), 0)) == ()


def test_a_peer_that_closes_in_mid_transaction_fails_it_at_once(world: World, stacks: list[Stack]) -> None:
    stacks.append(Stack(world, [Listener("tcp", "127.0.0.1", 0)]))
    alice = stacks[0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        caller = alice.send(f"sip:bob@{show(server.getsockname())};transport=tcp")
        accepted: list[socket.socket] = []

        def arrived() -> bool:
            try:
                accepted.append(server.accept()[0])
            except BlockingIOError:
                return False
            return True

        world.until(arrived)
        world.run(0.05)
        assert caller.failures == []
        accepted[0].close()
        over(world, caller)
        assert [failure.kind for failure in caller.failures] == ["transport"]
        assert len(alice.closed) == 1


def test_a_closed_udp_port_fails_the_request_at_once(world: World, stacks: list[Stack]) -> None:
    stacks.append(Stack(world, [Listener("udp", "127.0.0.1", 0)]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    caller = over(world, stacks[0].send(f"sip:bob@127.0.0.1:{port}"))
    assert [(failure.kind, failure.detail) for failure in caller.failures] == [
        ("transport", f"127.0.0.1:{port}: Connection refused")
    ]


def test_a_large_request_goes_by_tcp_and_by_udp_if_that_is_refused(world: World, stacks: list[Stack]) -> None:
    stacks.append(Stack(world, [Listener("udp", "127.0.0.1", 0), Listener("tcp", "127.0.0.1", 0)]))
    stacks.append(Stack(world, [Listener("udp", "127.0.0.1", 0)]))
    port = stacks[1].address("udp")[1]
    alice, without = stacks
    assert over(world, alice.send(f"sip:bob@127.0.0.1:{port}", "MESSAGE", bytes(2000))).statuses == [200]
    assert without.requests[0].top_via.transport == "UDP"
    for _ in range(50):
        port += 1
        try:
            both = Stack(world, [Listener("udp", "127.0.0.1", port), Listener("tcp", "127.0.0.1", port)])
        except EnvironmentFault:
            continue
        break
    stacks.append(both)
    assert over(world, alice.send(f"sip:bob@127.0.0.1:{port}", "MESSAGE", bytes(2000))).statuses == [200]
    assert both.requests[0].top_via.transport == "TCP"


def test_a_stream_that_cannot_be_framed_is_answered_and_closed(world: World, stacks: list[Stack]) -> None:
    stacks.append(Stack(world, [Listener("tcp", "127.0.0.1", 0)]))
    address = stacks[0].address("tcp")
    with socket.create_connection(address) as phone:
        phone.setblocking(False)
        phone.sendall(options(address, 1, "TCP").replace(b"Content-Length: 0", b"Content-Length: -5"))
        got = b""

        def ended() -> bool:
            nonlocal got
            try:
                data = phone.recv(65536)
            except BlockingIOError:
                return False
            got += data
            return not data

        world.until(ended)
    assert got.startswith(b"SIP/2.0 400 ")
    assert stacks[0].requests == []


def test_a_flood_of_garbage_leaves_a_phone_its_answers(world: World, stacks: list[Stack]) -> None:
    stacks.append(Stack(world, [Listener("udp", "127.0.0.1", 0), Listener("tcp", "127.0.0.1", 0)]))
    stack = stacks[0]
    address, stream = stack.address("udp"), stack.address("tcp")
    source = random.Random(1)
    seed = options(address, 0)
    sent = answered = 0
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone,
    ):
        for one in (attacker, phone):
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)
        for number in range(1, 41):
            for _ in range(50):
                garbage = bytearray(source.choice([source.randbytes(300), seed, seed[:100], b"\xff", b"INVITE "]))
                for _ in range(3):
                    garbage[source.randrange(len(garbage))] = source.randrange(256)
                attacker.sendto(garbage, address)
                sent += 1
            with socket.create_connection(stream) as connection:
                connection.sendall(source.randbytes(200) + b"\r\n\r\n")
            phone.sendto(options(address, number), address)
            sent += 1

            def arrived() -> bool:
                try:
                    return phone.recv(65535).startswith(b"SIP/2.0 200 OK")
                except BlockingIOError:
                    return False

            world.until(arrived)
            answered += 1
    assert answered == 40
    counters, layer = stack.counters, stack.layer.counters
    assert counters["udp_received"] == sent
    assert stack.network.kernel_drops() == 0
    # Every datagram is accounted for: a keep-alive, an oddity, or something that the layer counted.
    seen = counters["udp_keep_alives"] + counters["udp_oddities"] + counters["udp_stun"]
    seen += sum(layer[name] for name in ("requests_received", "responses_received", "malformed_answered"))
    assert sent <= seen + layer["malformed_dropped"] <= sent + 40


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_torture_messages_do_no_harm(world: World, stacks: list[Stack], transport: str) -> None:
    stacks.append(Stack(world, [Listener(transport, "127.0.0.1", 0)]))
    address = stacks[0].address(transport)
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    messages = [path for path in vectors("torture").rglob("*") if path.suffix in (".dat", ".sip")]
    assert len(messages) > 50
    for number, path in enumerate(sorted(messages)):
        with socket.socket(socket.AF_INET, kind) as phone:
            phone.connect(address)
            phone.setblocking(False)
            phone.send(path.read_bytes())
            phone.send(options(address, number + 1000, transport.upper()))
            if transport == "udp":
                world.until(lambda number=number: any(one.call_id == f"c{number + 1000}" for one in stacks[0].requests))
            else:
                world.run(0.005)
    with socket.create_connection(address) if transport == "tcp" else socket.socket(socket.AF_INET, kind) as phone:
        if transport == "udp":
            phone.connect(address)
        phone.sendall(options(address, 1, transport.upper()))
        world.until(lambda: any(one.call_id == "c1" for one in stacks[0].requests))
    assert stacks[0].faults == []
