"""Which transaction a message belongs to, what the layer answers by itself, and where responses go."""

from __future__ import annotations

import pytest

from pbx.errors import UsageError
from pbx.sip.layer import LayerSettings, TransactionLayer, reply_address
from pbx.sip.message import Request, Response, make_response
from pbx.sip.parser import MessageError, parse_message
from pbx.sip.stack import Flow
from pbx.sip.values import Via
from tests.support.sip import Ear, counted_ids, request

LOCAL = ("192.0.2.1", 5060)
PEER = ("192.0.2.2", 5060)
UDP = Flow("udp", LOCAL, PEER)
TCP = Flow("tcp", LOCAL, PEER, 3)


def hear(ear: Ear, message: Request | Response | bytes, flow: Flow = UDP) -> None:
    data = message if isinstance(message, bytes) else message.to_bytes()
    ear.take(ear.layer.receive(data, flow, ear.now))


def say(ear: Ear, status: int, number: int = 0, tag: str | None = "mine") -> None:
    transaction = ear.requests[number].transaction
    response = make_response(transaction.request, status, to_tag=tag)
    ear.take(ear.layer.respond(transaction, response, ear.now))


def sent(ear: Ear) -> Request | Response:
    return parse_message(ear.last())


def status(ear: Ear) -> int:
    message = sent(ear)
    assert isinstance(message, Response)
    return message.status


# -- matching by RFC 3261 §17.2.3


@pytest.mark.parametrize(
    "other",
    [
        {"branch": "z9hG4bKother", "cseq": 2},
        {"via": "SIP/2.0/UDP 192.0.2.3:5060", "cseq": 2},
        {"via": "SIP/2.0/UDP 192.0.2.2:5070", "cseq": 2},
    ],
    ids=["branch", "host", "port"],
)
def test_another_branch_or_sender_is_another_transaction(other: dict[str, str]):
    ear = Ear()
    hear(ear, request("OPTIONS"))
    hear(ear, request("OPTIONS"))
    assert len(ear.requests) == 1
    assert ear.layer.counters["requests_repeated"] == 1
    hear(ear, request("OPTIONS", **other))  # type: ignore[arg-type]
    assert len(ear.requests) == 2


def test_a_repeated_request_before_any_response_is_absorbed():
    ear = Ear()
    for method in ("INVITE", "OPTIONS"):
        hear(ear, request(method))
        hear(ear, request(method))
    assert len(ear.requests) == 2
    assert ear.sent == []
    assert ear.dropped == ["requests_repeated"] * 2


def test_a_repeated_invite_brings_the_latest_provisional_response():
    ear = Ear()
    hear(ear, request("INVITE"))
    say(ear, 180)
    say(ear, 183)
    hear(ear, request("INVITE"))
    assert [data.split(b" ")[1] for _, data, _ in ear.sent] == [b"180", b"183", b"183"]


def test_an_ack_to_a_2xx_goes_up_whichever_branch_it_has():
    ear = Ear()
    hear(ear, request("INVITE"))
    say(ear, 200)
    hear(ear, request("ACK", branch="z9hG4bKown", to_tag="mine"))
    hear(ear, request("ACK", to_tag="mine"))
    assert len(ear.acks) == 2
    assert ear.acks[0].request.top_via.branch == "z9hG4bKown"
    assert ear.acks[0].flow == UDP


def test_an_ack_before_any_final_response_is_dropped():
    ear = Ear()
    hear(ear, request("INVITE"))
    hear(ear, request("ACK"))
    assert ear.acks == []
    assert ear.dropped == ["acks_unexpected"]


def test_an_ack_is_never_answered():
    ear = Ear()
    hear(ear, request("ACK", extra=(("Max-Forwards", "300"),)))
    broken = request("ACK").to_bytes().replace(b"CSeq: 1 ACK", b"CSeq: 1 INVITE")
    hear(ear, broken)
    assert ear.sent == []
    assert ear.acks == []
    assert ear.layer.counters["malformed_dropped"] == 2


# -- matching as in RFC 2543


