"""What a call's record says of where the call went, and when it is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest

from pbx.app.observer import CallObserver, record_of
from pbx.call.commands import Party
from pbx.call.summary import Attempt, LegSummary, Summary
from pbx.call.table import State
from pbx.cause import cause_named
from pbx.store.call_records import CallRecord

if TYPE_CHECKING:
    from pbx.app.sidecars import SidecarWriter


@pytest.mark.parametrize(
    ("answered", "rung", "failed", "destination"),
    [
        ("extension/102", ("extension/102", "extension/103"), ("extension/104",), "extension/102"),
        ("", ("extension/102",), (), "extension/102"),  # cancelled while it rang: nothing has failed yet
        ("", ("extension/102", "extension/103"), ("extension/104",), "extension/103"),
        ("", (), ("extension/104",), "extension/104"),  # nobody is registered there
        ("", (), (), ""),
    ],
)
def test_a_record_names_who_answered_or_was_rung_last(
    answered: str, rung: tuple[str, ...], failed: tuple[str, ...], destination: str
) -> None:
    summary = Summary("c1", "extension/101", Party("101"), "700", datetime.now(UTC), 1.0, destination=answered)
    for number, target in enumerate(("extension/101", *rung)):
        summary.legs[f"c1-{number}"] = LegSummary(f"c1-{number}", target)
    summary.attempts.extend(Attempt(target, "unavailable") for target in failed)
    assert record_of(summary).destination == destination


def test_what_happens_to_a_call_within_a_moment_is_written_once() -> None:
    written: list[CallRecord] = []
    due: list[Callable[[], None]] = []
    observer = CallObserver(written.append, cast("SidecarWriter", None), lambda _, call: due.append(call))
    one, other = (Summary(call, "extension/101", Party("101"), "700", datetime.now(UTC), 1.0) for call in ("c1", "c2"))
    observer.call_started(one)
    one.answered, one.answered_at = 2.0, datetime.now(UTC)
    observer.call_answered(one)
    observer.call_started(other)
    assert len(due) == 1
    assert not written
    due.pop()()
    assert [(record.id, record.answered) for record in written] == [("c1", one.answered_at), ("c2", None)]
    one.ended, one.ended_at, one.cause = 5.0, datetime.now(UTC), cause_named("answered-caller-hung-up")
    observer.call_answered(one)
    due.pop()()
    assert written[-1].ended is None, "it is over when its files and streams are closed, and not before"
    one.state = State.ENDED.value
    observer.call_ended(one)
    due.pop()()
    assert (written[-1].cause, written[-1].duration) == ("answered-caller-hung-up", 3.0)
    assert not due
