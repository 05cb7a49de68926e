"""Carrying changes out: upserts and deletes, for SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from sqlalchemy import Connection, Delete, bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite

from pbx.store.schema import TABLES, Row
from pbx.store.spool import Change
from pbx.store.text import clean

__all__ = ["apply_changes"]


def apply_changes(connection: Connection, changes: Iterable[Change]) -> None:
    """Make the rows what `changes` say, in the connection's transaction. No two of them may be of the same row."""
    upserts: dict[str, list[Row]] = {}
    deletes: dict[str, list[Row]] = {}
    for change in changes:
        if change.row is not None:
            upserts.setdefault(change.table, []).append(_clean_row(change.row))
        else:
            names = (f"key_{column.name}" for column in TABLES[change.table].primary_key)
            deletes.setdefault(change.table, []).append(dict(zip(names, map(clean, change.key), strict=True)))
    for table, rows in upserts.items():
        connection.execute(_upsert(table, connection.dialect.name), rows)
    for table, keys in deletes.items():
        connection.execute(_delete(table), keys)


@cache
def _upsert(name: str, dialect: str) -> sqlite.Insert | postgresql.Insert:
    table = TABLES[name]
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=rest)


@cache
def _delete(name: str) -> Delete:
    table = TABLES[name]
    return delete(table).where(*(column == bindparam(f"key_{column.name}") for column in table.primary_key))


def _clean_row(row: Row) -> Row:
    """Clean the text of a row; its JSON columns are cleaned as they are encoded (`encode_json`), which costs less."""
    return {name: clean(value) if type(value) is str else value for name, value in row.items()}
