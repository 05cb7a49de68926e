"""Reading a ``conference`` step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pbx.dialplan.actions import Action, Conference
from pbx.dialplan.reader import Reader
from pbx.dialplan.scope import Scope
from pbx.dialplan.steps import ConferenceStep
from pbx.positions import MappingNode, Node

__all__ = ["CONFERENCE_OPTIONS", "load_conference"]

_LONGEST_PIN = 16
_MOST_MEMBERS = 1000


def _pin(reader: Reader, node: Node, what: str) -> str | None:
    text = reader.text(node, what)
    if text is not None and not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_PIN):
        reader.fault(node.position, f"{what} must be 1 to {_LONGEST_PIN} digits, as a phone has them")
        return None
    return text


CONFERENCE_OPTIONS: dict[str, Callable[[Reader, Node, str], Any]] = {
    "pin": _pin,
    "moderator_pin": _pin,
    "moderator": Reader.flag,
    "mute": Reader.flag,
    "announce": Reader.flag,
    "max_members": lambda reader, node, what: reader.integer(node, what, 2, _MOST_MEMBERS),
    "record": Reader.flag,
    "wait_for_moderator": Reader.flag,
    "end_with_moderator": Reader.flag,
}
"""How each option is read; its name is that of the step's field."""


def load_conference(reader: Reader, scope: Scope, node: Node, entries: MappingNode) -> Action | None:
    """Read a step; None if it has a fault, which has been noted."""
    name = scope.template(reader, node, "`conference`")
    values: dict[str, Any] = {}
    for option, read in CONFERENCE_OPTIONS.items():
        entry = entries.get(option)
        if entry is not None:
            values[option] = read(reader, entry.value, f"`{option}`")
    if values.get("pin") and values.get("pin") == values.get("moderator_pin"):
        entry = entries.get("moderator_pin")
        reader.fault(entry.position if entry else node.position, "`moderator_pin` must differ from `pin`")
    if name is None or None in values.values():
        return None
    return Conference(name, ConferenceStep("", **values))
