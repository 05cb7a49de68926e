"""Video and a fax through a running server: real datagrams from one side to the other and back."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from pbx.sdp import parser
from pbx.sip.message import Request, Response
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Serve

CONFIGURATION = """
extensions:
  "101": {password: wonderland}
  "102": {password: looking-glass}
"""
PLAN = """
routes:
  - {name: phones, when: {number: "1XX"}, do: [{dial: "extension/{number}"}]}
"""
UDPTL = bytes([0, 1, 6, 1, 2, 3, 4, 5, 6, 0])
PICTURE = struct.pack("!BBHII", 0x80, 0x80 | 97, 7, 90_000, 0xCAFE) + b"a picture"


class Sockets:
    """Where one side hears audio, video and fax."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.all = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for one in self.all:
            one.bind((LOOPBACK, 0))
            one.setblocking(False)
        self.audio, self.video, self.fax = [one.getsockname()[1] for one in self.all]

    def description(self) -> bytes:
        return (
            f"v=0\r\no=phone 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
            f"m=audio {self.audio} RTP/AVP 0\r\nm=video {self.video} RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
            f"m=image {self.fax} udptl t38\r\na=T38FaxVersion:0\r\n"
        ).encode()

    def send(self, place: int, data: bytes, port: int) -> None:
        self.all[place].sendto(data, (LOOPBACK, port))

    def hear(self, place: int) -> bytes | None:
        try:
            return self.all[place].recv(4096)
        except BlockingIOError:
            return None

    def say(self, place: int, data: bytes, port: int, other: Sockets) -> bytes:
        """Send a datagram until one comes out at the other side, and return that. The engine takes part in the call
        when its thread has come to it, and what arrives before is dropped, as on any way."""
        heard: list[bytes] = []

        def come() -> bool:
            self.send(place, data, port)
            heard.extend(one for one in [other.hear(place)] if one is not None)
            return bool(heard)

        self.world.until(come)
        return heard[0]


@pytest.fixture
def sides(world: World) -> Iterator[tuple[Sockets, Sockets]]:
    made = Sockets(world), Sockets(world)
    yield made
    for side in made:
        for one in side.all:
            one.close()


def ports_in(message: Request | Response) -> list[int]:
    return [media.port for media in parser.parse(message.body).media]


def test_video_and_fax_reach_the_other_side(serve: Serve, phone: Connect, sides: tuple[Sockets, Sockets]) -> None:
    pbx = serve(CONFIGURATION, PLAN)
    alice, bob = phone(pbx, "101", "wonderland"), phone(pbx, "102", "looking-glass")
    bob.register()
    near, far = sides
    invite = alice.dial("102", near.description())
    asked = bob.request("INVITE")
    to_bob = ports_in(asked)
    bob.pick_up(asked, far.description())
    answer = alice.final(invite)
    alice.acknowledge(invite, answer)
    to_alice = ports_in(answer)
    assert all(to_bob)
    assert all(to_alice)
    assert len({*to_bob, *to_alice}) == 6
    for place, datagram in ((1, PICTURE), (2, UDPTL)):
        # Unchanged: number, SSRC and timestamp of a picture are what its sender wrote.
        assert near.say(place, datagram, to_alice[place], far) == datagram
        assert far.say(place, datagram[::-1], to_bob[place], near) == datagram[::-1]
    assert alice.hang_up(invite, answer).status == 200
    bob.answer(bob.request("BYE"), 200)


def test_policy_refuses_video_and_leaves_the_rest(serve: Serve, phone: Connect, sides: tuple[Sockets, Sockets]) -> None:
    pbx = serve("media: {video: refuse}\n" + CONFIGURATION, PLAN)
    alice, bob = phone(pbx, "101", "wonderland"), phone(pbx, "102", "looking-glass")
    bob.register()
    invite = alice.dial("102", sides[0].description())
    asked = bob.request("INVITE")
    assert [media.kind for media in parser.parse(asked.body).media] == ["audio", "image"]
    bob.answer(asked, 486)
    assert alice.final(invite).status == 486
