"""Reading ``paid:`` of a route: its word that trunks, which have no password, may spend money by it."""

from __future__ import annotations

from pbx.dialplan.conditions import Source
from pbx.dialplan.model import Paid
from pbx.dialplan.reader import Reader
from pbx.dialplan.scope import Scope
from pbx.dialplan.when_loader import read_source
from pbx.positions import Entry

__all__ = ["load_paid"]


def load_paid(reader: Reader, scope: Scope, entry: Entry) -> Paid | None:
    """Return what a route says; None, and a fault noted, if it is not said whose calls are meant, and why."""
    entries = reader.mapping(entry.value, "`paid`", ("from", "because"))
    if entries is None:
        return None
    said, because = entries.get("from"), entries.get("because")
    reason = reader.text(because.value, "`paid: because`") if because else None
    if said is None or not (reason or "").strip():
        reader.fault(entry.position, "`paid` needs `from:`, whose calls may cost money, and `because:`, why they may")
        return None
    sources = []
    for text, position in reader.texts(said.value, "`paid: from`"):
        source = reader.attempt(position, "`paid: from`", text, _trunk)
        if source is not None:
            sources.append(source)
            if source.name:
                scope.refer(source.kind, source.name, position)
    return Paid(tuple(sources), reason or "")


def _trunk(text: str) -> Source:
    source = read_source(text)
    if source.kind != "trunk":
        raise ValueError(
            f"`{text}` cannot stand here; write trunk or trunk/NAME (extensions prove who they are, nobody else may)"
        )
    return source
