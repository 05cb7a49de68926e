from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.rtp.packet import RtpPacket
from pbx.rtp.telephone_event import DIGITS, DigitListener, TelephoneEvent, press
from tests.support.vectors import vectors


def test_a_real_packet() -> None:
    packet = RtpPacket.parse((vectors("rtp/aiortc") / "rtp_dtmf.bin").read_bytes())
    event = TelephoneEvent.parse(packet.payload)
    assert (packet.marker, packet.payload_type) == (True, 101)
    assert event == TelephoneEvent(1, True, 10, 960)
    assert event.digit == "1"
    assert event.to_bytes() == packet.payload


def test_too_short() -> None:
    with pytest.raises(ParseError):
        TelephoneEvent.parse(b"\x01\x0a\x00")


def test_press_sends_updates_and_three_ends() -> None:
    events = list(press("#", 480, 160))
    assert [(event.event, event.end, event.duration) for event in events] == [
        (11, False, 160),
        (11, False, 320),
        (11, True, 480),
        (11, True, 480),
        (11, True, 480),
    ]


@pytest.mark.parametrize(("digit", "duration"), [("x", 160), ("1", 0), ("1", 65536)])
def test_press_of_no_key(digit: str, duration: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        list(press(digit, duration, 160))


@given(st.text(DIGITS, min_size=1, max_size=6), st.data())
def test_every_press_is_heard_once_under_loss(digits: str, data: st.DataObject) -> None:
    """Whatever is lost, as long as one packet of each press arrives."""
    listener = DigitListener()
    heard: list[str] = []
    for number, digit in enumerate(digits):
        events = list(press(digit, 800, 160))
        kept = data.draw(st.lists(st.sampled_from(range(len(events))), min_size=1, unique=True).map(sorted))
        for index in kept:
            heard += [key for key, _ in listener.hear(number * 8000, events[index].to_bytes())]
    heard += [key for key, _ in listener.other()]
    assert "".join(heard) == digits


def test_late_repeat_of_an_end_does_not_end_the_next_press() -> None:
    listener = DigitListener()
    end = TelephoneEvent(1, True, 10, 800).to_bytes()
    assert listener.hear(0, end) == [("1", 800)]
    assert listener.hear(8000, TelephoneEvent(2, False, 10, 160).to_bytes()) == []
    assert listener.hear(0, end) == []
    assert listener.hear(8000, TelephoneEvent(2, True, 10, 320).to_bytes()) == [("2", 320)]


def test_an_event_that_is_no_key_is_not_told() -> None:
    assert DigitListener().hear(0, TelephoneEvent(16, True, 10, 800).to_bytes()) == []  # hook flash
