"""Whole calls among fakes: what each side is told, what the engine is asked, what the record says, and that nothing is
left."""

from __future__ import annotations

import pytest

from pbx.call import events
from pbx.call.commands import AcceptOffer, Answer, DeclineOffer, Dial, HangUp, Inform, Offer, Progress, Reject
from pbx.call.ports import CallSettings
from pbx.call.registry import Limits
from pbx.cause import EndCause, cause_named, cause_of_status
from pbx.dialplan.steps import (
    RECORDED,
    AnswerStep,
    DialStep,
    EchoStep,
    PlayStep,
    Recording,
    RecordStep,
    RejectStep,
    VoicemailStep,
    WaitStep,
)
from pbx.failover import parse_next_on
from pbx.media import commands as engine
from pbx.media import events as media
from pbx.sdp.model import Direction
from tests.support.call_rig import Rig, phone_sdp, targets
from tests.support.compiled import interpreted_only


def office(**dial: object) -> Rig:
    step = DialStep(targets("extension/102"), "102", **dial)  # type: ignore[arg-type]
    return Rig(plan=(step,), phones={"extension/102": 1})


def test_ring_answer_talk_hang_up() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    dial = callee.last(Dial)
    assert dial.caller.name == "Alice"
    assert dial.max_forwards == 69
    assert "192.0.2.10" not in str(dial.offer)
    rig.tell(callee, events.Ringing(callee.id))
    assert caller.kinds() == ["Ring"]
    rig.answer(callee)
    assert caller.kinds() == ["Ring", "Answer"]
    assert len(rig.asked(engine.Connect)) == 1
    rig.advance(10)
    rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
    assert callee.last(HangUp).cause.slug == "answered-caller-hung-up"
    rig.assert_nothing_left()
    (summary,) = rig.ended
    assert summary.cause.slug == "answered-caller-hung-up"
    assert summary.duration == 10
    assert summary.destination == "extension/102"
    assert [leg.counts.received_packets for leg in summary.legs.values()] == [7, 7]
    assert [leg.codec for leg in summary.legs.values()] == ["PCMU", "PCMU"]


def test_hops_are_counted_from_what_the_caller_sent_or_else_from_the_settings() -> None:
    rig = office()
    rig.settings = CallSettings(max_forwards=20)
    rig.__post_init__()
    for hops, expected in ((None, 20), (33, 32), (1, 0)):
        rig.incoming(hops=hops)
        assert rig.leg(1).last(Dial).max_forwards == expected


def test_each_target_has_its_codecs() -> None:
    rig = office()
    rig.codecs_of = {"extension/102": ("PCMA",), "extension/101": ("PCMU", "PCMA")}
    rig.incoming(offer=phone_sdp(codecs="0 8 9 101"))
    assert rig.leg(1).last(Dial).offer.media[0].formats == ("8", "101")


def test_callee_hangs_up() -> None:
    rig = office()
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    rig.tell(rig.leg(1), events.HungUp(rig.leg(1).id, cause_named("answered-callee-hung-up")))
    assert caller.last(HangUp).cause.slug == "answered-callee-hung-up"
    rig.assert_nothing_left()


def test_caller_cancels() -> None:
    rig = office()
    caller = rig.incoming()
    rig.tell(caller, events.HungUp(caller.id, cause_named("cancelled")))
    assert rig.leg(1).last(HangUp).cause.slug == "cancelled"
    rig.assert_nothing_left()
    assert rig.ended[0].cause.slug == "cancelled"


@pytest.mark.parametrize(
    ("status", "slug"), [(486, "busy"), (603, "declined"), (404, "number-unknown"), (500, "callee-failed")]
)
def test_failure_reaches_the_caller_with_its_status(status: int, slug: str) -> None:
    rig = office()
    caller = rig.incoming()
    rig.tell(rig.leg(1), events.Rejected(rig.leg(1).id, cause_of_status(status), status))
    cause = caller.last(Reject).cause
    assert (cause.slug, cause.sip_status) == (slug, status)
    rig.assert_nothing_left()
    assert rig.ended[0].attempts[0].outcome == slug


