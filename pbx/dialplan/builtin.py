"""The plan of a server that is given none: extensions reach each other, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pbx.dialplan.actions import Dial, DialTarget
from pbx.dialplan.conditions import NumberCondition, Source, SourceCondition
from pbx.dialplan.dial_loader import DEFAULT_TIMEOUT
from pbx.dialplan.model import Dialplan, Route
from pbx.dialplan.pattern import Pattern
from pbx.dialplan.template import Template
from pbx.positions import Position

__all__ = ["builtin_plan"]

_NOWHERE = Position("(built-in dialplan)", 0, 0)


def builtin_plan(extensions: Iterable[str]) -> Dialplan:
    """Return a plan by which each of `extensions` can dial each."""
    patterns = tuple(Pattern(name, re.compile(re.escape(name)), False, name, ()) for name in extensions)
    target = DialTarget("extension", Template("{number}", ("", ""), ("number",)))
    route = Route(
        "extensions",
        _NOWHERE,
        SourceCondition((Source("extension"),)),
        NumberCondition(patterns),
        (),
        (Dial((target,), DEFAULT_TIMEOUT),),
    )
    return Dialplan((route,) if patterns else ())
