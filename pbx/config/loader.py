"""From a configuration file to settings, with every fault at once and its place in the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pbx.config.kinds import Context, Section
from pbx.config.pending import pending_keys
from pbx.config.schema import Settings
from pbx.config.semantics import check_settings
from pbx.config.tree import read_tree
from pbx.errors import ConfigurationError
from pbx.positions import Fault, MappingNode, Node, Position, ScalarNode, SequenceNode
from pbx.units import suggestion

__all__ = ["Reading", "load", "read"]

Loc = tuple[int | str, ...]
Plain = str | list["Plain"] | dict[str, "Plain"] | None

_ROUNDS = 8
"""How often what is faulty is left out and the rest tried again, so that faults of meaning show beside those of
form."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A configuration as read. With faults there are no settings; names and the dialplan's path are known all the
    same."""

    settings: Settings | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    extensions: tuple[str, ...]
    trunks: tuple[str, ...]
    dialplan: Path | None
    dialplan_position: Position
    root: Node | None = None

    def position(self, *loc: str) -> Position:
        """Return where a key stands in the file, or what is around it."""
        return self.dialplan_position if self.root is None else _position(self.root, loc)


def load(path: Path | str, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a configuration file; ConfigurationError carries every fault.

    `environ` is where ``env:NAME`` secrets are looked up.
    """
    reading = read(path, environ)
    if reading.settings is None:
        raise ConfigurationError(tuple(str(fault) for fault in reading.faults))
    return reading.settings


def read(path: Path | str, environ: Mapping[str, str]) -> Reading:
    """Read a configuration file and say all that is wrong with it."""
    path = Path(path)
    tree = read_tree(path)
    if tree.root is None:
        return Reading(None, tree.faults, (), (), (), None, Position(str(path), 0, 0))
    root = tree.root
    context = Context(path.parent, environ)
    plain = _plain(root)
    faults = list(tree.faults)
    left_out: set[Loc] = set()
    settings = _validate(plain, root, context, faults, left_out)
    warnings: list[Fault] = []
    if settings is not None:
        findings = check_settings(settings, path)
        # What lies beside something left out may only seem wrong for its lack.
        beside = {loc[:-1] for loc in left_out if len(loc) > 1}
        faults += [Fault(_position(root, loc), text) for loc, text in findings.faults if loc[:-1] not in beside]
        warnings = [Fault(_position(root, loc), text) for loc, text in findings.warnings if loc[:-1] not in beside]
    warnings += pending_keys(root)
    position = _position(root, ("dialplan",))
    return Reading(
        None if faults else settings,
        tuple(sorted(dict.fromkeys(faults))),
        tuple(sorted(warnings)),
        _names(root, "extensions"),
        _names(root, "trunks"),
        _dialplan(root, path.parent),
        position,
        root,
    )


def _validate(plain: Plain, root: Node, context: Context, faults: list[Fault], left_out: set[Loc]) -> Settings | None:
    """Return settings; with faults, those of the file without what is faulty, good for further checks only.

    `left_out` takes the places of what was faulty.
    """
    for _ in range(_ROUNDS):
        try:
            return Settings.model_validate(plain, context=context)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        for detail in details:
            fault = _fault(detail, root)
            if fault not in faults and detail["loc"] not in left_out:
                faults.append(fault)
        left_out.update(tuple(detail["loc"]) for detail in details)
        pruned = [_prune(plain, detail) for detail in details]
        if not all(pruned):
            return None
    return None


def _prune(plain: Plain, detail: ErrorDetails) -> bool:
    """Leave out what a detail complains of; False if that would be everything."""
    loc = [part for part in detail["loc"] if part != "[key]"]
    if detail["type"] == "missing":
        loc = loc[:-1]
    parents: list[tuple[Plain, int | str]] = []
    node = plain
    for part in loc:
        if isinstance(node, dict):
            if part not in node:
                return True  # left out already, for another fault
            parents.append((node, part))
            node = node[str(part)]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            parents.append((node, part))
            node = node[part]
    if not parents:
        return False
    parent, key = parents[-1]
    if isinstance(parent, dict):
        parent.pop(str(key), None)
    elif isinstance(parent, list):
        # Not removed, so that the places of the others stay true; the whole list goes in the next round if None is
        # wrong.
        if parent[int(key)] is None and len(parents) > 1:
            grand, grand_key = parents[-2]
            if isinstance(grand, dict):
                grand.pop(str(grand_key), None)
        else:
            parent[int(key)] = None
    return True