@pytest.mark.parametrize(("status", "told"), [(401, 403), (407, 403), (405, 500), (420, 500), (422, 500)])
def test_what_a_peer_says_of_our_own_request_is_not_passed_on(status: int, told: int) -> None:
    """A caller that got the 401 of a carrier would take its own password for wrong, and has no challenge to answer."""
    rig = office()
    caller = rig.incoming()
    rig.tell(rig.leg(1), events.Rejected(rig.leg(1).id, cause_of_status(status, "As It Is"), status))
    assert caller.last(Reject).cause.sip_status == told
    assert rig.ended[0].attempts[0].detail == f"{status} As It Is"
    rig.assert_nothing_left()


def test_nobody_registered() -> None:
    rig = office()
    rig.phones.clear()
    assert rig.incoming().last(Reject).cause.slug == "unavailable"
    rig.assert_nothing_left()


def test_no_answer_gives_up_after_the_timeout() -> None:
    rig = office(timeout=20.0)
    caller = rig.incoming()
    rig.advance(19.9)
    assert not caller.gone
    rig.advance(0.2)
    assert rig.leg(1).last(HangUp).cause.slug == "no-answer"
    assert caller.last(Reject).cause.slug == "no-answer"
    rig.assert_nothing_left()


def test_all_contacts_of_an_extension_ring_and_losers_hear_why() -> None:
    rig = office()
    rig.phones["extension/102"] = 3
    caller = rig.incoming()
    one, two, three = (rig.leg(number) for number in (1, 2, 3))
    for leg in (one, two, three):
        rig.tell(leg, events.Ringing(leg.id))
    rig.answer(two)
    assert one.last(HangUp).cause.slug == three.last(HangUp).cause.slug == "answered-elsewhere"
    assert caller.kinds().count("Answer") == 1
    rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
    rig.assert_nothing_left()


def test_next_trunk_on_failure_but_not_on_busy() -> None:
    step = DialStep(targets("trunk/a", "trunk/b"), "49301234")
    rig = Rig(plan=(step,), phones={"trunk/a": 1, "trunk/b": 1})
    rig.incoming()
    rig.tell(rig.leg(1), events.Rejected(rig.leg(1).id, cause_of_status(503), 503))
    second = rig.leg(2)
    assert second.last(Dial)
    rig.tell(second, events.Rejected(second.id, cause_of_status(486), 486))
    assert rig.ended[0].cause.slug == "busy"
    rig.assert_nothing_left()

    rig = Rig(plan=(step,), phones={"trunk/a": 1, "trunk/b": 1})
    rig.incoming()
    rig.tell(rig.leg(1), events.Rejected(rig.leg(1).id, cause_of_status(486), 486))
    assert len(rig.legs) == 2
    rig.assert_nothing_left()


@pytest.mark.parametrize("strategy", ["sequence", "all"])
def test_a_trunk_that_is_down_is_passed_over(strategy: str) -> None:
    names = ("trunk/a", "trunk/b", "trunk/c")
    rig = Rig(plan=(DialStep(targets(*names), "102", strategy=strategy),), phones=dict.fromkeys(names, 1))
    rig.down = {"trunk/a", "trunk/c"}
    caller = rig.incoming()
    assert list(rig.legs) == [caller.id, rig.leg(1).id]
    rig.answer(rig.leg(1))
    rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
    rig.assert_nothing_left()
    passed = [("trunk/a", "passed-over"), ("trunk/c", "passed-over"), ("trunk/b", "answered")]
    tried = [(one.target, one.outcome) for one in rig.ended[0].attempts]
    assert tried == (passed if strategy == "all" else [passed[0], passed[2]])


@pytest.mark.parametrize("strategy", ["sequence", "all"])
def test_the_last_trunk_is_tried_even_if_it_is_down(strategy: str) -> None:
    names = ("trunk/a", "trunk/b")
    rig = Rig(plan=(DialStep(targets(*names), "102", strategy=strategy),), phones=dict.fromkeys(names, 1))
    rig.down = set(names)
    caller = rig.incoming()
    dialled = [leg for leg in rig.legs.values() if leg is not caller]
    assert len(dialled) == (2 if strategy == "all" else 1)
    for leg in dialled:
        rig.tell(leg, events.Rejected(leg.id, cause_of_status(503), 503))
    assert caller.last(Reject).cause.slug == "callee-overloaded"
    rig.assert_nothing_left()
    assert rig.ended[0].attempts[-1].target == "trunk/b"


