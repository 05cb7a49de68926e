"""What nft is told. That the kernel drops what it is to is in tests/system/test_bans.py."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from pbx.app import firewall
from pbx.app.firewall import Firewall
from pbx.security.sources import source_of


class Nft:
    """Takes the place of the program."""

    def __init__(self, status: int = 0) -> None:
        self.scripts: list[str] = []
        self.status = status

    def run(self, command: list[str], *, input: str, **_: Any) -> subprocess.CompletedProcess[str]:  # noqa: A002
        assert command == ["nft", "-f", "-"]
        self.scripts.append(input)
        return subprocess.CompletedProcess(command, self.status, "", "Error: no\nsecond line")


def test_bans_go_into_a_set_of_their_family_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    nft = Nft()
    monkeypatch.setattr(firewall.subprocess, "run", nft.run)
    made = Firewall("tandem", [5061, 5060, 5060], lambda source: source == "192.0.2.99")
    made.start()
    made.told("192.0.2.1", 300.4)
    made.told(source_of("2001:db8::1"), 60.0)
    made.told("192.0.2.99", 60.0)
    made.told("192.0.2.1", None)
    made.stop()
    script = "".join(nft.scripts)
    assert "th dport { 5060, 5061 } ip saddr @banned4 counter drop" in script
    assert "add element inet tandem banned4 { 192.0.2.1 timeout 300s }" in script
    assert "add element inet tandem banned6 { 2001:db8::/64 timeout 60s }" in script
    assert "192.0.2.99" not in script
    assert script.rstrip().endswith("delete element inet tandem banned4 { 192.0.2.1 }\ndelete table inet tandem")
    assert made.failed == 0


def test_a_machine_without_it_is_told_of_once_for_each_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall.subprocess, "run", Nft(1).run)
    made = Firewall("tandem", [5060], lambda source: False)
    made.start()
    made.told("192.0.2.1", 300.0)
    made.stop()
    assert made.failed >= 1


def test_changes_that_are_not_made_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall.subprocess, "run", Nft().run)
    made = Firewall("tandem", [5060], lambda source: False)
    monkeypatch.setattr(made._thread, "submit", lambda run: None)
    for place in range(10_003):
        made.told(f"192.0.{place >> 8}.{place & 255}", 300.0)
    assert made.dropped == 3
