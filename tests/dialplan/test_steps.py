from __future__ import annotations

from pbx.cause import cause_named, causes
from pbx.dialplan.steps import OUTCOMES, AnswerStep, DialStep, EchoStep, Target, outcome_of


def test_every_cause_is_an_outcome() -> None:
    for cause in causes():
        assert outcome_of(cause) in OUTCOMES
    assert outcome_of(cause_named("busy")) == "busy"
    assert outcome_of(cause_named("no-answer")) == "unanswered"
    assert outcome_of(cause_named("unreachable")) == "unavailable"
    assert outcome_of(cause_named("callee-failed")) == "failed"


def test_after() -> None:
    target = Target("extension", "1", "1")
    assert DialStep((target,), "1").after(cause_named("busy")) is None
    step = DialStep((target,), "1", on={"busy": (), "any": (EchoStep(),)})
    assert step.after(cause_named("busy")) == ()
    assert step.after(cause_named("declined")) == (EchoStep(),)
    assert DialStep((target,), "1", on={"busy": (AnswerStep(),)}).after(cause_named("declined")) is None


def test_targets_read_as_they_are_written() -> None:
    assert str(Target("trunk", "a", "1")) == "trunk/a"
    assert str(Target("uri", "sip:a@b", "a")) == "sip:a@b"