@pytest.mark.parametrize(
    ("target", "failure", "status"),
    [
        ("extension/102", cause_named("unreachable"), 480),
        ("extension/102", cause_of_status(503), 480),
        ("extension/102", cause_named("no-ports"), 503),
        ("trunk/a", cause_named("unreachable"), 503),
    ],
)
def test_a_phone_out_of_reach_does_not_put_the_server_out_of_service(
    target: str, failure: EndCause, status: int
) -> None:
    rig = Rig(plan=(DialStep(targets(target), "102"),), phones={target: 1})
    caller = rig.incoming()
    rig.tell(rig.leg(1), events.Rejected(rig.leg(1).id, failure, 0))
    told = caller.last(Reject).cause
    assert (told.slug, told.sip_status) == (failure.slug, status)
    assert rig.ended[0].cause.slug == failure.slug
    rig.assert_nothing_left()


def test_declined_by_all_means_ends_the_others() -> None:
    step = DialStep(targets("extension/102", "extension/103"), "102", strategy="all")
    rig = Rig(plan=(step,), phones={"extension/102": 1, "extension/103": 1})
    rig.incoming()
    rig.tell(rig.leg(1), events.Rejected(rig.leg(1).id, cause_of_status(603), 603))
    assert rig.leg(2).gone
    rig.assert_nothing_left()


def test_early_media_is_connected_before_the_answer() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.tell(callee, events.Progressing(callee.id, phone_sdp(6000, "0 101")))
    assert caller.last(Progress)
    assert len(rig.asked(engine.Connect)) == 1
    rig.answer(callee)
    assert len(rig.asked(engine.Connect)) == 1
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_on_busy_another_step_follows() -> None:
    rig = office(on={"busy": (DialStep(targets("extension/103"), "103"),)})
    rig.phones["extension/103"] = 1
    caller = rig.incoming()
    rig.tell(rig.leg(1), events.Rejected(rig.leg(1).id, cause_of_status(486), 486))
    rig.answer(rig.leg(2))
    assert caller.last(Answer)
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_a_feature_that_is_not_there_leaves_the_reason_before_it() -> None:
    rig = office(on={"busy": (VoicemailStep("102"),)})
    caller = rig.incoming()
    rig.tell(rig.leg(1), events.Rejected(rig.leg(1).id, cause_of_status(486), 486))
    assert caller.last(Reject).cause.slug == "busy"
    rig.assert_nothing_left()

    rig = Rig(plan=(VoicemailStep("102"),))
    assert rig.incoming().last(Reject).cause.slug == "not-available"
    rig.assert_nothing_left()


