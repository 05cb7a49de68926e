from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.sip.grammar import (
    format_params,
    is_token,
    parse_number,
    parse_params,
    quote,
    split_first,
    split_list,
    unquote,
)


def test_tokens() -> None:
    assert is_token("z9hG4bK-.!%66*_+`'~")
    for text in ("", "a b", "a;b", "a@b", "ä", "a\0"):
        assert not is_token(text)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("0009", 9), ("4294967295", 2**32 - 1), ("0" * 5000 + "7", 7)])
def test_numbers(text: str, number: int) -> None:
    assert parse_number(text, 2**32 - 1, "x") == number


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1 ", "1.0", "٣", "²", "1_0", "4294967296", "9" * 60000])
def test_no_numbers(text: str) -> None:
    with pytest.raises(ParseError, match=r"^x is"):
        parse_number(text, 2**32 - 1, "x")


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", {}),
        (";lr", {"lr": None}),
        (";Tag=aBc", {"tag": "aBc"}),
        (";branch=z9hG4bK1;rport;received=2001:db8::9:255", {
            "branch": "z9hG4bK1",
            "rport": None,
            "received": "2001:db8::9:255",
        }),
        ("; a = 1 ;\tb ; c = \"x;y,\\\"z\" ", {"a": "1", "b": None, "c": '"x;y,\\"z"'}),
        (';+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";q=0.5', {
            "+sip.instance": '"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"',
            "q": "0.5",
        }),
        (';p="работающий";tag=x', {"p": '"работающий"', "tag": "x"}),
        (";opaque=ab==", {"opaque": "ab=="}),
    ],
)  # fmt: skip
def test_params(text: str, params: dict[str, str | None]) -> None:
    assert parse_params(text) == params
    assert parse_params(format_params(params)) == params


@pytest.mark.parametrize(
    "text",
    [";", ";;", ";a;", ";a;;b", "a", "=", ";=", ";a=", ";a=;b", ';a="', ';a="x', ';a="x"y', ";a b", ";a=b c",
     ";a=1;A=2", ';a=1;A="2"', ";a=<x>", ";ä=1", ";a\0=1", ';"a"=1'],
)  # fmt: skip
def test_refused_params(text: str) -> None:
    with pytest.raises(ParseError):
        parse_params(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("  ", []),
        ("a", ["a"]),
        (" a ,\tb", ["a", "b"]),
        ("a,,b,", ["a", "", "b", ""]),
        ('"a,b" <sip:a,b@c>, "x\\",y" <sip:z>', ['"a,b" <sip:a,b@c>', '"x\\",y" <sip:z>']),
        ("<sip:a@b?x=1,2>;q=0.1,<sip:c>", ["<sip:a@b?x=1,2>;q=0.1", "<sip:c>"]),
    ],
)
def test_lists(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts
    first, rest = split_first(text)
    assert first == (parts[0] if parts else "")
    assert split_list(rest) == parts[1:] or parts[1:] == [""]


@pytest.mark.parametrize("text", ['"a, b', '"a\\", b', "<a, b", 'x, "', "x, <"])
def test_lists_that_do_not_close(text: str) -> None:
    with pytest.raises(ParseError):
        split_list(text)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_quoting(text: str) -> None:
    assert unquote(quote(text)) == text
    assert split_list(f"{quote(text)}, x") == [quote(text), "x"]
    assert parse_params(f";a={quote(text)}") == {"a": quote(text)}


def test_quoting_makes_control_characters_harmless() -> None:
    assert quote('a\r\nVia: "\\\0') == '"a  Via: \\"\\\\ "'
    assert unquote("plain") == "plain"
    assert unquote('"') == '"'


@given(st.lists(st.from_regex(r"[a-z]{1,5}(;[a-z]=\"[^\"\\\x00-\x1f]{0,5}\")?", fullmatch=True), min_size=1))
def test_lists_split_where_they_were_joined(parts: list[str]) -> None:
    assert split_list(", ".join(parts)) == parts
