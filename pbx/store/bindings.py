"""The registrar's bindings, as they are kept: plain values, no SIP. While it runs, its location is the authority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from pbx.store.schema import Row, bindings
from pbx.store.writer import Storable, Writer

__all__ = ["BindingTable"]

_TABLE = bindings.name


@dataclass(slots=True)
class BindingTable:
    """Bindings behind the registrar. `put` and `delete` never wait."""

    engine: Engine
    writer: Writer
    node: str

    def put(self, aor: str, slot: str, binding: Storable) -> None:
        """Keep a binding; its row may leave `node` out."""
        self.writer.put(_TABLE, (aor, slot), _Owned(binding, self.node))

    def delete(self, aor: str, slot: str) -> None:
        """Forget a binding."""
        self.writer.delete(_TABLE, (aor, slot))

    def load(self) -> list[dict[str, Any]]:
        """Return every binding kept, as rows. Waits for the database; meant for the start."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(bindings)).mappings()]


@dataclass(frozen=True, slots=True)
class _Owned:
    binding: Storable
    node: str

    def row(self) -> Row:
        row = self.binding.row()
        row["node"] = self.node
        return row
