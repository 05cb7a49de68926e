"""The number that a URI stands for."""

from __future__ import annotations

import pytest

from pbx.sip.ext.identity import number_in
from pbx.sip.uri import Uri


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("sip:101@example.com", "101"),
        ("sip:+4930101;verstat=TN-Validation-Passed@example.com;user=phone", "+4930101"),
        ("sip:+4930101;npdi;rn=+4930999@example.com", "+4930101"),
        ("sip:alice;day=tuesday@example.com", "alice;day=tuesday"),
        ("sip:example.com", ""),
        ("tel:+49-30-101;verstat=No-TN-Validation", "+4930101"),
    ],
)
def test_number_in(uri: str, number: str) -> None:
    assert number_in(Uri.parse(uri)) == number
