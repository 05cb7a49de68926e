"""Verdicts on what real packets do to a real engine; those that need NAT, routes or firewalls are in `tests/peers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pbx.media.commands import Codec, Connect
from pbx.media.events import StreamStatistics
from pbx.media.verdict import Facts, Finding, Window, receiving, sending
from pbx.rtp.rtcp import ReceiverReport, ReportBlock, to_bytes
from pbx.rtp.stun import BINDING, MessageClass, StunMessage
from tests.support.desk import ALAW, EVENT, ULAW, Desk, Phone

SOUND = bytes(range(160))
AMR = Codec(98, "AMR", 8000)
NOISE = Codec(13, "CN", 8000)
AWAY = "192.0.2.1"
"""TEST-NET-1: nobody is there."""


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as made:
        yield made


def facts(phone: Phone, *codecs: Codec, said: str | None = None) -> Facts:
    address = f"{phone.address}:{phone.port}" if said is None else said
    return Facts(said=address, codecs=tuple((codec.payload_type, codec.name) for codec in codecs or (ULAW, EVENT)))


def meanwhile(desk: Desk, stream: str, known: Facts, happens: Callable[[], object]) -> Window:
    """Return what something does to a stream's counts."""
    before = desk.counts(stream)
    happens()
    return Window(before, desk.counts(stream), 5.0, known)


def speak(phone: Phone, packets: int = 40, payload: bytes = SOUND) -> None:
    for _ in range(packets):
        phone.send(payload)


def away(desk: Desk) -> Phone:
    """Return a phone that has said another address than it sends from."""
    phone = desk.phone("a", settle=False)
    desk.set_remote("a", phone, address=AWAY, port=4000, rtcp_address=AWAY, rtcp_port=4001)
    return phone


def other(desk: Desk, of: Phone) -> Phone:
    """Return a socket of somebody else that sends to the same port of ours."""
    stranger = Phone(ssrc=0x7777)
    desk.phones.append(stranger)
    stranger.to = of.to
    return stranger


def test_latched_wrong(desk: Desk) -> None:
    """A stranger was quicker than the peer, and has gone."""
    peer = away(desk)
    stranger = other(desk, peer)
    speak(stranger, 5)
    known = facts(peer, said=f"{AWAY}:4000")
    window = meanwhile(desk, "a", known, lambda: speak(peer))
    assert receiving(window) is Finding.LATCHED_WRONG
    assert window.after.source == f"127.0.0.1:{stranger.port}"
    assert window.after.stranger == f"127.0.0.1:{peer.port}"


def test_stun_only(desk: Desk) -> None:
    phone = desk.phone("a")
    check = StunMessage(MessageClass.REQUEST, BINDING, bytes(12)).to_bytes(key=b"secret", fingerprint=True)
    window = meanwhile(desk, "a", facts(phone), lambda: [phone.send_raw(check) for _ in range(5)])
    assert receiving(window) is Finding.STUN_ONLY


def test_quiet(desk: Desk) -> None:
    """Comfort noise came last, and nothing since."""
    phone = desk.phone("a", (ULAW, NOISE))
    speak(phone)
    phone.send(b"\x40", 13)
    known = facts(phone, ULAW, NOISE)
    assert receiving(meanwhile(desk, "a", known, lambda: None)) is Finding.QUIET
    assert receiving(meanwhile(desk, "a", known, lambda: speak(phone))) is Finding.FLOWING
    assert receiving(meanwhile(desk, "a", known, lambda: None)) is Finding.STOPPED


def relayed(desk: Desk, *codecs: Codec, **remote: object) -> tuple[Phone, Phone, Callable[[], object]]:
    """Return two phones that are connected, and how the first one speaks to the second."""
    left = desk.phone("a")
    right = desk.phone("b", codecs or (ULAW, EVENT), **remote)  # type: ignore[arg-type]
    desk.submit(Connect("a", "b"))
    desk.counts("a")
    return left, right, lambda: (speak(left), desk.counts("a"))


def fed(desk: Desk, left: Phone, right: Facts, speaks: Callable[[], object]) -> tuple[Window, Finding]:
    """Return what happens to the second phone's stream while the first one speaks, and how that one is heard."""
    before = desk.counts("a")
    window = meanwhile(desk, "b", right, speaks)
    return window, receiving(Window(before, desk.counts("a"), 5.0, facts(left)))


@pytest.mark.parametrize(("reported", "found"), [(40, Finding.LOST), (36, Finding.LOST), (10, Finding.FLOWING)])
def test_lost(desk: Desk, reported: int, found: Finding) -> None:
    left, right, speaks = relayed(desk)

    def speaks_and_is_told_of() -> None:
        speaks()
        block = ReportBlock(right.hear().ssrc, 255, reported, 0, 0)
        right.rtcp.sendto(to_bytes([ReceiverReport(right.ssrc, (block,))]), (right.to[0], right.to[1] + 1))

    window, feed = fed(desk, left, facts(right), speaks_and_is_told_of)
    assert feed is Finding.FLOWING
    assert sending(window, feed) is found


def test_not_carried(desk: Desk) -> None:
    """AMR here, PCMU there, and no way from one to the other."""
    left, right, speaks = relayed(desk, AMR)
    window, feed = fed(desk, left, facts(right, AMR), speaks)
    assert (feed, sending(window, feed)) == (Finding.FLOWING, Finding.NOT_CARRIED)


def test_nowhere(desk: Desk) -> None:
    """A description with port zero in its place, as of a peer whose address is still to come."""
    left, right, speaks = relayed(desk, port=0)
    window, feed = fed(desk, left, facts(right, said=""), speaks)
    assert (feed, sending(window, feed)) == (Finding.FLOWING, Finding.NOWHERE)
    # Its own audio tells where it is.
    speak(right, 5)
    window, feed = fed(desk, left, facts(right, said=""), speaks)
    assert sending(window, feed) is Finding.FLOWING


def test_unsendable(desk: Desk) -> None:
    """Our own system refuses to send to a broadcast address."""
    left, right, speaks = relayed(desk, address="255.255.255.255")
    window, feed = fed(desk, left, facts(right, said="255.255.255.255:4000"), speaks)
    assert sending(window, feed) is Finding.UNSENDABLE


@pytest.mark.parametrize("codecs", [(ULAW,), (ALAW,)])
def test_silent(desk: Desk, codecs: tuple[Codec, ...]) -> None:
    phone = desk.phone("a", codecs)
    payload, number = bytes([0xFF if codecs == (ULAW,) else 0xD5]) * 160, codecs[0].payload_type
    window = meanwhile(desk, "a", facts(phone, *codecs), lambda: [phone.send(payload, number) for _ in range(40)])
    assert receiving(window) is Finding.SILENT
    assert window.before == StreamStatistics()
