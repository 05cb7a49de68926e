from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pbx.app.wall_clock import WallClock

BEFORE_SUMMER = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_the_hour_changes_with_summer_time_to_the_second() -> None:
    moment = [BEFORE_SUMMER.timestamp()]
    clock = WallClock(lambda: moment[0])
    first = clock()
    moment[0] += 1
    second = clock()
    assert (first.hour, first.utcoffset()) == (1, timedelta(hours=1))
    assert (second.hour, second.utcoffset()) == (3, timedelta(hours=2))
    assert second - first == timedelta(seconds=1)
    moment[0] -= 1
    assert clock() == first
    assert clock().hour == 1


def test_it_is_the_time_that_python_tells() -> None:
    clock = WallClock()
    clock()
    before, told, after = datetime.now().astimezone(), clock(), datetime.now().astimezone()
    assert before <= told <= after
    assert told.utcoffset() == before.utcoffset()
