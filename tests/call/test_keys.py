"""Keys between legs that have them different ways: whole calls among fakes, on a stepped clock."""

from __future__ import annotations

import itertools

import pytest

from pbx.call import events
from pbx.call.commands import Inform
from pbx.call.key_filter import KeyFilter, Way
from pbx.dialplan.steps import DialStep, Recording, RecordStep
from pbx.media import commands as engine
from pbx.media import events as media
from pbx.media.keys import DtmfMode
from tests.call.test_transfer import Office
from tests.support.call_rig import FakeLeg, Rig, phone_sdp, targets

_WAYS = {"auto": DtmfMode.AUTO, "rfc4733": DtmfMode.RFC4733, "info": DtmfMode.INFO, "inband": DtmfMode.INBAND}
_THREE = ("rfc4733", "info", "inband")
_RELAY = "0123456789*#ABCD"


def rig_of(caller_way: str, callee_way: str) -> Rig:
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1})
    rig.dtmf_modes = {"extension/101": _WAYS[caller_way], "extension/102": _WAYS[callee_way]}
    return rig


def talking(caller_way: str, callee_way: str) -> tuple[Rig, FakeLeg, FakeLeg]:
    rig = rig_of(caller_way, callee_way)
    formats = {"rfc4733": "0 101", "info": "0", "inband": "0"}
    caller = rig.incoming(offer=phone_sdp(4000, formats[caller_way]))
    callee = rig.leg(1)
    rig.answer(callee, phone_sdp(6000, formats[callee_way]))
    return rig, caller, callee


def stream_of(rig: Rig, leg: FakeLeg) -> str:
    call = rig.registry.find(leg.id)
    assert call is not None
    return call.session.stream_of(leg.id)


def press(rig: Rig, leg: FakeLeg, way: str, digit: str, milliseconds: int, *, relayed: bool = False) -> None:
    """Press and let go a key, and tell of it as a phone of this `way` does."""
    rig.advance(milliseconds / 1000)
    if way == "info":
        body = f"Signal={digit}\r\nDuration={milliseconds}\r\n".encode()
        rig.tell(leg, events.Informed(leg.id, "INFO", "application/dtmf-relay", body))
    else:
        rig.registry.on_media([media.Digit(stream_of(rig, leg), digit, milliseconds, relayed)])
        rig.settle()


def sent(rig: Rig, leg: FakeLeg) -> list[tuple[str, str, int]]:
    """Return what a leg was sent: by which way, which key, how long."""
    stream = stream_of(rig, leg)
    by_info = [command for command in leg.heard if isinstance(command, Inform)]
    found = []
    for one in by_info:
        signal, duration = (line.partition("=")[2] for line in one.body.decode().split())
        found.append(("info", signal, int(duration)))
    by_media = [one for one in rig.asked(engine.SendDigits) if one.stream == stream]
    return found + [("media", one.digits, one.duration) for one in by_media]


@pytest.mark.parametrize(("one", "other"), list(itertools.product(_THREE, _THREE)))
def test_matrix(one: str, other: str) -> None:
    """Every key once, dialled fast, at its duration; what the engine carries by itself is not sent again."""
    rig, caller, callee = talking(one, other)
    carried = one == other and one != "info"
    for digit in _RELAY:
        press(rig, caller, one, digit, 50, relayed=carried and one == "rfc4733")
        rig.advance(0.05)
    rig.advance(1)
    way = "info" if other == "info" else "media"
    assert sent(rig, callee) == ([] if carried else [(way, digit, 50) for digit in _RELAY])
    assert not sent(rig, caller)
    rig.registry.end_all()
    rig.assert_nothing_left()


@pytest.mark.parametrize(("pressed", "lasts"), [(10, 40), (3000, 3000), (20000, 5000)])
def test_a_key_lasts_as_long_as_it_was_held_within_reason(pressed: int, lasts: int) -> None:
    rig, caller, callee = talking("info", "rfc4733")
    press(rig, caller, "info", "5", pressed)
    assert sent(rig, callee) == [("media", "5", lasts)]
    rig.registry.end_all()
    rig.assert_nothing_left()


@pytest.mark.parametrize("first", ["info", "rfc4733"])
@pytest.mark.parametrize("relayed", [True, False])
def test_a_phone_that_tells_a_key_both_ways_has_pressed_it_once(first: str, relayed: bool) -> None:
    rig, caller, callee = talking("rfc4733", "rfc4733" if relayed else "inband")
    second = "rfc4733" if first == "info" else "info"
    for digit in "11#":
        for way in (first, second):
            body = f"Signal={digit}\r\nDuration=100\r\n".encode()
            if way == "info":
                rig.tell(caller, events.Informed(caller.id, "INFO", "application/dtmf-relay", body))
            else:
                press(rig, caller, way, digit, 20, relayed=relayed)
        rig.advance(0.08)
    rig.advance(1)
    assert [digit for _, digit, _ in sent(rig, callee)] == ([] if relayed else ["1", "1", "#"])
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_info_of_a_phone_that_has_events_and_does_not_use_them_is_sent_as_events() -> None:
    rig, caller, callee = talking("rfc4733", "rfc4733")
    press(rig, caller, "info", "7", 160)
    press(rig, caller, "info", "8", 100)
    assert not sent(rig, callee)
    rig.advance(1)
    assert sent(rig, callee) == [("media", "7", 160), ("media", "8", 100)]
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_automatic_is_info_where_the_peer_allows_it_and_tones_elsewhere() -> None:
    for allows, way in ((True, "info"), (False, "media")):
        rig, caller, callee = talking("info", "rfc4733")
        rig.registry.end_all()
        rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1})
        caller = rig.incoming(offer=phone_sdp(4000, "0"))
        callee = rig.leg(1)
        callee.takes_info = allows
        rig.answer(callee, phone_sdp(6000, "0"))
        press(rig, caller, "info", "9", 100)
        assert sent(rig, callee) == [(way, "9", 100)]
        rig.registry.end_all()
        rig.assert_nothing_left()


