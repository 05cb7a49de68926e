from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.sip.headers import CSeq, NameAddress, Via
from pbx.sip.uri import Uri


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("sip:bob@biloxi.com", "", "sip:bob@biloxi.com", {}),
        ("sip:bob@biloxi.com;tag=1", "", "sip:bob@biloxi.com", {"tag": "1"}),
        ("sip:bob@biloxi.com ;  tag = 1", "", "sip:bob@biloxi.com", {"tag": "1"}),
        ("<sip:bob@biloxi.com;lr>;tag=1", "", "sip:bob@biloxi.com;lr", {"tag": "1"}),
        ("Bob <sip:bob@biloxi.com>", "Bob", "sip:bob@biloxi.com", {}),
        ("Bob  B. <sip:bob@biloxi.com>", "Bob  B.", "sip:bob@biloxi.com", {}),
        ('"Bob"<sip:bob@biloxi.com> ;tag=1', "Bob", "sip:bob@biloxi.com", {"tag": "1"}),
        ('"A \\"q\\" <\\\\>" \t<sip:b@c>', 'A "q" <\\>', "sip:b@c", {}),
        ('"" <sip:b@c>', "", "sip:b@c", {}),
        ("Smith, John <sip:b@c>", "Smith, John", "sip:b@c", {}),
        ("Jürg <sip:b@c>", "Jürg", "sip:b@c", {}),
        ("caller<sip:b@c>", "caller", "sip:b@c", {}),
        ("<tel:+1-201-555-0123;phone-context=x>", "", "tel:+1-201-555-0123;phone-context=x", {}),
        ("<http://example.com/>", "", "http://example.com/", {}),
    ],
)
def test_addresses(text: str, display: str, uri: str, params: dict[str, str | None]) -> None:
    address = NameAddress.parse(text)
    assert (address.display, str(address.uri), address.params) == (display, uri, params)
    assert NameAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bob",
        '"Bob"',
        '"Bob" sip:b@c',
        '"Bob <sip:b@c>',
        '"Bob\\" <sip:b@c>',
        'Bob "x" <sip:b@c>',
        "Bob> <sip:b@c>",
        "<sip:b@c",
        "<>",
        "< sip:b@c >",
        "<sip:b@c>;;",
        "<sip:b@c>;tag",
        "<sip:b@c>tag=1",
        "<sip:b@c>;tag=1;tag=2",
        "sip:b@c?x=y",
        "sip:b,c@d",
        "<sip:b@c>, <sip:d@e>",
    ],
)
def test_refused_addresses(text: str) -> None:
    if text == "<sip:b@c>;tag":
        assert NameAddress.parse(text).tag is None
        return
    with pytest.raises(ParseError):
        NameAddress.parse(text)


def test_tags() -> None:
    address = NameAddress.parse("Bob <sip:bob@biloxi.com>;tag=a;x=y")
    assert address.tag == "a"
    assert str(address.with_tag("b")) == '"Bob" <sip:bob@biloxi.com>;tag=b;x=y'
    assert NameAddress("", Uri(host="h")).with_tag("b").tag == "b"
    assert str(NameAddress("", Uri(host="h"))) == "<sip:h>"


@pytest.mark.parametrize(
    ("text", "via"),
    [
        ("SIP/2.0/UDP h;branch=z9hG4bKa", Via("UDP", "h", None, {"branch": "z9hG4bKa"})),
        ("SIP/2.0/UDP 192.0.2.1:5062;rport;branch=b", Via("UDP", "192.0.2.1", 5062, {"rport": None, "branch": "b"})),
        ("SIP/2.0/tls [2001:DB8::1]:5061", Via("TLS", "2001:db8::1", 5061, {})),
        ("SIP / 2.0 / TCP  H : 5060 ; a = b", Via("TCP", "h", 5060, {"a": "b"})),
        ("sip/2.0/WSS x.invalid", Via("WSS", "x.invalid", None, {})),
        ("SIP/2.0/TLS-SCTP h", Via("TLS-SCTP", "h", None, {})),
        ("SIP/7.0/UDP h", Via("UDP", "h", None, {}, "7.0")),
    ],
)
def test_vias(text: str, via: Via) -> None:
    assert Via.parse(text) == via
    assert Via.parse(str(via)) == via


@pytest.mark.parametrize(
    "text",
    ["", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 h", "HTTP/1.1/TCP h", "SIP/2.0/UDP h;;", "SIP/2.0/UDP h:x",
     "SIP/2.0/UDP ::1", "SIP/2.0/UDP h h", "SIP/2.0/UDP ;branch=x", "SIP/2.0/U;P h", "SIP/2.0/\0 h"],
)  # fmt: skip
def test_refused_vias(text: str) -> None:
    with pytest.raises(ParseError):
        Via.parse(text)


def test_via_parameters() -> None:
    via = Via.parse("SIP/2.0/UDP h:5060;received=[2001:db8::1];rport=5070;branch=z9hG4bKa")
    assert (via.branch, via.received, via.rport, via.wants_rport) == ("z9hG4bKa", "2001:db8::1", 5070, True)
    assert via.sent_by == "h:5060"
    assert str(via.with_params(rport="1")) == "SIP/2.0/UDP h:5060;received=[2001:db8::1];rport=1;branch=z9hG4bKa"
    bare = Via.parse("SIP/2.0/UDP [::1]")
    assert (bare.branch, bare.received, bare.rport, bare.wants_rport) == (None, None, None, False)
    assert bare.sent_by == "[::1]"
    assert Via.parse("SIP/2.0/UDP h;rport").rport is None
    assert Via.parse("SIP/2.0/UDP h;rport=x").rport is None
    assert Via.parse("SIP/2.0/UDP h;received").received is None


@pytest.mark.parametrize(
    ("text", "cseq"),
    [("1 INVITE", (1, "INVITE")), ("0009   \t INVITE", (9, "INVITE")), ("4294967295 !x", (4294967295, "!x"))],
)
def test_cseq(text: str, cseq: tuple[int, str]) -> None:
    assert CSeq.parse(text) == CSeq(*cseq)
    assert CSeq.parse(str(CSeq(*cseq))) == CSeq(*cseq)


@pytest.mark.parametrize(
    "text", ["", "1", "INVITE", "1 ", "x INVITE", "-1 INVITE", "4294967296 INVITE", "1 A B", "1 A;B"]
)
def test_refused_cseq(text: str) -> None:
    with pytest.raises(ParseError):
        CSeq.parse(text)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    st.sampled_from(["sip:a@b", "sips:%00@[::1]:5061;lr", "tel:+1", "x:y"]),
    st.dictionaries(st.sampled_from(["tag", "q", "x-y"]), st.none() | st.sampled_from(["1", '"a;,<\\""', "::1"])),
)
def test_any_address_survives_being_written(display: str, uri: str, params: dict[str, str | None]) -> None:
    address = NameAddress(display, Uri.parse(uri), params)
    assert NameAddress.parse(str(address)) == address


@pytest.mark.parametrize("parse", [NameAddress.parse, Via.parse, CSeq.parse])
@given(
    text=st.text(max_size=80) | st.from_regex(r'("?[a<>;,=" ]*\\?)?<?sips?:[ -~]{0,30}>?(;[ -~]{0,9})?', fullmatch=True)
)
def test_any_text_is_a_value_or_refused(parse: type, text: str) -> None:
    try:
        value = parse(text)
    except ParseError:
        return
    # Control characters in a display name become spaces when written, once and for all.
    written = parse(str(value))
    assert parse(str(written)) == written
