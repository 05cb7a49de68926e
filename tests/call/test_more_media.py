"""Calls with more than audio: video from the start, T.38 in mid-call, and what happens while its ports are on their
way."""

from __future__ import annotations

from pbx.call import events
from pbx.call.commands import AcceptOffer, Answer, DeclineOffer, Dial, Offer
from pbx.dialplan.steps import DialStep
from pbx.media import commands as engine
from pbx.media import events as media
from pbx.sdp.model import SessionDescription
from pbx.sdp.parser import parse
from tests.support.call_rig import FakeLeg, Rig, phone_sdp, targets

FAX = ("m=image 4006 udptl t38", "a=T38FaxVersion:0")
VIDEO = ("m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/AVP 34")


def office() -> Rig:
    return Rig(plan=(DialStep(targets("extension/102"), "102"),), phones={"extension/102": 1})


def talking() -> tuple[Rig, FakeLeg, FakeLeg]:
    rig = office()
    caller, callee = rig.incoming(), rig.leg(1)
    rig.answer(callee)
    return rig, caller, callee


def described(*sections: str, version: int = 2) -> SessionDescription:
    head = ("v=0", f"o=phone 1 {version} IN IP4 192.0.2.10", "s=-", "c=IN IP4 192.0.2.10", "t=0 0")
    return parse("\r\n".join((*head, *sections)))


def kinds(description: SessionDescription | None) -> list[str]:
    assert description is not None
    return [f"{one.kind} {'on' if one.port else 'off'}" for one in description.media]


def end(rig: Rig) -> None:
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_video_goes_to_the_callee_and_its_answer_back() -> None:
    rig = office()
    caller = rig.incoming(offer=described(*VIDEO, "a=rtpmap:34 H263/90000"))
    callee = rig.leg(1)
    assert kinds(callee.last(Dial).offer) == ["audio on", "video on"]
    rig.answer(callee, described("m=audio 6000 RTP/AVP 0", "m=video 6002 RTP/AVP 34"))
    assert kinds(caller.last(Answer).sdp) == ["audio on", "video on"]
    assert len(rig.asked(engine.Connect)) == 2
    end(rig)


def test_a_phone_without_video_answers_without() -> None:
    rig = office()
    caller = rig.incoming(offer=described(*VIDEO))
    rig.answer(rig.leg(1), described("m=audio 6000 RTP/AVP 0", "m=video 0 RTP/AVP 34"))
    assert kinds(caller.last(Answer).sdp) == ["audio on", "video off"]
    end(rig)


def test_a_fax_machine_goes_over_to_t38_once_both_sides_have_ports() -> None:
    rig, caller, callee = talking()
    rig.engine_is_slow = True
    rig.tell(callee, events.Offered(callee.id, described(*FAX)))
    assert "Offer" not in caller.kinds()
    # Whoever else wants something meanwhile comes again.
    rig.tell(caller, events.Offered(caller.id, phone_sdp(direction="sendonly", version=2)))
    assert caller.last(DeclineOffer).status == 491
    rig.engine_is_slow = False
    rig.settle()
    assert kinds(caller.last(Offer).sdp) == ["image on"]
    rig.tell(caller, events.OfferAnswered(caller.id, described(FAX[0], version=2)))
    assert kinds(callee.last(AcceptOffer).sdp) == ["image on"]
    assert [one.opaque for one in rig.asked(engine.SetRemote)[-4:]] == [False, True, False, True]
    end(rig)


def test_a_refused_t38_leaves_the_call_with_its_audio() -> None:
    rig, caller, callee = talking()
    rig.tell(callee, events.Offered(callee.id, described(*FAX)))
    before = len(rig.asked(engine.SetRemote))
    rig.tell(caller, events.OfferDeclined(caller.id, 488))
    assert callee.last(DeclineOffer).status == 488
    assert len(rig.asked(engine.SetRemote)) == before
    # And the next offer, of audio, goes its way.
    rig.tell(callee, events.Offered(callee.id, phone_sdp(6000, "0 101", "sendonly", 3)))
    assert kinds(caller.last(Offer).sdp)[0] == "audio on"
    end(rig)


def test_an_offer_taken_back_while_ports_are_on_their_way_is_never_passed_on() -> None:
    rig, caller, callee = talking()
    rig.engine_is_slow = True
    rig.tell(callee, events.Offered(callee.id, described(*FAX)))
    rig.tell(callee, events.OfferWithdrawn(callee.id))
    rig.engine_is_slow = False
    rig.settle()
    assert "Offer" not in caller.kinds()
    rig.tell(caller, events.Offered(caller.id, phone_sdp(direction="sendonly", version=2)))
    assert kinds(callee.last(Offer).sdp) == ["audio on"]
    end(rig)


def test_the_engine_without_ports_for_video_does_not_end_the_call() -> None:
    rig, caller, callee = talking()
    rig.engine_is_slow = True
    rig.tell(caller, events.Offered(caller.id, described(*VIDEO)))
    failed = [media.Closed(one.stream, media.StreamStatistics(), "every port is in use") for one in rig.owed]
    assert len(failed) == 2
    rig.open_streams -= {one.stream for one in failed}
    rig.owed = list(failed)
    rig.engine_is_slow = False
    rig.settle()
    assert kinds(callee.last(Offer).sdp) == ["audio on"]
    end(rig)