def test_hold_is_relayed_and_a_new_address_is_not() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.answer(callee)
    rig.tell(caller, events.Offered(caller.id, phone_sdp(4000, direction="sendonly", version=2)))
    offer = callee.last(Offer).sdp
    assert offer.media[0].has("sendonly")
    rig.tell(callee, events.OfferAnswered(callee.id, phone_sdp(6000, "0 101", "recvonly", 2)))
    assert caller.last(AcceptOffer).sdp.media[0].has("recvonly")

    rig.tell(caller, events.Offered(caller.id, phone_sdp(4000, version=3)))
    rig.tell(callee, events.OfferAnswered(callee.id, phone_sdp(6000, "0 101", version=3)))
    assert callee.kinds().count("Offer") == 2

    rig.tell(caller, events.Offered(caller.id, phone_sdp(4444, "0 101", version=4)))
    assert callee.kinds().count("Offer") == 2
    assert rig.asked(engine.SetRemote)[-1].port == 4444
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_a_declined_offer_leaves_the_session_as_it_was() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.answer(callee)
    before = len(rig.asked(engine.SetRemote))
    rig.tell(caller, events.Offered(caller.id, phone_sdp(4000, direction="sendonly", version=2)))
    rig.tell(callee, events.OfferDeclined(callee.id, 488))
    assert caller.last(DeclineOffer).status == 488
    assert len(rig.asked(engine.SetRemote)) == before
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_glare_gives_the_second_one_491() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.answer(callee)
    rig.tell(caller, events.Offered(caller.id, phone_sdp(4000, direction="sendonly", version=2)))
    rig.tell(callee, events.Offered(callee.id, phone_sdp(6000, "0 101", direction="sendonly", version=2)))
    assert callee.last(DeclineOffer).status == 491
    rig.tell(callee, events.OfferAnswered(callee.id, phone_sdp(6000, "0 101", "recvonly", 3)))
    assert caller.last(AcceptOffer)
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_an_offer_that_is_withdrawn_is_taken_back_from_the_other_side() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.answer(callee)
    rig.tell(caller, events.Offered(caller.id, phone_sdp(4000, direction="sendonly", version=2)))
    rig.tell(caller, events.OfferWithdrawn(caller.id))
    rig.tell(callee, events.OfferAnswered(callee.id, phone_sdp(6000, "0 101", "recvonly", 2)))
    assert not [command for command in caller.heard if isinstance(command, AcceptOffer)]
    assert callee.kinds().count("Offer") == 2
    assert callee.last(Offer).sdp.media[0].has("sendrecv")
    rig.tell(callee, events.OfferAnswered(callee.id, phone_sdp(6000, "0 101", version=3)))
    assert callee.kinds().count("Offer") == 2
    rig.tell(caller, events.Offered(caller.id, phone_sdp(4000, direction="sendonly", version=3)))
    assert callee.kinds().count("Offer") == 3
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_an_answer_that_nobody_asked_for_moves_the_audio() -> None:
    rig = office()
    rig.incoming()
    callee = rig.leg(1)
    rig.answer(callee)
    rig.tell(callee, events.OfferAnswered(callee.id, phone_sdp(6666, "0 101", version=2)))
    assert rig.asked(engine.SetRemote)[-1].port == 6666
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_a_caller_who_answers_what_it_was_answered_moves_the_audio_and_keeps_the_call() -> None:
    # Its leg has offered our answer again: as a refresh of the session, or since another phone than the early one won.
    rig = office()
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4444, "0 101", version=2)))
    assert rig.asked(engine.SetRemote)[-1].port == 4444
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4444, "0 101", version=2)))
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_another_phone_than_the_early_one_wins_with_another_codec() -> None:
    rig = Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 2})
    caller = rig.incoming()
    early, winner = rig.leg(1), rig.leg(2)
    rig.tell(early, events.Progressing(early.id, phone_sdp(6000, "0 101")))
    assert caller.last(Progress).sdp.media[0].formats[0] == "0"
    rig.answer(winner, phone_sdp(7000, "8 101"))
    assert caller.last(Answer).sdp.media[0].formats[0] == "8"
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4000, "8 101", version=2)))
    heard = {command.stream: command.codecs[0].name for command in rig.asked(engine.SetRemote)}
    assert heard["c0/1"] == "PCMA"
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_an_early_answer_that_changed_is_followed_before_the_call_is_answered() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.tell(callee, events.Progressing(callee.id, phone_sdp(6000, "0 101")))
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4444, "0 101", version=2)))
    assert rig.asked(engine.SetRemote)[-1].port == 4444
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4444, "9", version=3)))  # no answer to what was said
    rig.answer(callee)
    rig.registry.end_all()
    rig.assert_nothing_left()


@pytest.mark.parametrize("answer", ["0 101", "9"])
def test_a_late_offer_to_the_server_itself_is_heard_once_it_is_answered(answer: str) -> None:
    rig = Rig(plan=(EchoStep(),))
    caller = rig.incoming(late=True)
    assert caller.last(Answer).sdp.media[0].formats
    assert not rig.asked(engine.SetRemote)
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4000, answer)))
    (remote,) = rig.asked(engine.SetRemote)
    assert (remote.port, remote.send, remote.receive) == (4000, True, True)
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_an_answer_that_shares_no_codec_with_our_late_offer_ends_the_call() -> None:
    rig = Rig(plan=(EchoStep(),))
    caller = rig.incoming(late=True)
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4000, "18")))
    assert caller.last(HangUp).cause.slug == "media-unacceptable"
    rig.assert_nothing_left()


