from __future__ import annotations

import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from pbx.errors import EnvironmentFault
from pbx.store.database import default_url, migrate, open_engine
from pbx.store.schema import metadata


def test_migrations_make_the_tables_that_the_schema_names(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    migrate(engine)
    assert set(inspect(engine).get_table_names()) == {*metadata.tables, "alembic_version"}
    engine.dispose()


def test_a_database_of_a_later_version_is_refused_and_left_alone(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(EnvironmentFault, match="another version of Tandem"):
        migrate(engine)
    engine.dispose()


def test_sqlite_is_private_and_lets_readers_read_while_it_writes(tmp_path: Path) -> None:
    engine = open_engine(default_url(tmp_path / "new"))
    migrate(engine)
    path = tmp_path / "new" / "tandem.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 1
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "no usable database URL"),
        ("mysql://localhost/x", "mysql|MySQL"),
        ("oracle+nothing://localhost/x", "oracle is not supported"),
        ("sqlite+nothing:///x", "no usable database URL"),
    ],
)
def test_an_unusable_url_is_named(url: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvironmentFault, match=says):
        migrate(open_engine(url))
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=r"cannot be written.*storage\.directory"):
        open_engine(default_url(tmp_path / "file" / "below"))


def test_a_server_that_is_not_there_is_said_plainly_without_its_password() -> None:
    engine = open_engine("postgresql://user:hidden-word@127.0.0.1:1/none")
    with pytest.raises(EnvironmentFault) as caught:
        migrate(engine)
    assert "storage.database" in str(caught.value)
    assert "hidden-word" not in str(caught.value)
