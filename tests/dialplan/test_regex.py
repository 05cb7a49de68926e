from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.dialplan.regex import LONGEST, MAXIMUM_WAYS, check_regex


@pytest.mark.parametrize(
    "text",
    [
        r"\d+",
        r"\+?49(\d{2,5})(\d+)",
        "(?:00|\\+)[1-9][0-9]{5,14}",
        "(?P<area>0[1-9]+?)[0-9]{4}",
        "[^a-z]+",
        r"[\]\-a]",
        "[]]",
        "(\\d\\d)+",
        "^1$",
        "a{3}",
        "1??2",
        "(?:a|b)c",
        "\\.",
    ],
)
def test_takes_what_cannot_run_for_long(text: str) -> None:
    assert check_regex(text).pattern == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r"(\d+)+x", "for ever"),
        (r"(a|a)*b", "for ever"),
        (r"(a|aa)+b", "for ever"),
        (r"(a?){20}a{20}", "more than"),
        (r"([0-9]*)*", "for ever"),
        (r"\d*\d*\d*\d*x", "more than"),
        (r"(x{0,9}){9}", "more than"),
        (r"(a)\1", "not allowed"),
        (r"(?=a)", "only"),
        (r"(?i)a", "only"),
        (r"(?P=a)", "only"),
        (r"a*+", "another quantifier"),
        (r"a{2}{3}", "another quantifier"),
        (r"(a", "never closed"),
        (r"a)", "closes nothing"),
        (r"[a", "never closed"),
        (r"*a", "nothing to repeat"),
        (r"a{3,2}", "backwards"),
        (r"a{,3}", "quantifier like"),
        (r"()*", "repeats nothing"),
        (r"[[a]", r"\["),
        (r"[a--b]", r"\-"),
        ("a\\", "backslash"),
        (r"\bx", "not allowed"),
        ("a]", "closes nothing"),
        ("(" * 10 + ")" * 10, "nested"),
        ("(?P<a>x)(?P<a>y)", "redefinition"),
    ],
)
def test_says_why_not(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        check_regex(text)


@given(st.text(alphabet="a1()[]{}|*+?\\.^$-,:P<>d", max_size=16))
def test_any_text_is_taken_or_refused_in_words(text: str) -> None:
    try:
        regex = check_regex(text)
    except ValueError:
        return
    regex.fullmatch("a1" * (LONGEST // 2))


def test_the_bound_lets_ordinary_expressions_through() -> None:
    assert LONGEST**2 < MAXIMUM_WAYS < LONGEST**3