def test_who_is_dialled_after_a_late_offer_waits_for_its_answer() -> None:
    rig = Rig(plan=(AnswerStep(), DialStep(targets("extension/102"), "102")), phones={"extension/102": 1})
    caller = rig.incoming(late=True)
    callee = rig.leg(1)
    assert not callee.heard
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4000, "8 101")))
    assert callee.last(Dial).offer.media[0].formats == ("8", "101")
    rig.answer(callee, phone_sdp(6000, "8 101"))
    assert len(rig.asked(engine.Connect)) == 1
    rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
    rig.assert_nothing_left()


def test_late_offer_goes_all_the_way_round() -> None:
    rig = office()
    caller = rig.incoming(late=True)
    callee = rig.leg(1)
    assert callee.last(Dial).offer is None
    rig.tell(callee, events.Answered(callee.id, phone_sdp(6000, "0 8 101"), is_offer=True))
    assert caller.last(Answer).sdp.media[0].formats[:2] == ("0", "8")
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4000, "8 101")))
    assert callee.last(AcceptOffer).sdp.media[0].formats[0] == "8"
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_a_reinvite_without_description_goes_round_too() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.answer(callee)
    rig.tell(caller, events.Offered(caller.id, None))
    assert callee.last(Offer).sdp is None
    rig.tell(callee, events.OfferAnswered(callee.id, phone_sdp(6000, "0 101", version=2), is_offer=True))
    assert caller.last(AcceptOffer)
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4000, "0 101", version=2)))
    assert callee.last(AcceptOffer)
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_info_is_passed_on() -> None:
    rig = office()
    caller = rig.incoming()
    callee = rig.leg(1)
    rig.answer(callee)
    rig.tell(caller, events.Informed(caller.id, "INFO", "application/media_control+xml", b"<media_control/>"))
    assert callee.last(Inform).body == b"<media_control/>"
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_recording_begins_with_the_answer_and_ends_with_the_call() -> None:
    rig = office(record=Recording())
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    (record,) = rig.asked(engine.Record)
    assert record.left != record.right
    rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
    rig.assert_nothing_left()
    (recording,) = rig.ended[0].recordings
    assert (recording.status, recording.duration) == ("complete", 1000)
    assert (recording.left, recording.right) == ("extension/101", "extension/102")
    assert rig.recorded == ["running", "complete"]


@pytest.mark.parametrize("ends", [True, False])
def test_a_recording_that_fails_ends_the_call_only_if_policy_says_so(ends: bool) -> None:
    rig = office(record=Recording(failure="end" if ends else "continue"))
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    (record,) = rig.asked(engine.Record)
    rig.registry.on_media([media.RecordingFailed(record.recording, record.path, "disk full")])
    rig.settle()
    assert caller.gone is ends
    rig.registry.end_all()
    rig.assert_nothing_left()
    assert rig.ended[0].recordings[0].failure == "disk full"


def test_an_engine_that_never_answers_does_not_keep_the_call() -> None:
    rig = office(record=Recording())
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    rig.engine_is_slow = True
    rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
    assert len(rig.registry) == 1
    rig.clock.advance(5.1)
    assert len(rig.registry) == 0
    assert rig.ended[0].recordings[0].status == "failed"


def test_echo() -> None:
    rig = Rig(plan=(EchoStep(),))
    caller = rig.incoming("600")
    assert caller.last(Answer).sdp.media[0].formats[0] == "0"
    (connect,) = rig.asked(engine.Connect)
    assert connect.left == connect.right
    rig.tell(caller, events.Offered(caller.id, phone_sdp(4000, "0 101", "sendonly", 2)))
    assert caller.last(AcceptOffer).sdp.media[0].has(Direction.RECVONLY.value)
    rig.tell(caller, events.HungUp(caller.id, cause_named("answered-caller-hung-up")))
    rig.assert_nothing_left()


def test_play_runs_through_its_files() -> None:
    rig = Rig(plan=(PlayStep(("hello", "world")),))
    caller = rig.incoming("601")
    (play,) = rig.asked(engine.Play)
    assert play.sounds == ("/sounds/hello", "/sounds/world")
    rig.registry.on_media([media.PlayEnded(play.stream, play.play)])
    rig.settle()
    assert caller.last(HangUp).cause.slug == "completed"
    rig.assert_nothing_left()


