from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError, UsageError
from pbx.sip.headers import MOST_VALUES, CSeq, Headers, NameAddress, Via
from pbx.sip.names import CANONICAL, LISTS, SINGLE, canonical, key_of

LINES = [
    "v: SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/UDP two",
    "VIA:SIP/2.0/TCP three",
    "f : <sip:a@b>;tag=1",
    "X-Custom-Thing:  one, two ",
    "x-custom-thing: three",
    "Subject:",
    "Date: Sat, 13 Nov 2010 23:29:00 GMT",
    "Authorization: Digest username=\"a\", realm=\"b\"",
    "ALLOW: INVITE, ACK",
    "k: 100rel",
]  # fmt: skip


def test_reading() -> None:
    headers = Headers.of_lines(LINES)
    assert [name for name, _ in headers] == [
        "Via", "Via", "From", "X-Custom-Thing", "x-custom-thing", "Subject", "Date", "Authorization", "Allow",
        "Supported",
    ]  # fmt: skip
    assert headers.get("via") == "SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/UDP two"
    assert headers.get("V") == headers.get("Via") == headers.get("vIa")
    assert headers.get("f") == headers.get("FROM") == "<sip:a@b>;tag=1"
    assert headers.get("X-CUSTOM-THING") == "one, two"
    assert headers.raw("X-Custom-Thing") == ["one, two", "three"]
    assert headers.get("Subject") == ""
    assert "s" in headers
    assert "Contact" not in headers
    assert headers.get("Contact") is None
    assert headers.raw("Contact") == []
    assert len(headers) == 10


def test_lists_are_split_and_others_are_not() -> None:
    headers = Headers.of_lines(LINES)
    assert headers.all("Via") == ["SIP/2.0/UDP one;branch=z9hG4bK1", "SIP/2.0/UDP two", "SIP/2.0/TCP three"]
    assert headers.all("Allow") == ["INVITE", "ACK"]
    assert headers.all("Date") == ["Sat, 13 Nov 2010 23:29:00 GMT"]
    assert len(headers.all("Authorization")) == 1
    assert headers.all("X-Custom-Thing") == ["one, two", "three"]
    assert headers.all("Contact") == []
    assert Headers([("Supported", "")]).all("k") == []


@pytest.mark.parametrize("line", ["", "Via", "no colon", ": value", "a b: c", " : x", "Vi\0a: x", "ä: x", "a(b): x"])
def test_lines_that_are_none(line: str) -> None:
    with pytest.raises(ParseError):
        Headers.of_lines([line])


def test_adding() -> None:
    headers = Headers([("m", "<sip:a@b>"), ("Max-Forwards", "70")])
    headers.add("contact", "<sip:c@d>")
    headers.add("x-New", "1")
    assert list(headers) == [
        ("Contact", "<sip:a@b>"), ("Max-Forwards", "70"), ("Contact", "<sip:c@d>"), ("x-New", "1"),
    ]  # fmt: skip
    assert headers.all("Contact") == ["<sip:a@b>", "<sip:c@d>"]
    assert headers.repeated() == {"Contact"}


def test_prepending() -> None:
    headers = Headers([("Max-Forwards", "70"), ("Via", "b"), ("Via", "c")])
    headers.prepend("Via", "a")
    headers.prepend("Route", "r")
    assert list(headers) == [("Route", "r"), ("Max-Forwards", "70"), ("Via", "a"), ("Via", "b"), ("Via", "c")]
    assert headers.get("Via") == "a"


def test_setting_and_removing() -> None:
    headers = Headers([("Via", "a"), ("X-A", "1"), ("Via", "b"), ("x-a", "2"), ("To", "t")])
    headers.set("Via", "c")
    assert list(headers) == [("Via", "c"), ("X-A", "1"), ("x-a", "2"), ("To", "t")]
    assert headers.repeated() == {"x-a"}
    headers.set("to", "u")
    headers.set("Expires", "1")
    headers.set("x-A", "3")
    assert list(headers) == [("Via", "c"), ("x-A", "3"), ("To", "u"), ("Expires", "1")]
    headers.remove("v")
    headers.remove("x-a")
    headers.remove("Contact")
    assert list(headers) == [("To", "u"), ("Expires", "1")]
    assert headers.repeated() == set()
    assert "Via" not in headers


