"""Which failures go on to the next target: the defaults, and what may be written."""

from __future__ import annotations

import pytest

from pbx.cause import cause_of_status
from pbx.failover import EXTENSION, TRUNK, NextOn, parse_next_on

ENDS_AT_A_TRUNK = {404, 410, 415, 484, 486, 488, 600, 603, 604, 606, 607, 608}
ENDS_AT_AN_EXTENSION = {603, 607, 608}


def holds(policy: NextOn, status: int) -> bool:
    return policy.holds(cause_of_status(status).slug, status)


@pytest.mark.parametrize("status", range(400, 700))
def test_defaults(status: int) -> None:
    assert holds(TRUNK, status) is (status not in ENDS_AT_A_TRUNK)
    assert holds(EXTENSION, status) is (status not in ENDS_AT_AN_EXTENSION)


@pytest.mark.parametrize("slug", ["callee-timeout", "unreachable", "no-answer", "too-many-calls", "no-ports"])
def test_what_has_no_status_goes_on(slug: str) -> None:
    assert TRUNK.holds(slug, 0)
    assert not parse_next_on(["none"]).holds(slug, 0)
    assert parse_next_on(["all"]).holds(slug, 0)


@pytest.mark.parametrize(
    ("written", "goes_on", "ends"),
    [
        (["5xx"], [500, 503, 599], [408, 486, 603]),
        (["486", "4xx"], [486, 404, 480], [500, 603]),
        (["busy"], [486, 600], [480, 603]),
        (["timeout", "6XX"], [408, 504, 603], [403, 486]),
    ],
)
def test_written(written: list[str], goes_on: list[int], ends: list[int]) -> None:
    policy = parse_next_on(written)
    assert [status for status in goes_on + ends if holds(policy, status)] == goes_on


def test_words_for_what_has_no_status() -> None:
    policy = parse_next_on(["timeout", "network", "limit", "no-answer"])
    for slug in ("callee-timeout", "unreachable", "too-many-calls", "no-answer"):
        assert policy.holds(slug, 0)
    assert not policy.holds("busy", 486)


@pytest.mark.parametrize("written", [["200"], ["7xx"], ["al"], ["all", "486"], ["5x"], []])
def test_what_is_no_failure(written: list[str]) -> None:
    with pytest.raises(ValueError, match="no failure"):
        parse_next_on(written)