@pytest.mark.parametrize("branch", [None, "1"], ids=["no branch", "old branch"])
def test_a_client_without_the_cookie(branch: str | None):
    ear = Ear()
    hear(ear, request("INVITE", branch=branch))
    hear(ear, request("INVITE", branch=branch))
    assert len(ear.requests) == 1
    say(ear, 486)
    hear(ear, request("INVITE", branch=branch))
    assert [data.split(b" ")[1] for _, data, _ in ear.sent] == [b"486", b"486"]
    hear(ear, request("ACK", branch=branch, to_tag="mine"))
    ear.until(10)
    assert len(ear.sent) == 2, "the ACK has found its INVITE"
    assert ear.acks == []


def test_an_old_ack_to_a_2xx_has_the_invites_via_and_goes_up():
    ear = Ear()
    hear(ear, request("INVITE", branch=None))
    say(ear, 200)
    hear(ear, request("ACK", branch=None, to_tag="mine"))
    assert len(ear.acks) == 1


def test_an_old_ack_with_another_to_tag_is_for_somebody_else():
    ear = Ear()
    hear(ear, request("INVITE", branch=None))
    say(ear, 486)
    hear(ear, request("ACK", branch=None, to_tag="another"))
    ear.until(10)
    assert len(ear.sent) > 2, "still waiting for its own ACK"


@pytest.mark.parametrize("change", [{"cseq": 2}, {"call_id": "b"}, {"from_tag": "b"}, {"uri": "sip:c@example.com"}])
def test_old_requests_are_told_apart_by_all_that_rfc_2543_says(change: dict[str, str]):
    ear = Ear()
    hear(ear, request("OPTIONS", branch=None, to_tag="theirs"))
    hear(ear, request("OPTIONS", branch=None, to_tag="theirs", **change))  # type: ignore[arg-type]
    assert len(ear.requests) == 2


def test_an_old_cancel_finds_its_invite():
    ear = Ear()
    hear(ear, request("INVITE", branch=None))
    hear(ear, request("CANCEL", branch=None))
    assert len(ear.cancels) == 1


# -- CANCEL received (RFC 3261 §9.2)


def test_cancel_is_answered_with_the_to_tag_of_the_invites_responses():
    ear = Ear()
    hear(ear, request("INVITE"))
    say(ear, 180)
    hear(ear, request("CANCEL"))
    assert status(ear) == 200
    assert sent(ear).to.tag == "mine"
    assert ear.cancels[0].transaction is ear.requests[0].transaction
    assert not ear.requests[0].transaction.final_sent
    hear(ear, request("CANCEL"))
    assert len(ear.cancels) == 1, "a repeated CANCEL brings its response again"
    assert ear.sent[-1][1] == ear.sent[-2][1]
    say(ear, 487)
    assert ear.requests[0].transaction.final_sent


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_cancel_of_nothing_gets_481(flow: Flow):
    ear = Ear()
    hear(ear, request("CANCEL"), flow)
    assert status(ear) == 481
    assert sent(ear).to.tag
    assert ear.layer.counters["cancels_unmatched"] == 1
    ear.until(32)
    assert ear.layer.leftovers() == []


@pytest.mark.parametrize("final", [200, 486])
def test_cancel_after_the_final_response_gets_200_and_nothing_else(final: int):
    ear = Ear()
    hear(ear, request("INVITE"))
    say(ear, final)
    hear(ear, request("CANCEL"))
    assert status(ear) == 200
    assert ear.cancels == []


# -- what the layer sends by itself


