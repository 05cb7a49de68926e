"""Bans and spent budgets, as they are kept over a restart. While it runs, `pbx.security` is the authority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Table, select

from pbx.store.schema import Row, bans, budgets
from pbx.store.writer import Storable, Writer

__all__ = ["BanTable", "BudgetTable"]


@dataclass(slots=True)
class _OwnRows:
    """The rows of one table that are this node's. `put` and `delete` never wait."""

    table: Table
    engine: Engine
    writer: Writer
    node: str

    def put(self, key: tuple[str, ...], item: Storable) -> None:
        self.writer.put(self.table.name, (self.node, *key), _Owned(item, self.node))

    def delete(self, key: tuple[str, ...]) -> None:
        self.writer.delete(self.table.name, (self.node, *key))

    def load(self) -> list[dict[str, Any]]:
        wanted = select(self.table).where(self.table.c.node == self.node)
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(wanted).mappings()]


@dataclass(frozen=True, slots=True)
class _Owned:
    item: Storable
    node: str

    def row(self) -> Row:
        return {**self.item.row(), "node": self.node}


class BanTable:
    """Who is banned. Implements `pbx.security.bans.BanKeeper`."""

    def __init__(self, engine: Engine, writer: Writer, node: str) -> None:
        self._rows = _OwnRows(bans, engine, writer, node)

    def put(self, source: str, ban: Storable) -> None:
        """Keep a ban."""
        self._rows.put((source,), ban)

    def delete(self, source: str) -> None:
        """Forget one."""
        self._rows.delete((source,))

    def load(self) -> list[dict[str, Any]]:
        """Return every ban kept, as rows. Waits for the database; meant for the start."""
        return self._rows.load()


class BudgetTable:
    """What of the budgets is spent. Implements `pbx.security.budgets.BudgetKeeper`."""

    def __init__(self, engine: Engine, writer: Writer, node: str) -> None:
        self._rows = _OwnRows(budgets, engine, writer, node)

    def put(self, budget: str, subject: str, spent: Storable) -> None:
        """Keep what a subject has spent of a budget."""
        self._rows.put((budget, subject), spent)

    def delete(self, budget: str, subject: str) -> None:
        """Forget it."""
        self._rows.delete((budget, subject))

    def load(self) -> list[dict[str, Any]]:
        """Return everything kept, as rows. Waits for the database; meant for the start."""
        return self._rows.load()
