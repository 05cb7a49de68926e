"""``pbx rehearse`` over a database that a server has written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pbx.cli.main import application
from pbx.cli.rehearse import WOULD_CHANGE
from pbx.errors import ConfigurationError, EnvironmentFault
from pbx.store.call_records import AttemptRecord, CallRecord
from pbx.store.store import Store

PLAN = """
routes:
  - {name: short, when: {from: trunk/customer, number: "2XXX"}, do: [{dial: trunk/carrier}]}
  - {name: rest, when: {from: trunk/customer, number: "."}, do: [{dial: trunk/carrier}]}
"""
NOW = datetime.now(UTC)


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "pbx.yaml"
    path.write_text(
        'trunks: {customer: {address: "sip:192.0.2.1"}, carrier: {address: "sip:192.0.2.2"}}\ndialplan: plan.yaml\n'
    )
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "new.yaml").write_text(PLAN.replace('"2XXX"', '"21XX"'))
    return path


def fill(folder: Path, *calls: tuple[str, str, datetime]) -> None:
    store = Store.open(folder / "var")
    store.start()
    for place, (number, route, started) in enumerate(calls):
        tried = (AttemptRecord("trunk/carrier", "answered"),)
        name = f"call{place}"
        store.records.put(
            CallRecord(name, started, "trunk/customer", "030", number, number=number, route=route, attempts=tried)
        )
    assert store.stop()


def test_each_call_that_would_change_is_listed(configuration: Path) -> None:
    folder = configuration.parent
    fill(folder, ("2000", "short", NOW), ("2100", "short", NOW), ("2001", "short", NOW - timedelta(days=40)))
    command = ["rehearse", "-c", str(configuration), "--plan", str(folder / "new.yaml")]
    result = CliRunner().invoke(application(), command)
    assert result.exit_code == WOULD_CHANGE
    assert "trunk/customer dialled 2000  (call0)" in result.stdout
    assert "- short" in result.stdout
    assert "+ rest" in result.stdout
    assert "2100" not in result.stdout
    assert result.stdout.endswith("2 calls, 1 would go another way.\n")
    everything = json.loads(CliRunner().invoke(application(), [*command, "--json", "--since", "50d"]).stdout)
    assert everything["calls"] == 3
    assert [call["number"] for call in everything["changed"]] == ["2000", "2001"]


def test_the_plan_in_force_changes_nothing(configuration: Path) -> None:
    fill(configuration.parent, ("2000", "short", NOW))
    plan = str(configuration.parent / "plan.yaml")
    result = CliRunner().invoke(application(), ["rehearse", "-c", str(configuration), "--plan", plan])
    assert (result.exit_code, result.stdout) == (0, "1 calls, none would go another way.\n")


def test_a_faulty_plan_and_a_missing_database_are_said(configuration: Path) -> None:
    folder = configuration.parent
    good = ["rehearse", "-c", str(configuration), "--plan", str(folder / "new.yaml")]
    with pytest.raises(EnvironmentFault, match="no call was recorded yet"):
        CliRunner().invoke(application(), good, catch_exceptions=False)
    assert not (folder / "var").exists()
    (folder / "new.yaml").write_text("routes: 7\n")
    with pytest.raises(ConfigurationError) as caught:
        CliRunner().invoke(application(), good, catch_exceptions=False)
    assert "new.yaml:1:9" in caught.value.faults[0]