def test_the_ack_of_a_failure_is_as_rfc_3261_17_1_1_3_says():
    ear = Ear()
    route = (("Route", "<sip:p1.example.com;lr>"), ("Route", "<sip:p2.example.com;lr>"), ("Contact", "<sip:a@b>"))
    invite = request("INVITE", extra=route, body=b"v=0\r\n", cseq=77)
    _, effects = ear.layer.request(invite, UDP, "192.0.2.1:5060", "user", 0.0)
    ear.take(effects)
    asked = sent(ear)
    assert isinstance(asked, Request)
    hear(ear, make_response(asked, 404, to_tag="theirs"))
    ack = sent(ear)
    assert isinstance(ack, Request)
    assert ack.method == "ACK"
    assert str(ack.uri) == str(asked.uri)
    assert [str(via) for via in ack.vias] == [str(asked.top_via)]
    assert ack.headers.get("To") == "<sip:bob@example.com>;tag=theirs"
    assert ack.headers.get("From") == asked.headers.get("From")
    assert ack.call_id == asked.call_id
    assert (ack.cseq.number, ack.cseq.method) == (77, "ACK")
    assert [str(each.uri) for each in ack.routes] == ["sip:p1.example.com;lr", "sip:p2.example.com;lr"]
    assert ack.max_forwards == 70
    assert ack.body == b""
    assert "Contact" not in ack.headers


def test_the_cancel_is_as_rfc_3261_9_1_says():
    ear = Ear()
    invite = request("INVITE", extra=(("Route", "<sip:p1.example.com;lr>"), ("Require", "100rel")), cseq=77)
    transaction, effects = ear.layer.request(invite, UDP, "192.0.2.1:5060", "user", 0.0)
    ear.take(effects)
    asked = sent(ear)
    assert isinstance(asked, Request)
    hear(ear, make_response(asked, 183, to_tag="theirs"))
    ear.take(ear.layer.cancel(transaction, (("Reason", "SIP;cause=200"),), 0.0))
    cancel = sent(ear)
    assert isinstance(cancel, Request)
    assert cancel.method == "CANCEL"
    assert [str(via) for via in cancel.vias] == [str(asked.top_via)]
    assert cancel.to.tag is None
    assert (cancel.cseq.number, cancel.cseq.method) == (77, "CANCEL")
    assert cancel.headers.get("Reason") == "SIP;cause=200"
    assert [str(each.uri) for each in cancel.routes] == ["sip:p1.example.com;lr"]
    assert "Require" not in cancel.headers


def test_our_via():
    layer = TransactionLayer(counted_ids())
    first, _ = layer.request(request("OPTIONS", branch="z9hG4bKold"), UDP, "192.0.2.1:5060", None, 0.0)
    tls = Flow("tls", LOCAL, PEER, 2)
    second, _ = layer.request(request("OPTIONS"), tls, "pbx.example.com", None, 0.0)
    assert first.request is not None
    assert second.request is not None
    (via,) = first.request.vias
    assert (via.transport, via.sent_by, via.wants_rport) == ("UDP", "192.0.2.1:5060", True)
    assert via.branch is not None
    assert via.branch.startswith("z9hG4bK")
    assert via.branch != second.request.top_via.branch
    assert (second.request.top_via.transport, second.request.top_via.wants_rport) == ("TLS", False)


def test_an_ack_for_a_2xx_has_a_branch_of_its_own_and_no_transaction():
    ear = Ear()
    ear.take(ear.layer.ack(request("ACK", branch=None), UDP, "192.0.2.1:5060"))
    assert sent(ear).top_via.branch != "z9hG4bKbranch"
    assert ear.layer.leftovers() == []


def test_contracts_of_the_caller():
    layer = TransactionLayer(counted_ids())
    for method in ("ACK", "CANCEL"):
        with pytest.raises(UsageError):
            layer.request(request(method), UDP, "192.0.2.1:5060", None, 0.0)
    transaction, _ = layer.request(request("BYE"), UDP, "192.0.2.1:5060", None, 0.0)
    with pytest.raises(UsageError):
        layer.cancel(transaction, (), 0.0)


# -- merged requests (RFC 3261 §8.2.2.2)


def test_a_request_that_comes_by_two_ways_is_answered_482():
    ear = Ear()
    hear(ear, request("INVITE"))
    hear(ear, request("INVITE", branch="z9hG4bKother"))
    assert status(ear) == 482
    assert len(ear.requests) == 1
    assert ear.layer.counters["requests_merged"] == 1
    hear(ear, request("ACK", branch="z9hG4bKother", to_tag="x"))
    hear(ear, request("INVITE", branch="z9hG4bKthird", from_tag="other"))
    hear(ear, request("INVITE", branch="z9hG4bKfourth", to_tag="in-a-dialog"))
    assert len(ear.requests) == 3


