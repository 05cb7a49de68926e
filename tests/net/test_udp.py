"""UDP over real loopback sockets."""

from __future__ import annotations

import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from pbx.errors import EnvironmentFault
from pbx.net import icmp
from pbx.net.addresses import AddressBook
from pbx.net.counters import Counters
from pbx.net.transport import Listener, SocketOptions
from pbx.net.udp import UdpTransport
from pbx.sip.stack import Flow
from tests.support.loopback import Heard, World

OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


class Phone:
    """A plain socket."""

    def __init__(self, host: str) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.address = self.socket.getsockname()[:2]

    def read(self) -> tuple[bytes, tuple[str, int]] | None:
        try:
            data, source = self.socket.recvfrom(65535)
        except BlockingIOError:
            return None
        return data, source[:2]


@pytest.fixture
def book(world: World) -> AddressBook:
    return AddressBook(world.clock.seconds)


class Bench:
    def __init__(self, world: World, book: AddressBook, counters: Counters, heard: Heard) -> None:
        self.world, self.book, self.counters, self.heard = world, book, counters, heard
        self.transports: list[UdpTransport] = []
        self.phones: list[Phone] = []

    def listen(self, host: str, port: int = 0, *, wall: Callable[[], float] = time.time) -> UdpTransport:
        udp = UdpTransport(Listener("udp", host, port), self.book, self.counters, wall=wall)
        self.transports.append(udp)
        udp.start(self.world.reactor, self.heard)
        return udp

    def phone(self, host: str) -> Phone:
        phone = Phone(host)
        self.phones.append(phone)
        return phone

    def hears(self, phone: Phone) -> tuple[bytes, tuple[str, int]]:
        got: list[tuple[bytes, tuple[str, int]]] = []

        def arrived() -> bool:
            found = phone.read()
            if found is not None:
                got.append(found)
            return bool(got)

        self.world.until(arrived)
        return got[0]


@pytest.fixture
def bench(world: World, book: AddressBook, counters: Counters, heard: Heard) -> Iterator[Bench]:
    bench = Bench(world, book, counters, heard)
    yield bench
    for udp in bench.transports:
        udp.stop()
    for phone in bench.phones:
        phone.socket.close()


@HOSTS
def test_receives_and_answers_by_the_same_flow(bench: Bench, host: str) -> None:
    udp, phone = bench.listen(host), bench.phone(host)
    phone.socket.sendto(OPTIONS, udp.local)
    bench.world.until(lambda: bench.heard.messages)
    data, flow = bench.heard.messages[0]
    assert data == OPTIONS
    assert flow == Flow("udp", udp.local, phone.address)
    assert udp.send(flow, b"SIP/2.0 200 OK\r\n\r\n") == ""
    assert bench.hears(phone) == (b"SIP/2.0 200 OK\r\n\r\n", udp.local)
    assert bench.counters["udp_received"] == bench.counters["udp_sent"] == 1