def test_a_missing_sound_is_the_cause_that_the_record_names() -> None:
    rig = Rig(plan=(PlayStep(("hello",)),))
    rig.incoming("601")
    (first,) = rig.asked(engine.Play)
    rig.registry.on_media([media.PlayEnded(first.stream, first.play, "no such file")])
    rig.assert_nothing_left()
    assert rig.ended[0].cause.slug == "prompt-missing"


def test_record_and_play_back() -> None:
    rig = Rig(plan=(RecordStep(), PlayStep((RECORDED,))))
    rig.incoming("602")
    (beep,) = rig.asked(engine.Play)
    rig.registry.on_media([media.PlayEnded(beep.stream, beep.play)])
    (record,) = rig.asked(engine.Record)
    assert record.right == ""
    rig.registry.on_media([media.Digit(record.left, "#", 100)])
    rig.settle()
    back = rig.asked(engine.Play)[-1]
    assert back.sounds == (record.path,)
    rig.registry.on_media([media.PlayEnded(back.stream, back.play)])
    rig.assert_nothing_left()
    assert rig.ended[0].cause.slug == "completed"


def test_reject_and_no_route() -> None:
    rig = Rig(plan=(RejectStep("busy"),))
    assert rig.incoming().last(Reject).cause.slug == "busy"
    rig.assert_nothing_left()
    rig = Rig()
    rig.refusal = "forbidden"
    assert rig.incoming().last(Reject).cause.slug == "forbidden"
    rig.assert_nothing_left()


def test_waiting_before_dialling() -> None:
    rig = Rig(plan=(WaitStep(3), DialStep(targets("extension/102"), "102")), phones={"extension/102": 1})
    rig.incoming()
    assert len(rig.legs) == 1
    rig.advance(3)
    rig.answer(rig.leg(1))
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_longest_duration() -> None:
    rig = office(max_duration=60.0)
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    rig.advance(59)
    assert not caller.gone
    rig.advance(2)
    assert rig.ended[0].cause.slug == "maximum-duration"
    rig.assert_nothing_left()


def test_a_call_ends_when_nobody_sends_but_not_when_one_side_is_mute() -> None:
    rig = office()
    rig.incoming()
    rig.answer(rig.leg(1))
    caller, callee = (command.stream for command in rig.asked(engine.Open))
    rig.registry.on_media([media.NoMedia(caller, 30000)])
    rig.advance(30)
    rig.registry.on_media([media.NoMedia(caller, 30000)])
    assert not rig.ended
    rig.advance(10)
    rig.registry.on_media([media.NoMedia(callee, 30000)])
    rig.assert_nothing_left()
    assert rig.ended[0].cause.slug == "no-media"


def test_an_echo_ends_when_its_caller_sends_nothing() -> None:
    rig = Rig(plan=(EchoStep(),))
    rig.incoming("600")
    rig.registry.on_media([media.NoMedia(rig.asked(engine.Open)[0].stream, 30000)])
    rig.assert_nothing_left()
    assert rig.ended[0].cause.slug == "no-media"


def test_no_port_for_the_callee_tries_the_next() -> None:
    step = DialStep(targets("trunk/a", "trunk/b"), "1")
    rig = Rig(plan=(step,), phones={"trunk/a": 1, "trunk/b": 1}, engine_is_slow=True)
    rig.incoming()
    first = rig.asked(engine.Open)[1].stream
    rig.owed = [event for event in rig.owed if event.stream != first]
    rig.engine_is_slow = False
    rig.registry.on_media([media.Closed(first, media.StreamStatistics(), "no port is free")])
    rig.settle()
    assert rig.ended == []
    assert rig.leg(2).last(Dial)
    rig.registry.end_all()
    rig.open_streams.discard(first)
    rig.assert_nothing_left()
    assert rig.ended[0].attempts[0].outcome == "no-ports"


