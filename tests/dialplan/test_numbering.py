from __future__ import annotations

import pytest

from pbx.dialplan.numbering import Numbering


@pytest.mark.parametrize(
    ("country", "number", "fixed", "restriction"),
    [
        # In Germany
        ("49", "0301234567", 0, ""),
        ("49", "112", 0, ""),
        ("49", "0044201234567", 0, "international"),
        ("49", "+44201234567", 0, "international"),
        ("49", "004930123456", 0, ""),
        ("49", "+4930123456", 0, ""),
        ("49", "0900123456", 0, "premium"),
        ("49", "+49900123456", 3, "premium"),
        ("49", "11833", 0, "premium"),
        ("49", "0114123456", 0, ""),
        # The route chose the country, or only the prefix
        ("49", "+44201234567", 3, ""),
        ("49", "+44201234567", 1, "international"),
        ("49", "0044201234567", 2, "international"),
        ("49", "0044201234567", 3, ""),
        # What carriers take out before they look
        ("49", "0-0-44 20", 0, "international"),
        ("49", "(00)4420", 0, "international"),
        ("49", "*31#004420", 0, "international"),
        ("49", "#31#0900123", 0, "premium"),
        ("49", "*31#*31#004420", 0, "international"),
        ("49", "*31##31#*#0900123", 0, "premium"),
        ("49", "#004420", 0, "international"),
        ("49", "** 31 # (0)0 44", 0, "international"),
        ("49", "*31#030123", 0, ""),
        ("49", "*100", 0, ""),
        # Digits that end no code belong to the number.
        ("49", "*31#00442#", 0, "international"),
        # The route chose the country behind its code, or only the code, or its beginning.
        ("49", "*31#004420", 7, ""),
        ("49", "*31#004420", 6, "international"),
        ("49", "*31#004420", 4, "international"),
        ("49", "*31#004420", 3, "international"),
        ("49", "*31*0044*0044", 9, "international"),
        # Codes that nothing ends are North American.
        ("1", "*67011442012345", 0, "international"),
        ("1", "*67*8219005551234", 0, "premium"),
        ("1", "*6712125551234", 0, ""),
        ("1", "*67011442012345", 7, ""),
        ("1", "*67011442012345", 6, "international"),
        ("1", "*31#2019001234", 0, ""),
        ("", "*670044", 0, "international"),
        ("49", "*6700", 0, ""),
        # Premium numbers of other countries, and of none
        ("49", "+447012345678", 4, "premium"),
        ("49", "+19005551234", 2, "premium"),
        ("49", "+979123456789", 4, "premium"),
        ("49", "00881612345678", 4, "premium"),
        # In North America
        ("1", "12125551234", 0, ""),
        ("1", "2125551234", 0, ""),
        ("1", "011442012345", 0, "international"),
        ("1", "18765551234", 0, "international"),
        ("1", "+18765551234", 0, "international"),
        ("1", "+12125551234", 0, ""),
        ("1", "19005551234", 0, "premium"),
        ("1", "9005551234", 0, "premium"),
        # In a country without a trunk prefix, and one that is not listed
        ("39", "0612345678", 0, ""),
        ("39", "899123456", 0, "premium"),
        ("354", "5551234", 0, ""),
        ("354", "0044", 0, "international"),
        # In a country that nobody said
        ("", "0301234567", 0, ""),
        ("", "0044", 0, "international"),
        ("", "01144", 0, "international"),
        ("", "+4930", 0, "international"),
        ("", "+4930", 3, ""),
        ("", "0900123", 0, "premium"),
        ("", "19005551234", 0, "premium"),
        ("", "101", 0, ""),
        ("", "", 0, ""),
    ],
)
def test_restriction(country: str, number: str, fixed: int, restriction: str) -> None:
    assert Numbering(country).restriction(number, fixed) == restriction


def test_a_service_code_may_itself_be_premium() -> None:
    assert Numbering("49", ("*9",)).restriction("*9123", 0) == "premium"


def test_what_the_plan_adds() -> None:
    numbering = Numbering("49", ("0180",), ("010",))
    assert numbering.restriction("0180123", 0) == "premium"
    assert numbering.restriction("01044", 0) == "international"
    assert numbering.restriction("0151", 0) == ""
