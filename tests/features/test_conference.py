"""Conferences among fakes: who may come in, what the engine is told of each, and that nothing is left."""

from __future__ import annotations

import pytest

from pbx.call import events
from pbx.call.commands import Answer, HangUp
from pbx.cause import cause_named
from pbx.dialplan.steps import AnswerStep, ConferenceStep
from pbx.features.conference import Conferences
from pbx.features.conference_step import ConferenceRunner
from pbx.media import commands as engine
from pbx.media import events as media
from tests.support.call_rig import FakeLeg, Rig, phone_sdp


class Hall(Rig):
    """A rig with conferences."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.conferences = Conferences(self.registry.rooms, self.services.now)
        self.services.features["conference"] = lambda call, step: ConferenceRunner(call, step, self.conferences)

    def come(self, step: ConferenceStep, source: str = "extension/101") -> FakeLeg:
        self.plan = (step,)
        return self.incoming(source=source)

    def call_of(self, leg: FakeLeg) -> str:
        return leg.id.partition("-")[0]

    def stream(self, leg: FakeLeg) -> str:
        return f"{self.call_of(leg)}/1"

    def press(self, leg: FakeLeg, keys: str) -> None:
        for key in keys:
            self.registry.on_media([media.Digit(self.stream(leg), key, 100)])
            self.settle()

    def hang_up(self, leg: FakeLeg) -> None:
        self.tell(leg, events.HungUp(leg.id, cause_named("answered-caller-hung-up")))

    def prompt(self, leg: FakeLeg) -> str:
        """The sound that was last played to a leg, and let it end."""
        play = [one for one in self.asked(engine.Play) if one.stream == self.stream(leg)][-1]
        self.registry.on_media([media.PlayEnded(play.stream, play.play)])
        self.settle()
        return play.sounds[0].rpartition("/")[2].removesuffix(".wav")

    def room_sounds(self) -> list[str]:
        return [one.sounds[0] for one in self.asked(engine.Play) if one.stream.endswith("/mix")]

    def roles(self, leg: FakeLeg) -> list[tuple[bool, bool]]:
        return [
            (one.mute, one.deaf)
            for one in self.engine
            if isinstance(one, (engine.Join, engine.SetRole)) and one.stream == self.stream(leg)
        ]

    def assert_nothing_left(self) -> None:
        super().assert_nothing_left()
        assert not self.conferences.all()
        assert len(self.registry.rooms) == 0


def test_two_come_and_go() -> None:
    hall = Hall()
    first = hall.come(ConferenceStep("sales"))
    assert first.last(Answer)
    assert hall.prompt(first) == "conf-onlyperson"
    assert hall.room_sounds() == []
    second = hall.come(ConferenceStep("sales"), "extension/102")
    joins = hall.asked(engine.Join)
    assert [join.stream for join in joins] == [hall.stream(first), hall.stream(second)]
    assert joins[0].mix == joins[1].mix
    assert hall.room_sounds() == ["/sounds/confbridge-join"]
    (conference,) = hall.conferences.all()
    assert [member.call.summary.source for member in conference.members.values()] == ["extension/101", "extension/102"]
    hall.registry.on_media([media.ActiveSpeaker(joins[0].mix, hall.stream(second), -20)])
    assert conference.speaker == hall.call_of(second)
    hall.hang_up(second)
    assert conference.speaker == ""
    assert hall.room_sounds()[1:] == ["/sounds/confbridge-leave"]
    hall.hang_up(first)
    hall.assert_nothing_left()
    assert [summary.cause.slug for summary in hall.ended] == ["answered-caller-hung-up"] * 2


def test_the_engine_hears_of_the_first_member_before_the_room_is_recorded() -> None:
    hall = Hall()
    leg = hall.come(ConferenceStep("board", record=True, announce=False))
    kinds = [type(command).__name__ for command in hall.engine]
    assert kinds.index("Join") < kinds.index("Record")
    record = hall.asked(engine.Record)[0]
    assert record.left == hall.asked(engine.Join)[0].mix
    assert record.path.startswith("/recordings/board-")
    other = hall.come(ConferenceStep("board", record=True, announce=False))
    assert len(hall.asked(engine.Record)) == 1
    assert not hall.asked(engine.Play)
    hall.hang_up(leg)
    assert not hall.asked(engine.StopRecording)
    hall.hang_up(other)
    hall.assert_nothing_left()
    assert hall.recorded == ["running", "complete"]


def test_a_name_leads_nowhere_but_into_the_folder() -> None:
    hall = Hall()
    leg = hall.come(ConferenceStep("../../etc/x", record=True))
    path = hall.asked(engine.Record)[0].path
    assert path.startswith("/recordings/")
    assert "/.." not in path
    assert path.count("/") == 2
    hall.hang_up(leg)
    hall.assert_nothing_left()


def test_recording_at_an_operators_wish() -> None:
    hall = Hall()
    leg = hall.come(ConferenceStep("board"))
    assert hall.conferences.record("board", True)
    assert hall.conferences.all()[0].room.recording
    assert hall.conferences.record("board", False)
    hall.settle()
    assert not hall.conferences.all()[0].room.recording
    assert not hall.conferences.record("other", True)
    hall.hang_up(leg)
    hall.assert_nothing_left()


def test_pin() -> None:
    hall = Hall()
    step = ConferenceStep("sales", pin="1234", moderator_pin="99", announce=False)
    leg = hall.come(step)
    hall.press(leg, "12")
    assert [type(one) for one in hall.engine].count(engine.StopPlaying) == 1  # the prompt is cut short
    hall.press(leg, "34")
    assert not hall.conferences.all()[0].moderated
    moderator = hall.come(step)
    hall.press(moderator, "99#")
    assert hall.conferences.all()[0].moderated
    hall.hang_up(leg)
    hall.hang_up(moderator)
    hall.assert_nothing_left()


@pytest.mark.parametrize("keys", ["1235", "#", "12345678"])
def test_a_wrong_pin_three_times(keys: str) -> None:
    hall = Hall()
    leg = hall.come(ConferenceStep("sales", pin="12345678"))
    assert hall.prompt(leg) == "conf-getpin"
    wrong = keys if keys != "12345678" else "12345679"
    for _ in range(2):
        hall.press(leg, wrong)
        if len(wrong) == 4:
            hall.advance(10)  # what was keyed in counts after a while
        assert hall.prompt(leg) == "conf-invalidpin"
        assert not leg.gone
    hall.press(leg, wrong)
    if len(wrong) == 4:
        hall.advance(10)
    hall.press(leg, "12345678")  # too late
    assert hall.prompt(leg) == "conf-invalidpin"
    assert leg.last(HangUp).cause.slug == "declined"
    assert not hall.asked(engine.Join)
    hall.assert_nothing_left()


def test_a_full_conference() -> None:
    hall = Hall()
    step = ConferenceStep("pair", max_members=2, announce=False)
    inside = [hall.come(step), hall.come(step)]
    late = hall.come(step)
    assert hall.prompt(late) == "conf-full"
    assert late.gone
    assert len(hall.asked(engine.Join)) == 2
    hall.hang_up(inside.pop())
    again = hall.come(step)
    assert len(hall.asked(engine.Join)) == 3
    for leg in (*inside, again):
        hall.hang_up(leg)
    hall.assert_nothing_left()


def test_who_is_refused_goes_on_with_the_next_step() -> None:
    hall = Hall()
    hall.plan = (ConferenceStep("closed", pin="1"), AnswerStep())
    leg = hall.incoming()
    for _ in range(3):
        hall.press(leg, "2")
    hall.prompt(leg)
    assert hall.ended[0].steps == ["conference", "answer"]
    hall.assert_nothing_left()


def test_members_wait_for_the_moderator_and_go_with_it() -> None:
    hall = Hall()
    step = ConferenceStep("class", wait_for_moderator=True, end_with_moderator=True)
    pupil = hall.come(step)
    assert hall.roles(pupil) == [(True, True)]
    teacher = hall.come(ConferenceStep("class", moderator=True, mute=True))
    assert hall.roles(teacher)[0] == (False, False)  # a moderator is never muted
    assert hall.roles(pupil)[-1] == (False, False)
    guest = hall.come(ConferenceStep("class", wait_for_moderator=True))
    hall.hang_up(teacher)
    assert pupil.gone
    assert hall.roles(guest)[-1] == (True, True)
    hall.hang_up(guest)
    hall.assert_nothing_left()


def test_muting() -> None:
    hall = Hall()
    leg = hall.come(ConferenceStep("sales", mute=True, announce=False))
    member = hall.call_of(leg)
    assert hall.roles(leg) == [(True, False)]
    hall.press(leg, "5*6")
    assert hall.prompt(leg) == "conf-now-unmuted"
    assert hall.conferences.mute("sales", member, True)
    hall.press(leg, "*6")  # an operator has muted it
    assert hall.prompt(leg) == "conf-now-muted"
    assert hall.conferences.mute("sales", member, False)
    assert [mute for mute, _ in hall.roles(leg)] == [True, False, True, False]
    assert not hall.conferences.mute("sales", "nobody", True)
    assert not hall.conferences.kick("nowhere", member)
    assert hall.conferences.kick("sales", member)
    assert leg.last(HangUp).cause.slug == "operator"
    hall.assert_nothing_left()


def test_an_operator_ends_it() -> None:
    hall = Hall()
    legs = [hall.come(ConferenceStep("sales")) for _ in range(3)]
    assert hall.conferences.end("sales")
    assert all(leg.gone for leg in legs)
    assert not hall.conferences.end("sales")
    hall.assert_nothing_left()


def test_two_conferences_know_nothing_of_each_other() -> None:
    hall = Hall()
    legs = [hall.come(ConferenceStep(name, announce=False)) for name in ("one", "two")]
    assert len({join.mix for join in hall.asked(engine.Join)}) == 2
    for leg in legs:
        hall.hang_up(leg)
    hall.assert_nothing_left()


def test_hold_and_resume_in_a_conference() -> None:
    hall = Hall()
    leg = hall.come(ConferenceStep("sales", announce=False))
    hall.tell(leg, events.Offered(leg.id, phone_sdp(direction="sendonly", version=2)))
    hall.tell(leg, events.Offered(leg.id, phone_sdp(version=3)))
    assert leg.kinds()[-2:] == ["AcceptOffer", "AcceptOffer"]
    assert not hall.asked(engine.Leave)
    hall.hang_up(leg)
    hall.assert_nothing_left()


def test_without_conferences_the_step_is_not_available() -> None:
    rig = Rig(plan=(ConferenceStep("sales"),))
    rig.incoming()
    assert rig.ended[0].cause.slug == "not-available"
    rig.assert_nothing_left()
