"""Writes ``docs/configuration.md`` from the schema: ``python -m pbx.config.reference > docs/configuration.md``.

Types and defaults come from the fields, the words from the docstrings below them, so that neither can go astray.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from pbx.config.kinds import Kind, Section
from pbx.config.pending import PENDING
from pbx.config.restart import RESTART
from pbx.config.schema import Settings
from pbx.config.sip_section import LOCAL_NETWORKS
from pbx.units import duration_text, size_text

__all__ = ["reference"]

_BEFORE = """\
# Configuration

One YAML file says what a server is. `pbx check -c FILE` finds every fault in it, each with its line and column and with
what to do about it; a file with faults is never served. `pbx init DIR` writes one to begin with.

This is all that a bridge between two carriers needs beside its [dialplan](dialplan.md):

```yaml
sip: {listen: ["udp://192.0.2.1:5060"]}
trunks:
  customer: {address: "sip:198.51.100.7"}
  carrier: {address: "sip:203.0.113.9"}
dialplan: dialplan.yaml
```

- **Unknown keys are errors**, and so is a key given twice. A section that is left out, or empty, has its defaults.
- **Values are taken as written**: `0301` is not octal, and `no` is a name where a name is wanted.
- **Paths** are relative to the folder of the file that holds them.
- **Durations** are written `20s`, `5m`, `1h30m`, `500ms`; **sizes** `65536`, `64KiB`, `4MiB`.
- **Lists** may be a single value where they hold one.
- **Secrets** (passwords, tokens, the database's URL) are `env:NAME`, `file:PATH`, or the text itself. A secret's file
  holds it as its only line, and is refused if everybody can read it (`chmod 600`). No secret is printed or logged.

`SIGHUP` reads the file and the dialplan again. If either has a fault, or one of the dialplan's tests fails, that is
said and the running ones stay. Running calls do not notice. What is marked *at a restart* stays until then, and the log
names the keys that have changed so.

<!-- Written by `python -m pbx.config.reference`; a test keeps it in step. Edit the docstrings of pbx/config. -->
"""


def reference() -> str:
    """Return the whole document."""
    return _BEFORE + "".join(_section("", Settings)) + "\n"


def _section(path: str, section: type[Section]) -> Iterator[str]:
    documents = _documents(section)
    rows, inner = [], []
    for name, field in section.model_fields.items():
        nested = _sections_in(field.annotation)
        where = f"{path}.{name}" if path else name
        if nested and path == "" and name not in ("trunks", "extensions"):
            inner.append((where, nested[0]))
            continue
        if nested:
            inner.append((_place_of(where, name), nested[0]))
        if nested and not documents.get(name):
            continue
        meaning = documents[name] + _note(where)
        rows.append(f"| `{name}` | {_type(field)} | {_default(field)} | {meaning} |")
    if path:
        note = _note(path)
        level = "##" if path.count(".") == 0 or path in ("trunks.NAME", "extensions.NUMBER") else "###"
        yield f"\n{level} `{path}`\n\n{inspect.cleandoc(section.__doc__ or '')}{note}\n"
    elif rows:
        yield "\n## At the top\n\n"
    if rows:
        head = "| key | type | default | meaning |\n|---|---|---|---|\n"
        yield ("\n" if path else "") + head + "\n".join(rows) + "\n"
    for where, nested_section in inner:
        yield from _section(where, nested_section)


def _note(where: str) -> str:
    """Return a note for a key that the server does not heed yet, or only when it starts."""
    if where.removesuffix("[…]") in RESTART:
        return " *At a restart.*"
    path = where.replace("[…]", ".*").replace("trunks.NAME", "trunks.*").replace("extensions.NUMBER", "extensions.*")
    return " *Has no effect yet.*" if path in PENDING else ""


def _place_of(where: str, name: str) -> str:
    if name in ("listen", "networks"):
        return f"{where}[…]"
    if name == "budgets":
        return f"{where}.NAME"
    return {"trunks": "trunks.NAME", "extensions": "extensions.NUMBER"}.get(name, where)


def _documents(section: type[Section]) -> dict[str, str]:
    """Return the docstring below each field of a section."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    documents = {}
    for statement, following in pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            documents[statement.target.id] = " ".join(str(following.value.value).split())
    return documents


def _sections_in(annotation: object) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for inner in get_args(annotation) for section in _sections_in(inner)]


def _kind(annotation: object) -> Kind | None:
    if get_origin(annotation) is Annotated:
        return next((each for each in get_args(annotation)[1:] if isinstance(each, Kind)), None)
    if get_origin(annotation) in (Union, UnionType):
        return next((kind for inner in get_args(annotation) if (kind := _kind(inner))), None)
    return None


def _field_kind(field: FieldInfo) -> Kind | None:
    return next((each for each in field.metadata if isinstance(each, Kind)), None) or _kind(field.annotation)


def _type(field: FieldInfo) -> str:
    kind = _field_kind(field)
    if kind is not None:
        return kind.name
    annotation = field.annotation
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(inner for inner in get_args(annotation) if inner is not NoneType)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is Mapping:
        return "mapping"
    return {bool: "true or false", int: _whole_number(field), str: "text"}[annotation]  # type: ignore[index]


def _whole_number(field: FieldInfo) -> str:
    bounds = [*field.metadata, *(each for inner in get_args(field.annotation) for each in get_args(inner)[1:])]
    least = next((each.ge for each in bounds if isinstance(each, Ge)), None)
    most = next((each.le for each in bounds if isinstance(each, Le)), None)
    if least is not None and most is not None:
        return f"whole number, {least} to {most}"
    return "whole number" + (f", {least} or more" if least is not None else "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    kind = _field_kind(field)
    if value is None or value in ((), {}) or value == "":
        return "none"
    if value == LOCAL_NETWORKS:
        return "the private networks"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if kind is not None and kind.name == "duration":
        return f"`{duration_text(value)}`"
    if kind is not None and kind.name == "size":
        return f"`{size_text(value)}`"
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return f"`[{', '.join(str(getattr(each, 'uri', each)) for each in value)}]`"
    return f"`{value if isinstance(value, str | PurePath) else str(value)}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
