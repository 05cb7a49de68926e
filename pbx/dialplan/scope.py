"""What the steps of one route may use, and what they were seen to use."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pbx.dialplan.model import Reference
from pbx.dialplan.reader import Reader
from pbx.dialplan.steps import RECORDED
from pbx.dialplan.template import Template, parse_template
from pbx.positions import Node, Position

__all__ = ["VALUES", "ReadFile", "Scope", "header_name", "no_files"]

VALUES = ("number", "dialled", "caller", "caller_name", "source")
"""The placeholders that every route has."""

# RFC 3261 §25.1: token
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# fmt: off
_OURS = frozenset((
    "via", "from", "to", "call-id", "cseq", "contact", "route", "record-route", "max-forwards", "path", "service-route",
    "content-length", "content-type", "content-encoding", "authorization", "proxy-authorization", "www-authenticate",
    "proxy-authenticate", "require", "proxy-require", "supported", "allow", "expires", "min-expires", "session-expires",
    "min-se", "rack", "rseq", "replaces", "refer-to", "referred-by", "user-agent", "server",
    "p-asserted-identity", "p-preferred-identity", "remote-party-id", "privacy", "identity", "accept",
    "content-disposition", "v", "f", "t", "i", "m", "l", "c", "e", "k", "x", "r", "b", "y",
))
# fmt: on
"""Headers that the stack writes itself, and those that say who calls, which only configuration may."""


ReadFile = Callable[[str], tuple[str, str]]


def no_files(name: str) -> tuple[str, str]:
    """Read no file, where a plan is read that has none."""
    raise FileNotFoundError(2, "there is no file")


@dataclass(slots=True)
class Scope:
    """One route while it is being read."""

    names: tuple[str, ...]
    """Placeholders that may stand in its steps."""
    allowed: frozenset[str]
    """Which of ``international`` and ``premium`` it allows."""
    hosts: tuple[str, ...]
    """Hosts that the plan lets URIs lead to, in lower case."""
    read_file: ReadFile = no_files
    """Gives the full name and the text of a file that the plan names; OSError or UnicodeDecodeError if it cannot."""
    references: list[Reference] = field(default_factory=list)
    features: list[Reference] = field(default_factory=list)
    groups_used: set[str] = field(default_factory=set)
    """Placeholders used that come from a pattern, which a route that goes here by ``goto`` must have too."""
    dials_out: Position | None = None

    def template(
        self, reader: Reader, node: Node, what: str, extra: tuple[str, ...] = (), *, headers: bool = False
    ) -> Template | None:
        """Read a text with placeholders; `extra` ones are known here besides those of the route, and with `headers`
        the caller's headers."""
        template = reader.converted(node, what, lambda text: parse_template(text, self.names + extra, headers=headers))
        if template is not None:
            names = {name for name in template.names if not name.startswith("header.")}
            self.groups_used.update(names.difference(VALUES, extra))
        return template

    def header_value(self, reader: Reader, node: Node, what: str) -> Template | None:
        """Read what a header is to say: one line, with placeholders."""
        template = self.template(reader, node, what, headers=True)
        if template is not None and any(_CONTROL.search(literal) for literal in template.literals):
            reader.fault(node.position, f"{what} is one line; remove line breaks and control characters")
            return None
        return template

    def file(self, reader: Reader, node: Node, what: str, *, is_sound: bool = True) -> Template | None:
        """Read the name of a file within a folder; of a sound also `RECORDED`."""
        template = self.template(reader, node, what, ("recording",) if is_sound else ())
        if template is None:
            return None
        if "recording" in template.names:
            if template.text == RECORDED:
                return Template(RECORDED, (RECORDED,), ())  # filled in by the call, not here
            reader.fault(node.position, f"{what}: {RECORDED} stands for a whole file; write nothing before or after it")
            return None
        parts = template.text.split("/")
        if not template.text or "" in parts or ".." in parts or "." in parts or "\0" in template.text:
            reader.fault(
                node.position,
                f"{what}: `{template.text}` must be the name of a file within its folder, without a leading / or ..",
            )
            return None
        said = template.literals[0].startswith("say:") and "/" in template.literals[0]
        if is_sound and (template.constant or said):
            # Of what is said the kind stands before the placeholder: `say:number/` of `say:number/{caller}`.
            self.references.append(Reference("sound", template.literals[0], node.position))
        return template

    def refer(self, kind: str, name: str, position: Position) -> None:
        """Note that the plan names an extension or a trunk."""
        self.references.append(Reference(kind, name, position))

    def feature(self, word: str, name: str, position: Position) -> None:
        """Note that the plan asks for a feature."""
        self.features.append(Reference(word, name, position))


def header_name(reader: Reader, name: str, position: Position) -> str | None:
    """Return the name if a route may give a leg a header called so, else note the fault."""
    if not _TOKEN.fullmatch(name):
        reader.fault(position, f"`{name}` cannot be the name of a header; use letters, digits and -")
        return None
    if name.lower() in _OURS:
        reader.fault(
            position, f"the header {name} is written by the server alone; choose another, such as X-{name.title()}"
        )
        return None
    return name
