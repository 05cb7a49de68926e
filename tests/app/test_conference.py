"""Conferences and supervision through a whole server: what phones hear of each other's tones."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from pbx.call.supervision import Mode
from pbx.dialplan.steps import Target
from pbx.sdp import parser
from pbx.sip.message import Request, Response
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Serve, sdp
from tests.support.sound import tone, tone_power, ulaw_decode, ulaw_encode

PLAN = """
routes:
  - {name: room, when: {number: "800"}, do: [{conference: sales, announce: false, record: true}]}
  - {name: phones, when: {number: "1XX"}, do: [{dial: "extension/{number}"}]}
"""
PHONES = """
extensions:
  "101": {password: a}
  "102": {password: b}
  "103": {password: c}
"""
TONES = {"101": 400, "102": 700, "103": 1000}
LOUD, SILENT = 2500, 500


class Audio:
    """One phone's sound: a tone out, and what comes in."""

    def __init__(self, user: str) -> None:
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((LOOPBACK, 0))
        self.rtp.setblocking(False)
        self.port = self.rtp.getsockname()[1]
        self.payload = ulaw_encode(tone(TONES[user], 0.02))
        self.to = ("", 0)
        self.number = self.shift = 0
        self.heard = b""

    def aim(self, message: Request | Response) -> None:
        description = parser.parse(message.body)
        connection = description.media[0].connection or description.connection
        assert connection is not None
        self.to = (connection.address, description.media[0].port)

    def _timestamp(self) -> int:
        return (self.number * 160 + self.shift) & 0xFFFFFFFF

    def turn(self) -> None:
        self.number += 1
        header = struct.pack("!BBHII", 0x80, 0, self.number, self._timestamp(), self.port)
        self.rtp.sendto(header + self.payload, self.to)
        while True:
            try:
                data = self.rtp.recv(2000)
            except BlockingIOError:
                return
            if not 192 <= data[1] <= 223:
                self.heard += data[12:]


Talk = Callable[..., dict[str, str]]


@pytest.fixture
def audio() -> Iterator[Callable[[str], Audio]]:
    made: list[Audio] = []

    def make(user: str) -> Audio:
        made.append(Audio(user))
        return made[-1]

    yield make
    for one in made:
        one.rtp.close()


def talk(world: World, phones: dict[str, Audio], turns: int = 60) -> dict[str, str]:
    """Return whose tones each phone hears, a letter each."""
    due = time.monotonic()
    for one in phones.values():
        one.heard, one.shift = b"", round(due * 8000) - (one.number + 1) * 160  # its clock goes on while it is silent
    for _ in range(turns):
        for one in phones.values():
            one.turn()
        due += 0.02
        world.run(max(0.001, due - time.monotonic()))
    return {user: _whom(ulaw_decode(one.heard[-3200:])) for user, one in phones.items()}


def _whom(samples: list[int]) -> str:
    heard = []
    for user, frequency in TONES.items():
        pieces = sorted(tone_power(samples[at : at + 400], frequency) for at in range(0, len(samples) - 399, 400))
        middle = pieces[len(pieces) // 2] if pieces else 0.0
        assert middle < SILENT or middle > LOUD, f"{user}: {middle}"
        if middle > LOUD:
            heard.append(user[-1])
    return "".join(heard)


def test_three_phones_in_a_conference(
    serve: Serve, phone: Connect, audio: Callable[[str], Audio], world: World
) -> None:
    pbx = serve(PHONES, PLAN)
    sounds: dict[str, Audio] = {}
    calls = []
    for user, password in (("101", "a"), ("102", "b"), ("103", "c")):
        one = phone(pbx, user, password)
        sounds[user] = audio(user)
        invite = one.dial("800", sdp(sounds[user].port, "0 101"))
        answer = one.final(invite)
        assert answer.status == 200
        one.acknowledge(invite, answer)
        sounds[user].aim(answer)
        calls.append((one, invite, answer))
    assert talk(world, sounds) == {"101": "23", "102": "13", "103": "12"}
    (conference,) = pbx.server.conferences.all()
    assert len(conference.members) == 3
    third = next(one.id for one in conference.members.values() if one.call.summary.source == "extension/103")
    assert pbx.server.conferences.mute("sales", third, True)
    assert talk(world, sounds) == {"101": "2", "102": "1", "103": "12"}
    for one, invite, answer in calls:
        assert one.hang_up(invite, answer).status == 200
    world.until(lambda: not len(pbx.server.registry) and not len(pbx.server.registry.rooms))
    assert not pbx.server.conferences.all()
    assert pbx.server.engine.counters().mixes == 0
    folder = pbx.server.settings.storage.recordings_directory
    (recording,) = folder.rglob("*.wav")
    assert "sales" in recording.name
    assert recording.stat().st_size > 20_000


def test_a_supervisor_listens_whispers_and_barges_in(
    serve: Serve, phone: Connect, audio: Callable[[str], Audio], world: World
) -> None:
    pbx = serve(PHONES, PLAN)
    alice, bob, boss = (phone(pbx, user, password) for user, password in (("101", "a"), ("102", "b"), ("103", "c")))
    sounds = {user: audio(user) for user in TONES}
    assert bob.register().status == 200
    assert boss.register().status == 200
    invite = alice.dial("102", sdp(sounds["101"].port, "0 101"))
    called = bob.request("INVITE")
    sounds["102"].aim(called)
    bob.pick_up(called, sdp(sounds["102"].port, "0 101"))
    answer = alice.final(invite)
    alice.acknowledge(invite, answer)
    sounds["101"].aim(answer)
    (call,) = pbx.server.registry.all()
    pbx.server.registry.supervise(call.call, Target("extension", "103", "103"), Mode.LISTEN)
    rung = boss.request("INVITE")
    sounds["103"].aim(rung)
    boss.pick_up(rung, sdp(sounds["103"].port, "0 101"))
    assert talk(world, sounds) == {"101": "2", "102": "1", "103": "12"}
    pbx.server.registry.supervise(call.call, Target("extension", "103", "103"), Mode.WHISPER)
    assert talk(world, sounds) == {"101": "2", "102": "13", "103": "12"}
    pbx.server.registry.supervise(call.call, Target("extension", "103", "103"), Mode.BARGE)
    assert talk(world, sounds) == {"101": "23", "102": "13", "103": "12"}
    assert alice.hang_up(invite, answer).status == 200
    world.until(lambda: not len(pbx.server.registry))
    assert pbx.server.engine.counters().mixes == 0
