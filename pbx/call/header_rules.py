"""Headers that configuration sets and removes on the INVITEs to one target."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pbx.dialplan.template import for_header
from pbx.values import dataclass

__all__ = ["HeaderRules"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """`removed` names, in lower case, and headers to `set`, whose values hold placeholders."""

    removed: frozenset[str] = frozenset()
    set: tuple[Header, ...] = ()

    def apply(self, headers: tuple[Header, ...], values: Mapping[str, str]) -> tuple[Header, ...]:
        """Return `headers` with these rules carried out; `values` stand for placeholders.

        Every value is made fit for a header: what callers choose can begin no header of its own.
        """
        if not self.set and not self.removed:
            return headers
        before: dict[str, str] = {}
        for name, value in headers:
            before.setdefault(name.lower(), value)
        replaced = self.removed.union([name.lower() for name, _ in self.set])
        kept = tuple([header for header in headers if header[0].lower() not in replaced])

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            given = before.get(name[7:].lower(), "") if name.startswith("header.") else values.get(name, "")
            return for_header(given)

        made = [(name, _PLACEHOLDER.sub(fill, value)) for name, value in self.set]
        return kept + tuple([(name, value) for name, value in made if value])
