from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pbx.store.database import default_url


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def _unprivileged() -> dict[str, int]:
    """PostgreSQL will not run as root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid}
    pytest.skip("PostgreSQL will not run as root, and there is no user to run it as")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed")
    who = _unprivileged()
    # Not under tmp_path: its parents are closed to other users, and the path of a Unix socket must be short.
    directory = Path(tempfile.mkdtemp(prefix="tandem-pg-"))
    try:
        if who:
            os.chown(directory, who["user"], who["group"])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        data = directory / "data"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "tandem", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            cwd=directory,
            timeout=120,
            **who,
        )
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={directory} -c fsync=off"
        control = [binaries / "pg_ctl", "-D", data, "-w", "-t", "60"]
        subprocess.run(
            [*control, "-o", options, "-l", directory / "log", "start"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=directory,
            timeout=90,
            **who,
        )
        try:
            yield f"postgresql://tandem@127.0.0.1:{port}"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"],
                check=True,
                stdout=subprocess.DEVNULL,
                cwd=directory,
                timeout=90,
                **who,
            )
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def postgresql_url(postgresql_server: str, request: pytest.FixtureRequest) -> str:
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    engine = create_engine(
        f"{postgresql_server}/postgres".replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{postgresql_server}/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return default_url(tmp_path)
    return str(request.getfixturevalue("postgresql_url"))
