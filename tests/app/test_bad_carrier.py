"""Carriers that behave badly, each in a whole call: what the caller gets, what the carrier gets, and what the record
says."""

from __future__ import annotations

import re

import pytest

from pbx.app.observer import record_of
from pbx.sip.message import Request, Response
from pbx.store.call_records import CallRecord
from tests.support.loopback import World
from tests.support.pbx import LOOPBACK, Connect, Pbx, Phone, Serve, free_ports, sdp

PLAN = """
routes:
  - {name: out, when: {from: extension, number: "."}, do: [{dial: [trunk/first, trunk/second]}]}
"""
NONSENSE = (
    b"\0\xff\0\xff" * 50,
    b"SIP/2.0 2OO OK\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: nothing\r\nCSeq: eleven\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"SIP/2.0 200 OK\r\n" + b"X" * 3000,
)


class Town:
    """A server, a phone, and two carriers that are tried one after the other. `records` are those of calls that are
    over."""

    def __init__(self, serve: Serve, phone: Connect) -> None:
        first, second = free_ports(2)
        trunks = "".join(
            f'  {name}: {{address: "sip:{LOOPBACK}:{port}", identify: "{LOOPBACK}:{port}"}}\n'
            for name, port in (("first", first), ("second", second))
        )
        self.pbx: Pbx = serve(f'trunks:\n{trunks}extensions: {{"101": {{password: wonderland}}}}\n', PLAN)
        self.alice: Phone = phone(self.pbx, "101", "wonderland")
        self.first: Phone = phone(self.pbx, port=first)
        self.second: Phone = phone(self.pbx, port=second)
        self.records: list[CallRecord] = []
        self.pbx.server.observer.on_ended.append(lambda summary: self.records.append(record_of(summary)))

    def record(self) -> CallRecord:
        """Wait for the end of the one call there is."""
        self.pbx.world.until(lambda: self.records)
        (found,) = self.records
        return found

    def attempts(self) -> list[str]:
        return [f"{one.target.removeprefix('trunk/')} {one.outcome}" for one in self.record().attempts]

    def answered(self) -> tuple[Request, Response, Request]:
        """Have a call that the first carrier has answered: Alice's INVITE, its 200, and the INVITE at the carrier."""
        sent = self.alice.dial("0301")
        heard = self.first.request("INVITE")
        self.first.pick_up(heard)
        answer = self.alice.final(sent)
        assert answer.status == 200
        self.alice.acknowledge(sent, answer)
        return sent, answer, heard

    def hang_up(self, sent: Request, answer: Response) -> Request:
        """Let Alice hang up; return the BYE that the first carrier gets, which is answered."""
        assert self.alice.hang_up(sent, answer).status == 200
        bye = self.first.request("BYE")
        self.first.answer(bye, 200)
        return bye


def raw(carrier: Phone, heard: Request, *datagrams: bytes) -> None:
    """Send bytes to where a request came from."""
    for one in datagrams:
        carrier.socket.sendto(one, carrier.server)


