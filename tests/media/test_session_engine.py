"""The session's commands, carried out by the real engine: what one phone sends, the other hears."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from pbx.ids import Ids
from pbx.media.events import Closed, Opened
from pbx.media.policy import MediaSettings
from pbx.media.session import MediaSession
from pbx.rtp.packet import RtpPacket
from pbx.sdp.model import SessionDescription
from pbx.sdp.parser import parse
from pbx.sdp.writer import to_bytes

pytest.importorskip("pbx.native._engine", reason="the native engine is not built", exc_type=ImportError)

from pbx.media.engine import Engine  # only where it is built

PATIENCE = 5.0


class Phone:
    """A socket, and what it knows of the other end."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self.sequence = 100
        self.target = ("", 0)

    def description(self, formats: str, *lines: str) -> SessionDescription:
        port = self.socket.getsockname()[1]
        head = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
        return parse("\n".join((f"{head}m=audio {port} RTP/AVP {formats}", *lines)))

    def aim(self, theirs: SessionDescription) -> None:
        """Take the description as a phone would: what was written on the wire, read again."""
        theirs = parse(to_bytes(theirs))
        assert theirs.connection is not None
        self.target = (theirs.connection.address, theirs.media[0].port)

    def send(self, payload_type: int, payload: bytes) -> None:
        self.sequence += 1
        packet = RtpPacket(payload_type, self.sequence, self.sequence * 160, 0xABCD, payload)
        self.socket.sendto(packet.to_bytes(), self.target)

    def hear(self) -> RtpPacket:
        return RtpPacket.parse(self.socket.recv(2000))


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(24000, 24063, workers=1, writers=1)
    yield made
    made.close()


@pytest.fixture
def phones() -> Iterator[tuple[Phone, Phone]]:
    made = (Phone(), Phone())
    yield made
    for phone in made:
        phone.socket.close()


def run(made: MediaSession, engine: Engine, kind: type, count: int) -> None:
    """Hand the commands over and wait for `count` events of a kind."""
    for command in made.take_commands():
        engine.submit(command)
    while count > 0:
        assert select.select([engine.fileno()], [], [], PATIENCE)[0], f"{count} events of {kind.__name__} are missing"
        for event in engine.drain():
            made.on_event(event)
            count -= isinstance(event, kind)


def test_two_phones_talk(engine: Engine, phones: tuple[Phone, Phone]) -> None:
    alice, bob = phones
    made = MediaSession("call", MediaSettings(), Ids())
    for leg in "ab":
        made.open(leg, latch=False)
    run(made, engine, Opened, 2)
    made.set_remote("a", alice.description("111 0", "a=rtpmap:111 opus/48000/2"), offer=True)
    bob.aim(made.offer_to("b", "a"))
    # Bob has a number of his own for opus: the engine must translate.
    made.set_remote("b", bob.description("96 0", "a=rtpmap:96 opus/48000/2"), offer=False)
    alice.aim(made.answer_to("a", "b"))
    made.connect("a", "b")
    made.query("a")
    run(made, engine, object, 1)

    alice.send(111, b"hello")
    heard = bob.hear()
    assert (heard.payload_type, heard.payload) == (96, b"hello")
    bob.send(111, b"by the number offered")
    assert (alice.hear().payload_type, bob.target[0]) == (111, "127.0.0.1")
    bob.send(0, bytes(160))
    assert alice.hear().payload_type == 0

    # Alice holds: what she sends still arrives, what Bob sends does not.
    made.set_remote("a", alice.description("111 0", "a=rtpmap:111 opus/48000/2", "a=sendonly"), offer=True)
    made.offer_to("b", "a")
    made.set_remote("b", bob.description("111 0", "a=rtpmap:111 opus/48000/2", "a=recvonly"), offer=False)
    made.answer_to("a", "b")
    made.query("a")
    run(made, engine, object, 1)
    bob.send(0, bytes(160))
    alice.send(0, b"music")
    assert bob.hear().payload == b"music"
    alice.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        alice.hear()

    assert made.close_all() == {made.stream_of("a"), made.stream_of("b")}
    run(made, engine, Closed, 2)
    counts = made.counts("a")
    assert counts is not None
    assert (counts.received_packets, counts.sent_packets) == (2, 2)
    assert made.codec_name("a") == "PCMU"
    quality = made.quality("a")
    assert quality is not None
    assert quality.loss == 0
    assert engine.counters().streams == 0
    assert made.close_all() == set()