def test_no_port_for_the_caller_ends_the_call_while_it_is_dialled() -> None:
    """Nobody is to be rung for a caller who could not hear it."""
    step = DialStep(targets("trunk/a", "trunk/b"), "1")
    rig = Rig(plan=(step,), phones={"trunk/a": 1, "trunk/b": 1}, engine_is_slow=True)
    caller = rig.incoming()
    own = rig.asked(engine.Open)[0].stream
    rig.owed = [event for event in rig.owed if event.stream != own]
    rig.engine_is_slow = False
    rig.open_streams.discard(own)
    rig.registry.on_media([media.Closed(own, media.StreamStatistics(), "no port is free")])
    rig.settle()
    rig.assert_nothing_left()
    assert rig.ended[0].cause.slug == "no-ports"
    assert [name for name, _ in caller.last(Reject).headers] == ["Retry-After"]  # ports come free again


def test_drain_takes_no_new_calls_and_ends_the_running_ones_at_the_limit() -> None:
    rig = office()
    caller = rig.incoming()
    rig.answer(rig.leg(1))
    done: list[bool] = []
    rig.registry.drain(30, lambda: done.append(True))
    assert rig.registry.refusal().slug == "shutting-down"
    rig.advance(29)
    assert not done
    assert not caller.gone
    rig.advance(2)
    assert done
    assert rig.ended[0].cause.slug == "shutting-down"
    rig.assert_nothing_left()


def test_a_limit_on_calls() -> None:
    rig = office()
    rig.registry.limits = Limits(calls=1)
    rig.incoming()
    assert rig.registry.refusal().slug == "too-many-calls"
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_a_limit_of_no_calls() -> None:
    rig = office()
    assert rig.registry.refusal() is None
    rig.registry.limits = Limits(calls=0)
    assert rig.registry.refusal().slug == "too-many-calls"


def test_the_phones_of_an_extension_ring_in_one_call() -> None:
    rig = office()
    rig.phones["extension/102"] = 2
    rig.most_calls["extension/102"] = 2
    first = rig.incoming()
    second = rig.incoming(source="extension/103")
    assert len(rig.legs) == 6
    third = rig.incoming(source="extension/104")
    assert third.last(Reject).cause.slug == "busy"
    assert rig.services.occupancy.of("extension/102") == 2
    for caller in (first, second):
        rig.tell(caller, events.HungUp(caller.id, cause_named("cancelled")))
    assert rig.services.occupancy.of("extension/102") == 0
    rig.assert_nothing_left()


def test_an_extension_with_enough_calls_is_busy_and_makes_none() -> None:
    rig = office()
    rig.most_calls["extension/102"] = 1
    first = rig.incoming()
    rig.answer(rig.leg(1))
    assert rig.incoming().last(Reject).cause.slug == "busy"
    assert rig.registry.refusal("extension/102").slug == "too-many-calls"
    rig.tell(first, events.HungUp(first.id, cause_named("answered-caller-hung-up")))
    assert rig.registry.refusal("extension/102") is None
    rig.assert_nothing_left()


@interpreted_only
def test_our_own_fault_ends_one_call_with_a_cause_and_no_other() -> None:
    rig = office()
    other = rig.incoming()
    rig.answer(rig.leg(1))
    broken = rig.incoming()
    rig.registry.deliver(events.Offered(broken.id, "no description"))  # type: ignore[arg-type]
    rig.tell(rig.leg(1), events.Answered(rig.leg(1).id, None))  # type: ignore[arg-type]
    assert len(rig.faults) == 1
    assert rig.ended[0].cause.slug == "internal-error"
    assert not other.gone
    rig.faults.clear()
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_settings_have_sane_defaults() -> None:
    assert CallSettings().trunk_timeout == 180.0


# Choice among trunks


def carriers(*names: str, **dial: object) -> Rig:
    step = DialStep(targets(*(f"trunk/{name}" for name in names)), "102", **dial)  # type: ignore[arg-type]
    return Rig(plan=(step,), phones={f"trunk/{name}": 1 for name in names})


def refuse(rig: Rig, number: int, status: int, retry_after: int = 0) -> None:
    leg = rig.leg(number)
    rig.tell(leg, events.Rejected(leg.id, cause_of_status(status), status, (), retry_after))


def tried(rig: Rig) -> list[str]:
    return [f"{attempt.target.removeprefix('trunk/')} {attempt.outcome}" for attempt in rig.ended[0].attempts]


