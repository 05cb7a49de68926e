"""3xx followed and not followed, and an offer of ours where the caller makes none."""

from __future__ import annotations

from pbx.call import events
from pbx.call.commands import Answer, Dial, Reject
from pbx.cause import cause_of_status
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.steps import DialStep, RouteLimits, Step, Target
from tests.support.call_rig import FakeLeg, Rig, phone_sdp, targets

CONTACT = ("sip:200@carrier",)


class Town(Rig):
    def _decide(self, query: Query) -> Decision:
        steps: tuple[Step, ...] = self.plan
        if query.source.startswith("extension/102"):
            steps = (DialStep(targets(f"extension/{query.number}", number=query.number), query.number),)
        limits = RouteLimits(calls=1) if query.number == "104" else None
        return Decision(query, "a route" if limits is None else "few", query.number, steps, query.number, limits=limits)


def town(*names: str, **redirects: tuple[Target, ...]) -> Town:
    plan = (DialStep(targets(*names, number="100"), "100"),)
    phones = dict.fromkeys(("trunk/a", "trunk/b", "extension/102", "extension/104"), 1)
    return Town(plan=plan, phones=phones, redirects={name.replace("_", "/"): to for name, to in redirects.items()})


def redirect(rig: Rig, leg: FakeLeg) -> None:
    rig.tell(leg, events.Rejected(leg.id, cause_of_status(302, "Moved"), 302, CONTACT))


def end(rig: Rig) -> None:
    rig.registry.end_all()
    rig.assert_nothing_left()


def test_a_redirection_of_a_trunk_is_followed() -> None:
    rig = town("trunk/a", trunk_a=(Target("trunk", "b", "200"),))
    caller = rig.incoming("100")
    redirect(rig, rig.leg(1))
    dial = rig.leg(2).last(Dial)
    assert (dial.called.number, dial.redirections[0].party.number, dial.redirections[0].reason) == (
        "200",
        "100",
        "unconditional",
    )
    rig.answer(rig.leg(2))
    assert caller.last(Answer)
    end(rig)
    assert [(one.target, one.outcome) for one in rig.ended[0].attempts] == [
        ("trunk/a", "redirected"),
        ("trunk/b", "answered"),
    ]


def test_one_that_is_not_followed_is_a_failure_and_its_contact_is_not_told() -> None:
    rig = town("trunk/a", "trunk/b")
    caller = rig.incoming("100")
    redirect(rig, rig.leg(1))
    redirect(rig, rig.leg(2))
    assert caller.last(Reject).cause.sip_status == 480
    rig.assert_nothing_left()


def test_a_circle_ends() -> None:
    rig = town("trunk/a", trunk_a=(Target("trunk", "a", "200"),))
    caller = rig.incoming("100")
    for number in range(1, 7):
        redirect(rig, rig.leg(number))
    assert caller.last(Reject).cause.sip_status == 480
    rig.assert_nothing_left()


def test_a_phone_redirects_to_what_its_extension_may_dial() -> None:
    rig = town("extension/102", extension_102=(Target("number", "104", "104"),))
    rig.incoming("102")
    redirect(rig, rig.leg(1))
    dial = rig.leg(2).last(Dial)
    assert dial.called.number == "104"
    assert dial.redirections[0].party.number == "100"
    end(rig)


def test_a_trunk_that_wants_an_offer_gets_ours_when_the_caller_makes_none() -> None:
    rig = town("trunk/a")
    rig.early_offers = {"trunk/a"}
    caller = rig.incoming("100", late=True)
    callee = rig.leg(1)
    offer = callee.last(Dial).offer
    assert offer is not None
    assert offer.media[0].port
    rig.answer(callee, phone_sdp(6000, "0 101"))
    # The caller gets an offer in its 200, of what the callee has agreed to, and answers it in the ACK.
    assert caller.last(Answer).sdp.media[0].formats[0] == "0"
    heard = list(callee.heard)
    rig.tell(caller, events.OfferAnswered(caller.id, phone_sdp(4000, "0 101")))
    assert callee.heard == heard
    end(rig)


def test_a_redirection_into_a_full_route_is_not_followed() -> None:
    rig = town("extension/102", extension_102=(Target("number", "104", "104"),))
    first = rig.incoming("102")
    redirect(rig, rig.leg(1))
    assert rig.services.occupancy.of("route/few") == 1
    second = rig.incoming("102")
    redirect(rig, rig.leg(1))
    assert second.last(Reject).cause.sip_status == 480
    assert rig.registry.refused == {"route-calls": 1}
    assert not first.gone
    end(rig)
    assert rig.services.occupancy.of("route/few") == 0
