"""What a call's record says of where the call went."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pbx.app.observer import record_of
from pbx.call.commands import Party
from pbx.call.summary import Attempt, LegSummary, Summary


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
