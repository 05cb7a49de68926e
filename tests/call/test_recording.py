"""The recording of two who talk: what policy, keys and operators make of it. And the music that is heard on hold."""

from __future__ import annotations

import pytest

from pbx.call import events
from pbx.call.commands import AcceptOffer, Offer
from pbx.call.ports import CallSettings
from pbx.cause import cause_named
from pbx.dialplan.steps import DialStep, PlayStep, Recording
from pbx.media import commands as engine
from pbx.media import events as media
from tests.support.call_rig import FakeLeg, Rig, phone_sdp, targets

GONE = cause_named("answered-caller-hung-up")


def talking(record: Recording | None = None, default: Recording | None = None, **more) -> tuple[Rig, FakeLeg]:
    rig = Rig(
        plan=(DialStep(targets("extension/102"), "102", record=record),),
        phones={"extension/102": 1},
        settings=CallSettings(recording=default or Recording()),
        **more,
    )
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    return rig, caller


def told(rig: Rig, *what: media.Event) -> None:
    rig.registry.on_media(list(what))
    rig.settle()


def over(rig: Rig, caller: FakeLeg):
    rig.tell(caller, events.HungUp(caller.id, GONE))
    rig.assert_nothing_left()
    return rig.ended[0].recordings


def plays(rig: Rig) -> list[engine.Play]:
    return rig.asked(engine.Play)


def test_policy_comes_from_the_route_and_else_from_the_server() -> None:
    default = Recording(format="flac", channels="mixed")
    rig, caller = talking(Recording(channels="stereo"), default)
    (record,) = rig.asked(engine.Record)
    assert (record.format, record.mixed) == ("flac", False)
    assert record.path == "/recordings/c0.flac"
    assert [one.status for one in over(rig, caller)] == ["complete"]


def test_the_announcement_comes_first_and_is_heard_by_both() -> None:
    rig, caller = talking(Recording(announce="this-call-may-be"))
    assert not rig.asked(engine.Record)
    one, other = plays(rig)
    assert one.sounds == other.sounds == ("/sounds/this-call-may-be",)
    assert one.stream != other.stream
    told(rig, media.PlayEnded(one.stream, one.play))
    assert not rig.asked(engine.Record)
    told(rig, media.PlayEnded(other.stream, other.play))
    assert len(rig.asked(engine.Record)) == 1
    over(rig, caller)


@pytest.mark.parametrize("failure", ["continue", "end"])
def test_an_announcement_that_cannot_be_played_is_a_recording_that_failed(failure: str) -> None:
    rig, caller = talking(Recording(failure, announce="gone"))
    told(rig, media.PlayEnded(plays(rig)[0].stream, plays(rig)[0].play, "No such file or directory"))
    told(rig, media.PlayEnded(plays(rig)[1].stream, plays(rig)[1].play, "No such file or directory"))
    assert not rig.asked(engine.Record)
    assert caller.gone is (failure == "end")
    recordings = rig.ended[0].recordings if caller.gone else over(rig, caller)
    assert [one.status for one in recordings] == ["failed"]
    assert "gone cannot be played" in recordings[0].failure
    rig.assert_nothing_left()


def test_a_key_pauses_and_resumes_and_the_pause_is_noted() -> None:
    rig, caller = talking(Recording(pause_digit="*"))
    (record,) = rig.asked(engine.Record)
    told(rig, media.Digit(record.right, "5", 100), media.Digit(record.right, "*", 100))
    told(rig, media.Digit(record.left, "*", 100))
    assert [one.paused for one in rig.asked(engine.PauseRecording)] == [True, False]
    told(rig, media.Digit(record.left, "*", 100))
    (recording,) = over(rig, caller)
    assert len(recording.pauses) == 2
    assert all(end is not None for _, end in recording.pauses)  # the last one ends with the call


def test_an_operator_starts_stops_pauses_and_resumes() -> None:
    rig, caller = talking()
    record = rig.registry.record
    with pytest.raises(LookupError):
        record("nothing", "start")
    assert record("c0", "stop") == record("c0", "pause") == "it is not being recorded"
    assert record("c0", "start") == ""
    assert record("c0", "start") == "it is being recorded already"
    assert record("c0", "resume") == "its recording is not paused"
    assert record("c0", "pause") == ""
    assert record("c0", "pause") == "its recording is paused already"
    assert record("c0", "resume") == ""
    assert record("c0", "stop") == ""
    rig.settle()
    assert record("c0", "start") == ""
    assert len({one.path for one in rig.asked(engine.Record)}) == 2
    assert [one.status for one in over(rig, caller)] == ["complete", "complete"]


def test_nobody_to_record_yet() -> None:
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1})
    caller = rig.incoming()
    assert rig.registry.record("c0", "start") == "nobody is connected in this call yet"
    rig.tell(caller, events.HungUp(caller.id, GONE))
    rig.assert_nothing_left()


def test_a_beep_is_heard_by_both_as_long_as_it_records() -> None:
    rig, caller = talking(Recording(beep=15.0))
    assert len(plays(rig)) == 2
    assert {play.sounds for play in plays(rig)} == {("tone:1400/200",)}
    rig.advance(15.0)
    assert len(plays(rig)) == 4
    assert rig.registry.record("c0", "pause") == ""
    rig.advance(15.0)
    assert len(plays(rig)) == 4
    assert rig.registry.record("c0", "resume") == ""
    assert len(plays(rig)) == 6
    assert rig.registry.record("c0", "stop") == ""
    rig.advance(60.0)
    assert len(plays(rig)) == 6
    over(rig, caller)


