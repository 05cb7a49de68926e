from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbx.dialplan.billing import Billing
from pbx.dialplan.language import Languages
from pbx.dialplan.numbering import Numbering
from pbx.dialplan.pattern import compile_pattern

PATTERNS = [
    *("2XXX", ".", "0Z.", "00Z.", "110", "NXX", "+49.", "*31#.", "X.", "1X"),
    *(
        "/00[1-9][0-9]*/",
        "/[0-9]{3,5}/",
        "/(0|1){3}2?/",
        "/^0\\d+$/",
        "/[^0-9]+/",
        "/a|bc|/",
        "/\\+?\\d{4,}/",
        "/[a-f0\\-+]*/",
    ),
    *("/x.y/", "/\\D\\w\\s?/", "/[]x]{2}/", "/(?:12|3)4/", "/[\\d-]+/", "/[\\Wab]+/", "/ä+/"),
]
NUMBERS = st.text("0123456789+*#-. axyé", max_size=8)


@given(number=NUMBERS, text=st.sampled_from(PATTERNS))
def test_a_pattern_s_set_is_what_it_matches(number: str, text: str) -> None:
    languages, pattern = Languages(), compile_pattern(text)
    surely, maybe = languages.pattern(pattern)
    matches = pattern.match(number) is not None
    assert languages.contains(maybe, number) or not matches
    assert matches or not languages.contains(surely, number)
    if "ä" not in text:
        assert languages.contains(maybe, number) == matches


@given(number=NUMBERS, one=st.sampled_from(PATTERNS), other=st.sampled_from(PATTERNS))
def test_sets_are_joined_and_cut_as_sets_are(number: str, one: str, other: str) -> None:
    languages = Languages()
    first, second = (languages.pattern(compile_pattern(text))[1] for text in (one, other))
    held = [languages.contains(part, number) for part in (first, second)]
    assert languages.contains(languages.union(first, second), number) == any(held)
    assert languages.contains(languages.both(first, second), number) == all(held)
    assert languages.contains(languages.without(first, second), number) == (held[0] and not held[1])
    assert languages.contains(languages.many(first), number) or not held[0]


@pytest.mark.parametrize("one", PATTERNS)
@pytest.mark.parametrize("other", PATTERNS[:12])
def test_a_witness_is_a_member_and_none_means_none(one: str, other: str) -> None:
    languages = Languages()
    patterns = [compile_pattern(text) for text in (one, other)]
    rest = languages.without(*(languages.pattern(pattern)[1] for pattern in patterns))
    witness = languages.witness(rest)
    if witness is None:
        numbers = [f"{number:0{width}}" for width in (1, 2, 3, 4) for number in range(0, 10**width, 7)]
        assert not [n for n in numbers if patterns[0].match(n) and not patterns[1].match(n)]
    else:
        assert patterns[0].match(witness) or "ä" in one
        assert not patterns[1].match(witness)


NUMBERINGS = [
    Numbering(),
    *[Numbering(country) for country in ("1", "7", "31", "34", "39", "44", "49", "61", "358")],
    Numbering("49", ("0180", "*9"), ("010",)),
    Numbering("", ("1234",)),
]
PIECES = st.lists(
    st.sampled_from(
        [
            *"0123456789+*#-. (",
            "00",
            "011",
            "+1",
            "+49",
            "0900",
            "900",
            "979",
            "137",
            "118",
            "1900",
            "242",
            "*31#",
            "*67",
            "#31",
            "0011",
            "112",
            "911",
            "1167",
        ]
    ),
    max_size=9,
).map("".join)


@settings(max_examples=300)
@given(number=PIECES, fixed=st.integers(0, 6), numbering=st.sampled_from(NUMBERINGS))
def test_sets_of_paid_numbers_are_what_is_refused_number_by_number(
    number: str, fixed: int, numbering: Numbering
) -> None:
    languages, billing = BILLING[numbering]
    expected = numbering.restriction(number, fixed)
    for restriction in ("", "international", "premium"):
        numbers = billing.restricted(restriction, number[:fixed])
        assert languages.contains(numbers, number) == (restriction == expected)


def _billing(numbering: Numbering) -> tuple[Languages, Billing]:
    languages = Languages()
    return languages, Billing(languages, numbering)


BILLING = {numbering: _billing(numbering) for numbering in NUMBERINGS}
