from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.dialplan.template import for_header, for_path, for_sip_user, parse_template, without_verstat

KNOWN = ("number", "caller")


def test_fills_in() -> None:
    template = parse_template("a{number}b{{{caller}}}", KNOWN)
    assert not template.constant
    assert template.fill({"number": "1", "caller": "2"}) == "a1b{2}"
    assert template.fill({}) == "ab{}"
    assert parse_template("plain", KNOWN).constant


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{numbr}", "did you mean `number`?"),
        ("{zzz}", "known are {number}, {caller}"),
        ("a{", "stands alone"),
        ("a}b", "stands alone"),
        ("{a{b}", "stands alone"),
    ],
)
def test_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_template(text, KNOWN)


@pytest.mark.parametrize(
    ("value", "without"),
    [
        ("<sip:+4930;verstat=TN-Validation-Passed@a;user=phone>;x=1", "<sip:+4930@a;user=phone>;x=1"),
        ("<tel:+4930;VERSTAT=x;npdi>, <tel:1;verstat>", "<tel:+4930;npdi>, <tel:1>"),
        ("<sip:1%3bverstat=x@a>", "<sip:1@a>"),
        ("+4930;verstat=x", "+4930"),
        (";ver;verstat=xstat=y", ";ver"),
        ("verstat=1", "verstat=1"),
        (";verstatistics=1", ";verstatistics=1"),
    ],
)
def test_nobody_says_what_was_verified(value: str, without: str) -> None:
    assert without_verstat(value) == without == for_header(value)
    assert "verstat=x" not in for_sip_user(value)


@given(st.text())
def test_no_value_leads_out_of_a_folder(value: str) -> None:
    path = for_path(value)
    assert "/" not in path
    assert "." not in path
    assert "\0" not in path


@given(st.text())
def test_no_value_begins_a_header(value: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f]", for_header(value))


@given(st.text())
def test_no_value_ends_the_user_part_of_a_uri(value: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%]*", for_sip_user(value))


def test_escapes_as_octets() -> None:
    assert for_path("../é") == "%2E%2E%2F%C3%A9"
    assert for_sip_user("a@b") == "a%40b"