def test_replacing_the_first_of_a_list() -> None:
    headers = Headers([("Via", "a, b"), ("Via", "c")])
    headers.replace_first("Via", "x")
    assert headers.all("Via") == ["x", "b", "c"]
    headers.replace_first("Via", None)
    headers.replace_first("Via", None)
    assert headers.all("Via") == ["c"]
    assert headers.repeated() == set()
    headers.replace_first("Via", None)
    assert "Via" not in headers
    with pytest.raises(UsageError):
        headers.replace_first("Via", "x")


@pytest.mark.parametrize(("name", "value"), [("X", "a\r\nb"), ("X", "a\nb"), ("X", "a\rb"), ("", "x"), ("a b", "x")])
def test_what_would_break_a_message_is_never_written(name: str, value: str) -> None:
    headers = Headers([("X-A", "1")])
    for change in (headers.add, headers.set, headers.prepend):
        with pytest.raises(UsageError):
            change(name, value)
    with pytest.raises(UsageError):
        headers.replace_first("X-A", "a\r\nb")
    assert list(headers) == [("X-A", "1")]


def test_parsed_once_and_again_when_changed() -> None:
    headers = Headers([("Via", "SIP/2.0/UDP a"), ("From", "<sip:a@b>"), ("CSeq", "1 BYE"), ("Route", "<sip:r>")])
    assert headers.one("From", NameAddress.parse) is headers.one("From", NameAddress.parse)
    assert headers.each("Route", NameAddress.parse) is headers.each("Route", NameAddress.parse)
    assert headers.top_via() is headers.top_via()
    headers.set("From", "<sip:c@d>")
    headers.add("Route", "<sip:s>")
    headers.prepend("Via", "SIP/2.0/UDP b")
    assert headers.one("From", NameAddress.parse).uri.user == "c"
    assert [route.uri.host for route in headers.each("Route", NameAddress.parse)] == ["r", "s"]
    assert headers.top_via().host == "b"
    headers.set_top_via(Via("TCP", "c"))
    assert headers.all("Via") == ["SIP/2.0/TCP c", "SIP/2.0/UDP a"]
    assert headers.top_via().host == "c"
    headers.remove("From")
    with pytest.raises(ParseError, match="From is missing"):
        headers.one("From", NameAddress.parse)
    assert headers.maybe("From", NameAddress.parse) is None
    assert headers.each("Contact", NameAddress.parse) == ()


def test_copies_are_independent() -> None:
    headers = Headers([("CSeq", "1 BYE"), ("X-A", "1")])
    copy = headers.copy()
    assert copy == headers
    copy.set("CSeq", "2 BYE")
    copy.remove("X-A")
    assert headers.one("CSeq", CSeq.parse).number == 1
    assert copy.one("CSeq", CSeq.parse).number == 2
    assert "X-A" in headers
    assert copy != headers
    assert headers != "CSeq"


def test_too_many_values_are_refused() -> None:
    headers = Headers([("Contact", ",".join(["<sip:a@b>"] * (MOST_VALUES + 1)))])
    with pytest.raises(ParseError, match="Too many"):
        headers.each("Contact", NameAddress.parse)


def test_names() -> None:
    assert canonical("CALL-id") == canonical("i") == "Call-ID"
    assert canonical("x-Foo") == "x-Foo"
    assert key_of("X-Foo") == "x-foo"
    assert set(CANONICAL.values()) >= LISTS
    assert set(CANONICAL.values()) >= SINGLE
    assert not LISTS & SINGLE


NAMES = st.sampled_from(["Via", "v", "VIA", "To", "t", "X-a", "x-A", "Subject", "K"])
VALUES = st.sampled_from(["", "a", "b, c", "d"])
CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "prepend", "set"]), NAMES, VALUES)
    | st.tuples(st.just("remove"), NAMES)
    | st.tuples(st.just("replace_first"), NAMES, VALUES | st.none()),
    max_size=12,
)


@given(CHANGES)
def test_the_index_always_says_what_the_lines_say(changes: list[tuple[str, ...]]) -> None:
    headers = Headers()
    for method, *arguments in changes:
        try:
            getattr(headers, method)(*arguments)
        except UsageError:
            assert method == "replace_first"
        fresh = Headers.of_lines([f"{name}: {value}" for name, value in headers])
        assert list(fresh) == list(headers)
        assert fresh.repeated() == headers.repeated()
        for name, _ in headers:
            assert headers.get(name) == fresh.get(name)
            assert headers.raw(name) == fresh.raw(name)
        for name in ("Via", "To", "X-a", "Subject", "Supported"):
            assert (name in headers) == (name in fresh)
