from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.sip.uri import Uri, parse_host_port

EXAMPLES = [
    # RFC 3261 §19.1.3
    "sip:alice@atlanta.com",
    "sip:alice:secretword@atlanta.com;transport=tcp",
    "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
    "sip:+1-212-555-1212:1234@gateway.com;user=phone",
    "sips:1212@gateway.com",
    "sip:alice@192.0.2.4",
    "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
    "sip:alice;day=tuesday@atlanta.com",
    # and others that occur
    "sip:[2001:db8::10]:5070",
    "sip:user@[::ffff:192.0.2.1];transport=tls;lr",
    "tel:+1-201-555-0123",
    "tel:7042;phone-context=example.com",
    "mailto:alice@example.com",
    "urn:service:sos",
    "sip:101@sip_server:5060",
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_written_as_read(text: str) -> None:
    uri = Uri.parse(text)
    assert str(uri) == text
    again = Uri.parse(str(uri.with_()))  # taken apart and put together, not remembered
    assert again == uri
    assert hash(again) == hash(uri)


def test_parts() -> None:
    uri = Uri.parse("SIPS:b%6Fb:p%40ss@EXAMPLE.com:5071;Transport=TCP;lr?Subject=a%20b&Priority=urgent")
    assert uri.scheme == "sips"
    assert uri.user == "bob"
    assert uri.password == "p@ss"
    assert (uri.host, uri.port) == ("example.com", 5071)
    assert uri.params == {"transport": "TCP", "lr": None}
    assert uri.headers == "Subject=a%20b&Priority=urgent"
    assert uri.header_fields() == [("subject", "a b"), ("priority", "urgent")]
    # A phone recognises its Contact by its very octets.
    assert str(uri).startswith("SIPS:b%6Fb:p%40ss@EXAMPLE.com")


def test_the_user_part_takes_what_rfc_3261_lets_it() -> None:
    uri = Uri.parse("sip:user;par=u%40example.net@example.com")
    assert uri.user == "user;par=u@example.net"
    assert uri.params == {}
    assert Uri.parse("sip:a?b/c@example.com").user == "a?b/c"


def test_escaped_when_written() -> None:
    uri = Uri(user="a b@c%\r\nX:", password="p:w", host="example.com")
    assert str(uri) == "sip:a%20b%40c%25%0D%0AX%3A:p%3Aw@example.com"
    assert Uri.parse(str(uri)) == uri
    assert str(Uri(user="ж", host="h")) == "sip:%D0%B6@h"


def test_star_codes_and_raw_utf8_are_taken_and_escaped() -> None:
    assert Uri.parse("sip:*21#@pbx").user == "*21#"
    assert str(Uri.parse("sip:*21#@pbx")) == "sip:*21%23@pbx"
    assert str(Uri.parse("sip:jörg@pbx")) == "sip:j%C3%B6rg@pbx"


def test_octets_that_are_no_utf8_have_a_meaning() -> None:
    assert Uri.parse("sip:%FF@pbx").user == "ÿ"
    assert str(Uri.parse("sip:%FF@pbx")) == "sip:%FF@pbx"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        ":a@b",
        "sip:@b",
        "sip:a@",
        "sip:a@b c",
        "sip:a b@c",
        "<sip:a@b>",
        "sip:a@b:port",
        "sip:a@b:",
        "sip:a@b:0",
        "sip:a@b:65536",
        "sip:a@b:٣",
        "sip:a@2001:db8::10",
        "sip:a@[2001:db8::10",
        "sip:a@[2001:db8::10]5060",
        "sip:a@[nonsense]",
        "sip:a@[::1%eth0]",
        "sip:a@b;",
        "sip:a@b;;lr",
        "sip:a@b;lr;LR=on",
        "sip:a@b;x=1;X=2",
        "sip:a@b;x=<y>",
        "sip:a%4@b",
        "sip:a%zz@b",
        "sip:a@b..c",
        "sip:a@.b",
        "sip:a@b\r\nX: y",
        "sip:a@b?x=\n",
        "sip:a@b@c",
        "tel:",
        "tel:call me",
        "http:",
        "http:a b",
        "1x:y",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ParseError):
        Uri.parse(text)


def test_a_parameter_may_say_the_same_twice() -> None:
    assert Uri.parse("sip:a@b;lr;transport=tcp;LR").params == {"lr": None, "transport": "tcp"}


def test_ipv6() -> None:
    assert parse_host_port("[2001:DB8::9:1]:5070") == ("2001:db8::9:1", 5070)
    assert Uri.parse("sip:u@[2001:db8:::192.0.2.1]").host == "2001:db8::192.0.2.1"
    assert str(Uri(host="::1", port=5060)) == "sip:[::1]:5060"