def test_after_the_transaction_a_merged_request_is_a_new_one():
    ear = Ear()
    hear(ear, request("OPTIONS"))
    say(ear, 200)
    ear.until(32)
    hear(ear, request("OPTIONS", branch="z9hG4bKother"))
    assert len(ear.requests) == 2


# -- what is answered without a transaction


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE", 400),
        (b"CSeq: 1 OPTIONS", b"CSeq: many OPTIONS", 400),
        (b"Call-ID: call@example.com\r\n", b"", 400),
        (b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia", 505),
        (b"Max-Forwards: 70", b"Max-Forwards: 300", 400),
        (b"Content-Length: 0", b"Content-Length: 9", 400),
    ],
)
def test_malformed_requests_are_answered(old: bytes, new: bytes, expected: int):
    ear = Ear()
    data = request("OPTIONS").to_bytes()
    assert old in data
    hear(ear, data.replace(old, new))
    hear(ear, data.replace(old, new))
    assert ear.requests == []
    assert status(ear) == expected
    assert ear.sent[0][1] == ear.sent[1][1], "the same To tag for a repetition"
    assert ear.layer.leftovers() == []
    assert ear.layer.counters["malformed_answered"] == 2


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\x00\xff", b"OPTIONS sip:a SIP/2.0\r\n\r\n", b"SIP/2.0 9 x\r\n\r\n"]
)
def test_what_cannot_be_answered_is_dropped_and_counted(data: bytes):
    ear = Ear()
    hear(ear, data)
    assert ear.sent == []
    assert ear.dropped == ["malformed_dropped"]


def test_a_framing_error_can_be_answered():
    ear = Ear()
    error = MessageError("Too long", 513, request("MESSAGE"))
    ear.take(ear.layer.malformed(error, TCP, 0.0))
    assert status(ear) == 513


def test_too_many_transactions_get_503():
    ear = Ear(LayerSettings(most_servers=2))
    for number in range(4):
        hear(ear, request("OPTIONS", branch=f"z9hG4bK{number}", call_id=str(number)))
    assert len(ear.requests) == 2
    assert status(ear) == 503
    assert sent(ear).headers.get("Retry-After") == "5"
    assert ear.layer.counters["requests_overload"] == 2
    hear(ear, request("BYE", branch="z9hG4bKbye", to_tag="mine"))
    assert len(ear.requests) == 3, "what belongs to a call is still served"


def test_those_who_are_known_are_served_whatever_strangers_do():
    ear = Ear(LayerSettings(most_servers=1, exempt=lambda flow: flow is TCP))
    hear(ear, request("OPTIONS", branch="z9hG4bK1", call_id="1"))
    hear(ear, request("OPTIONS", branch="z9hG4bK2", call_id="2"), TCP)
    assert len(ear.requests) == 2
    hear(ear, request("OPTIONS", branch="z9hG4bK3", call_id="3"))
    assert len(ear.requests) == 2
    assert status(ear) == 503


@pytest.mark.parametrize("branch", ["z9hG4bKrefused", None])
def test_an_invite_that_was_refused_stays_refused_when_it_comes_again(branch: str | None):
    """Else its repetition would ring for a caller who has hung up."""
    taken = [False]
    ear = Ear(LayerSettings(takes=lambda flow, request: taken[0]))
    invite = request("INVITE", branch=branch)
    hear(ear, invite)
    refusal = ear.last()
    assert status(ear) == 503
    taken[0] = True
    ear.now += 31.0
    hear(ear, invite)
    assert (ear.last(), len(ear.sent), ear.requests) == (refusal, 2, [])
    assert ear.layer.counters["requests_overload"] == ear.layer.counters["refusals_repeated"] == 1
    hear(ear, request("ACK", branch=branch, to_tag=sent(ear).to.tag))
    assert ear.acks == []
    assert (len(ear.sent), ear.dropped) == (2, ["refusals_acknowledged"])
    hear(ear, request("INVITE", branch="z9hG4bKother", cseq=2))
    assert len(ear.requests) == 1, "another attempt is another question"
    assert len(ear.layer.leftovers()) == 3, "nothing of the refused one: the other's transaction, its timer, its name"


