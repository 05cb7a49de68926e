"""The number that a URI stands for."""

from __future__ import annotations

import pytest

from pbx.sip.ext.identity import number_in, without_verstat
from pbx.sip.uri import Uri


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("sip:101@example.com", "101"),
        ("sip:+4930101;verstat=TN-Validation-Passed@example.com;user=phone", "+4930101"),
        ("sip:+4930101;npdi;rn=+4930999@example.com", "+4930101"),
        ("sip:alice;day=tuesday@example.com", "alice;day=tuesday"),
        ("sip:alice;VERSTAT=TN-Validation-Passed;day=tuesday@example.com", "alice;day=tuesday"),
        ("sip:alice;verstat@example.com", "alice"),
        ("sip:*31#%3Bverstat=TN-Validation-Passed@example.com", "*31#"),
        ("sip:example.com", ""),
        ("tel:+49-30-101;verstat=No-TN-Validation", "+4930101"),
    ],
)
def test_number_in(uri: str, number: str) -> None:
    assert number_in(Uri.parse(uri)) == number


@pytest.mark.parametrize(
    ("uri", "without"),
    [
        ("sip:+4930101;npdi@example.com;transport=tcp", "sip:+4930101;npdi@example.com;transport=tcp"),
        ("sip:+4930101;verstat=TN-Validation-Passed;npdi@example.com", "sip:+4930101;npdi@example.com"),
        ("sip:+4930101;VerStat=x@example.com;verstat=y;lr", "sip:+4930101@example.com;lr"),
        ("sip:1%3Bverstat=x@example.com", "sip:1@example.com"),
        ("tel:+49-30;verstat=No-TN-Validation;rn=+491", "tel:+49-30;rn=+491"),
        ("tel:30;phone-context=example.com;verstat", "tel:30;phone-context=example.com"),
        ("sip:verstat@verstat.example", "sip:verstat@verstat.example"),
    ],
)
def test_without_verstat(uri: str, without: str) -> None:
    assert str(without_verstat(Uri.parse(uri))) == without
