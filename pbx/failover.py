"""Which failures of one target go on to the next: sensible defaults, and what may be written in place of them.

A carrier that says busy, declined or no such number has reached the callee, or knows that there is none: another one
would say the same. What fails on the way there (5xx, a timeout, the network, a limit) says nothing of the callee.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pbx.values import dataclass

__all__ = ["EXTENSION", "TRUNK", "WORDS", "NextOn", "parse_next_on"]

WORDS = {
    "busy": "busy",
    "declined": "declined",
    "no-answer": "no-answer",
    "unavailable": "unavailable",
    "timeout": "callee-timeout",
    "network": "unreachable",
    "limit": "too-many-calls",
}
"""Words for failures, and the slugs of `pbx.cause` that they stand for."""

_STATUS = re.compile(r"[3-6](?:xx|[0-9][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class NextOn:
    """The failures that go on to the next target: those `named`, or with `others` all but those."""

    named: frozenset[str]
    """Statuses (``486``), classes (``5xx``), slugs of causes."""
    others: bool = False

    def holds(self, slug: str, status: int) -> bool:
        """Return whether a failure goes on: its cause, and the peer's final response or 0."""
        found = slug in self.named or (status > 0 and (str(status) in self.named or f"{status // 100}xx" in self.named))
        return found is not self.others


TRUNK = NextOn(
    frozenset(("busy", "declined", "number-unknown", "number-gone", "number-incomplete", "media-refused")), others=True
)
"""Of a trunk: 486, 600, 603, 404, 604, 410, 484, 488, 606 and 415 end the search; all else goes on."""
EXTENSION = NextOn(frozenset(("declined",)), others=True)
"""Of an extension: the next one is another person, who is asked unless the first one declined for all (603)."""


def parse_next_on(texts: Iterable[str]) -> NextOn:
    """Return what ``[5xx, 408, timeout]``, ``all`` or ``none`` stands for; ValueError says what is wrong."""
    words = [text.strip().lower() for text in texts]
    if words == ["all"]:
        return NextOn(frozenset(), others=True)
    if words == ["none"]:
        return NextOn(frozenset())
    named = set()
    for word in words:
        if word not in WORDS and not _STATUS.fullmatch(word):
            known = ", ".join(WORDS)
            raise ValueError(
                f"`{word}` is no failure; write a status such as 480, a class such as 5xx, one of {known}, or `all` or "
                "`none` alone"
            )
        named.add(WORDS.get(word, word))
    if not named:
        raise ValueError("no failure is named; write `none` if none is to go on to the next target")
    return NextOn(frozenset(named))
