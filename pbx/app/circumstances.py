"""What a call met, in words and without secrets: for the bundle that goes to whoever shall find out what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import yaml
from pydantic import BaseModel

from pbx.config.schema import Settings
from pbx.config.secret import Secret
from pbx.dialplan.decision import Query
from pbx.dialplan.explain import decision_lines
from pbx.dialplan.model import Dialplan

__all__ = ["configuration_text", "explanation"]

_HIDDEN = "(hidden)"
# With 5,000 extensions, libyaml takes a tenth of the seconds that Python does.
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def configuration_text(settings: Settings) -> str:
    """Return the configuration in force as YAML: the keys that the file gives, every secret hidden."""
    return yaml.dump(_plain(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _plain(value: object) -> object:
    if isinstance(value, Secret):
        return _HIDDEN
    if isinstance(value, BaseModel):
        return {
            name: _plain(getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset) and not hasattr(value, "_fields"):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def explanation(plan: Dialplan, source: str, number: str, at: datetime, caller: str, caller_name: str) -> str:
    """Return how the plan in force decides a call, and why, a line a route: as ``pbx explain`` would."""
    query = Query(source, number, at, caller, caller_name)
    decision = plan.decide(query)
    return "\n".join(
        (
            f"{number} dialled by {source}, {at.isoformat()}",
            "",
            *_lines(plan, query),
            "",
            *("  " * depth + sentence for depth, sentence in decision_lines(decision)),
            "",
        )
    )


def _lines(plan: Dialplan, query: Query) -> Iterator[str]:
    for each in plan.consider(query):
        yield f"{'+' if each.matched else '-'} {each.route} ({each.position}): {each.why}"
