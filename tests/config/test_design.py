"""The examples of DESIGN.md load and pass as they are written there; `design/` holds their text."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from pbx.loading import examine, load_configured

DESIGN = Path(__file__).with_name("design")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = copytree(DESIGN, tmp_path / "design")
    (made / "secrets").mkdir()
    (made / "secrets" / "bob").write_text("correct-horse\n")
    (made / "secrets" / "bob").chmod(0o600)
    return made


def test_bridge(folder: Path) -> None:
    configured = load_configured(folder / "bridge.yaml", {})
    settings, plan = configured.settings, configured.dialplan
    assert configured.warnings == ()
    assert str(settings.sip.listen[0].uri) == "udp://127.0.0.1:5060"
    assert settings.media.address == "127.0.0.1"
    assert settings.media.ports == (20000, 29999)
    assert settings.storage.directory == folder / "var"
    assert str(settings.http.listen) == "127.0.0.1:8080"
    assert settings.trunks["customer"].address == "sip:127.0.0.1:5180"
    assert [str(each) for each in settings.trunks["carrier"].identified_by] == ["127.0.0.1:5170"]
    assert [route.name for route in plan.routes] == ["recorded", "to the carrier"]
    assert len(plan.tests) == 1


def test_office(folder: Path) -> None:
    configured = load_configured(folder / "office.yaml", {"ALICE_SECRET": "battery-staple"})
    settings = configured.settings
    assert [str(each.uri) for each in settings.sip.listen] == [
        "udp://0.0.0.0:5060",
        "tcp://0.0.0.0:5060",
        "tls://0.0.0.0:5061",
    ]
    assert settings.sip.domain == "pbx.example.com"
    assert settings.extensions["101"].name == "Alice"
    assert settings.extensions["101"].password.reveal() == "battery-staple"
    assert settings.extensions["102"].password.reveal() == "correct-horse"
    assert [route.name for route in configured.dialplan.routes] == ["extensions"]


def test_office_dialplan(folder: Path) -> None:
    with (folder / "office.yaml").open("a") as file:
        file.write(
            "dialplan: office-dialplan.yaml\ntrunks: {telco-a: {address: 'sip:a'}, telco-b: {address: 'sip:b'}}\n"
        )
    configured = load_configured(folder / "office.yaml", {"ALICE_SECRET": "battery-staple"})
    assert [route.name for route in configured.dialplan.routes] == ["extensions", "national"]
    warned = [str(warning).split(": ", 1)[1] for warning in configured.warnings]
    *voicemail, unhelped = warned
    assert voicemail == ["this server has no `voicemail` yet; callers who get here are rejected as `not-available`"] * 2
    assert unhelped.startswith("a call for help to 112 reaches nobody outside: the route `extensions` takes it")


def test_without_its_secrets_an_example_says_what_is_missing() -> None:
    examination = examine(DESIGN / "office.yaml", {})
    faults = [str(fault) for fault in examination.faults]
    assert len(faults) == 2
    assert "the environment variable ALICE_SECRET is not set" in faults[0]
    assert "secrets/bob does not exist" in faults[1]
