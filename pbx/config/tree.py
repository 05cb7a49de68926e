"""Reading YAML into a tree that knows where everything stands.

YAML's own types are set aside: a value is the text that was written, so that ``0301`` is not read as octal,
``10:30`` not as sexagesimal and ``no`` not as false where a name is wanted. What the text means is decided by
whoever reads the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from pbx.positions import Entry, Fault, MappingNode, Node, Position, ScalarNode, SequenceNode

__all__ = ["MAXIMUM_DEPTH", "MAXIMUM_NODES", "Tree", "parse_tree", "read_tree"]

MAXIMUM_DEPTH = 32
MAXIMUM_NODES = 200_000
"""With all aliases written out: a file of a few lines must not stand for millions of values."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = ("", "~", "null", "Null", "NULL")
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Tree:
    """A file as read. `root` is None if it could not be read at all."""

    root: Node | None
    faults: tuple[Fault, ...]


def read_tree(path: Path) -> Tree:
    """Read a YAML file; whatever is wrong becomes a fault, with the path as given."""
    whole = Position(str(path), 0, 0)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Tree(None, (Fault(whole, "there is no such file; correct the path, or make one with `pbx init DIR`"),))
    except OSError as error:
        return Tree(None, (Fault(whole, f"cannot be read: {error.strerror}"),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        return Tree(None, (Fault(_place(str(path), before), "this is not UTF-8; save the file as UTF-8"),))
    return parse_tree(text, str(path))


def parse_tree(text: str, file: str) -> Tree:
    """Parse YAML text; `file` is what positions call it."""
    builder = _Builder(file, text)
    try:
        root = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file, 0, 0)
        builder.faults.append(Fault(position, _yaml_problem(error, text)))
        return Tree(None, tuple(builder.faults))
    except yaml.reader.ReaderError as error:
        position = _place(file, text[: error.position])
        builder.faults.append(Fault(position, "this character may not stand in a YAML file; remove it"))
        return Tree(None, tuple(builder.faults))
    except _TooMuch as error:
        builder.faults.append(error.fault)
        return Tree(None, tuple(builder.faults))
    return Tree(root, tuple(builder.faults))


class _TooMuch(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


class _Builder:
    """Builds the tree from the parser's events, which keep marks, anchors and the style of a value."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.events = yaml.parse(text, Loader=_Loader)
        self.faults: list[Fault] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.count = 0

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    self.fault(event, "a second document begins here; a configuration is one, remove the `---`")
            elif isinstance(event, yaml.NodeEvent):
                node = self.node(event, 0)
                root = root if root is not None else node
        if root is None:
            self.faults.append(Fault(Position(self.file, 1, 1), "the file is empty"))
        return root

    def fault(self, event: yaml.Event, text: str) -> None:
        self.faults.append(Fault(self.position(event), text))

    def position(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        return Position(self.file, mark.line + 1, mark.column + 1) if mark else Position(self.file, 0, 0)

    def node(self, event: yaml.NodeEvent, depth: int) -> Node:
        before = self.count
        self.grow(event, 1)
        if depth > MAXIMUM_DEPTH:
            raise _TooMuch(Fault(self.position(event), f"values are nested more than {MAXIMUM_DEPTH} deep"))
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        self.check_tag(event)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            plain = not event.style and event.tag is None
            node = ScalarNode(self.position(event), event.value, plain and event.value in _NULLS)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(event, depth)
        else:
            node = self.mapping(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, self.count - before)
        return node

    def grow(self, event: yaml.Event, count: int) -> None:
        self.count += count
        if self.count > MAXIMUM_NODES:
            text = f"the file holds more than {MAXIMUM_NODES} values, aliases written out"
            raise _TooMuch(Fault(self.position(event), text))

    def alias(self, event: yaml.AliasEvent) -> Node:
        anchored = self.anchors.get(event.anchor or "")
        if anchored is None:
            self.fault(event, f"there is no anchor `&{event.anchor}` before this alias")
            return ScalarNode(self.position(event), "", null=True)
        node, size = anchored
        self.grow(event, size)
        return node

    def check_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", _TEXT_TAG):
            self.fault(event, f"tags such as `{tag}` are not understood here; remove it")

    def sequence(self, event: yaml.NodeEvent, depth: int) -> SequenceNode:
        items = []
        while not isinstance(each := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(cast("yaml.NodeEvent", each), depth + 1))
        return SequenceNode(self.position(event), tuple(items))

    def mapping(self, event: yaml.NodeEvent, depth: int) -> MappingNode:
        entries: dict[str, Entry] = {}
        merged: list[Entry] = []
        while not isinstance(each := next(self.events), yaml.MappingEndEvent):
            key = self.node(cast("yaml.NodeEvent", each), depth + 1)
            value = self.node(cast("yaml.NodeEvent", next(self.events)), depth + 1)
            if not isinstance(key, ScalarNode):
                self.faults.append(Fault(key.position, "a key must be a single value, not a list or mapping"))
            elif key.text == "<<":
                merged += self.merge(value)
            elif key.text in entries:
                first = entries[key.text].position.line
                text = f"the key `{key.text}` is given twice, first at line {first}; remove one"
                self.faults.append(Fault(key.position, text))
            else:
                entries[key.text] = Entry(key.text, key.position, value)
        for entry in merged:
            entries.setdefault(entry.key, entry)
        return MappingNode(self.position(event), tuple(entries.values()))

    def merge(self, value: Node) -> list[Entry]:
        """Return what ``<<`` brings in: the entries of one mapping, or of several of which the first counts."""
        nodes = value.items if isinstance(value, SequenceNode) else (value,)
        merged: list[Entry] = []
        for node in nodes:
            if isinstance(node, MappingNode):
                merged += node.entries
            else:
                self.faults.append(Fault(node.position, "`<<` takes a mapping, such as an alias of one"))
        return merged


def _place(file: str, before: str) -> Position:
    return Position(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _yaml_problem(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    if mark is not None:
        lines = text.splitlines()
        line = lines[mark.line] if mark.line < len(lines) else ""
        if "\t" in line[: mark.column + 1]:
            return "a tab stands where YAML wants spaces; indent with spaces"
    what = error.problem or "it cannot be parsed"
    context = f" {error.context}" if error.context else ""
    return f"this is not YAML: {what}{context}; look at quotes, colons and indentation here and just above"
