from __future__ import annotations

import re
from datetime import datetime

import pytest

from pbx.dialplan.windows import parse_window


@pytest.mark.parametrize(
    ("window", "moment", "open_"),
    [
        # 2026-11-20 is a Friday
        ("Mon-Fri 08:00-18:00", "2026-11-20T08:00", True),
        ("Mon-Fri 08:00-18:00", "2026-11-20T17:59", True),
        ("Mon-Fri 08:00-18:00", "2026-11-20T18:00", False),
        ("Mon-Fri 08:00-18:00", "2026-11-21T10:00", False),
        ("Sat,Sun", "2026-11-21T00:00", True),
        ("Fri-Mon", "2026-11-22T10:00", True),
        ("Fri-Mon", "2026-11-24T10:00", False),
        ("22:00-06:00", "2026-11-20T23:00", True),
        ("22:00-06:00", "2026-11-20T05:59", True),
        ("22:00-06:00", "2026-11-20T06:00", False),
        ("Fri 22:00-06:00", "2026-11-21T05:00", True),  # begins on Friday
        ("Fri 22:00-06:00", "2026-11-20T05:00", False),  # began on Thursday
        ("2026-12-24", "2026-12-24T23:59", True),
        ("2026-12-24..2027-01-01", "2027-01-01T12:00", True),
        ("2026-12-24..2027-01-01", "2027-01-02T12:00", False),
        ("2026-12-24 09:00-12:00", "2026-12-24T12:00", False),
        ("12-25", "2031-12-25T01:00", True),
        ("12-24..01-06", "2031-01-05T01:00", True),
        ("12-24..01-06", "2031-02-05T01:00", False),
        ("02-29", "2028-02-29T01:00", True),
        ("00:00-24:00", "2026-11-20T23:59", True),
        ("mon-fri 8:00-9:00", "2026-11-20T08:30", True),
    ],
)
def test_holds(window: str, moment: str, open_: bool) -> None:
    assert parse_window(window).holds(datetime.fromisoformat(moment)) is open_


@pytest.mark.parametrize(
    ("window", "says"),
    [
        ("", "not a time window"),
        ("Mon-Fry", "not a time window"),
        ("08:00-18:00 Mon", "not a time window"),
        ("Mon 08:00-18:00 x", "not a time window"),
        ("08:60-18:00", "no clock shows"),
        ("24:00-25:00", "no clock shows"),
        ("08:00-08:00", "same minute"),
        ("2026-02-30", "no calendar has"),
        ("02-30", "no calendar has"),
        ("2026-12-24..2026-12-23", "ends before"),
    ],
)
def test_says_what_is_wrong(window: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_window(window)