@pytest.mark.parametrize(("wildcard", "there"), [("0.0.0.0", "127.0.0.2"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_a_wildcard_listener_answers_from_the_address_that_was_asked(bench: Bench, wildcard: str, there: str) -> None:
    udp = bench.listen(wildcard)
    phone = bench.phone("::1" if ":" in there else "127.0.0.1")
    phone.socket.sendto(OPTIONS, (there, udp.local[1]))
    bench.world.until(lambda: bench.heard.messages)
    _, flow = bench.heard.messages[0]
    assert flow.local == (there, udp.local[1])
    udp.send(flow, b"answer")
    assert bench.hears(phone) == (b"answer", (there, udp.local[1]))
    assert udp.flow_to(phone.address).local[0] == phone.address[0]


def test_reading_takes_no_more_memory_than_what_is_read(bench: Bench) -> None:
    """Else each datagram that a call keeps leaves a hole of 64 KiB in the heap, too small to read the next one into."""
    udp, phone = bench.listen("127.0.0.1"), bench.phone("127.0.0.1")
    phone.socket.sendto(OPTIONS, udp.local)
    bench.world.until(lambda: bench.heard.messages)
    tracemalloc.start()
    try:
        for _ in range(10):
            phone.socket.sendto(OPTIONS, udp.local)
        before, _ = tracemalloc.get_traced_memory()
        udp.doRead()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [data for data, _ in bench.heard.messages] == [OPTIONS] * 11
    assert most - before < 16_384


def test_what_waits_to_be_read_is_known_by_its_age(bench: Bench) -> None:
    ahead = [0.0]
    udp, phone = bench.listen("127.0.0.1", wall=lambda: time.time() + ahead[0]), bench.phone("127.0.0.1")
    phone.socket.sendto(OPTIONS, udp.local)
    bench.world.until(lambda: bench.heard.messages)
    ahead[0] = 60.0
    assert udp.waited() == 0.0, "all was read that was there"
    assert udp.waited() == 0.0, "nothing came"
    for _ in range(100):
        phone.socket.sendto(OPTIONS, udp.local)
    udp.doRead()
    ahead[0] = 70.0
    udp.doRead()
    assert 60 <= udp.waited() < 70, "the least of what was read since"
    assert 60 <= udp.waited() < 70, "nothing was read since"
    udp.doRead()
    udp.doRead()
    assert len(bench.heard.messages) == 101
    assert udp.waited() == 0.0, "it has caught up"


def test_two_flows_from_one_phone_are_equal_objects(bench: Bench) -> None:
    udp, phone = bench.listen("127.0.0.1"), bench.phone("127.0.0.1")
    for _ in range(2):
        phone.socket.sendto(OPTIONS, udp.local)
    bench.world.until(lambda: len(bench.heard.messages) == 2)
    (_, first), (_, second) = bench.heard.messages
    assert first is second
    assert first == udp.flow_to(phone.address)


@HOSTS
def test_a_closed_port_is_noticed_and_the_socket_goes_on_hearing(bench: Bench, host: str) -> None:
    udp, phone, dead = bench.listen(host), bench.phone(host), Phone(host)
    dead.socket.close()
    for _ in range(3):
        bench.heard.refused.clear()
        assert udp.send(udp.flow_to(dead.address), OPTIONS) == ""
        bench.world.until(lambda: bench.heard.refused)
        assert bench.heard.refused == [(dead.address, "Connection refused")]
    phone.socket.sendto(OPTIONS, udp.local)
    bench.world.until(lambda: bench.heard.messages)


def test_an_icmp_error_costs_no_other_datagram(bench: Bench) -> None:
    udp, phone, dead = bench.listen("127.0.0.1"), bench.phone("127.0.0.1"), Phone("127.0.0.1")
    dead.socket.close()
    # The kernel reports the first error at the next send, whoever that is to.
    assert udp.send(udp.flow_to(dead.address), OPTIONS) == ""
    assert udp.send(udp.flow_to(phone.address), b"for the phone") == ""
    assert bench.hears(phone)[0] == b"for the phone"
    assert bench.counters["udp_icmp"] == 1
    assert bench.heard.refused == [(dead.address, "Connection refused")]


def test_ttl_exceeded_and_too_big_mean_nothing_for_a_transaction() -> None:
    def error(number: int, origin: int, kind: int, code: int) -> bytes:
        return struct.pack("=IBBBBII", number, origin, kind, code, 0, 0, 0) + bytes(16)

    peer = ("192.0.2.1", 5060)
    unreachable = icmp._decode(error(113, 2, 3, 1), peer)
    assert unreachable is not None
    assert unreachable.fatal
    for data in (error(113, 2, 11, 0), error(90, 2, 3, 4), error(90, 3, 2, 0)):
        found = icmp._decode(data, peer)
        assert found is not None
        assert not found.fatal
    assert icmp._decode(b"short", peer) is None


def test_a_burst_is_read_without_loss(bench: Bench) -> None:
    udp, phone = bench.listen("127.0.0.1"), bench.phone("127.0.0.1")
    for number in range(1500):
        phone.socket.sendto(OPTIONS + str(number).encode(), udp.local)
    bench.world.until(lambda: len(bench.heard.messages) == 1500)
    assert [int(data[len(OPTIONS) :]) for data, _ in bench.heard.messages] == list(range(1500))
    assert udp.kernel_drops() == 0


def test_what_the_kernel_drops_is_counted(bench: Bench) -> None:
    udp, phone = bench.listen("127.0.0.1"), bench.phone("127.0.0.1")
    udp._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(200):
        phone.socket.sendto(OPTIONS, udp.local)
    bench.world.until(lambda: bench.heard.messages)
    bench.world.run(0.02)
    assert udp.kernel_drops() + len(bench.heard.messages) == 200
    assert udp.kernel_drops() > 0


def test_buffers_are_as_large_as_asked_for_or_it_is_counted(bench: Bench) -> None:
    udp = bench.listen("127.0.0.1")
    granted = udp._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 2 * SocketOptions().receive_buffer
    assert granted == (bench.counters["udp_buffer_short"] == 0)


@HOSTS
def test_sockets_are_as_the_options_say(bench: Bench, host: str) -> None:
    udp = UdpTransport(Listener("udp", host, 0), bench.book, bench.counters, SocketOptions(65_536, 46))
    assert udp._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 65_536
    level = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if ":" in host else (socket.IPPROTO_IP, socket.IP_TOS)
    assert udp._socket.getsockopt(*level) == 46 << 2
    udp.stop()


@pytest.mark.parametrize("datagram", [b"\r\n\r\n", b"\r\n", b"\0\0\0\0", b"", b"jaK\0"])
def test_keep_alives_are_counted_and_go_no_further(bench: Bench, datagram: bytes) -> None:
    udp, phone = bench.listen("127.0.0.1"), bench.phone("127.0.0.1")
    phone.socket.sendto(datagram, udp.local)
    bench.world.until(lambda: bench.counters["udp_keep_alives"])
    assert bench.heard.messages == []


def test_line_breaks_before_a_message_are_skipped(bench: Bench) -> None:
    udp, phone = bench.listen("127.0.0.1"), bench.phone("127.0.0.1")
    phone.socket.sendto(b"\r\n" + OPTIONS, udp.local)
    bench.world.until(lambda: bench.heard.messages)
    assert bench.heard.messages[0][0] == OPTIONS


def test_a_method_may_begin_with_any_character_of_a_token(bench: Bench) -> None:
    """RFC 4475 §3.1.1.2 sends one that begins with an exclamation mark."""
    udp, phone = bench.listen("127.0.0.1"), bench.phone("127.0.0.1")
    for first in "!%*_+`'~.-0Z":
        phone.socket.sendto(first.encode() + OPTIONS, udp.local)
    bench.world.until(lambda: len(bench.heard.messages) == 12)
    assert bench.counters["udp_oddities"] == 0


@HOSTS
def test_stun_is_answered_on_the_sip_port(bench: Bench, host: str) -> None:
    udp, phone = bench.listen(host), bench.phone(host)
    request = struct.pack(">HHI12s", 1, 0, 0x2112A442, b"0123456789ab")
    phone.socket.sendto(request, udp.local)
    data, _ = bench.hears(phone)
    kind, _, cookie, transaction = struct.unpack_from(">HHI12s", data)
    assert (kind, cookie, transaction) == (0x0101, 0x2112A442, b"0123456789ab")
    _, _, _, family, port = struct.unpack_from(">HHBBH", data, 20)
    assert family == (2 if ":" in host else 1)
    assert port ^ 0x2112 == phone.address[1]
    mask = request[4:20]
    octets = bytes(one ^ other for one, other in zip(data[28:], mask, strict=False))
    assert octets == socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    # A response, or a length that is wrong, is no request.
    phone.socket.sendto(data, udp.local)
    phone.socket.sendto(request[:2] + b"\0\4" + request[4:], udp.local)
    bench.world.until(lambda: bench.counters["udp_oddities"] == 2)


def test_what_the_kernel_refuses_to_send_is_told(bench: Bench) -> None:
    udp = bench.listen("127.0.0.1")
    too_long = bytes(65_536)
    assert udp.send(udp.flow_to(("127.0.0.1", 9)), too_long) == "Message too long"
    assert udp.send(udp.flow_to(("255.255.255.255", 9)), b"x") != ""
    assert udp.send(udp.flow_to(("127.0.0.1", 70_000)), b"x") != ""
    assert bench.counters["udp_send_failed"] == 3


def test_a_taken_port_is_said_plainly(bench: Bench) -> None:
    udp = bench.listen("127.0.0.1")
    with pytest.raises(EnvironmentFault, match=f"udp://127.0.0.1:{udp.local[1]} .* another program uses this port"):
        bench.listen(*udp.local)
    with pytest.raises(EnvironmentFault, match=r"udp://192\.0\.2\.1:5060 .* no such address"):
        bench.listen("192.0.2.1", 5060)
