"""INVITE with Replaces (RFC 3891) through a whole server: phones move their calls, pick up others', and are refused."""

from __future__ import annotations

import pytest

from pbx.sip.message import Request, Response
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

PLAN = """
routes:
  - {name: phones, when: {number: "10X"}, do: [{dial: "extension/{number}"}]}
  - {name: record, when: {from: extension, number: "20X"}, do: [{dial: extension/102}]}
"""


class Town:
    """Alice may pick up what rings at Bob's; Carol may not."""

    def __init__(self, serve: Serve, phone: Connect, transfers: str = "handle") -> None:
        (line,) = free_ports()
        place = f"{LOOPBACK}:{line}"
        self.pbx: Pbx = serve(
            f'trunks:\n  line: {{address: "sip:{place}", identify: "{place}", transfers: {transfers}}}\n'
            'extensions:\n  "101": {password: a, pickup: "102"}\n  "102": {password: b}\n  "103": {password: c}\n',
            PLAN,
        )
        owners = (("101", "a"), ("101", "a"), ("102", "b"), ("103", "c"))
        self.alice, self.other, self.bob, self.carol = (phone(self.pbx, *owner) for owner in owners)
        self.line: Phone = phone(self.pbx, port=line)
        self.bob.register()
        self.causes: list[str] = []
        self.attempts: list[str] = []
        self.pbx.server.observer.on_ended.append(self._ended)

    def _ended(self, summary) -> None:  # type: ignore[no-untyped-def]
        self.causes.append(summary.cause.slug)
        self.attempts += [f"{one.target} {one.outcome}" for one in summary.attempts]

    def rings(self, caller: Phone) -> tuple[Request, Request, str]:
        """Have Bob's phone ring: the INVITE of the caller, that at Bob, and what names Bob's dialog."""
        sent = caller.dial("102")
        heard = self.bob.request("INVITE")
        self.bob.answer(heard, 180)
        caller.provisional(sent, 180)
        return sent, heard, f"{heard.call_id};to-tag={heard.from_.tag};from-tag={self.bob.tag}"

    def talks(self, caller: Phone) -> tuple[Request, Response, str]:
        """Have somebody talk to Bob: its INVITE, the 200, and what names its dialog."""
        sent, heard, _ = self.rings(caller)
        self.bob.pick_up(heard)
        answer = caller.final(sent)
        caller.acknowledge(sent, answer)
        return sent, answer, f"{sent.call_id};to-tag={answer.to.tag};from-tag={caller.tag}"

    def agree(self, *phones: Phone) -> None:
        """Let phones accept the offer that each is made."""
        for one in phones:
            offer = one.request("INVITE")
            assert b"m=audio" in offer.body
            one.pick_up(offer, sdp(4000))


def replacing(phone: Phone, dialog: str, body: bytes | None = None) -> tuple[Request, Response]:
    """Call with Replaces; what became of it."""
    sent = phone.dial("999", body, [("Replaces", dialog), ("Require", "replaces")])
    answer = phone.final(sent)
    phone.acknowledge(sent, answer)
    return sent, answer