def test_nonsense_is_passed_over_and_the_answer_behind_it_counts(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    sent = town.alice.dial("0301")
    heard = town.first.request("INVITE")
    raw(town.first, heard, *NONSENSE)
    stray = town.first.answer(heard, 180).to_bytes()
    raw(town.first, heard, re.sub(rb"branch=[^;\r]*", b"branch=z9hG4bKother", stray).replace(b"180 Ringing", b"200 OK"))
    town.alice.provisional(sent, 180)
    town.first.answer(heard, 486)
    assert town.alice.final(sent).status == 486
    assert town.attempts() == ["first busy"]
    assert town.pbx.server.layer.counters["malformed_dropped"] >= 3
    assert town.second.silent()


@pytest.mark.parametrize("body", [b"", b"hello", sdp(0), sdp(codecs="99")], ids=["none", "words", "no port", "codec"])
def test_an_answer_that_means_nothing_is_hung_up_and_not_doubled(serve: Serve, phone: Connect, body: bytes) -> None:
    """The callee has picked up and pays: the next carrier would ring it again."""
    town = Town(serve, phone)
    sent = town.alice.dial("0301")
    heard = town.first.request("INVITE")
    town.first.answer(heard, 200, body)
    town.first.request("ACK")
    town.first.answer(town.first.request("BYE"), 200)
    answer = town.alice.final(sent)
    assert answer.status in (488, 500)
    town.alice.acknowledge(sent, answer)
    assert town.attempts() in (["first protocol-error"], ["first media-refused"])
    assert not [one for one in town.second.inbox if isinstance(one, Request)]
    assert town.second.silent()


def test_two_answers_are_one_call(serve: Serve, phone: Connect) -> None:
    """RFC 3261 §13.2.2.4: the second one, of another phone behind the carrier, is acknowledged and hung up."""
    town = Town(serve, phone)
    sent, answer, heard = town.answered()
    town.first.tag = "another-phone"
    town.first.answer(heard, 200, sdp())
    ack = town.first.request("ACK")
    assert ack.to.tag == "another-phone"
    bye = town.first.request("BYE")
    assert bye.to.tag == "another-phone"
    town.first.answer(bye, 200)
    town.hang_up(sent, answer)
    assert town.record().cause == "answered-caller-hung-up"
    assert town.attempts() == ["first answered"]
    assert town.pbx.server.leg_counters["answer-unwanted"] == 1


def test_what_comes_after_the_answer_changes_nothing(serve: Serve, phone: Connect) -> None:
    """The same 200 is acknowledged each time; a refusal and a ringing that come late are dropped."""
    town = Town(serve, phone)
    sent, answer, heard = town.answered()
    town.first.answer(heard, 200, sdp())
    town.first.request("ACK")
    town.first.answer(heard, 180)
    town.first.answer(heard, 486)
    assert town.first.silent()
    assert town.alice.silent()
    town.hang_up(sent, answer)
    assert town.record().cause == "answered-caller-hung-up"


def test_an_answer_after_its_own_refusal_is_no_call(serve: Serve, phone: Connect) -> None:
    town = Town(serve, phone)
    sent = town.alice.dial("0301")
    heard = town.first.request("INVITE")
    town.first.answer(heard, 503)
    second = town.second.request("INVITE")
    town.first.answer(heard, 200, sdp())
    town.second.pick_up(second)
    answer = town.alice.final(sent)
    town.alice.acknowledge(sent, answer)
    assert town.alice.hang_up(sent, answer).status == 200
    town.second.answer(town.second.request("BYE"), 200)
    assert town.attempts() == ["first callee-overloaded", "second answered"]
    town.first.listen()
    assert [one.method for one in town.first.inbox if isinstance(one, Request)] in (["ACK"], ["ACK", "ACK"])


def test_a_carrier_that_moves_in_mid_call_is_followed(serve: Serve, phone: Connect) -> None:
    """A re-INVITE from another address, with another Contact and other audio: it stays on that leg, and the BYE goes
    to the new place (RFC 3261 §12.2)."""
    town = Town(serve, phone)
    sent, answer, heard = town.answered()
    moved = phone(town.pbx)
    target = str(heard.contacts[0].uri)
    more = [
        ("From", f"{heard.headers.get('To')};tag={town.first.tag}"),
        ("To", heard.headers.get("From") or ""),
        ("CSeq", "7 INVITE"),
    ]
    invite = moved.compose("INVITE", target, sdp(4004), more, call_id=heard.call_id)
    moved.say(invite, town.pbx.address())
    accepted = moved.final(invite)
    assert accepted.status == 200
    moved.acknowledge(invite, accepted)
    assert town.alice.silent(), "whom it talks to is not bothered"
    assert town.alice.hang_up(sent, answer).status == 200
    moved.answer(moved.request("BYE"), 200)
    assert town.first.silent()
    record = town.record()
    assert record.cause == "answered-caller-hung-up"
    assert record.legs[1].remote == f"udp:{LOOPBACK}:{moved.address[1]}"


def test_a_carrier_that_floods_disturbs_no_call(serve: Serve, phone: Connect, world: World) -> None:
    """Garbage, requests of no dialog and answers to nothing, from an address that no limit of strangers concerns."""
    town = Town(serve, phone)
    town.alice.register()
    sent, answer, heard = town.answered()
    stray = town.first.compose("BYE", str(heard.contacts[0].uri), call_id="no-call").to_bytes()
    late = town.first.answer(heard, 180).to_bytes()
    for _ in range(10):
        raw(town.first, heard, *NONSENSE * 10, *[stray, late] * 10)
        world.run(0.02)
    town.first.listen()
    town.first.inbox.clear()
    town.hang_up(sent, answer)
    assert town.record().cause == "answered-caller-hung-up"


def test_a_loop_is_in_the_record(serve: Serve, phone: Connect) -> None:
    """A carrier that sends our own INVITE back gets 482, and passes that on: the next one is tried."""
    town = Town(serve, phone)
    sent = town.alice.dial("0301")
    heard = town.first.request("INVITE")
    same = [(name, heard.headers.get(name) or "") for name in ("From", "To", "CSeq", "Max-Forwards")]
    back = town.first.compose("INVITE", f"sip:0301@{LOOPBACK}", heard.body, same, call_id=heard.call_id)
    town.first.say(back, town.pbx.address())
    assert town.first.final(back).status == 482
    town.first.answer(heard, 482)
    town.second.answer(town.second.request("INVITE"), 486)
    assert town.alice.final(sent).status == 486
    assert town.attempts() == ["first loop", "second busy"]