def test_responses_that_rfc_4320_forbids_are_not_sent():
    ear = Ear()
    hear(ear, request("OPTIONS"))
    say(ear, 100)
    say(ear, 180)
    say(ear, 408)
    hear(ear, request("OPTIONS"))
    assert ear.sent == []
    assert len(ear.requests) == 1
    assert ear.layer.counters["answers_suppressed"] == 3
    ear.until(32)
    assert ear.layer.leftovers() == []
    hear(ear, request("OPTIONS"), TCP)
    say(ear, 100, 1)
    assert status(ear) == 100


def test_a_second_final_response_is_dropped():
    ear = Ear()
    hear(ear, request("INVITE"))
    hear(ear, request("OPTIONS"))
    for number, final in ((0, 486), (0, 200), (0, 180), (1, 200), (1, 500)):
        say(ear, final, number)
    assert [data.split(b" ")[1] for _, data, _ in ear.sent] == [b"486", b"200"]
    assert ear.dropped == ["answers_late"] * 3


# -- responses received


def test_a_response_for_nobody_is_stray():
    ear = Ear()
    hear(ear, make_response(request("OPTIONS"), 200))
    assert len(ear.strays) == 1
    assert ear.layer.counters["responses_stray"] == 1


def test_a_response_matches_by_branch_and_method():
    ear = Ear()
    _, effects = ear.layer.request(request("OPTIONS"), UDP, "192.0.2.1:5060", "user", 0.0)
    ear.take(effects)
    asked = sent(ear)
    assert isinstance(asked, Request)
    wrong = make_response(asked, 200)
    wrong.headers.set("CSeq", "1 INVITE")
    hear(ear, wrong)
    assert len(ear.strays) == 1
    hear(ear, make_response(asked, 200), TCP)
    assert ear.responses[0].user == "user"
    assert ear.responses[0].flow == TCP


def test_a_response_with_two_vias_is_not_ours():
    ear = Ear()
    _, effects = ear.layer.request(request("OPTIONS"), UDP, "192.0.2.1:5060", "user", 0.0)
    ear.take(effects)
    asked = sent(ear)
    assert isinstance(asked, Request)
    for extra in ("SIP/2.0/UDP other.example.com;branch=z9hG4bKx", f"{asked.headers.get('Via')}, SIP/2.0/UDP c"):
        response = make_response(asked, 200)
        if "," in extra:
            response.headers.set("Via", extra)
        else:
            response.headers.add("Via", extra)
        hear(ear, response)
    assert ear.responses == []
    assert ear.layer.counters["responses_misrouted"] == 2


def test_a_finished_transaction_lets_go_of_request_and_user():
    ear = Ear()
    transaction, effects = ear.layer.request(request("OPTIONS"), UDP, "192.0.2.1:5060", "user", 0.0)
    ear.take(effects)
    asked = sent(ear)
    assert isinstance(asked, Request)
    assert not transaction.finished
    hear(ear, make_response(asked, 200))
    assert transaction.finished
    assert (transaction.request, transaction.user, transaction.data) == (None, None, None)


def test_a_2xx_after_another_final_response_is_stray():
    ear = Ear()
    _, effects = ear.layer.request(request("INVITE"), UDP, "192.0.2.1:5060", "user", 0.0)
    ear.take(effects)
    asked = sent(ear)
    assert isinstance(asked, Request)
    for final in (486, 200, 180):
        hear(ear, make_response(asked, final, to_tag="theirs"))
    assert [effect.response.status for effect in ear.responses] == [486]
    assert [effect.response.status for effect in ear.strays] == [200]
    assert ear.dropped == ["responses_repeated"]


