"""Plans out of text, for the tests of this room."""

from __future__ import annotations

from datetime import UTC, datetime
from textwrap import dedent

from pbx.config.tree import parse_tree
from pbx.dialplan.decision import Decision, Query
from pbx.dialplan.loader import Loaded, load_dialplan
from pbx.dialplan.model import Dialplan

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def load(text: str) -> Loaded:
    tree = parse_tree(dedent(text), "plan.yaml")
    assert tree.root is not None
    assert tree.faults == ()
    return load_dialplan(tree.root)


def plan(text: str) -> Dialplan:
    loaded = load(text)
    assert loaded.plan is not None, [str(fault) for fault in loaded.faults]
    return loaded.plan


def faults(text: str) -> list[str]:
    return [str(fault).removeprefix("plan.yaml:") for fault in load(text).faults]


def decide(
    text: str,
    number: str,
    source: str = "extension/101",
    at: datetime = NOON,
    caller: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> Decision:
    return plan(text).decide(Query(source, number, at, caller, "", headers))
