"""Keys that the schema has and the server does not heed yet, so that none is ignored silently.

Whoever makes one work removes its line here; until then writing it is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator

from pbx.positions import Entry, Fault, MappingNode, Node, SequenceNode

__all__ = ["PENDING", "pending_keys"]

PENDING = ("extensions.*.mailbox",)
"""Paths of keys; ``*`` stands for any name or place."""


def pending_keys(root: Node) -> Iterator[Fault]:
    """Yield a warning for each key of a configuration that has no effect yet."""
    for path in PENDING:
        for entry in _find(root, path.split(".")):
            yield Fault(entry.position, f"`{entry.key}` has no effect yet; the server does not heed it")


def _find(node: Node, parts: list[str]) -> Iterator[Entry]:
    first, *rest = parts
    if isinstance(node, SequenceNode) and first == "*":
        for item in node.items:
            yield from _find(item, rest)
    elif isinstance(node, MappingNode):
        for entry in node:
            if first in ("*", entry.key):
                if rest:
                    yield from _find(entry.value, rest)
                else:
                    yield entry