def test_with() -> None:
    uri = Uri.parse("sip:bob:pw@biloxi.com:5070;transport=tcp")
    assert str(uri.with_(host="192.0.2.1", port=None)) == "sip:bob:pw@192.0.2.1;transport=tcp"
    assert str(uri.with_(user=None, params={})) == "sip:biloxi.com:5070"
    assert str(uri.with_(scheme="sips", params={**uri.params, "lr": None})) == (
        "sips:bob:pw@biloxi.com:5070;transport=tcp;lr"
    )
    assert str(uri) == "sip:bob:pw@biloxi.com:5070;transport=tcp"


def test_immutable() -> None:
    """Its parts are held frozen by the type checker, its parameters by themselves: one URI is shared by many."""
    uri = Uri.parse("sip:bob@biloxi.com;lr")
    with pytest.raises(TypeError):
        uri.params["lr"] = "on"  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sip:101@PBX.example.com:5060;transport=udp", "sip:101@pbx.example.com"),
        ("sips:101@pbx.example.com", "sip:101@pbx.example.com"),
        ("sip:%31%30%31@pbx.example.com", "sip:101@pbx.example.com"),
        ("sip:Alice:pw@pbx?x=y", "sip:Alice@pbx"),
        ("sip:null-%00-null@example.com", "sip:null-%00-null@example.com"),
        ("sip:value%2541@example.com", "sip:value%2541@example.com"),
        ("sip:j%c3%b6rg@pbx", "sip:j%C3%B6rg@pbx"),
        ("sip:a;b@pbx", "sip:a%3Bb@pbx"),
        ("sip:pbx.example.com", "sip:pbx.example.com"),
        ("tel:+1-201-555-0123;phone-context=x", "tel:+12015550123"),
    ],
)
def test_aor(text: str, key: str) -> None:
    assert Uri.parse(text).aor() == key


def test_aor_keeps_different_users_apart() -> None:
    assert Uri.parse("sip:value%2541@h").aor() != Uri.parse("sip:valueA@h").aor()
    assert Uri.parse("sip:null-%00-null@h").aor() != Uri.parse("sip:null-@h").aor()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # RFC 3261 §19.1.4
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0:0:0:0:1]"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("urn:service:sos", "URN:service:sos"),
    ],
)
def test_equivalent(one: str, other: str) -> None:
    assert Uri.parse(one).equivalent(Uri.parse(other))
    assert Uri.parse(other).equivalent(Uri.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # RFC 3261 §19.1.4
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:bob@biloxi.com", "sip:biloxi.com"),
        ("sip:bob@biloxi.com;maddr=192.0.2.1", "sip:bob@biloxi.com"),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]"),
        ("tel:+12015550123", "tel:+12015550124"),
        ("tel:7042;phone-context=example.com", "tel:7042;phone-context=example.org"),
        ("urn:service:sos", "urn:service:fire"),
    ],
)
def test_not_equivalent(one: str, other: str) -> None:
    assert not Uri.parse(one).equivalent(Uri.parse(other))
    assert not Uri.parse(other).equivalent(Uri.parse(one))


PARAMS = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9\-]{0,8}", fullmatch=True),
    st.none() | st.from_regex(r"[A-Za-z0-9\-_.!~*']{1,8}", fullmatch=True),
    max_size=3,
)
URIS = st.builds(
    Uri,
    scheme=st.sampled_from(["sip", "sips"]),
    user=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    password=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    host=st.sampled_from(["example.com", "192.0.2.1", "2001:db8::1", "a_b"]),
    port=st.none() | st.integers(1, 65535),
    params=PARAMS,
)


@given(URIS)
def test_any_uri_survives_being_written(uri: Uri) -> None:
    again = Uri.parse(str(uri))
    assert again == uri
    assert again.equivalent(uri)
    assert again.aor() == uri.aor()
    assert uri.aor().isascii()
    assert uri.aor().isprintable()
    assert Uri.parse(uri.aor()).user == uri.user


@given(URIS, URIS)
def test_equivalence_is_symmetric(one: Uri, other: Uri) -> None:
    assert one.equivalent(other) == other.equivalent(one)


@given(st.text(max_size=60) | st.from_regex(r"sips?:[ -~]{0,40}", fullmatch=True))
def test_any_text_is_a_uri_or_refused(text: str) -> None:
    try:
        uri = Uri.parse(text)
    except ParseError:
        return
    written = str(uri)
    assert "\r" not in written
    assert "\n" not in written
    assert " " not in written
    assert Uri.parse(written) == uri
    uri.aor()
    assert uri.equivalent(uri)
