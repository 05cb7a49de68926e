from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.cause import cause_named, causes
from pbx.errors import ParseError
from pbx.sip.ext import identity, options, outbound, path, prack, reason, refer, replaces, session_timer
from pbx.sip.headers import Headers, NameAddress
from pbx.sip.message import Message, Request, Response
from pbx.sip.uri import Uri
from tests.support.compiled import interpreted_only


def request(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:a@b", Headers(headers))


def response(status: int, *headers: tuple[str, str]) -> Response:
    return Response(status, headers=Headers(headers))


# -- option tags


def test_options() -> None:
    message = request(("Supported", "Timer, path"), ("k", "100REL"), ("Require", "x-unknown, replaces, X-Other"))
    assert all(
        options.supports(message, tag) for tag in (options.TIMER, options.PATH, options.RELIABLE, options.REPLACES)
    )
    assert not options.supports(message, options.OUTBOUND)
    assert options.unsupported(message, {options.REPLACES}) == ("x-unknown", "X-Other")
    assert options.unsupported(request(), set()) == ()


# -- RFC 3262


def test_reliable_provisional_responses() -> None:
    ringing = response(180)
    assert not prack.is_reliable(ringing)
    prack.make_reliable(ringing, 988789)
    assert prack.is_reliable(ringing)
    assert prack.rseq_of(ringing) == 988789
    assert ringing.require == ("100rel",)
    assert not prack.is_reliable(response(200, ("Require", "100rel"), ("RSeq", "1")))
    assert not prack.is_reliable(response(180, ("RSeq", "1")))
    assert not prack.is_reliable(response(100, ("Require", "100rel"), ("RSeq", "1")))
    assert prack.rseq_of(response(180)) is None
    for value in ("0", "x", "4294967296", ""):
        with pytest.raises(ParseError):
            prack.is_reliable(response(180, ("Require", "100rel"), ("RSeq", value)))


def test_rack() -> None:
    assert prack.rack_of(request(("RAck", "776656 1 INVITE"))) == (776656, 1, "INVITE")
    assert str(prack.RAck.parse("1\t 2  UPDATE")) == "1 2 UPDATE"
    for value in ("", "1 INVITE", "1 2", "0 1 INVITE", "1 x INVITE", "1 2 IN;VITE", "1 2 INVITE x"):
        with pytest.raises(ParseError):
            prack.RAck.parse(value)
    with pytest.raises(ParseError, match="RAck is missing"):
        prack.rack_of(request())


# -- RFC 4028


def test_session_timers() -> None:
    message = request(("x", "1800;refresher=UAS;foo=bar"), ("Min-SE", "120"))
    found = session_timer.session_expires_of(message)
    assert found == (1800, "uas", {"foo": "bar"})
    assert str(found) == "1800;refresher=uas;foo=bar"
    assert str(session_timer.SessionExpires(90)) == "90"
    assert session_timer.min_se_of(message) == 120
    assert session_timer.session_expires_of(request()) is None
    assert session_timer.min_se_of(request()) == 90
    assert session_timer.min_se_of(request(("Min-SE", "10"))) == 90
    assert session_timer.min_se_of(request(("Min-SE", "120;x=y"))) == 120
    for value in ("", "x", "-1", "1800;refresher=me", "1800;", "9" * 20):
        with pytest.raises(ParseError):
            session_timer.SessionExpires.parse(value)


# -- RFC 3891, RFC 3515, RFC 3892


def test_replaces() -> None:
    text = "98732@sip.example.com ;from-tag=r33th4x0r ; to-tag=ff87ff"
    found = replaces.replaces_of(request(("Replaces", text)))
    assert found == ("98732@sip.example.com", "ff87ff", "r33th4x0r", False)
    assert str(found) == "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r"
    early = replaces.Replaces.parse("a;to-tag=b;from-tag=c;early-only")
    assert early.early_only
    assert replaces.Replaces.parse(str(early)) == early
    assert replaces.replaces_of(request()) is None
    for value in (
        "",
        "a",
        "a;to-tag=b",
        "a;from-tag=b",
        ";to-tag=a;from-tag=b",
        "a b;to-tag=a;from-tag=b",
        "a;to-tag;from-tag",
    ):
        with pytest.raises(ParseError):
            replaces.Replaces.parse(value)
    with pytest.raises(ParseError, match="twice"):
        replaces.replaces_of(request(("Replaces", text), ("Replaces", text)))


def test_refer_to() -> None:
    attended = request(
        ("r", "<sip:bob@biloxi.com?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>"),
        ("b", '"Alice" <sip:alice@atlanta.com>'),
    )
    target = refer.refer_to_of(attended)
    assert target.uri.user == "bob"
    assert refer.replaces_in(target.uri) == ("12345@192.168.118.3", "12345", "5FFE-3994", False)
    assert refer.referred_by_of(attended) == NameAddress("Alice", Uri.parse("sip:alice@atlanta.com"))
    blind = request(("Refer-To", "sip:carol@chicago.com"))
    assert refer.replaces_in(refer.refer_to_of(blind).uri) is None
    assert refer.referred_by_of(blind) is None
    for bad in (request(), request(("Refer-To", "<sip:a")), request(("Refer-To", "<sip:a>"), ("r", "<sip:b>"))):
        with pytest.raises(ParseError):
            refer.refer_to_of(bad)
    for headers in ("Replaces=nonsense", "Replaces=a&Replaces=b"):
        with pytest.raises(ParseError):
            refer.replaces_in(Uri.parse(f"sip:a?{headers}"))


def test_refer_sub() -> None:
    assert refer.wants_subscription(request())
    assert refer.wants_subscription(request(("Refer-Sub", "true")))
    assert not refer.wants_subscription(request(("Refer-Sub", "False ;x=y")))


def test_sipfrag() -> None:
    assert refer.sipfrag(100) == b"SIP/2.0 100 Trying\r\n"
    assert refer.sipfrag_status(refer.sipfrag(603, "Non, merci")) == (603, "Non, merci")
    assert refer.sipfrag_status(b"SIP/2.0 200 OK") == (200, "OK")
    assert refer.sipfrag_status(b"\r\nsip/2.0 486\r\nTo: x\r\n") == (486, "")
    assert refer.sipfrag_status(b"SIP/2.0 200 \xff") == (200, "\ufffd")
    for body in (b"", b"SIP/2.0 OK", b"SIP/2.0 700 x", b"INVITE sip:a SIP/2.0"):
        with pytest.raises(ParseError):
            refer.sipfrag_status(body)


# -- RFC 3326


def test_reasons() -> None:
    bye = request(("Reason", 'Q.850 ;cause=16;text="Terminated, by user", SIP;cause=600'), ("Reason", "preemption"))
    assert reason.reasons_of(bye) == (
        ("Q.850", 16, "Terminated, by user", {}),
        ("SIP", 600, "", {}),
        ("preemption", None, "", {}),
    )
    assert reason.q850_of(bye) == 16
    assert not reason.answered_elsewhere(bye)
    assert [str(found) for found in reason.reasons_of(bye)] == [
        'Q.850;cause=16;text="Terminated, by user"',
        "SIP;cause=600",
        "preemption",
    ]


def test_a_malformed_reason_harms_nothing() -> None:
    assert reason.reasons_of(request(("Reason", "Q.850;cause=x, ;;, SIP;cause=200"))) == (("SIP", 200, "", {}),)
    assert reason.reasons_of(request(("Reason", 'Q.850;cause=16;text="'))) == ()
    assert reason.q850_of(request()) is None


def test_answered_elsewhere() -> None:
    for value in ('SIP;cause=200;text="Call completed elsewhere"', "Q.850;cause=26"):
        assert reason.answered_elsewhere(request(("Reason", value)))
    assert not reason.answered_elsewhere(request(("Reason", "Q.850;cause=200")))
    told = reason.reason_of(cause_named("answered-elsewhere"))
    assert reason.answered_elsewhere(request(("Reason", told)))


def test_every_cause_makes_a_reason() -> None:
    for cause in causes():
        [found] = reason.reasons_of(request(("Reason", reason.reason_of(cause.with_detail('not "shown"')))))
        assert found.text
        assert "shown" not in found.text
        if cause.slug != "answered-elsewhere":
            assert (found.protocol, found.cause) == ("Q.850", cause.q850)


# -- RFC 3325, RFC 3323, Remote-Party-ID


def test_asserted_identities() -> None:
    message = request(
        ("P-Asserted-Identity", '"Cullen Jennings" <sip:fluffy@cisco.com>, tel:+14085264000'),
        ("P-Preferred-Identity", "<sip:other@cisco.com>"),
    )
    assert [str(found.uri) for found in identity.asserted_identities(message)] == [
        "sip:fluffy@cisco.com",
        "tel:+14085264000",
    ]
    assert identity.preferred_identities(message)[0].uri.user == "other"
    assert identity.asserted_identities(request()) == ()
    with pytest.raises(ParseError):
        identity.asserted_identities(request(("P-Asserted-Identity", "nonsense")))


def test_remote_party_id() -> None:
    [party] = identity.remote_parties(
        request(("Remote-Party-ID", '"Alice" <sip:101@h>;party=Calling;id-type=subscriber;privacy=Full;screen=yes'))
    )
    assert party == (NameAddress("Alice", Uri.parse("sip:101@h")), "calling", True, True)
    assert str(party) == '"Alice" <sip:101@h>;party=calling;privacy=full;screen=yes'
    [plain] = identity.remote_parties(request(("Remote-Party-ID", "<sip:101@h>")))
    assert plain[1:] == ("", False, False)
    assert str(plain) == "<sip:101@h>;party=calling;privacy=off;screen=no"


def test_privacy() -> None:
    assert identity.privacy_of(request(("Privacy", "ID; critical"), ("Privacy", "user,none"))) == {
        "id", "critical", "user", "none",
    }  # fmt: skip
    assert identity.privacy_of(request()) == frozenset()


@pytest.mark.parametrize(
    ("headers", "anonymous"),
    [
        ([("From", "<sip:101@h>;tag=1")], False),
        ([("From", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1')], True),
        ([("From", "<sip:Anonymous@carrier>;tag=1")], True),
        ([("From", "<sip:101@h>;tag=1"), ("Privacy", "id")], True),
        ([("From", "<sip:101@h>;tag=1"), ("Privacy", "none")], False),
        ([("From", "<sip:101@h>;tag=1"), ("Remote-Party-ID", "<sip:101@h>;privacy=full")], True),
        ([("From", "<sip:101@h>;tag=1"), ("Remote-Party-ID", "<sip:102@h>;party=called;privacy=full")], False),
        ([("From", "nonsense")], False),
    ],
)
def test_anonymous_callers(headers: list[tuple[str, str]], anonymous: bool) -> None:
    assert identity.is_anonymous(request(*headers)) == anonymous
    assert identity.is_anonymous(request(("From", str(identity.ANONYMOUS))))


# -- RFC 3327, RFC 3608, RFC 5626


def test_path_and_service_route() -> None:
    message = request(("Path", "<sip:p2;lr>, <sip:p1;lr;ob>"), ("Path", "<sip:p0>"), ("Service-Route", "<sip:s;lr>"))
    assert [str(found.uri) for found in path.path_of(message)] == ["sip:p2;lr", "sip:p1;lr;ob", "sip:p0"]
    assert path.path_values(message) == ("<sip:p2;lr>", "<sip:p1;lr;ob>", "<sip:p0>")
    assert path.service_route_of(message)[0].uri.host == "s"
    assert path.path_values(request()) == ()
    with pytest.raises(ParseError):
        path.path_values(request(("Path", "<sip:p>,")))


def test_outbound() -> None:
    instance = "urn:uuid:00000000-0000-1000-8000-aabbccddeeff"
    contact = NameAddress.parse(
        '<sip:line1@192.0.2.2;transport=tcp>; reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'
    )
    assert outbound.instance_of(contact) == instance
    assert outbound.reg_id_of(contact) == 1
    assert outbound.wants_outbound(request(("Supported", "path, outbound")), contact)
    assert not outbound.wants_outbound(request(("Supported", "path")), contact)
    bare = NameAddress.parse("<sip:line1@192.0.2.2>;reg-id=1")
    assert outbound.instance_of(bare) is None
    assert not outbound.wants_outbound(request(("Supported", "outbound")), bare)
    assert outbound.reg_id_of(NameAddress.parse("<sip:a@b>")) is None
    again = NameAddress("", contact.uri, {"+sip.instance": outbound.instance_param(instance)})
    assert outbound.instance_of(NameAddress.parse(str(again))) == instance
    # Some phones leave out the quotes' brackets, or the URN's rules altogether.
    assert outbound.instance_of(NameAddress.parse('<sip:a@b>;+sip.instance="Phone-7"')) == "Phone-7"


@pytest.mark.parametrize(
    "params", ["reg-id=0", "reg-id=x", "reg-id=2147483648", '+sip.instance=""', '+sip.instance="<>"']
)
def test_outbound_parameters_that_are_none(params: str) -> None:
    contact = NameAddress.parse(f"<sip:a@b>;{params}")
    read = outbound.reg_id_of if params.startswith("reg-id") else outbound.instance_of
    with pytest.raises(ParseError):
        read(contact)


def test_flow_timer() -> None:
    assert outbound.flow_timer_of(response(200, ("Flow-Timer", "120"))) == 120
    assert outbound.flow_timer_of(response(200)) is None
    with pytest.raises(ParseError):
        outbound.flow_timer_of(response(200, ("Flow-Timer", "soon")))


READERS = [
    pytest.param("RSeq", prack.rseq_of, marks=interpreted_only),
    ("RAck", prack.rack_of),
    ("Session-Expires", session_timer.session_expires_of),
    ("Min-SE", session_timer.min_se_of),
    ("Replaces", replaces.replaces_of),
    ("Refer-To", refer.refer_to_of),
    ("Referred-By", refer.referred_by_of),
    ("Reason", reason.reasons_of),
    ("P-Asserted-Identity", identity.asserted_identities),
    ("Remote-Party-ID", identity.remote_parties),
    ("Privacy", identity.privacy_of),
    ("Path", path.path_values),
    ("Flow-Timer", outbound.flow_timer_of),
]


@pytest.mark.parametrize(("name", "read"), READERS)
@given(value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=40))
def test_any_value_is_read_or_refused(name: str, read: Callable[[Message], object], value: str) -> None:
    message = request((name, value))
    try:
        first = read(message)
    except ParseError:
        return
    assert read(message) == first