# -- where responses go (RFC 3261 §18.2, RFC 3581)


@pytest.mark.parametrize(
    ("via", "remote", "goes_to", "params"),
    [
        ("192.0.2.2:5060", ("192.0.2.2", 5060), ("192.0.2.2", 5060), {}),
        ("192.0.2.2", ("192.0.2.2", 5060), ("192.0.2.2", 5060), {}),
        ("192.0.2.2:5060", ("192.0.2.2", 49152), ("192.0.2.2", 5060), {}),
        ("192.0.2.2:5070", ("192.0.2.2", 5060), ("192.0.2.2", 5070), {}),
        (
            "192.0.2.2:5060;rport",
            ("192.0.2.2", 49152),
            ("192.0.2.2", 49152),
            {"rport": "49152", "received": "192.0.2.2"},
        ),
        ("10.0.0.5:5060;rport", ("192.0.2.2", 1024), ("192.0.2.2", 1024), {"rport": "1024", "received": "192.0.2.2"}),
        ("10.0.0.5:5060", ("192.0.2.2", 1024), ("192.0.2.2", 1024), {"received": "192.0.2.2"}),
        ("phone.example.com:5060", ("192.0.2.2", 1024), ("192.0.2.2", 1024), {"received": "192.0.2.2"}),
        (
            "192.0.2.2:5060;maddr=192.0.2.99",
            ("192.0.2.2", 5060),
            ("192.0.2.2", 5060),
            {"maddr": "192.0.2.99"},
        ),
        ("[2001:db8::9]:5060;rport", ("2001:db8::9", 9), ("2001:db8::9", 9), {"rport": "9", "received": "2001:db8::9"}),
    ],
)
def test_the_way_of_a_response_over_udp(
    via: str, remote: tuple[str, int], goes_to: tuple[str, int], params: dict[str, str]
):
    ear = Ear()
    hear(ear, request("OPTIONS", via=f"SIP/2.0/UDP {via}"), Flow("udp", LOCAL, remote))
    assert ear.requests[0].transaction.flow.remote == remote
    say(ear, 200)
    _, data, flow = ear.sent[0]
    assert flow == Flow("udp", LOCAL, goes_to)
    kept = dict(parse_message(data).top_via.params)
    del kept["branch"]
    assert kept == params


def test_force_rport_answers_to_the_source_always():
    ear = Ear(LayerSettings(force_rport=True))
    flow = Flow("udp", LOCAL, ("192.0.2.2", 49152))
    hear(ear, request("OPTIONS"), flow)
    say(ear, 200)
    assert ear.sent[0][2] == flow


def test_over_a_connection_it_goes_back_by_the_connection():
    ear = Ear()
    flow = Flow("tcp", LOCAL, ("192.0.2.2", 49152), 9)
    hear(ear, request("OPTIONS", via="SIP/2.0/TCP 192.0.2.2:5060"), flow)
    say(ear, 200)
    assert ear.sent[0][2] is flow


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("SIP/2.0/TCP 192.0.2.2;branch=x", ("192.0.2.2", 5060)),
        ("SIP/2.0/TLS 192.0.2.2;branch=x;received=192.0.2.3", ("192.0.2.3", 5061)),
        ("SIP/2.0/TCP a.example.com:5080;branch=x;received=192.0.2.3", ("192.0.2.3", 5080)),
        ("SIP/2.0/UDP 10.0.0.1:5080;branch=x;received=192.0.2.3;rport=7", ("192.0.2.3", 7)),
    ],
)
def test_where_a_response_goes_when_its_connection_is_gone(via: str, expected: tuple[str, int]):
    assert reply_address(Via.parse(via)) == expected


def test_a_received_that_the_sender_made_up_does_not_lead_us_astray():
    ear = Ear()
    hear(ear, request("OPTIONS", via="SIP/2.0/UDP 192.0.2.2:5060;received=203.0.113.66"))
    say(ear, 200)
    assert ear.sent[0][2] == UDP
    assert b"203.0.113.66" not in ear.sent[0][1]