def test_a_key_by_info_ends_a_recording_and_what_is_played() -> None:
    rig = Rig(plan=(RecordStep("note", beep=False),))
    caller = rig.incoming(offer=phone_sdp(4000, "0"))
    press(rig, caller, "info", "#", 100)
    assert len(rig.asked(engine.StopRecording)) == 1
    assert [one.digit for one in rig.asked(engine.TakeDigit)] == ["#"]
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_a_key_by_info_pauses_the_recording_of_a_talk() -> None:
    rig = Rig(
        plan=(DialStep(targets("extension/102"), "102", record=Recording(pause_digit="*")),),
        phones={"extension/102": 1},
    )
    caller = rig.incoming(offer=phone_sdp(4000, "0"))
    rig.answer(rig.leg(1), phone_sdp(6000, "0"))
    press(rig, caller, "info", "*", 100)
    assert [one.paused for one in rig.asked(engine.PauseRecording)] == [True]
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_tones_are_listened_for_only_where_somebody_needs_them() -> None:
    rig, caller, callee = talking("inband", "inband")
    state = {one.stream: one.on for one in rig.asked(engine.HearDigits)}
    assert state == {stream_of(rig, leg): False for leg in (caller, callee)}
    rig.registry.end_all()
    rig, caller, _ = talking("inband", "rfc4733")
    assert {(one.stream, one.on) for one in rig.asked(engine.HearDigits)} == {(stream_of(rig, caller), True)}
    rig.registry.end_all()
    rig.assert_nothing_left()


@pytest.mark.parametrize(
    ("other", "takes_info", "clamp"),
    [
        ("rfc4733", False, "events"),
        ("auto", False, "events"),
        ("auto", True, "always"),
        ("rfc4733", True, "always"),
        ("info", False, "always"),
    ],
)
@pytest.mark.parametrize("presses", ["caller", "callee"])
def test_tones_are_kept_from_whom_the_key_is_told_another_way(
    other: str, takes_info: bool, clamp: str, presses: str
) -> None:
    rig = rig_of("inband", other) if presses == "caller" else rig_of(other, "inband")
    caller = rig.incoming()
    callee = rig.leg(1)
    presser, told = (caller, callee) if presses == "caller" else (callee, caller)
    told.takes_info = takes_info
    assert [one.clamp for one in rig.asked(engine.HearDigits)] == ["never"], "nobody is told before the answer"
    rig.answer(callee)
    last = rig.asked(engine.HearDigits)[-1]
    assert (last.stream, last.on, last.clamp) == (stream_of(rig, presser), True, clamp)
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_they_go_on_to_a_side_that_has_tones_as_well() -> None:
    rig, _, _ = talking("inband", "inband")
    assert {one.clamp for one in rig.asked(engine.HearDigits)} == {"never"}
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_who_is_transferred_is_heard_until_somebody_answers() -> None:
    """Whom it is led to is told of no keys before that, and may want them: a calling card's number, for instance."""
    office = Office()
    office.dtmf_modes = {"extension/102": DtmfMode.INBAND}
    caller, callee = office.talk()
    stream = office.registry.find(callee.id).session.stream_of(callee.id)

    def clamps() -> list[str]:
        return [one.clamp for one in office.asked(engine.HearDigits) if one.stream == stream]

    assert clamps() == ["never", "events"]
    office.refer(caller, "103")
    assert clamps() == ["never", "events", "never"]
    office.answer(office.leg(2), phone_sdp(7000, "0 101"))
    assert clamps()[-1] == "events"
    office.end()


def test_what_is_configured_is_what_is_negotiated() -> None:
    rig, caller, callee = talking("info", "rfc4733")
    dial = callee.heard[0]
    assert "telephone-event" in str(dial)
    rig.registry.end_all()
    rig, caller, callee = talking("rfc4733", "info")
    assert "telephone-event" not in str(callee.heard[0])
    assert "telephone-event" in str(caller.heard[-1])
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_the_filter_pairs_signs_of_one_press() -> None:
    keys = KeyFilter(0.1)
    assert not keys.is_repeat("a", Way.INFO, "1", 1.0, 1.0)
    assert keys.is_repeat("a", Way.MEDIA, "1", 0.95, 1.1)
    assert not keys.is_repeat("a", Way.MEDIA, "1", 1.15, 1.2), "the sign by INFO has been paired"
    assert not keys.is_repeat("b", Way.INFO, "1", 1.2, 1.2), "another leg"
    assert not keys.is_repeat("a", Way.INFO, "2", 1.2, 1.2), "another key"
    assert not keys.is_repeat("a", Way.INFO, "1", 1.31, 1.31), "too late"
