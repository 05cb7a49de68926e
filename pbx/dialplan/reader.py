"""Reading a positioned tree: each value that is not what it should be becomes a fault, and reading goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from pbx.positions import Entry, Fault, MappingNode, Node, Position, ScalarNode, SequenceNode
from pbx.units import parse_duration, suggestion

__all__ = ["Reader"]

T = TypeVar("T")

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


class Reader:
    """Collects the faults of one file. A method that reads a faulty value notes the fault and returns None."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def fault(self, position: Position, text: str) -> None:
        """Note a fault; the same one twice counts once."""
        fault = Fault(position, text)
        if fault not in self.faults:
            self.faults.append(fault)

    def mapping(self, node: Node, what: str, known: Collection[str] | None = None) -> MappingNode | None:
        """Read keys and values; with `known`, other keys are faults."""
        if not isinstance(node, MappingNode):
            self.fault(node.position, f"{what} must be a mapping, `key: value`; it is {_kind(node)}")
            return None
        if known is not None:
            for entry in node:
                self.check_key(entry, known, what)
        return node

    def check_key(self, entry: Entry, known: Collection[str], what: str) -> None:
        """Note a fault if the key is not one of `known`."""
        if entry.key not in known:
            hint = suggestion(entry.key, known) or f"; known keys are {', '.join(known)}"
            self.fault(entry.position, f"{what} has no key `{entry.key}`{hint}")

    def items(self, node: Node, what: str) -> tuple[Node, ...]:
        """Read a list; a single value that is no list counts as a list of one."""
        if isinstance(node, SequenceNode):
            return node.items
        if isinstance(node, ScalarNode) and node.null:
            self.fault(node.position, f"{what} is empty; give it a value")
            return ()
        return (node,)

    def sequence(self, node: Node, what: str) -> tuple[Node, ...]:
        """Read what must be a list, as written with ``- `` or brackets; nothing at all counts as an empty one."""
        if isinstance(node, SequenceNode):
            return node.items
        if not (isinstance(node, ScalarNode) and node.null):
            self.fault(node.position, f"{what} must be a list, each item after `- `; it is {_kind(node)}")
        return ()

    def text(self, node: Node, what: str) -> str | None:
        """Read a text."""
        if isinstance(node, ScalarNode) and not node.null:
            return node.text
        self.fault(node.position, f"{what} must be a text or number; it is {_kind(node)}")
        return None

    def texts(self, node: Node, what: str) -> list[tuple[str, Position]]:
        """Read one text or a list of texts, each with its position."""
        read = ((self.text(item, what), item.position) for item in self.items(node, what))
        return [(text, position) for text, position in read if text is not None]

    def flag(self, node: Node, what: str) -> bool | None:
        """Read true or false."""
        text = self.text(node, what)
        if text is None:
            return None
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        self.fault(node.position, f"{what} must be true or false; it is `{text}`")
        return None

    def integer(self, node: Node, what: str, least: int, most: int) -> int | None:
        """Read a whole number from `least` to `most`."""
        text = self.text(node, what)
        if text is None:
            return None
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        self.fault(node.position, f"{what} must be a whole number from {least} to {most}; it is `{text}`")
        return None

    def choice(self, node: Node, what: str, choices: Collection[str]) -> str | None:
        """Read one of a few words."""
        text = self.text(node, what)
        if text is None or text in choices:
            return text
        self.fault(
            node.position, f"{what} must be one of {', '.join(choices)}; it is `{text}`{suggestion(text, choices)}"
        )
        return None

    def duration(self, node: Node, what: str) -> float | None:
        """Read a duration of more than nothing, in seconds."""
        seconds = self.converted(node, what, parse_duration)
        if seconds is not None and seconds <= 0:
            self.fault(node.position, f"{what} must be longer than nothing")
            return None
        return seconds

    def converted(self, node: Node, what: str, convert: Callable[[str], T]) -> T | None:
        """Read a text and convert it; a ValueError of `convert` is the fault."""
        text = self.text(node, what)
        return None if text is None else self.attempt(node.position, what, text, convert)

    def converted_items(self, node: Node, what: str, convert: Callable[[str], T]) -> list[T]:
        """Read one text or a list of texts and convert each; one that is faulty is left out."""
        converted = []
        for item in self.items(node, what):
            text = self.text(item, what)
            if text is not None:
                try:
                    converted.append(convert(text))
                except ValueError as error:
                    self.fault(item.position, f"{what}: {error}")
        return converted

    def attempt(self, position: Position, what: str, text: str, convert: Callable[[str], T]) -> T | None:
        """Convert a text; a ValueError of `convert` is a fault at `position`."""
        try:
            return convert(text)
        except ValueError as error:
            self.fault(position, f"{what}: {error}")
            return None


def _kind(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return "empty" if node.null else f"`{node.text}`"
    return "a list" if isinstance(node, SequenceNode) else "a mapping"
