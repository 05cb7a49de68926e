"""How numbers are written: from a trunk and to it, for several countries, and that nothing gets lost on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.numbers import COUNTRIES, FORMATS, NumberRules, TrunkNumbers

BERLIN = {"country": "49", "area": "30"}


@pytest.mark.parametrize(
    ("form", "written", "known"),
    [
        ("as-is", "030 123", "030 123"),
        ("e164", "+4930123", "+4930123"),
        ("e164", "+49 (30) 12-3", "+4930123"),
        ("e164", "101", "101"),
        ("digits", "4930123456", "+4930123456"),
        ("digits", "112", "112"),
        ("digits", "0301234567", "0301234567"),
        ("international", "004930123456", "+4930123456"),
        ("international", "030123456", "030123456"),
        ("national", "030123456", "+4930123456"),
        ("national", "0044207123456", "+44207123456"),
        ("national", "123456", "+4930123456"),
        ("local", "123456", "+4930123456"),
        ("local", "112", "112"),
        ("national", "110", "110"),
        ("national", "*31#030123", "*31#030123"),
        ("national", "alice", "alice"),
        ("national", "", ""),
        ("national", "+alice", "+alice"),
        ("national", "٠٣٠١٢٣٤", "٠٣٠١٢٣٤"),
    ],
)
def test_what_a_trunk_sends(form: str, written: str, known: str) -> None:
    rules = NumberRules(**BERLIN, inbound=form)
    assert rules.heard(written) == known
    assert rules.caller_heard(written) == known


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("as-is", ["+4930123456", "+4940123456", "+44207123456", "112"]),
        ("e164", ["+4930123456", "+4940123456", "+44207123456", "112"]),
        ("digits", ["4930123456", "4940123456", "44207123456", "112"]),
        ("international", ["004930123456", "004940123456", "0044207123456", "112"]),
        ("national", ["030123456", "040123456", "0044207123456", "112"]),
        ("local", ["123456", "040123456", "0044207123456", "112"]),
    ],
)
def test_what_a_trunk_is_sent(form: str, written: list[str]) -> None:
    rules = NumberRules(**BERLIN, outbound=form)
    assert [rules.sent(number) for number in ("+4930123456", "+4940123456", "+44207123456", "112")] == written


def test_a_national_number_of_the_dialplan_is_written_too() -> None:
    assert NumberRules("49", outbound="e164").sent("030123456") == "+4930123456"
    assert NumberRules(outbound="e164").sent("030123456") == "030123456"
    assert NumberRules("49", outbound="digits").sent("101") == "101"


def test_what_stands_before_numbers() -> None:
    rules = NumberRules("49", inbound="national", outbound="national", inbound_strip="9", outbound_prefix="0")
    assert rules.heard("9030123456") == "+4930123456"
    assert rules.sent("+4930123456") == "0030123456"
    assert rules.sent("112") == "0112"
    assert rules.caller_sent("+4930123456") == "030123456"


@pytest.mark.parametrize("written", ["2125551234", "12125551234", "+12125551234"])
def test_north_america_is_dialled_with_or_without_the_1(written: str) -> None:
    rules = NumberRules("1", inbound="national", outbound="national")
    assert rules.heard(written) == "+12125551234"
    assert rules.sent("+12125551234") == "12125551234"
    assert rules.heard("911") == "911"


def test_italy_keeps_its_0() -> None:
    rules = NumberRules("39", inbound="national", outbound="national")
    assert rules.heard("0612345678") == "+390612345678"
    assert rules.sent("+390612345678") == "0612345678"


@given(
    st.sampled_from(FORMATS),
    st.sampled_from(sorted(COUNTRIES)),
    st.sampled_from(sorted(COUNTRIES)),
    st.from_regex(r"[2-9][0-9]{9}", fullmatch=True),
)
def test_what_is_sent_is_understood_again(form: str, home: str, country: str, rest: str) -> None:
    rules = NumberRules(home, "", form, form)
    number = f"+{country}{rest}"
    assert rules.heard(rules.sent(number)) == number


@given(st.sampled_from(FORMATS), st.sampled_from(FORMATS), st.text(max_size=30))
def test_any_text_passes_without_a_fault(inbound: str, outbound: str, text: str) -> None:
    rules = NumberRules("49", "30", inbound, outbound)
    assert isinstance(rules.heard(rules.sent(text)), str)


def test_only_trunks_have_rules() -> None:
    rules = NumberRules("49")
    numbers = TrunkNumbers({"101": rules})
    assert numbers.of("trunk/101") is rules
    assert numbers.of("extension/101").sent("1") == "1"
