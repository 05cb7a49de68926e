"""What only a restart can change stays as it is at a reload, and is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pbx.config.kinds import HostPort, ListenUri, PortRange
from pbx.config.loader import load
from pbx.config.restart import RESTART, hold_back
from pbx.config.schema import Listener, Settings
from pbx.config.secret import Secret
from pbx.config.sip_section import Digest, Resolver, Tcp

OTHERS: dict[str, object] = {
    "sip.listen": (Listener(uri=ListenUri("udp", "192.0.2.1", 5060)),),
    "sip.domain": "other.example",
    "sip.external_address": "192.0.2.9",
    "sip.local_networks": (),
    "sip.digest": Digest(realm="other"),
    "sip.tcp": Tcp(max_connections=3),
    "sip.resolver": Resolver(timeout=1.0),
    "media.ports": PortRange(30000, 30010),
    "storage.directory": Path("/elsewhere"),
    "storage.database": Secret("sqlite://"),
    "storage.recordings": Path("/elsewhere"),
    "http.listen": HostPort("127.0.0.1", 9),
    "http.certificate": Path("/x.pem"),
    "http.key": Path("/y.pem"),
    "log.format": "json",
    "log.file": Path("/x.log"),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "pbx.yaml"
    path.write_text("extensions: {'101': {password: longenough}}\n")
    return load(path, {})


@pytest.mark.parametrize("key", RESTART)
def test_what_a_restart_must_change_stays_and_is_named(settings: Settings, key: str) -> None:
    section: Any = settings
    *parents, name = key.split(".")
    for part in parents:
        section = getattr(section, part)
    other = OTHERS.get(key, 7)
    assert getattr(section, name) != other
    fresh: Any = section.model_copy(update={name: other})
    for depth in range(len(parents) - 1, -1, -1):
        outer: Any = settings
        for part in parents[:depth]:
            outer = getattr(outer, part)
        fresh = outer.model_copy(update={parents[depth]: fresh})
    fresh = fresh.model_copy(update={"extensions": {}})
    kept, held = hold_back(settings, fresh)
    assert held == (key,)
    assert kept == settings.model_copy(update={"extensions": {}})


def test_what_is_as_it_was_is_not_named(settings: Settings, tmp_path: Path) -> None:
    assert hold_back(settings, load(tmp_path / "pbx.yaml", {})) == (settings, ())
