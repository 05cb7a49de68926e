"""Texts with placeholders, such as ``extension/{number}``: parsed when the plan is loaded, filled in for each call.

The values come from the network, so each place that takes them says by a `Quoting` what must not get through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pbx.units import suggestion
from pbx.values import dataclass

__all__ = [
    "Quoting",
    "Template",
    "for_header",
    "for_path",
    "for_sip_user",
    "parse_template",
    "plain",
    "without_verstat",
]

Quoting = Callable[[str], str]

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_HEADER = re.compile(r"header\.[A-Za-z0-9\-.!%*_+`'~]+", re.ASCII)
_UNSAFE_PATH = re.compile(r"[^A-Za-z0-9+*#_-]")
_UNSAFE_HEADER = re.compile(r"[\x00-\x1f\x7f]")
# RFC 3261 §25.1: user = 1*( unreserved / escaped / user-unreserved )
_UNSAFE_USER = re.compile(r"[^A-Za-z0-9\-_.!~*'()&=+$,;?/]")


# 3GPP TS 24.229 §7.2A.20: verstat = "verstat" EQUAL verstat-value, behind the number in a tel or SIP URI.
# `pbx.sip.ext.identity` leaves it out of URIs. Here it stands in texts of any header, among literals of the plan, which
# keep theirs: once they are put together, as a call sees them, nobody can tell the two apart.
_VERSTAT = re.compile(r"(?:;|%3B)verstat(?:=[^;@>,\s]*)?(?=[;@>,\s]|$)", re.ASCII | re.IGNORECASE)


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in match[0].encode(errors="replace"))


def plain(value: str) -> str:
    """Let the value through: for what is compared, and never interpreted, by those who get it."""
    return value


def for_path(value: str) -> str:
    """Escape all that could lead out of a folder; digits, letters and ``+*#_-`` stay."""
    return _UNSAFE_PATH.sub(_escape, value)


def without_verstat(value: str) -> str:
    """Leave out what a caller says that a network has verified of its number: only we may say so."""
    return _VERSTAT.sub("", value)


def for_header(value: str) -> str:
    """Escape control characters, so that no value can begin a header of its own."""
    return _UNSAFE_HEADER.sub(_escape, without_verstat(value))


def for_sip_user(value: str) -> str:
    """Escape what may not stand in the user part of a SIP URI."""
    return _UNSAFE_USER.sub(_escape, without_verstat(value))


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: literal parts and names of placeholders take turns, a literal first and last."""

    text: str
    literals: tuple[str, ...]
    names: tuple[str, ...]

    def fill(self, values: Mapping[str, str], quoting: Quoting = plain) -> str:
        """Return the text with every placeholder replaced; a name without a value stands for nothing."""
        if not self.names:
            return self.literals[0]
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts.append(quoting(values.get(name, "")))
            parts.append(literal)
        return "".join(parts)

    @property
    def constant(self) -> bool:
        """True if there is nothing to fill in."""
        return not self.names


def parse_template(text: str, known: tuple[str, ...], *, headers: bool = False) -> Template:
    """Parse ``{name}`` placeholders (``{{`` is a brace); ValueError if one is not among the `known` names.

    With `headers`, ``{header.NAME}`` stands for a header of the caller's.
    """
    literals, names, literal, last = [], [], "", 0
    for match in _PLACEHOLDER.finditer(text):
        literal += text[last : match.start()]
        last = match.end()
        if match[0] in ("{{", "}}"):
            literal += match[0][0]
        elif match[1] is None:
            raise ValueError(f"`{text}`: `{match[0]}` stands alone; write `{match[0] * 2}` for a brace")
        elif match[1] not in known and not (headers and _HEADER.fullmatch(match[1])):
            hint = suggestion(match[1], known) or "; known are " + ", ".join(f"{{{name}}}" for name in known)
            raise ValueError(f"`{text}`: there is no value {{{match[1]}}} here{hint}")
        else:
            literals.append(literal)
            names.append(match[1])
            literal = ""
    literals.append(literal + text[last:])
    return Template(text, tuple(literals), tuple(names))
