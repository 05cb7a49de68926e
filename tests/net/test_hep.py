"""HEP version 3: what a packet holds, read by a reader of the test's own from the draft, and what the exporter does."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from pbx.net.hep import LONGEST, hep3
from pbx.net.hep_exporter import HepExporter, HepSettings
from pbx.net.trace import Captured
from pbx.sip.stack import Flow
from tests.support.clock import SteppedClock

INVITE = (
    b'INVITE sip:1@h SIP/2.0\r\nCall-ID: a@b\r\nAuthorization: Digest username="u", response="0123456789abcdef"\r\n\r\n'
)
FLOW = Flow("udp", ("192.0.2.1", 5060), ("198.51.100.7", 40000))
FLOW6 = Flow("tls", ("2001:db8::1", 5061), ("2001:db8::2", 40000))


def read(packet: bytes) -> dict[int, bytes]:
    """Take a packet apart: type to value."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack(">H", packet[4:6])[0] == len(packet)
    found, at = {}, 6
    while at < len(packet):
        vendor, kind, length = struct.unpack(">HHH", packet[at : at + 6])
        assert vendor == 0
        assert length >= 6
        found[kind] = packet[at + 6 : at + length]
        at += length
    assert at == len(packet)
    return found


def test_a_received_datagram() -> None:
    found = read(hep3(Captured(2.5, False, FLOW, INVITE), 1_700_000_000.0, 7, "office", "k3y", "call-1"))
    assert found[1] + found[2] == bytes((2, 17))
    assert (socket.inet_ntoa(found[3]), socket.inet_ntoa(found[4])) == ("198.51.100.7", "192.0.2.1")
    assert struct.unpack(">HH", found[7] + found[8]) == (40000, 5060)
    assert struct.unpack(">II", found[9] + found[10]) == (1_700_000_002, 500_000)
    assert (found[11], found[12], found[14], found[17], found[19]) == (
        b"\x01",
        struct.pack(">I", 7),
        b"k3y",
        b"call-1",
        b"office",
    )
    assert found[15] == INVITE.replace(b"0123456789abcdef", b"x" * 16)


def test_a_sent_message_over_ipv6_and_tls() -> None:
    found = read(hep3(Captured(0.0, True, FLOW6, b"x"), 0.0, 1))
    assert found[1] + found[2] == bytes((10, 6))
    assert socket.inet_ntop(socket.AF_INET6, found[5]) == "2001:db8::1"
    assert socket.inet_ntop(socket.AF_INET6, found[6]) == "2001:db8::2"
    assert not {3, 4, 14, 17, 19} & found.keys()


def test_no_packet_is_longer_than_a_datagram_takes() -> None:
    packet = hep3(Captured(0.0, True, FLOW, b"a" * 70_000), 0.0, 1)
    assert len(packet) == LONGEST
    read(packet)


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(10)
        yield made


def exporter(clock: SteppedClock, port: int, transport: str = "udp") -> HepExporter:
    made = HepExporter(HepSettings(transport, "127.0.0.1", port), 0.0, clock, lambda: [("call-1", ("a@b", "other"))])
    made.start()
    return made


def test_messages_of_a_call_are_tied_together_beyond_its_end(collector: socket.socket) -> None:
    clock = SteppedClock()
    running = [("call-1", ("a@b", "c@d"))]
    made = HepExporter(HepSettings("udp", "127.0.0.1", collector.getsockname()[1]), 0.0, clock, lambda: running)
    made.start()
    for call_id in (b"a@b", b"c@d", b"stranger"):
        made.take(Captured(0.0, False, FLOW, b"BYE sip:x SIP/2.0\r\nCall-ID: " + call_id + b"\r\n\r\n"))
    clock.advance(1)
    running.clear()
    made.take(Captured(0.0, True, FLOW, b"SIP/2.0 200 OK\r\ni:a@b\r\n\r\n"))
    made.take(Captured(0.0, True, FLOW, b"SIP/2.0 486 Busy Here\r\ni:short\r\n\r\n"))
    made.remember("call-2", ["short"])  # began and ended between two times that messages are handed over
    made.stop()
    packets = [read(collector.recv(65536)) for _ in range(5)]
    assert [packet.get(17) for packet in packets] == [b"call-1", b"call-1", None, b"call-1", b"call-2"]
    assert made.counts() == {"sent": 5, "failed": 0, "dropped": 0}
    assert not clock.getDelayedCalls()


def test_calls_are_gone_through_only_where_one_may_have_begun(collector: socket.socket) -> None:
    clock = SteppedClock()
    asked = []

    def calls() -> list[tuple[str, tuple[str, ...]]]:
        asked.append(clock.seconds())
        return [("call-1", ("a@b",))]

    made = HepExporter(HepSettings("udp", "127.0.0.1", collector.getsockname()[1]), 0.0, clock, calls)
    made.start()
    register = b"REGISTER sip:x SIP/2.0\r\nCall-ID: r\r\n\r\n"
    for data in (INVITE, register, INVITE, register, b"BYE sip:x SIP/2.0\r\nCall-ID: a@b\r\n\r\n"):
        made.take(Captured(0.0, False, FLOW, data))
        clock.advance(1)
    assert len(asked) == 2
    made.take(Captured(0.0, False, FLOW, b"INVITE sip:x SIP/2.0\r\nCall-ID: r\r\n\r\n"))
    clock.advance(1)
    assert len(asked) == 3
    made.stop()
    assert [read(collector.recv(65536)).get(17) for _ in range(3)] == [b"call-1", None, b"call-1"]


def test_a_stream_is_one_packet_after_the_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        clock = SteppedClock()
        made = exporter(clock, server.getsockname()[1], "tcp")
        for _ in range(3):
            made.take(Captured(0.0, False, FLOW, INVITE))
        clock.advance(1)
        made.stop()
        accepted, _ = server.accept()
        accepted.settimeout(10)
        data = b""
        while chunk := accepted.recv(65536):
            data += chunk
        accepted.close()
    single = hep3(Captured(0.0, False, FLOW, INVITE), 0.0, 2001, correlation="call-1")
    assert data == 3 * single


def test_a_collector_that_is_away_costs_nothing_but_its_messages() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clock = SteppedClock()
    made = exporter(clock, port, "tcp")
    for _ in range(20_005):
        made.take(Captured(0.0, False, FLOW, INVITE))
    assert made.counts()["dropped"] == 5
    clock.advance(1)
    made.stop(10)
    assert made.counts() == {"sent": 0, "failed": 20_000, "dropped": 5}
    assert "pbx-hep" not in {thread.name for thread in threading.enumerate()}