@pytest.mark.parametrize("failure", ["continue", "end"])
def test_a_slow_disk_ends_the_call_only_if_policy_says_so(failure: str) -> None:
    rig, caller = talking(Recording(failure))
    (record,) = rig.asked(engine.Record)
    told(rig, media.RecordingBehind(record.recording))
    assert caller.gone is (failure == "end")
    recordings = rig.ended[0].recordings if caller.gone else over(rig, caller)
    assert "too slow" in recordings[0].note
    rig.assert_nothing_left()


def test_a_conversion_is_waited_for_as_long_as_the_engine_says_that_it_comes() -> None:
    rig, caller = talking(Recording(format="opus"))
    (record,) = rig.asked(engine.Record)
    rig.engine_is_slow = True
    rig.tell(caller, events.HungUp(caller.id, GONE))
    for _ in range(5):
        rig.clock.advance(4.0)
        rig.registry.on_media([media.RecordingFinishing(record.recording)])
    assert len(rig.registry) == 1
    rig.engine_is_slow = False
    rig.settle()
    rig.assert_nothing_left()
    assert rig.ended[0].recordings[0].status == "complete"


def test_a_recording_that_stays_a_wav_says_so() -> None:
    rig, caller = talking(Recording(format="flac"))
    (record,) = rig.asked(engine.Record)
    told(rig, media.RecordingEnded(record.recording, "/recordings/c0.wav", 10, 20, "ab", 0, "No space left on device"))
    (recording,) = over(rig, caller)
    assert (recording.path, recording.note) == ("/recordings/c0.wav", "No space left on device")


# -- playing


def test_a_key_ends_the_list_and_not_the_route() -> None:
    rig = Rig(plan=(PlayStep(("menu",), repeat=3, stopped_by="12", volume=-6), PlayStep(("next",))))
    caller = rig.incoming("601")
    (first,) = plays(rig)
    assert (first.stopped_by, first.volume, first.loop) == ("12", -6, False)
    told(rig, media.PlayEnded(first.stream, first.play, digit="2"))
    assert plays(rig)[-1].sounds == ("/sounds/next",)
    rig.tell(caller, events.HungUp(caller.id, GONE))
    rig.assert_nothing_left()


def test_a_list_is_repeated_and_a_limit_ends_it() -> None:
    rig = Rig(plan=(PlayStep(("tone",), repeat=2), PlayStep(("for ever",), repeat=0, limit=5.0)))
    rig.incoming("601")
    for _ in range(2):
        last = plays(rig)[-1]
        told(rig, media.PlayEnded(last.stream, last.play))
    assert len(plays(rig)) == 3
    assert plays(rig)[-1].loop
    rig.advance(5.0)
    assert len(rig.asked(engine.StopPlaying)) == 1
    rig.assert_nothing_left()


# -- music on hold


def hold(rig: Rig, holder: FakeLeg, held: FakeLeg, direction: str, version: int = 2) -> None:
    """One side offers a direction, the other answers to what it is offered."""
    rig.tell(
        holder,
        events.Offered(holder.id, phone_sdp(4000 if holder.id.endswith("0") else 6000, "0 101", direction, version)),
    )
    offered = held.last(Offer).sdp
    answer = {"sendonly": "recvonly", "inactive": "inactive", "sendrecv": "sendrecv"}
    wanted = offered.direction_of(offered.media[0]).value
    rig.tell(held, events.OfferAnswered(held.id, phone_sdp(5000, "0 101", answer[wanted], version), is_offer=False))


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_who_is_put_on_hold_hears_music_until_that_ends(direction: str) -> None:
    rig, caller = talking(music=("/moh/a.wav", "/moh/b.wav"))
    callee = rig.leg(1)
    hold(rig, caller, callee, direction)
    offered = callee.last(Offer).sdp
    assert offered.direction_of(offered.media[0]).value == "sendonly"
    answered = caller.last(AcceptOffer).sdp
    assert not answered.direction_of(answered.media[0]).sends
    (music,) = plays(rig)
    assert (music.sounds, music.shared) == (("/moh/a.wav", "/moh/b.wav"), True)
    hold(rig, caller, callee, "sendrecv", 3)
    assert [stop.play for stop in rig.asked(engine.StopPlaying)] == [music.play]
    assert len(plays(rig)) == 1
    over(rig, caller)


def test_a_trunk_that_holds_sends_its_own_music() -> None:
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1}, music=("/moh/a.wav",))
    caller = rig.incoming(source="trunk/carrier")
    rig.answer(rig.leg(1))
    hold(rig, caller, rig.leg(1), "sendonly")
    assert not plays(rig)
    over(rig, caller)


def test_no_music_is_silence() -> None:
    rig, caller = talking()
    hold(rig, caller, rig.leg(1), "inactive")
    offered = rig.leg(1).last(Offer).sdp
    assert offered.direction_of(offered.media[0]).value == "inactive"
    assert not plays(rig)
    over(rig, caller)
