"""RFC 4475's and RFC 5118's messages through framer, parser and checks; `tests/vectors/torture` says where they are
from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pbx.sip.framing import StreamFramer
from pbx.sip.message import Message, Request, Response, make_response
from pbx.sip.parser import MessageError, parse_message, validate
from pbx.sip.values import CSeq

FOLDER = Path(__file__).parents[1] / "vectors" / "torture"
MANIFEST: list[dict[str, Any]] = json.loads((FOLDER / "manifest.json").read_text())
CASES = {case["name"]: case for case in MANIFEST}

REFUSED = {
    # name: (status, words of the reason, whether it can be answered)
    "badinv01": (400, "parameters", False),
    "clerr": (400, "Content-Length is larger", True),
    "ncl": (400, "Content-Length is not a number", True),
    "scalar02": (400, "CSeq number is too large", True),
    "scalarlg": (400, "CSeq number is too large", False),
    "quotbal": (400, "quoted string", True),
    "ltgtruri": (400, "scheme", True),
    "lwsruri": (400, "request line", True),
    "lwsstart": (400, "request line", True),
    "trws": (400, "request line", True),
    "escruri": (400, "Headers in the Request-URI", True),
    "regbadct": (400, "angle brackets", True),
    "badaspec": (400, "scheme", True),
    "baddn": (400, "headers do not end", True),
    "badvers": (505, "version", True),
    "mismatch01": (400, "CSeq is not that", True),
    "mismatch02": (400, "CSeq is not that", True),
    "bigcode": (400, "status code", False),
    "badbranch": (400, "branch", True),
    "insuf": (400, "is missing", True),
    "multi01": (400, "given twice", True),
    "mcl01": (400, "Content-Length is given twice", True),
    "test": (400, "", False),
    "rfc5118-ipv6-bad": (400, "port", True),
}
TAKEN_THOUGH_INVALID = {"baddate"}
"""RFC 4475 §3.1.2.12: better to ignore a bad Date than to refuse a request that does not need it."""


def read(name: str) -> bytes:
    return (FOLDER / CASES[name]["file"]).read_bytes()


def take(data: bytes) -> Message:
    message = parse_message(data)
    validate(message)
    return message


def outcome(data: bytes) -> tuple[Any, ...]:
    """What becomes of a message, in a form that can be compared."""
    try:
        message = take(data)
    except MessageError as error:
        return error.status, error.reason
    return message.start_line(), list(message.headers), message.body


def by_octets(data: bytes) -> list[bytes]:
    framer = StreamFramer()
    return [item for octet in data for item in framer.feed(bytes([octet]))]


def test_every_case_has_an_expectation() -> None:
    invalid = {case["name"] for case in MANIFEST if case["cls"] == "invalid"}
    assert invalid == set(REFUSED) | TAKEN_THOUGH_INVALID
    assert len(CASES) == 62


@pytest.mark.parametrize("name", [case["name"] for case in MANIFEST if case["name"] not in REFUSED])
def test_taken(name: str) -> None:
    case = CASES[name]
    message = take(read(name))
    assert isinstance(message, Request) == (case["kind"] == "req")
    # All that validate has promised.
    assert message.top_via
    assert message.vias
    assert message.from_
    assert message.to
    assert message.call_id
    assert message.cseq
    if case["via"] and "transport" in case["via"]:
        via = case["via"]
        assert message.top_via.transport == via["transport"].upper()
        assert message.top_via.host == via["host"].lower().strip("[]")
        assert (message.top_via.port or 5060) == via["port"]
        assert message.top_via.wants_rport == via["rport"]
    # Taken again after being written, it says the same.
    again = take(message.to_bytes())
    assert again.from_ == message.from_
    assert again.to == message.to
    assert again.cseq == message.cseq
    assert again.vias == message.vias
    assert again.body == message.body
    assert [header for header in again.headers if header[0] != "Content-Length"] == [
        header for header in message.headers if header[0] != "Content-Length"
    ]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    status, words, answerable = REFUSED[name]
    with pytest.raises(MessageError) as caught:
        take(read(name))
    error = caught.value
    assert error.status == status
    assert words in error.reason
    assert (error.request is not None) == answerable
    case = CASES[name]
    if error.request is None:
        assert case["silence_ok"]
        return
    assert not case["silence_required"]
    assert error.status in case["ok_status"]
    assert error.status not in case["bad_status"]
    response = make_response(error.request, error.status, to_tag="t")
    answer = parse_message(response.to_bytes())
    assert answer.headers.raw("Via") == error.request.headers.raw("Via")
    assert answer.top_via.branch == error.request.top_via.branch


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("baddn", "test")])
def test_octet_by_octet(name: str) -> None:
    """The framer gives the same message as the datagram, or the stream is given up where RFC 4475 wants that."""
    data = read(name)
    if name in ("ncl", "mcl01"):
        with pytest.raises(MessageError):
            by_octets(data)
    elif name == "clerr":
        assert by_octets(data) == []  # RFC 4475 §3.1.2.2: over TCP it waits for the rest
    else:
        framed = by_octets(data)
        if name == "inv2543":
            # RFC 3261 §18.3: without Content-Length there is no body on a stream.
            assert take(framed[0]).body == b""
            return
        assert outcome(framed[0]) == outcome(data)


def has_length(name: str) -> bool:
    head = read(name).partition(b"\r\n\r\n")[0].lower()
    return any(line.partition(b":")[0].strip() in (b"l", b"content-length") for line in head.split(b"\r\n"))


@pytest.mark.parametrize("name", [name for name in CASES if has_length(name) and name not in ("baddn", "clerr")])
@pytest.mark.parametrize("trailing", [b"\r\n\r\n", b"INVITE sip:more@example.com SIP/2.0\r\n", b"\0" * 100])
def test_trailing_octets(name: str, trailing: bytes) -> None:
    assert outcome(read(name) + trailing) == outcome(read(name))


def test_wsinv_says_what_it_says() -> None:
    message = take(read("wsinv"))
    assert isinstance(message, Request)
    assert [(via.transport, via.host, via.branch) for via in message.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert message.cseq == CSeq(9, "INVITE")
    assert message.max_forwards == 68
    assert message.to.tag == "1918181833n"
    assert message.from_.tag == "98asjd8"
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.headers.get("Subject") == ""
    assert message.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert message.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    [contact] = message.contacts
    assert contact.display == 'Quoted string ""'
    assert contact.params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    [route] = message.routes
    assert "lr" in route.uri.params
    assert message.content_type == "application/sdp"


def test_escapes_are_resolved_once() -> None:
    esc01 = take(read("esc01"))
    assert isinstance(esc01, Request)
    assert (esc01.uri.scheme, esc01.uri.user) == ("sip", "sips:user@example.com")
    assert esc01.to.uri.user == "user"
    escnull = take(read("escnull"))
    assert [contact.uri.user for contact in escnull.contacts] == ["\0", "\0\0"]
    assert escnull.to.uri.aor() == "sip:null-%00-null@example.com"


def test_escapes_that_are_none() -> None:
    message = take(read("esc02"))
    assert isinstance(message, Request)
    assert message.method == "RE%47IST%45R"
    assert len(message.contacts) == 2
    assert message.headers.get("C%6Fntact") is not None


def test_responses_echo_what_they_must() -> None:
    for name in ("longreq", "intmeth", "transports"):
        request = take(read(name))
        assert isinstance(request, Request)
        written = parse_message(make_response(request, 501, to_tag="mine").to_bytes())
        assert isinstance(written, Response)
        assert written.vias == request.vias
        assert written.call_id == request.call_id
        assert written.from_ == request.from_
        assert written.cseq == request.cseq
    assert len(take(read("longreq")).vias) == 34


def test_one_message_a_datagram() -> None:
    message = take(read("dblreq"))
    assert isinstance(message, Request)
    assert (message.method, message.body) == ("REGISTER", b"")


def test_multipart_body_is_untouched() -> None:
    data = read("mpart01")
    message = take(data)
    assert message.content_type == "multipart/mixed"
    assert data.endswith(b"\r\n\r\n" + message.body)
    assert b"\0" in message.body


def test_reason_phrases() -> None:
    unreason, noreason = take(read("unreason")), take(read("noreason"))
    assert isinstance(unreason, Response)
    assert isinstance(noreason, Response)
    assert unreason.reason.startswith("= 2**3 * 5**2 но сто девяносто девять")
    assert noreason.reason == ""


def test_unknown_schemes_are_kept_for_416() -> None:
    for name, scheme in (("unkscm", "nobodyknowsthisscheme"), ("novelsc", "soap.beep")):
        message = take(read(name))
        assert isinstance(message, Request)
        assert message.uri.scheme == scheme
        assert not message.uri.is_sip
    assert [take(read("unksm2")).to.uri.scheme, take(read("unksm2")).from_.uri.scheme] == ["isbn", "http"]


def test_parameters_belong_where_they_stand() -> None:
    [header_parameter] = take(read("cparam01")).contacts
    assert "unknownparam" in header_parameter.params
    [uri_parameter] = take(read("cparam02")).contacts
    assert str(uri_parameter.uri) == "sip:+19725552222@gw1.example.net;unknownparam"
    [escaped] = take(read("regescrt")).contacts
    assert escaped.uri.headers == "Route=%3Csip:sip.example.com%3E"


def test_required_extensions() -> None:
    message = take(read("bext01"))
    assert message.require == ("nothingSupportsThis", "nothingSupportsThisEither")
    assert message.proxy_require == ("noProxiesSupportThis", "norDoAnyProxiesSupportThis")


def test_ipv6() -> None:
    ambiguous, plain = take(read("rfc5118-port-ambiguous")), take(read("rfc5118-port-unambiguous"))
    assert isinstance(ambiguous, Request)
    assert isinstance(plain, Request)
    assert (ambiguous.uri.host, ambiguous.uri.port) == ("2001:db8::10:5070", None)
    assert (plain.uri.host, plain.uri.port) == ("2001:db8::10", 5070)
    for name in ("rfc5118-via-received-param-with-delim", "rfc5118-via-received-param-no-delim"):
        assert take(read(name)).top_via.received == "2001:db8::9:255"
    three = take(read("rfc5118-ipv6-bug-abnf-3-colons"))
    two = take(read("rfc5118-ipv6-correct-abnf-2-colons"))
    assert isinstance(three, Request)
    assert isinstance(two, Request)
    assert three.uri == two.uri
    assert take(read("rfc5118-ipv4-mapped-ipv6")).top_via.host == "::ffff:192.0.2.10"
