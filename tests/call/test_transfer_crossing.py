"""What is under way when a transfer begins, and what must not be lost or gained by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbx.call import events
from pbx.call.commands import DeclineOffer, DeclineRefer, Dial, Offer
from pbx.call.supervision import Mode
from pbx.cause import EndCause, cause_named
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.steps import AnswerStep, DialStep, Recording, Target
from pbx.media import commands as engine
from tests.call.test_transfer import HUNG_UP, Office, leave
from tests.support.call_rig import phone_sdp, targets


@pytest.fixture
def office() -> Office:
    return Office()


class TestOffersOnTheirWay:
    """RFC 3261 §14.1: whoever is refused with 491 tries again; who is not answered at all waits for ever."""

    @pytest.mark.parametrize("asker", ["the one who stays", "the one who transfers"])
    def test_a_hold_that_was_passed_on_comes_again(self, office: Office, asker: str) -> None:
        caller, callee = office.talk()
        holder = caller if asker == "the one who stays" else callee
        other = callee if holder is caller else caller
        office.tell(holder, events.Offered(holder.id, phone_sdp(4000, "0 101", "sendonly", 2)))
        assert other.last(Offer)
        office.refer(callee, "103")
        assert holder.last(DeclineOffer).status == 491
        target = office.leg(2)
        office.answer(target, phone_sdp(7000, "0 101"))
        assert caller.kinds()[-1] == "Offer"
        office.accept_offer(caller, 4000)
        office.end()

    def test_new_media_that_wait_for_their_ports_come_again(self, office: Office) -> None:
        caller, callee = office.talk()
        office.engine_is_slow = True
        text = phone_sdp(4000, "0 101", version=2)
        video = replace(text.media[0], kind="video", port=4002)
        office.tell(caller, events.Offered(caller.id, replace(text, media=(*text.media, video))))
        assert "Offer" not in callee.kinds()
        office.refer(callee, "103")
        assert caller.last(DeclineOffer).status == 491
        office.engine_is_slow = False
        office.settle()
        office.answer(office.leg(2), phone_sdp(7000, "0 101"))
        assert caller.kinds()[-1] == "Offer"
        office.end()

    def test_before_two_calls_are_joined_it_is_the_same(self, office: Office) -> None:
        caller, first = office.talk()
        second = office.incoming("103", source="extension/102")
        third = office.leg(1)
        office.answer(third, phone_sdp(7000, "0 101"))
        office.dialogs["c", "ours", "theirs"] = second.id
        for holder, other in ((caller, first), (third, second)):
            office.tell(holder, events.Offered(holder.id, phone_sdp(4000, "0 101", "sendonly", 2)))
            assert other.last(Offer)
        office.refer(first, "103", ("c", "ours", "theirs"))
        assert caller.last(DeclineOffer).status == 491
        assert third.last(DeclineOffer).status == 491
        office.accept_offer(third, 7000)
        assert caller.kinds()[-1] == "Offer"
        office.end()

    def test_an_answer_by_the_server_that_the_party_refuses_is_not_waited_for(self, office: Office) -> None:
        caller, callee = office.talk()
        office.plans = {"605": (AnswerStep(), DialStep(targets("extension/103", number="103"), "103"))}
        office.refer(callee, "605")
        assert caller.kinds()[-1] == "Offer"
        office.tell(caller, events.OfferDeclined(caller.id, 488))
        assert office.leg(2).last(Dial)
        office.end()


def test_a_recording_that_a_transfer_ends_is_whole(office: Office) -> None:
    office.plans = {"102": (DialStep(targets("extension/102"), "102", record=Recording()),)}
    caller, callee = office.talk()
    assert len(office.asked(engine.Record)) == 1
    office.refer(callee, "103")
    assert len(office.asked(engine.StopRecording)) == 1
    office.answer(office.leg(2), phone_sdp(7000, "0 101"))
    office.accept_offer(caller, 4000)
    leave(office, callee)
    assert len(office.asked(engine.Record)) == 2, "the call with the next one is recorded too"
    office.tell(caller, events.HungUp(caller.id, HUNG_UP))
    office.assert_nothing_left()
    assert [one.status for one in office.ended[0].recordings] == ["complete", "complete"]
    assert len(office.asked(engine.StopRecording)) == 2, (
        "the end of the first one was not heard, and it is asked for again"
    )


class TestLimits:
    def forbid(self, office: Office) -> list[tuple[str, str]]:
        asked: list[tuple[str, str]] = []

        def permit(call: str, source: str, target: Target) -> EndCause | None:
            asked.append((source, str(target)))
            return cause_named("budget-exceeded")

        office.services = replace(office.services, permit=permit)
        office.registry._services = office.services
        for call in office.registry._calls.values():
            call.services = office.services
        return asked

    def emergency(self, office: Office, number: str) -> None:
        decide = office._decide

        def decided(query: Query) -> Decision:
            decision = decide(query)
            return replace(decision, emergency=True) if query.number == number else decision

        office.services = replace(office.services, decide=decided)
        office.registry._services = office.services
        office.transfers._decide = decided

    def test_a_call_for_help_that_is_transferred_is_one_no_more(self, office: Office) -> None:
        """Else whoever dials 112 and transfers from there to a premium number has no budget."""
        self.emergency(office, "102")
        asked = self.forbid(office)
        _, callee = office.talk()
        assert asked == []
        office.refer(callee, "103")
        assert asked == [("extension/102", "extension/103")]
        office.end()

    def test_a_transfer_to_a_call_for_help_is_one(self, office: Office) -> None:
        self.emergency(office, "103")
        _, callee = office.talk()
        asked = self.forbid(office)
        office.refer(callee, "103")
        assert asked == []
        assert office.leg(2).last(Dial).called.number == "103"
        office.end()


class TestWhatCosts:
    """A leg to a trunk costs for as long as it talks, whatever call it talks in, and whoever it talks to."""

    def watch(self, office: Office) -> list[str]:
        told: list[str] = []
        office.services = replace(
            office.services,
            charge=lambda leg, payer, target, number: told.append(f"{leg}: {payer} for {number} at {target}"),
            gone=lambda leg: told.append(f"{leg} gone"),
        )
        office.registry._services = office.services
        office.plans = {"00900": (DialStep((Target("trunk", "carrier", "00900"),), "00900"),)}
        return told

    def test_who_is_led_to_a_trunk_by_a_transfer(self, office: Office) -> None:
        told = self.watch(office)
        caller, callee = office.talk()
        office.refer(callee, "00900")
        trunk = office.leg(2)
        office.answer(trunk, phone_sdp(7000, "0 101"))
        assert told[-1] == f"{trunk.id}: extension/102 for 00900 at trunk/carrier"
        leave(office, callee)
        assert f"{trunk.id} gone" not in told
        office.tell(caller, events.HungUp(caller.id, HUNG_UP))
        assert f"{trunk.id} gone" in told
        office.assert_nothing_left()

    def test_a_trunk_whose_party_is_led_elsewhere(self, office: Office) -> None:
        told = self.watch(office)
        caller, trunk = office.talk("00900")
        assert told == [f"{trunk.id}: extension/101 for 00900 at trunk/carrier"]
        office.refer(caller, "103")
        target = office.leg(2)
        office.answer(target, phone_sdp(7000, "0 101"))
        office.accept_offer(trunk, 6000)
        leave(office, caller)
        assert f"{trunk.id} gone" not in told, "it talks to 103 now"
        office.registry.hang_up_leg(trunk.id, cause_named("budget-exceeded"))
        assert f"{trunk.id} gone" in told
        office.assert_nothing_left()

    def test_a_trunk_that_moves_into_another_call(self, office: Office) -> None:
        told = self.watch(office)
        caller, first = office.talk()
        second = office.incoming("00900", source="extension/102")
        trunk = office.leg(1)
        office.answer(trunk, phone_sdp(7000, "0 101"))
        office.dialogs["c", "ours", "theirs"] = second.id
        office.refer(first, "00900", ("c", "ours", "theirs"))
        office.accept_offer(trunk, 7000)
        office.accept_offer(caller, 4000)
        leave(office, first)
        assert second.gone
        assert f"{trunk.id} gone" not in told
        office.registry.hang_up_leg(trunk.id, cause_named("budget-exceeded"))
        assert caller.gone
        assert f"{trunk.id} gone" in told
        office.assert_nothing_left()


def test_a_supervisor_s_dialog_transfers_nobody(office: Office) -> None:
    """Its REFER would else take the caller out of a call that it only listens to."""
    caller, callee = office.talk()
    other, _ = office.talk("103", source="extension/104")
    office.registry.supervise(caller.id.partition("-")[0], Target("extension", "104", "104"), Mode.LISTEN)
    office.settle()
    supervisor = office.legs[f"{caller.id.partition('-')[0]}-s1"]
    office.answer(supervisor, phone_sdp(8000, "0 101"))
    office.dialogs["c", "ours", "theirs"] = supervisor.id
    office.refer(other, "102", ("c", "ours", "theirs"))
    assert other.last(DeclineRefer).status == 481
    assert not caller.gone
    assert not callee.gone
    office.end()


def test_a_phone_that_still_rings_is_not_taken_over(office: Office) -> None:
    caller = office.incoming("104")
    ringing = office.leg(1)
    other, _ = office.talk("103", source="extension/104")
    office.dialogs["c", "ours", "theirs"] = ringing.id
    office.refer(other, "104", ("c", "ours", "theirs"))
    assert other.last(DeclineRefer).status == 481
    assert not caller.gone
    office.end()
