"""The call's table is whole: every pair of state and input has an action, and every action has a method."""

from pathlib import Path

import pytest

from pbx.call.actions import ACTIONS
from pbx.call.diagram import document
from pbx.call.table import TABLE, Action, Input, State


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("given", Input)
def test_every_pair_has_an_action(state: State, given: Input) -> None:
    action = TABLE[state][given]
    assert action in (Action.STEP, Action.IGNORE) or action in ACTIONS


@pytest.mark.parametrize("action", [one for one in Action if one not in (Action.STEP, Action.IGNORE)])
def test_every_action_is_used_somewhere(action: Action) -> None:
    assert any(action in row.values() for row in TABLE.values())


def test_nothing_leads_out_of_the_end() -> None:
    assert set(TABLE[State.ENDED].values()) <= {Action.IGNORE, Action.LEFT}


def test_the_document_is_drawn_from_the_table() -> None:
    path = Path(__file__).parents[2] / "docs" / "call.md"
    assert path.read_text("utf-8") == document(), "python -m pbx.call.diagram > docs/call.md"
