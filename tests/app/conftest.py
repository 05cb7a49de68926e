from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.loopback import World
from tests.support.pbx import Connect, Pbx, Phone, Serve


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture
def serve(world: World, tmp_path: Path) -> Iterator[Serve]:
    """Start servers, and stop them in the end."""
    started: list[Pbx] = []

    def start(text: str = "", plan: str = "", environ: Mapping[str, str] | None = None) -> Pbx:
        folder = tmp_path / f"pbx{len(started)}"
        folder.mkdir()
        started.append(Pbx(world, folder, text, plan, environ))
        return started[-1]

    yield start
    for pbx in started:
        pbx.stop()
        assert not pbx.server.observer.faults
        assert not pbx.server.counters["user_errors"]


@pytest.fixture
def phone(world: World) -> Iterator[Connect]:
    """Make phones, and close them in the end."""
    made: list[Phone] = []

    def connect(pbx: Pbx, user: str = "", password: str = "", transport: str = "udp", **options: object) -> Phone:
        tcp = transport == "tcp"
        one = Phone(world, pbx.address(transport), user, password, tcp=tcp, **options)  # type: ignore[arg-type]
        made.append(one)
        return one

    yield connect
    for one in made:
        one.close()