@pytest.mark.parametrize(
    ("chances", "order"),
    [
        ([0.0, 0.0], ["a", "b", "c"]),
        ([0.69, 0.0], ["a", "b", "c"]),
        ([0.7, 0.0], ["b", "a", "c"]),
        ([0.99, 0.5], ["b", "a", "c"]),
    ],
)
def test_weights_draw_the_order(chances: list[float], order: list[str]) -> None:
    rig = carriers("a", "b", "c", strategy="weighted", weights=(70, 30, 0))
    rig.chances = chances
    rig.incoming()
    for number in (1, 2, 3):
        refuse(rig, number, 503)
    assert tried(rig) == [f"{name} callee-overloaded" for name in order]
    rig.assert_nothing_left()


def test_each_of_many_calls_is_drawn_anew() -> None:
    rig = carriers("a", "b", strategy="weighted", weights=(3, 1))
    for number in range(100):
        rig.chances = [number / 100, 0.0]
        caller = rig.incoming()
        rig.tell(caller, events.HungUp(caller.id, cause_named("cancelled")))
    shares = [attempt.legs[f"{attempt.call}-1"].target for attempt in rig.ended]
    assert (shares.count("trunk/a"), shares.count("trunk/b")) == (75, 25)
    rig.assert_nothing_left()


@pytest.mark.parametrize(
    ("status", "goes_on"),
    [(500, True), (503, True), (408, True), (403, True), (486, False), (603, False), (404, False)],
)
def test_which_failures_go_on_to_the_next_trunk(status: int, goes_on: bool) -> None:
    rig = carriers("a", "b")
    caller = rig.incoming()
    refuse(rig, 1, status)
    assert "trunk/b" in {leg.target for leg in rig.registry.all()[0].legs.values()} if goes_on else bool(rig.ended)
    if goes_on:
        rig.tell(caller, events.HungUp(caller.id, cause_named("cancelled")))
    rig.assert_nothing_left()


def test_a_trunk_and_a_route_may_say_otherwise() -> None:
    for of_trunk, of_route, expected in (
        (["486"], None, ["a busy", "b busy"]),
        (["486"], ["5xx"], ["a busy"]),
        (["none"], ["busy"], ["a busy", "b busy"]),
    ):
        rig = carriers("a", "b", next_on=parse_next_on(of_route) if of_route else None)
        rig.nexts = {"trunk/a": parse_next_on(of_trunk)}
        rig.incoming()
        refuse(rig, 1, 486)
        if len(expected) == 2:
            refuse(rig, 2, 486)
        assert tried(rig) == expected
        rig.assert_nothing_left()


def test_a_trunk_at_its_limit_ends_the_search_if_that_is_said() -> None:
    rig = carriers("a", "b", next_on=parse_next_on(["5xx"]))
    rig.most_calls["trunk/a"] = 0
    rig.incoming()
    assert tried(rig) == ["a too-many-calls"]
    rig.assert_nothing_left()


def test_who_says_nothing_is_given_up_sooner_if_there_is_another() -> None:
    rig = carriers("a", "b")
    caller = rig.incoming()
    first = rig.leg(1).last(Dial)
    assert (first.destination.patience, first.gives_up_silent) == (4.0, True)
    leg = rig.leg(1)
    rig.tell(leg, events.Rejected(leg.id, cause_named("callee-timeout", "no response within 4 s")))
    second = rig.leg(2).last(Dial)
    assert (second.destination.patience, second.gives_up_silent) == (0.0, False)
    rig.tell(caller, events.HungUp(caller.id, cause_named("cancelled")))
    assert rig.ended[0].attempts[0].detail == "no response within 4 s"
    rig.assert_nothing_left()


def test_a_trunk_says_how_long_it_may_be_silent() -> None:
    rig = carriers("a")
    rig.patiences = {"trunk/a": 1.5}
    caller = rig.incoming()
    dial = rig.leg(1).last(Dial)
    assert (dial.destination.patience, dial.gives_up_silent) == (1.5, True)
    rig.tell(caller, events.HungUp(caller.id, cause_named("cancelled")))
    rig.assert_nothing_left()


def test_retry_after_of_a_503_is_heeded() -> None:
    rig = carriers("a", "b")
    rig.incoming()
    refuse(rig, 1, 503, 30)
    refuse(rig, 2, 500, 30)
    assert rig.resting == {"trunk/a": 30}
    rig.assert_nothing_left()
