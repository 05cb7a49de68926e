"""Times of day, week and year in which a route holds.

A window is days, times, or both: ``Mon-Fri 08:00-18:00``, ``Sat,Sun``, ``22:00-06:00``, ``2026-12-24``,
``2026-12-24..2027-01-01 09:00-12:00``, ``12-25`` (every year). Times end before the minute named; a window that runs
over midnight belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from pbx.values import dataclass

__all__ = ["Window", "parse_window"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIMES = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})", re.ASCII)
_DATE = r"\d{4}-\d{2}-\d{2}"
_DATES = re.compile(rf"({_DATE})(?:\.\.({_DATE}))?", re.ASCII)
_YEARLY = re.compile(r"(\d{2})-(\d{2})(?:\.\.(\d{2})-(\d{2}))?", re.ASCII)
_MIDNIGHT = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """One window: the days on which it begins, and its minutes of the day."""

    text: str
    weekdays: frozenset[int] | None = None
    """0 is Monday; None for every day."""
    dates: tuple[date, date] | None = None
    """First and last day."""
    yearly: tuple[tuple[int, int], tuple[int, int]] | None = None
    """First and last (month, day) of every year; may run over New Year."""
    begins: int = 0
    ends: int = _MIDNIGHT
    """Minutes after midnight; `ends` below or at `begins` runs into the next day."""

    def holds(self, local: datetime) -> bool:
        """Return True if the window is open at `local`, a time on the clock of the plan's zone."""
        minute = local.hour * 60 + local.minute
        if self.begins < self.ends:
            return self.begins <= minute < self.ends and self._begins_on(local.date())
        if minute >= self.begins:
            return self._begins_on(local.date())
        return minute < self.ends and self._begins_on(local.date() - timedelta(days=1))

    def _begins_on(self, day: date) -> bool:
        if self.weekdays is not None and day.weekday() not in self.weekdays:
            return False
        if self.dates is not None and not self.dates[0] <= day <= self.dates[1]:
            return False
        if self.yearly is None:
            return True
        first, last = self.yearly
        today = (day.month, day.day)
        return first <= today <= last if first <= last else today >= first or today <= last


def parse_window(text: str) -> Window:
    """Return the window that `text` writes; ValueError says what is wrong with it."""
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise ValueError(_advice(text))
    times = _TIMES.fullmatch(words[-1])
    if len(words) == 2 and times is None:
        raise ValueError(_advice(text))
    begins, ends = _minutes(times, text) if times else (0, _MIDNIGHT)
    if times and len(words) == 1:
        return Window(text, begins=begins, ends=ends)
    weekdays, dates, yearly = _days(words[0], text)
    return Window(text, weekdays, dates, yearly, begins, ends)


def _minutes(match: re.Match[str], text: str) -> tuple[int, int]:
    values = [int(part) for part in match.groups()]
    begins, ends = values[0] * 60 + values[1], values[2] * 60 + values[3]
    if values[1] > 59 or values[3] > 59 or begins >= _MIDNIGHT or ends > _MIDNIGHT:
        raise ValueError(f"`{text}` names a time that no clock shows; times run from 00:00 to 24:00")
    if begins == ends:
        raise ValueError(f"`{text}` begins and ends at the same minute; leave the time out for the whole day")
    return begins, ends


_Days = tuple[frozenset[int] | None, tuple[date, date] | None, tuple[tuple[int, int], tuple[int, int]] | None]


def _days(word: str, text: str) -> _Days:
    if match := _DATES.fullmatch(word):
        try:
            first = date.fromisoformat(match[1])
            last = date.fromisoformat(match[2]) if match[2] else first
        except ValueError:
            raise ValueError(f"`{text}` names a day that no calendar has") from None
        if last < first:
            raise ValueError(f"`{text}` ends before it begins")
        return None, (first, last), None
    if match := _YEARLY.fullmatch(word):
        values = [int(part or 0) for part in match.groups()]
        first_day, last_day = (values[0], values[1]), (values[2], values[3]) if match[3] else (values[0], values[1])
        try:
            date(2024, *first_day)  # a leap year, so that 02-29 may be named
            date(2024, *last_day)
        except ValueError:
            raise ValueError(f"`{text}` names a day that no calendar has") from None
        return None, None, (first_day, last_day)
    return _weekdays(word, text), None, None


def _weekdays(word: str, text: str) -> frozenset[int]:
    chosen: set[int] = set()
    for part in word.lower().split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise ValueError(_advice(text))
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        chosen.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(chosen)


def _advice(text: str) -> str:
    return (
        f"`{text}` is not a time window; write it like `Mon-Fri 08:00-18:00`, `Sat,Sun`, `22:00-06:00`, `2026-12-24`, "
        "`2026-12-24..2027-01-01` or `12-25`"
    )
