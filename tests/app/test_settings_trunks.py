"""What configuration says of a trunk's numbers, of callers shown to it, and of limits, seen from outside."""

from __future__ import annotations

import time

import pytest

from pbx.sip.message import Request, Response
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

PLAN = """
numbering: {country: "49", emergency: ["112"]}
routes:
  - {name: phones, when: {number: "+493012"}, do: [{dial: extension/101}]}
  - {name: help, when: {from: extension, number: "112"}, do: [{dial: trunk/carrier}]}
  - {name: few, when: {from: extension, number: "6X"}, max_calls: 1, do: [{dial: trunk/carrier}]}
  - {name: opus, when: {from: extension, number: "5X", codec: opus}, do: [{dial: trunk/other}]}
  - {name: no opus, when: {from: extension, number: "5X"}, do: [{dial: trunk/carrier}]}
  - name: set
    when: {from: extension, number: "4X"}
    do: [{set: {caller: "+4989777"}}, {dial: trunk/carrier}]
  - {name: waits, when: {from: extension, number: "3X"}, do: [{dial: trunk/carrier, wait_for_line: 2s}]}
  - name: out
    when: {from: extension, number: "0."}
    do: [{set: {number: {strip: 1, prefix: "+49"}}}, {dial: trunk/carrier}]
  - {name: line, when: {from: extension, number: "9."}, do: [{set: {number: {strip: 1}}}, {dial: trunk/other}]}
  - {name: either, when: {from: extension, number: "8X"}, do: [{dial: [trunk/carrier, trunk/other], timeout: 1s}]}
"""
ALICE = 'extensions: {"101": {name: Alice, password: wonderland, caller_number: "+4930121"EXTRA}}\n'


class Town:
    """A server with a phone and two carriers."""

    def __init__(self, serve: Serve, phone: Connect, carrier: str = "", more: str = "", extra: str = "") -> None:
        one, two = free_ports(2)
        self.pbx: Pbx = serve(
            f'trunks:\n  carrier: {{address: "sip:{LOOPBACK}:{one}", identify: "{LOOPBACK}:{one}"{carrier}}}\n'
            f'  other: {{address: "sip:{LOOPBACK}:{two}", identify: "{LOOPBACK}:{two}"}}\n'
            + ALICE.replace("EXTRA", extra)
            + more,
            PLAN,
        )
        self.alice: Phone = phone(self.pbx, "101", "wonderland")
        self.carrier: Phone = phone(self.pbx, port=one)
        self.other: Phone = phone(self.pbx, port=two)

    def reaches(self, number: str, callee: Phone | None = None, body: bytes | None = None) -> Request:
        """Call a number and return the INVITE that arrives; the callee refuses it."""
        sent = self.alice.dial(number, body)
        heard = (callee or self.carrier).request("INVITE")
        (callee or self.carrier).answer(heard, 486)
        assert self.alice.final(sent).status == 486
        return heard

    def rings(self, number: str) -> tuple[Request, Request]:
        """Call a number and let it ring at the carrier."""
        sent = self.alice.dial(number)
        heard = self.carrier.request("INVITE")
        self.carrier.answer(heard, 180)
        self.alice.provisional(sent, 180)
        return sent, heard


NATIONAL = ', numbers: {country: "49", area: "30", inbound: national, outbound: national, outbound_prefix: "9"}'


def test_numbers_are_written_as_the_trunk_writes_them(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, NATIONAL)
    heard = town.reaches("0301234567")
    assert (heard.uri.user, heard.to.uri.user, heard.from_.uri.user) == ("90301234567", "90301234567", "030121")
    town.alice.register()
    invite = town.carrier.compose("INVITE", f"sip:03012@{LOOPBACK}", sdp(), [("From", "<sip:040777777@x>;tag=1")])
    town.carrier.say(invite, town.pbx.address())
    rang = town.alice.request("INVITE")
    assert rang.from_.uri.user == "+4940777777"
    town.alice.answer(rang, 486)
    assert town.carrier.final(invite).status == 486


