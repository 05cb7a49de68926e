"""Text that knows where it stands: the tree that configuration and dialplan files are read into, and the faults in it.

The tree is plain data of the standard library, so that `pbx.config` (which reads YAML) and the pure `pbx.dialplan`
(which must not) can both speak it without knowing each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Entry", "Fault", "MappingNode", "Node", "Position", "ScalarNode", "SequenceNode"]


class Position(NamedTuple):
    """A place in a file; `line` and `column` count from 1, as editors do. Line 0 stands for the file as a whole."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Fault(NamedTuple):
    """One thing that is wrong in a file: `text` says what, and what to do. Printed as ``file:line:column: text``."""

    position: Position
    text: str

    def __str__(self) -> str:
        return f"{self.position}: {self.text}"


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value as written: ``0301`` stays ``0301``. `null` stands for an unquoted null, ``~`` or nothing."""

    position: Position
    text: str
    null: bool = False


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    position: Position
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping and its value."""

    key: str
    position: Position
    """Of the key."""
    value: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values in the order written; keys are unique."""

    position: Position
    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def get(self, key: str) -> Entry | None:
        """Return the entry of `key`, or None."""
        return next((entry for entry in self.entries if entry.key == key), None)


Node = ScalarNode | SequenceNode | MappingNode
