"""Processing of what a peer says, through the engine: what was asked for is done, all else is left alone to the bit.

What it does to speech is measured by `tests/native/c/processing_test.c`.
"""

from __future__ import annotations

import pytest

from pbx.errors import UsageError
from pbx.media.commands import Codec, Connect, Join, Process
from pbx.media.engine import processes_sound
from pbx.media.processing import Processing
from tests.support.desk import ALAW, ULAW, Desk, Phone
from tests.support.sound import alaw_decode, level, tone, tone_share, ulaw_decode, ulaw_encode

UNKNOWN = Codec(96, "AMR", 8000)
QUIET = ulaw_encode(tone(500, 1.2, amplitude=600))

pytestmark = pytest.mark.skipif(not processes_sound(), reason="the engine is built without speexdsp")


@pytest.fixture
def desk():
    with Desk() as made:
        yield made


def couple(desk: Desk, codec: Codec, other: Codec, processing: Processing) -> tuple[Phone, Phone]:
    left, right = desk.phone("a", [codec], ssrc=0xA), desk.phone("b", [other], ssrc=0xB)
    desk.submit(Connect("a", "b"), Process("a", processing))
    desk.counts("a")
    return left, right


@pytest.mark.parametrize("other", [ULAW, ALAW], ids=["the same codec", "a translated one"])
def test_a_quiet_talker_is_lifted(desk: Desk, other: Codec) -> None:
    left, right = couple(desk, ULAW, other, Processing(level=-20))
    left.talk(QUIET)
    heard = b"".join(packet.payload for packet in right.hear_for(0.1))
    samples = ulaw_decode(heard) if other is ULAW else alaw_decode(heard)
    loudest = max((samples[at : at + 800] for at in range(0, len(samples), 800)), key=level)
    assert level(loudest) > 2.6 * level(ulaw_decode(QUIET))
    assert tone_share(loudest, 500) > 0.9
    counts = desk.counts("a")
    assert counts.transcoded_packets == 60
    assert counts.processed >= 1200
    assert counts.voiced > 1000
    assert desk.counts("b").processed == 0


def test_in_a_mix_too(desk: Desk) -> None:
    left, right = desk.phone("a", [ULAW], ssrc=0xA), desk.phone("b", [ULAW], ssrc=0xB)
    desk.submit(Join("a", "room", 8000), Join("b", "room", 8000), Process("a", Processing(level=-20, echo=100)))
    desk.counts("a")
    left.talk(QUIET)
    samples = ulaw_decode(b"".join(packet.payload for packet in right.hear_for(0.1)))
    assert max(level(samples[at : at + 800]) for at in range(0, len(samples), 800)) > 2 * level(ulaw_decode(QUIET))
    assert desk.counts("a").voiced > 1000


def test_without_processing_every_octet_is_relayed(desk: Desk) -> None:
    left, right = couple(desk, ULAW, ULAW, Processing())
    for octet in range(30):
        left.send(bytes([octet]) * 160)
        assert right.hear().payload == bytes([octet]) * 160
    desk.submit(Process("a", Processing(noise=15)), Process("a", Processing()))
    desk.counts("a")
    left.send(bytes(range(160)))
    assert right.hear().payload == bytes(range(160))
    assert desk.counts("a").processed == desk.counts("a").transcoded_packets == 0


def test_what_cannot_be_decoded_is_relayed_all_the_same(desk: Desk) -> None:
    left, right = couple(desk, UNKNOWN, UNKNOWN, Processing(noise=15, echo=200))
    left.send(b"opaque", 96)
    assert right.hear().payload == b"opaque"


def test_the_other_side_is_decoded_where_its_echo_is_looked_for(desk: Desk) -> None:
    _, right = couple(desk, ULAW, ULAW, Processing(echo=200))
    right.talk(QUIET[:3200])
    assert desk.counts("b").transcoded_packets == 20
    assert desk.counts("b").processed == 0


@pytest.mark.parametrize(
    "asked",
    [Processing(level=-41), Processing(level=1), Processing(noise=61), Processing(noise=-1), Processing(echo=5)],
    ids=str,
)
def test_what_is_out_of_bounds_is_refused(desk: Desk, asked: Processing) -> None:
    desk.phone("a")
    with pytest.raises(UsageError):
        desk.submit(Process("a", asked))