LISTED = ', caller: listed, caller_number: "+49300", caller_numbers: ["+493012*", "+4989555"]'


@pytest.mark.parametrize(("number", "shown"), [("0301", "+4930121"), ("41", "+49300")])
def test_only_listed_numbers_are_shown_whatever_a_route_sets(
    serve: Serve, phone: Connect, number: str, shown: str
) -> None:
    assert Town(serve, phone, LISTED).reaches(number).from_.uri.user == shown


def test_a_route_asks_for_the_codecs_offered(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    town.reaches("51", town.other, sdp(codecs="96 0 101"))
    town.reaches("51", town.carrier, sdp(codecs="0 8 101"))


def refused(town: Town, number: str) -> tuple[int, str | None]:
    answer = town.alice.final(town.alice.dial(number))
    return answer.status, answer.headers.get("Retry-After")


def test_calls_a_second_of_a_trunk(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, ", max_calls_per_second: 1", "limits: {retry_after: 7s}\n")
    town.reaches("0301")
    assert refused(town, "0301") == (503, "7")
    town.reaches("112")
    town.pbx.world.run(1.05)
    town.reaches("0301")


def test_a_trunk_that_comes_back_with_a_thousand_calls_is_slowed(serve: Serve, phone: Connect, world: World) -> None:
    """Refused at once, counted, and written down as far as that tells anything; who calls otherwise is served."""
    # A busy machine takes longer, so that more are taken; each has ports, which rest for a while after it.
    more = "limits: {overload: ignore}\nmedia: {ports: 44000-47999}\n"
    town = Town(serve, phone, ", max_calls_per_second: 5", more)
    town.alice.register()
    began = time.monotonic()
    written: list[str] = []
    town.pbx.server.observer.on_ended.append(lambda summary: written.append(summary.cause.slug))
    answers: dict[str, Response] = {}

    def take() -> bool:
        town.carrier.listen()
        heard, town.carrier.inbox[:] = town.carrier.inbox[:], []
        answers.update({one.call_id: one for one in heard if isinstance(one, Response) and one.status >= 200})
        return len(answers) == 1000

    for number in range(1000):
        who = [("From", f"<sip:{number}@x>;tag={number}")]
        town.carrier.say(town.carrier.compose("INVITE", f"sip:77@{LOOPBACK}", sdp(), who), town.pbx.address())
        # No more of them wait than sockets of loopback hold: what a socket drops is not what is looked at here.
        world.until(lambda sent=number: take() or len(answers) > sent - 50)
    town.reaches("81", town.other)
    world.until(take, 10)
    refused = [one for one in answers.values() if one.status == 503]
    assert {answer.headers.get("Retry-After") for answer in refused} == {"5"}
    taken = [one for one in answers.values() if one.status != 503]
    assert {one.status for one in taken} == {404}, "no route takes the number"
    seconds = time.monotonic() - began + 1
    assert 5 <= len(taken) <= 5 * seconds + 5
    assert town.pbx.server.registry.refused == {"source-rate": len(refused)}
    # Those beyond fifty a second have one record a second together.
    assert 50 <= written.count("too-many-calls") <= 51 * seconds + 50
    town.pbx.server.observer.flush()


@pytest.mark.parametrize(
    ("carrier", "more", "extra", "counted"),
    [
        (", max_calls: 1", "", "", ""),
        ("", "limits: {calls: 1}\n", "", "calls"),
        ("", "limits: {calls_per_second: 0.01}\n", "", "rate"),
        ("", "", ", max_calls: 1", "source-calls"),
        ("", "", ", max_calls_per_second: 0.01", "source-rate"),
    ],
)
def test_no_limit_stops_an_emergency_call(
    serve: Serve, phone: Connect, carrier: str, more: str, extra: str, counted: str
) -> None:
    town = Town(serve, phone, carrier, more, extra)
    sent, rung = town.rings("0301")
    assert refused(town, "0301") == (503, "5")
    assert town.pbx.server.registry.refused == ({counted: 1} if counted else {})
    for number in ("112", "*31#112", "9112"):
        assert town.reaches(number).uri.user == "112"
    town.carrier.answer(rung, 486)
    assert town.alice.final(sent).status == 486


def test_a_route_takes_so_many_calls(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    sent, rung = town.rings("61")
    assert refused(town, "62") == (503, "5")
    town.carrier.answer(rung, 486)
    assert town.alice.final(sent).status == 486
    town.pbx.world.until(lambda: not len(town.pbx.server.registry))
    town.reaches("62")


def test_a_call_waits_for_a_free_line(serve: Serve, phone: Connect, world: World) -> None:
    town = Town(serve, phone, ", max_calls: 1")
    sent, rung = town.rings("0301")
    waiting = town.alice.dial("31")
    assert town.carrier.silent(0.4)
    town.carrier.answer(rung, 486)
    assert town.alice.final(sent).status == 486
    heard = town.carrier.request("INVITE")
    town.carrier.answer(heard, 486)
    assert town.alice.final(waiting).status == 486


def test_a_call_does_not_wait_longer_than_it_may(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone, ", max_calls: 1")
    sent, rung = town.rings("0301")
    assert refused(town, "31") == (503, "5")
    town.carrier.answer(rung, 486)
    assert town.alice.final(sent).status == 486


def test_our_own_invite_that_comes_back_is_refused(serve: Serve, phone: Connect) -> None:
    """A carrier that loops: 482, and the record of the call says so."""
    town = Town(serve, phone)
    sent = town.alice.dial("0301")
    heard = town.carrier.request("INVITE")
    back = town.carrier.compose(
        "INVITE",
        f"sip:+49301@{LOOPBACK}",
        heard.body,
        [(name, heard.headers.get(name) or "") for name in ("From", "To", "CSeq", "Max-Forwards")],
        call_id=heard.call_id,
    )
    town.carrier.say(back, town.pbx.address())
    assert town.carrier.final(back).status == 482
    assert town.pbx.server.leg_counters["invite-looped"] == 1
    town.carrier.answer(heard, 482)
    assert town.alice.final(sent).status == 482


def test_an_answer_after_the_cancel_is_acknowledged_and_hung_up(serve: Serve, phone: Connect, world: World) -> None:
    """The first carrier rings too long, and answers as it is given up: the caller talks to the second one only."""
    town = Town(serve, phone)
    sent = town.alice.dial("81")
    late = town.carrier.request("INVITE")
    town.carrier.answer(late, 180)
    town.alice.provisional(sent, 180)
    cancel = town.carrier.request("CANCEL")
    second = town.other.request("INVITE")
    town.carrier.answer(cancel, 200)
    town.carrier.answer(late, 200, sdp())
    town.carrier.request("ACK")
    bye = town.carrier.request("BYE")
    assert "Reason" in bye.headers
    town.carrier.answer(bye, 200)
    town.other.pick_up(second)
    answer = town.alice.final(sent)
    assert answer.status == 200
    town.alice.acknowledge(sent, answer)
    (call,) = town.pbx.server.registry.all()
    assert [f"{one.target} {one.outcome}" for one in call.attempts] == [
        "trunk/carrier no-answer",
        "trunk/other answered",
    ]
    assert town.alice.hang_up(sent, answer).status == 200
    town.other.answer(town.other.request("BYE"), 200)


def test_a_trunk_that_wants_no_calls_is_left_alone_for_a_while(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    sent = town.alice.dial("81")
    town.carrier.answer(town.carrier.request("INVITE"), 503, headers=[("Retry-After", "600")])
    town.other.answer(town.other.request("INVITE"), 486)
    assert town.alice.final(sent).status == 486
    town.carrier.request("ACK")
    sent = town.alice.dial("82")
    town.other.answer(town.other.request("INVITE"), 486)
    assert town.alice.final(sent).status == 486
    assert town.carrier.silent()
    assert town.pbx.server.directory.why_down("carrier").startswith("it wants no calls for")
