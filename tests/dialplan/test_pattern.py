from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.dialplan.pattern import compile_pattern, covers
from pbx.dialplan.regex import LONGEST

SIMPLE = st.text(alphabet="0129XZN+*", min_size=1, max_size=5).flatmap(lambda body: st.sampled_from([body, body + "."]))
NUMBERS = st.text(alphabet="0129+*a", max_size=7)


@pytest.mark.parametrize(
    ("pattern", "number", "matches"),
    [
        ("2XXX", "2000", True),
        ("2XXX", "20000", False),
        ("2XXX", "200a", False),
        ("0Z.", "0301234567", True),
        ("0Z.", "00301234567", False),
        ("0Z.", "03", False),
        (".", "x", True),
        (".", "+4930-1", True),
        (".", "", False),
        (".", "30\r\nX: y", False),
        ("N1", "21", True),
        ("N1", "11", False),
        ("*98#", "*98#", True),
        ("+49.", "+4930", True),
        ("XX", "\u0661\u0662", False),
        (r"/\+49(\d+)/", "+4930", True),
        (r"/\d/", "\u0661", False),
        ("/[1-3]0?/", "2", True),
        ("/[1-3]0?/", "2x", False),
    ],
)
def test_matches_the_whole_number(pattern: str, number: str, matches: bool) -> None:
    assert (compile_pattern(pattern).match(number) is not None) is matches


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "empty"),
        ("1.2", "can only come last"),
        ("[12]X", "regular expression"),
        ("/12", "between two slashes"),
        ("1 2", "cannot be dialled"),
        ("//", "empty"),
        ("1!", "regular expression"),
    ],
)
def test_says_what_is_wrong(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        compile_pattern(pattern)


def test_long_numbers_are_never_tried_against_an_expression() -> None:
    pattern = compile_pattern(r"/\d+/")
    assert pattern.match("1" * LONGEST) is not None
    assert pattern.match("1" * (LONGEST + 1)) is None
    assert compile_pattern(".").match("1" * 1000) is not None


def test_parts_of_the_number() -> None:
    pattern = compile_pattern(r"/9(?P<area>\d\d)(x)?(\d+)/")
    assert pattern.groups == ("1", "2", "3", "area")
    assert pattern.parts("9301") == {"1": "30", "2": "", "3": "1", "area": "30"}
    assert pattern.parts("8") == {}


@given(SIMPLE, NUMBERS)
def test_prefix_and_first_character_never_hide_a_match(text: str, number: str) -> None:
    pattern = compile_pattern(text)
    if pattern.regex.fullmatch(number):
        assert number.startswith(pattern.prefix)
        assert pattern.may_begin_with(number[:1])
        assert pattern.match(number)


@pytest.mark.parametrize(
    "text", ["/a?b/", "/ab*/", "/(49)1/", "/4|5/", r"/\+1[2]/", "/(?:ab)2/", "/^12$/", "/ab{2}c/", "/x{0,2}1/"]
)
@given(data=st.data())
def test_prefix_of_expressions_never_hides_a_match(text: str, data: st.DataObject) -> None:
    pattern = compile_pattern(text)
    number = data.draw(st.from_regex(pattern.regex, fullmatch=True))
    assert number.startswith(pattern.prefix)


@given(SIMPLE, SIMPLE, NUMBERS)
def test_covers_is_never_wrong(broad: str, narrow: str, number: str) -> None:
    first, second = compile_pattern(broad), compile_pattern(narrow)
    if covers(first, second) and second.match(number):
        assert first.match(number)


@pytest.mark.parametrize(
    ("broad", "narrow", "certain"),
    [
        (".", "2XXX", True),
        ("X.", "1XX", True),
        ("1XX", "112", True),
        ("112", "1XX", False),
        ("0Z.", "0.", False),
        ("0.", "0Z.", True),
        ("XX", "X.", False),
        ("/1[0-9]+/", "112", True),
        ("/1[0-9]+/", "1XX", False),
        (".", "/a+/", True),
        (".", "/a*/", False),
    ],
)
def test_covers(broad: str, narrow: str, certain: bool) -> None:
    assert covers(compile_pattern(broad), compile_pattern(narrow)) is certain
