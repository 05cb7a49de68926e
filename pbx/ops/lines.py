"""What a line of the log looks like: JSON for machines, columns for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal, TextIO

import structlog

__all__ = ["renderer"]

Fields = dict[str, Any]
"""``timestamp`` (RFC 3339, UTC), ``level``, ``logger``, ``event`` and whatever else was said, without secrets."""

_FIRST = ("timestamp", "level", "logger", "event")
_PLAIN = re.compile(r"[!-~]*")


def renderer(form: Literal["json", "console"], stream: TextIO) -> Callable[[Fields], str]:
    """Return what makes a line, without line break, of its fields, which it may change."""
    if form == "json":
        return _json
    return _coloured() if stream.isatty() else _columns


def _json(fields: Fields) -> str:
    first = {name: fields.pop(name) for name in _FIRST if name in fields}
    return json.dumps(first | fields, default=str)


def _columns(fields: Fields) -> str:
    """What structlog's console has, at a tenth of its cost: a server under load writes hundreds of lines a second."""
    moment, level, logger, event = (fields.pop(name, "") for name in _FIRST)
    exception = fields.pop("exception", None)
    rest = "".join([f" {name}={_shown(value)}" for name, value in fields.items()])
    line = f"{moment[11:23]} [{level:<8}] {event:<24} [{logger}]{rest}"
    return f"{line}\n{exception}" if exception else line


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if _PLAIN.fullmatch(text) else repr(text)


def _coloured() -> Callable[[Fields], str]:
    render = structlog.dev.ConsoleRenderer(
        colors=True, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
    )

    def line(fields: Fields) -> str:
        fields["timestamp"] = fields["timestamp"][11:23]
        return str(render(None, "", fields))

    return line
