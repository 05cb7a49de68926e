"""Opening the database: the URL, what each kind of server wants to be told, and its migrations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from pbx.errors import EnvironmentFault
from pbx.store.text import encode_json

__all__ = ["default_url", "embedded_database", "migrate", "open_engine"]

_MIGRATIONS = Path(__file__).with_name("migrations")

_MIGRATION_LOCK = 0x54414E44454D
"""Key of the PostgreSQL advisory lock that keeps two nodes from migrating at once ("TANDEM")."""

_SQLITE_PRAGMAS = (
    # Readers never wait for the writer, nor it for them.
    "PRAGMA journal_mode = WAL",
    # A killed process loses nothing committed; a power cut may lose the last commits, never the file.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
)

_POSTGRESQL_OPTIONS: dict[str, Any] = {
    # A server that is gone must fail the batch, not hang the writer.
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "options": "-c statement_timeout=30000 -c timezone=UTC",
    "application_name": "tandem",
}


def embedded_database(directory: Path) -> Path:
    """Return where the embedded database lies in the storage directory."""
    return directory / "tandem.db"


def default_url(directory: Path) -> str:
    """Return the URL of the embedded database in the storage directory."""
    return URL.create("sqlite", database=str(embedded_database(directory))).render_as_string(hide_password=False)


def open_engine(url: str) -> Engine:
    """Return an engine for a SQLAlchemy URL; nothing is connected yet.

    Plain ``postgresql://`` and ``postgres://`` use psycopg. Raises EnvironmentFault for an unusable URL or driver.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            return _open_sqlite(parsed)
        if backend == "postgresql":
            return create_engine(
                parsed,
                pool_pre_ping=True,
                pool_timeout=10,
                connect_args=_POSTGRESQL_OPTIONS,
                json_serializer=encode_json,
            )
    except (ArgumentError, NoSuchModuleError) as error:
        raise EnvironmentFault(f"storage.database is no usable database URL: {error}") from error
    except ImportError as error:
        raise EnvironmentFault(
            f"storage.database needs a driver that is not installed ({error}); install tandem-pbx[postgresql]"
        ) from error
    raise EnvironmentFault(f"storage.database: {backend} is not supported; use sqlite or postgresql")


def _open_sqlite(url: URL) -> Engine:
    # A URL of no use leaves no file behind: this one fails for a driver that there is not.
    engine = create_engine(url, json_serializer=encode_json)
    if url.database and url.database != ":memory:":
        path = Path(url.database)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Call records and addresses are nobody else's business; SQLite gives -wal and -shm the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise EnvironmentFault(
                f"the database {path} cannot be written: {error.strerror}; make the directory writable for this user, "
                "or set storage.directory"
            ) from error
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    try:
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
    finally:
        cursor.close()


def migrate(engine: Engine) -> None:
    """Bring the database to this version's tables.

    Raises EnvironmentFault if it cannot be reached, or was written by a later version of Tandem.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    where = engine.url.render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            _lock(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except CommandError as error:
        raise EnvironmentFault(
            f"the database {where} was written by another version of Tandem: {error}; use that one, or restore a backup"
        ) from error
    except SQLAlchemyError as error:
        raise EnvironmentFault(
            f"the database {where} cannot be used: {str(error).splitlines()[0]}; check storage.database"
        ) from error


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
