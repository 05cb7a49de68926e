"""Alembic's entry: runs the migrations on the connection that `pbx.store.database.migrate` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from pbx.store.schema import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
context.run_migrations()