def _plain(node: Node) -> Plain:
    if isinstance(node, ScalarNode):
        return None if node.null else node.text
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.items]
    return {entry.key: _plain(entry.value) for entry in node}


def _position(root: Node, loc: Loc) -> Position:
    """Return where `loc` stands: its value, or the nearest thing around it that the file has."""
    node, position = root, root.position
    for part in loc:
        if isinstance(node, MappingNode):
            entry = node.get(str(part))
            if entry is None:
                continue
            position = entry.value.position if isinstance(entry.value, ScalarNode) else entry.position
            node = entry.value
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            position = node.position
    return position


def _node(root: Node, loc: Loc) -> Node:
    """Return the node at `loc`, passing over parts that the file does not have."""
    node = root
    for part in loc:
        if isinstance(node, MappingNode):
            entry = node.get(str(part))
            node = entry.value if entry is not None else node
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
    return node


def _key_position(root: Node, loc: Loc) -> Position:
    parent = _node(root, loc[:-1])
    entry = parent.get(str(loc[-1])) if isinstance(parent, MappingNode) else None
    return entry.position if entry is not None else _position(root, loc)


def _names(root: Node, key: str) -> tuple[str, ...]:
    entry = root.get(key) if isinstance(root, MappingNode) else None
    if entry is None or not isinstance(entry.value, MappingNode):
        return ()
    return tuple(each.key for each in entry.value)


def _dialplan(root: Node, folder: Path) -> Path | None:
    entry = root.get("dialplan") if isinstance(root, MappingNode) else None
    if entry is None or not isinstance(entry.value, ScalarNode) or not entry.value.text or entry.value.null:
        return None
    return Path(os.path.normpath(folder / entry.value.text))


def _fault(detail: ErrorDetails, root: Node) -> Fault:
    loc: Loc = tuple(detail["loc"])
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return Fault(_key_position(root, loc), _unknown_key(loc))
    if loc and loc[-1] == "[key]":
        return Fault(_key_position(root, loc[:-1]), f"{_path(loc[:-2])}: {context.get('error', detail['msg'])}")
    if kind == "missing":
        where = _path(loc[:-1])
        return Fault(
            _key_position(root, loc[:-1]) if loc[:-1] else root.position, f"{where}: `{loc[-1]}:` is missing; add it"
        )
    if isinstance(_node(root, loc[:-1]), ScalarNode):  # a bare listen URI, which stands for a listener's `uri`
        loc = loc[:-1]
    if kind == "value_error":
        return Fault(_position(root, loc), f"{_path(loc)}: {context.get('error', detail['msg'])}")
    return Fault(_position(root, loc), f"{_path(loc)} {_words(kind, context, detail['msg'])}")


def _words(kind: str, context: Mapping[str, object], message: str) -> str:
    """Say in words what a value should have been."""
    match kind:
        case "int_parsing" | "int_type" | "int_from_float":
            return "must be a whole number"
        case "bool_parsing" | "bool_type":
            return "must be true or false"
        case "string_type":
            return "must be a text"
        case "literal_error":
            return f"must be {str(context.get('expected', '')).replace(chr(39), '`')}"
        case "greater_than_equal":
            return f"must be {context.get('ge')} or more"
        case "less_than_equal":
            return f"must be {context.get('le')} or less"
        case "too_short":
            return "must not be empty; give it an item, or leave the key out"
        case "tuple_type" | "list_type":
            return "must be a list, [in brackets] or with each item after `- `"
        case "dict_type" | "mapping_type" | "model_type" | "model_attributes_type":
            return "must be a mapping, `key: value`"
        case _:
            return f"is not right: {message}"


def _path(loc: Loc) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the configuration"


def _unknown_key(loc: Loc) -> str:
    model = _model_at(loc[:-1])
    known = tuple(model.model_fields) if model is not None else ()
    hint = suggestion(str(loc[-1]), known)
    if not hint and known:
        hint = f"; known keys are {', '.join(known)}"
    return f"{_path(loc[:-1])} has no key `{loc[-1]}`{hint}"


def _model_at(loc: Loc) -> type[BaseModel] | None:
    """Return the section that a place in the settings holds."""
    model: type[BaseModel] | None = Settings
    for part in loc:
        if model is None or not isinstance(part, str):
            continue
        field = model.model_fields.get(part)
        if field is not None:
            model = _section_in(field.annotation)
    return model


def _section_in(annotation: object) -> type[Section] | None:
    """Return the section that a type is, or is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple, dict, Mapping):
        for inner in get_args(annotation):
            section = _section_in(inner)
            if section is not None:
                return section
    return None