def test_a_call_moves_to_another_phone_of_its_owner(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    _, _, dialog = town.talks(town.alice)
    sent, answer = replacing(town.other, dialog)
    assert answer.status == 200
    bye = town.alice.request("BYE")
    town.alice.answer(bye, 200)
    town.agree(town.other, town.bob)
    town.pbx.world.until(lambda: town.causes == ["transferred"])
    (call,) = town.pbx.server.registry.all()
    assert (call.source, call.destination) == ("extension/101", "extension/101")
    assert town.other.hang_up(sent, answer).status == 200
    town.bob.answer(town.bob.request("BYE"), 200)
    town.pbx.world.until(lambda: len(town.causes) == 2)
    assert town.causes[1].startswith("answered-")
    assert town.attempts == ["extension/102 answered", "extension/101 transferred"]
    assert not town.pbx.server.registry.all()


def test_the_callee_s_side_moves_as_well_and_without_an_offer(serve: Serve, phone: Connect) -> None:
    """Bob's second phone takes over; its INVITE brings no offer, and its ACK the answer to ours."""
    town = Town(serve, phone)
    sent, heard, dialog = town.rings(town.alice)
    town.bob.pick_up(heard)
    answer = town.alice.final(sent)
    town.alice.acknowledge(sent, answer)
    second = phone(town.pbx, "102", "b")
    asked = second.dial("999", b"", [("Replaces", dialog)])
    offered = second.final(asked)
    assert offered.status == 200
    assert b"m=audio" in offered.body
    same = [
        ("From", asked.headers.get("From") or ""),
        ("To", offered.headers.get("To") or ""),
        ("CSeq", f"{asked.cseq.number} ACK"),
    ]
    ack = second.compose("ACK", str(offered.contacts[0].uri), sdp(4000), same, call_id=asked.call_id)
    second.say(ack)
    town.bob.answer(town.bob.request("BYE"), 200)
    town.agree(second, town.alice)
    assert town.alice.hang_up(sent, answer).status == 200
    second.answer(second.request("BYE"), 200)


def test_a_ringing_call_is_picked_up(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    sent, heard, dialog = town.rings(town.carol)
    picked, answer = replacing(town.alice, f"{dialog};early-only")
    assert answer.status == 200
    cancel = town.bob.request("CANCEL")
    assert "cause=200" in (cancel.headers.get("Reason") or ""), "no missed call is shown"
    town.bob.answer(cancel, 200)
    town.bob.answer(heard, 487)
    found = town.carol.final(sent)
    assert found.status == 200
    town.carol.acknowledge(sent, found)
    town.agree(town.alice, town.carol)
    (call,) = town.pbx.server.registry.all()
    assert (call.source, call.destination) == ("extension/103", "extension/101")
    assert town.alice.hang_up(picked, answer).status == 200
    town.carol.answer(town.carol.request("BYE"), 200)
    town.pbx.world.until(lambda: len(town.causes) == 2)
    assert town.attempts == ["extension/102 answered-elsewhere", "extension/101 answered"]


def test_who_may_not_is_refused(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    _, heard, ringing = town.rings(town.alice)
    assert replacing(town.carol, ringing)[1].status == 403
    stranger = phone(town.pbx)
    sent = stranger.dial("999", headers=[("Replaces", ringing)])
    assert stranger.final(sent).status == 401
    town.bob.pick_up(heard)
    # Picking up is for what rings: who talks is left alone.
    assert replacing(town.alice, ringing)[1].status == 403
    assert town.bob.silent()


@pytest.mark.parametrize(("transfers", "status"), [("refuse", 403), ("handle", 200), ("pass", 200)])
def test_a_trunk_that_may_transfer_moves_its_own_calls(
    serve: Serve, phone: Connect, transfers: str, status: int
) -> None:
    town = Town(serve, phone, transfers)
    _, _, dialog = town.talks(town.line)
    assert replacing(town.line, dialog)[1].status == status


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda dialog: dialog.replace("to-tag=", "to-tag=x"), 481),
        (lambda dialog: f"{dialog};early-only", 486),
        (lambda dialog: dialog.partition(";from-tag")[0], 400),
        (lambda dialog: dialog.partition(";")[0], 400),
    ],
    ids=["unknown", "early only", "no from-tag", "no tags"],
)
def test_what_cannot_be_replaced(serve: Serve, phone: Connect, change, status: int) -> None:  # type: ignore[no-untyped-def]
    town = Town(serve, phone)
    _, _, dialog = town.talks(town.alice)
    assert replacing(town.other, change(dialog))[1].status == status
    assert town.alice.silent()


def test_a_caller_s_own_early_dialog_is_not_replaced(serve: Serve, phone: Connect) -> None:
    """RFC 3891 §3: one that was not initiated by us gets 481."""
    town = Town(serve, phone)
    sent = town.alice.dial("102")
    heard = town.bob.request("INVITE")
    town.bob.answer(heard, 180)
    ringing = town.alice.provisional(sent, 180)
    dialog = f"{sent.call_id};to-tag={ringing.to.tag};from-tag={town.alice.tag}"
    assert replacing(town.other, dialog)[1].status == 481
    twice = town.other.dial("999", headers=[("Replaces", dialog), ("Replaces", dialog)])
    assert town.other.final(twice).status == 400


def test_a_call_that_is_over_is_not_replaced(serve: Serve, phone: Connect) -> None:
    """603 while its BYE is on the way, 481 once nobody knows it any more."""
    town = Town(serve, phone)
    _, _, dialog = town.talks(town.alice)
    (call,) = town.pbx.server.registry.all()
    town.pbx.server.registry.hang_up(call.call)
    assert replacing(town.other, dialog)[1].status in (481, 603)
    town.alice.answer(town.alice.request("BYE"), 200)
    town.bob.answer(town.bob.request("BYE"), 200)
    town.pbx.world.until(lambda: town.causes)
    assert replacing(town.other, dialog)[1].status == 481
