"""The tables, and how their values cross to JSON for the spool.

A change here needs a migration in `migrations/versions/`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    column,
)
from sqlalchemy.dialects.postgresql import JSONB

if TYPE_CHECKING:
    _UtcBase = TypeDecorator[datetime]
else:
    _UtcBase = TypeDecorator

__all__ = [
    "TABLES",
    "Key",
    "Row",
    "UtcTime",
    "bans",
    "bindings",
    "budgets",
    "call_records",
    "from_json",
    "heartbeats",
    "metadata",
    "to_json",
]

Row = dict[str, Any]
"""Column name to value, as the database driver takes it; one whole row."""

Key = tuple[str, ...]
"""The primary key's values in the order of the table's columns."""


class UtcTime(_UtcBase):
    """A moment: an aware `datetime`, kept in UTC also where the database knows no time zones (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Take an aware time; ValueError for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_OPEN = column("ended").is_(None)

call_records = Table(
    "call_records",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node", String(64), nullable=False),
    Column("started", UtcTime, nullable=False),
    Column("answered", UtcTime),
    Column("ended", UtcTime),
    Column("duration", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("caller_name", Text, nullable=False),
    Column("called", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("cause_text", Text, nullable=False),
    Column("cause_detail", Text, nullable=False),
    Column("blame", Text, nullable=False),
    Column("sip_status", Integer, nullable=False),
    Column("verification", Text, nullable=False, server_default=""),
    Column("verification_detail", Text, nullable=False, server_default=""),
    Column("attestation", Text, nullable=False, server_default=""),
    Column("steps", _Json, nullable=False),
    Column("attempts", _Json, nullable=False),
    Column("legs", _Json, nullable=False),
    Column("recordings", _Json, nullable=False),
    Column("recording_status", Text, nullable=False),
    Column("audio", Text, nullable=False, server_default=""),
    Index(None, "started", "id"),
    Index(None, "caller", "started"),
    Index(None, "called", "started"),
    Index("ix_call_records_open", "node", sqlite_where=_OPEN, postgresql_where=_OPEN),
)
"""One row a call. `duration` is seconds from answer to end; a call that is open has no `ended`."""

bindings = Table(
    "bindings",
    metadata,
    Column("aor", Text, primary_key=True),
    Column("slot", Text, primary_key=True),
    Column("node", String(64), nullable=False),
    Column("contact", Text, nullable=False),
    Column("parameters", _Json, nullable=False),
    Column("q", Integer, nullable=False),
    Column("registered", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("cseq", BigInteger, nullable=False),
    Column("path", _Json, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("reg_id", BigInteger, nullable=False),
    Column("outbound", Boolean, nullable=False),
    Column("transport", Text, nullable=False),
    Column("local_host", Text, nullable=False),
    Column("local_port", Integer, nullable=False),
    Column("remote_host", Text, nullable=False),
    Column("remote_port", Integer, nullable=False),
    Column("user_agent", Text, nullable=False),
)
"""One row a binding (RFC 3261 §10). Times are seconds since the epoch as plain numbers: nobody but the registrar reads
them, and thousands are written a minute. `slot` tells the bindings of one address-of-record apart."""

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("beat", UtcTime, nullable=False),
)
"""When each node was last known to be alive; what an interrupted call is taken to have ended at."""

bans = Table(
    "bans",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float, nullable=False),
    Column("count", Integer, nullable=False),
)
"""One row a source that is or was banned. Times are seconds since the epoch."""

budgets = Table(
    "budgets",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("budget", String(64), primary_key=True),
    Column("subject", String(128), primary_key=True),
    Column("window", Float, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
)
"""What a subject has spent of a budget in the hour or day that began at `window`, in seconds since the epoch."""

TABLES: Mapping[str, Table] = {table.name: table for table in (call_records, bindings, heartbeats, bans, budgets)}

_TIMES = {
    name: tuple(column.name for column in table.columns if isinstance(column.type, UtcTime))
    for name, table in TABLES.items()
}


def to_json(table: str, row: Row) -> Row:
    """Return `row` with its times as ISO 8601 text, fit for JSON."""
    times = _TIMES[table]
    if not times:
        return row
    return row | {name: row[name].isoformat() for name in times if row[name] is not None}


def from_json(table: str, row: Row) -> Row:
    """Undo `to_json`. KeyError or ValueError for what it did not write."""
    times = _TIMES[table]
    if not times:
        return row
    return row | {name: datetime.fromisoformat(row[name]) for name in times if row[name] is not None}
