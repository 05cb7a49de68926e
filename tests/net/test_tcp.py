"""TCP over real loopback sockets: flows, framing, limits."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from pbx.errors import EnvironmentFault
from pbx.net.counters import Counters
from pbx.net.network import RealNetwork
from pbx.net.stream_limits import StreamLimits
from pbx.net.transport import Address, Listener
from pbx.sip.stack import Flow
from tests.support.loopback import Heard, Waiting, World

OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
QUICK = StreamLimits(
    first_message=0.3, message=0.3, handshake=0.3, idle=0.6, pong=0.3, write_stall=0.5, farewell=0.2, connect=1.0
)


class Bench:
    def __init__(self, world: World, counters: Counters, heard: Heard) -> None:
        self.world, self.counters, self.heard = world, counters, heard
        self.networks: list[RealNetwork] = []
        self.sockets: list[socket.socket] = []

    def listen(
        self,
        host: str = "127.0.0.1",
        limits: StreamLimits | None = None,
        refuses: Callable[[str], bool] = lambda _: False,
    ) -> tuple[RealNetwork, Address]:
        network = RealNetwork(
            self.world.reactor,
            self.world.clock,
            [Listener("tcp", host, 0)],
            self.counters,
            limits=limits,
            refuses=refuses,
        )
        self.networks.append(network)
        network.start(self.heard)
        return network, network.listening[0][1]

    def phone(self, address: Address) -> socket.socket:
        phone = socket.create_connection(address, 2.0)
        phone.setblocking(False)
        self.sockets.append(phone)
        return phone

    def server(self, host: str = "127.0.0.1") -> socket.socket:
        server = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        server.setblocking(False)
        self.sockets.append(server)
        return server

    def accepted(self, server: socket.socket) -> socket.socket:
        got: list[socket.socket] = []

        def arrived() -> bool:
            try:
                got.append(server.accept()[0])
            except BlockingIOError:
                return False
            got[0].setblocking(False)
            self.sockets.append(got[0])
            return True

        self.world.until(arrived)
        return got[0]

    def reads(self, sock: socket.socket, wanted: int) -> bytes:
        got = b""

        def arrived() -> bool:
            nonlocal got
            try:
                got += sock.recv(65536)
            except BlockingIOError:
                return False
            return len(got) >= wanted

        self.world.until(arrived)
        return got

    def closes(self, sock: socket.socket) -> None:
        """Wait until the other side has closed."""

        def ended() -> bool:
            try:
                return sock.recv(65536) == b""
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True

        self.world.until(ended)

    def flow(self) -> Flow:
        self.world.until(lambda: self.heard.messages)
        return self.heard.messages[-1][1]


@pytest.fixture
def bench(world: World, counters: Counters, heard: Heard) -> Iterator[Bench]:
    bench = Bench(world, counters, heard)
    yield bench
    for network in bench.networks:
        network.stop()
    for sock in bench.sockets:
        sock.close()
    world.run(0.02)


# Accepted connections


@HOSTS
def test_receives_and_answers_over_the_flow(bench: Bench, host: str) -> None:
    network, address = bench.listen(host)
    phone = bench.phone(address)
    phone.sendall(OPTIONS[:10])
    bench.world.run(0.02)
    assert bench.heard.messages == []
    phone.sendall(OPTIONS[10:] + OPTIONS)
    bench.world.until(lambda: len(bench.heard.messages) == 2)
    data, flow = bench.heard.messages[0]
    assert data == OPTIONS
    assert flow == bench.heard.messages[1][1]
    assert (flow.transport, flow.local, flow.remote) == ("tcp", address, phone.getsockname()[:2])
    assert network.alive(flow)
    assert network.send(flow, b"SIP/2.0 200 OK\r\n\r\n") == ""
    assert bench.reads(phone, 18) == b"SIP/2.0 200 OK\r\n\r\n"
    assert network.sent_by(flow) == address


def test_a_ping_is_answered_by_a_pong(bench: Bench) -> None:
    _, address = bench.listen()
    phone = bench.phone(address)
    phone.sendall(b"\r\n\r\n")
    assert bench.reads(phone, 2) == b"\r\n"
    assert bench.counters["stream_pings"] == 1


def test_a_close_is_told_once_and_the_flow_is_dead(bench: Bench) -> None:
    network, address = bench.listen()
    phone = bench.phone(address)
    phone.sendall(OPTIONS)
    flow = bench.flow()
    phone.close()
    bench.world.until(lambda: bench.heard.gone)
    assert [gone for gone, _ in bench.heard.gone] == [flow]
    assert not network.alive(flow)
    assert network.send(flow, OPTIONS) != ""
    assert bench.counters["flow_gone"] == 1


def test_a_flow_of_an_earlier_process_is_nobodys(bench: Bench) -> None:
    network, address = bench.listen()
    bench.phone(address).sendall(OPTIONS)
    flow = bench.flow()
    stale = Flow("tcp", flow.local, ("127.0.0.1", 1), flow.connection)
    assert not network.alive(stale)
    assert network.send(stale, OPTIONS) == "the connection is gone"


@pytest.mark.parametrize(
    ("garbage", "answerable"),
    [
        (b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nContent-Length: -1\r\n\r\n", True),
        (b"x" * 70_000, False),
    ],
)
def test_what_cannot_be_framed_ends_the_connection(bench: Bench, garbage: bytes, answerable: bool) -> None:
    _, address = bench.listen()
    phone = bench.phone(address)
    phone.setblocking(True)
    phone.sendall(garbage)
    phone.setblocking(False)
    bench.closes(phone)
    assert [error.request is not None for error, _ in bench.heard.broken] == [answerable]
    assert bench.counters["stream_framing"] == 1
    assert len(bench.heard.gone) == 1


# Deadlines


def closed_for(bench: Bench, limits: StreamLimits, act: Callable[[socket.socket], object]) -> dict[str, int]:
    _, address = bench.listen(limits=limits)
    phone = bench.phone(address)
    act(phone)
    bench.closes(phone)
    assert len(bench.heard.gone) == 1
    return {name: count for name, count in bench.counters.items() if count}


def test_a_connection_that_says_nothing_is_closed(bench: Bench) -> None:
    assert closed_for(bench, QUICK, lambda phone: None)["stream_half_open"] == 1


def test_a_connection_that_only_pings_is_closed(bench: Bench) -> None:
    assert closed_for(bench, QUICK, lambda phone: phone.sendall(b"\r\n\r\n"))["stream_half_open"] == 1


def test_a_message_that_never_ends_closes_the_connection(bench: Bench) -> None:
    found = closed_for(bench, QUICK, lambda phone: phone.sendall(OPTIONS + OPTIONS[:20]))
    assert found["stream_stalled_message"] == 1


def test_an_idle_connection_is_closed_in_good_order(bench: Bench) -> None:
    assert closed_for(bench, QUICK, lambda phone: phone.sendall(OPTIONS))["stream_idle"] == 1


def test_a_kept_connection_is_pinged_and_outlives_the_idle_limit(bench: Bench) -> None:
    network, address = bench.listen(limits=QUICK)
    phone = bench.phone(address)
    phone.sendall(OPTIONS)
    flow = bench.flow()
    stop = network.keep_alive(flow, 1.0)
    assert bench.reads(phone, 4) == b"\r\n\r\n"
    bench.world.run(1.2)
    assert network.alive(flow)
    stop()
    stop()
    bench.closes(phone)
    assert bench.counters["stream_idle"] == 1


def test_a_peer_that_no_longer_answers_keep_alives_is_gone(bench: Bench) -> None:
    network, address = bench.listen(limits=QUICK)
    phone = bench.phone(address)
    phone.sendall(OPTIONS)
    network.keep_alive(bench.flow(), 1.0)
    assert bench.reads(phone, 4) == b"\r\n\r\n"
    phone.sendall(b"\r\n")
    assert bench.reads(phone, 4) == b"\r\n\r\n"
    bench.closes(phone)
    assert bench.counters["stream_no_pong"] == 1


def test_a_peer_that_does_not_read_is_cut_off(bench: Bench) -> None:
    network, address = bench.listen(limits=StreamLimits(write_bytes=200_000))
    phone = bench.phone(address)
    phone.sendall(OPTIONS)
    flow = bench.flow()
    fault = ""
    for _ in range(2000):
        fault = network.send(flow, b"x" * 10_000)
        bench.world.run(0.0)
        if fault:
            break
    assert fault == "the peer does not read"
    assert bench.counters["stream_slow_peer"] == 1
    assert [detail for _, detail in bench.heard.gone] == ["the peer does not read"]


def test_a_slow_peer_gets_everything_in_order(bench: Bench) -> None:
    network, address = bench.listen()
    phone = bench.phone(address)
    phone.sendall(OPTIONS)
    flow = bench.flow()
    sent = b"".join(bytes([number % 251]) * 5000 for number in range(180))
    for start in range(0, len(sent), 5000):
        assert network.send(flow, sent[start : start + 5000]) == ""
    assert bench.reads(phone, len(sent)) == sent


# Limits


def test_connections_from_one_source_are_limited(bench: Bench) -> None:
    _, address = bench.listen(limits=StreamLimits(half_open_per_source=3, per_source=4))
    phones = [bench.phone(address) for _ in range(4)]
    bench.closes(phones[3])
    assert bench.counters["stream_refused_source"] == 1
    # Those that speak are no longer half open, and one more may come.
    for phone in phones[:3]:
        phone.sendall(OPTIONS)
    bench.world.until(lambda: len(bench.heard.messages) == 3)
    bench.phone(address).sendall(OPTIONS)
    bench.world.until(lambda: len(bench.heard.messages) == 4)
    bench.closes(bench.phone(address))
    assert bench.counters["stream_refused_source"] == 2
    phones[0].close()
    bench.world.until(lambda: bench.heard.gone)
    bench.phone(address).sendall(OPTIONS)
    bench.world.until(lambda: len(bench.heard.messages) == 5)


def test_the_oldest_silent_connection_makes_room(bench: Bench) -> None:
    _, address = bench.listen(limits=StreamLimits(half_open=2))
    phones = [bench.phone(address) for _ in range(3)]
    bench.closes(phones[0])
    assert bench.counters["stream_evicted_half_open"] == 1
    phones[2].sendall(OPTIONS)
    bench.world.until(lambda: bench.heard.messages)


def test_connections_are_limited_in_total(bench: Bench) -> None:
    _, address = bench.listen(limits=StreamLimits(total=1))
    bench.phone(address).sendall(OPTIONS)
    bench.flow()
    bench.closes(bench.phone(address))
    assert bench.counters["stream_refused_total"] == 1


def test_a_host_that_is_refused_gets_no_connection(bench: Bench) -> None:
    _, address = bench.listen(refuses=lambda host: host == "127.0.0.1")
    bench.closes(bench.phone(address))
    assert bench.counters["stream_refused_banned"] == 1
    assert bench.counters["stream_accepted"] == 0


# Connections of our own


@HOSTS
def test_a_connection_is_opened_and_found_again(bench: Bench, host: str) -> None:
    network, _ = bench.listen(host)
    server = bench.server(host)
    remote = server.getsockname()[:2]
    one, two, three = Waiting(), Waiting(), Waiting()
    network.connect("tcp", remote, "", one)
    network.connect("tcp", remote, "ignored for tcp", two)
    bench.world.until(lambda: one.done and two.done)
    assert one.flow is not None
    assert one.flow == two.flow
    network.connect("tcp", remote, "", three)
    assert three.flow == one.flow
    peer = bench.accepted(server)
    assert network.send(one.flow, OPTIONS) == ""
    assert bench.reads(peer, len(OPTIONS)) == OPTIONS
    peer.sendall(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert bench.flow() == one.flow
    # The port that we connected from is no address for others; the listener's is.
    assert network.sent_by(one.flow) == network.listening[0][1]
    assert bench.counters["stream_opened"] == 1


def test_a_connection_that_a_peer_made_is_never_used_for_a_target(bench: Bench) -> None:
    network, address = bench.listen()
    server = bench.server()
    # The peer connects from the very address that a request is for.
    phone = socket.socket()
    bench.sockets.append(phone)
    phone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    phone.bind(("127.0.0.1", 0))
    phone.connect(address)
    phone.sendall(OPTIONS)
    inbound = bench.flow()
    waiting = Waiting()
    network.connect("tcp", inbound.remote, "", waiting)
    bench.world.until(lambda: waiting.done)
    assert waiting.flow is None
    assert server


def test_a_refused_connection_is_told_to_all_who_wait(bench: Bench) -> None:
    network, _ = bench.listen()
    server = bench.server()
    remote = server.getsockname()
    server.close()
    one, two = Waiting(), Waiting()
    network.connect("tcp", remote, "", one)
    network.connect("tcp", remote, "", two)
    bench.world.until(lambda: one.done and two.done)
    assert "refused" in one.detail
    assert one.detail == two.detail
    assert bench.counters["stream_open_failed"] == 1


def test_a_lost_connection_is_opened_anew(bench: Bench) -> None:
    network, _ = bench.listen()
    server = bench.server()
    first, second = Waiting(), Waiting()
    network.connect("tcp", server.getsockname(), "", first)
    bench.world.until(lambda: first.done)
    bench.accepted(server).close()
    bench.world.until(lambda: bench.heard.gone)
    network.connect("tcp", server.getsockname(), "", second)
    bench.world.until(lambda: second.done)
    assert second.flow is not None
    assert second.flow != first.flow


def test_an_unknown_transport_and_a_taken_port_are_said_plainly(bench: Bench) -> None:
    network, address = bench.listen()
    waiting = Waiting()
    network.connect("tls", ("127.0.0.1", 1), "", waiting)
    assert waiting.detail == "tls is not offered here"
    with pytest.raises(EnvironmentFault, match="another program uses this port"):
        RealNetwork(bench.world.reactor, bench.world.clock, [Listener("tcp", *address)], bench.counters)
    with pytest.raises(EnvironmentFault, match="TLS needs a certificate"):
        RealNetwork(bench.world.reactor, bench.world.clock, [Listener("tls", "127.0.0.1", 0)], bench.counters)


def test_nothing_is_left_after_stop(bench: Bench) -> None:
    network, address = bench.listen()
    phone = bench.phone(address)
    phone.sendall(OPTIONS)
    flow = bench.flow()
    network.keep_alive(flow, 1.0)
    network.stop()
    bench.closes(phone)
    assert bench.heard.gone == []
    assert not bench.world.reactor.getReaders() or all(
        type(reader).__name__ not in ("Port", "Server", "Client") for reader in bench.world.reactor.getReaders()
    )
