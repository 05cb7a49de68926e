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


def test_a_machine_without_it_counts_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall.subprocess, "run", Nft(1).run)
    made = Firewall("tandem", [5060], lambda source: False)
    made.start()
    made.told("192.0.2.1", 300.0)
    made.stop()
    assert made.failed == 3


class Fussy(Nft):
    """Takes a script as a whole or not at all, and none that names certain addresses."""

    def __init__(self, *bad: str) -> None:
        super().__init__()
        self.bad = bad
        self.taken: list[str] = []

    def run(self, command: list[str], *, input: str, **more: Any) -> subprocess.CompletedProcess[str]:  # noqa: A002
        self.status = int(any(address in input for address in self.bad))
        if not self.status:
            self.taken.append(input)
        return super().run(command, input=input, **more)


def batched(monkeypatch: pytest.MonkeyPatch, nft: Nft, *sources: str) -> Firewall:
    """Have all these banned by one batch."""
    monkeypatch.setattr(firewall.subprocess, "run", nft.run)
    made = Firewall("tandem", [5060], lambda source: False)
    with monkeypatch.context() as patch:
        patch.setattr(made._thread, "submit", lambda run: None)
        for source in sources:
            made.told(source, 300.0)
    made._run()
    return made


def test_one_change_that_is_refused_keeps_none_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    nft = Fussy("192.0.2.2 ", "192.0.2.7 ")
    made = batched(monkeypatch, nft, *(f"192.0.2.{place}" for place in range(1, 10)))
    assert made.failed == 2
    assert len(nft.taken) == 7
    assert [place for place in range(1, 10) if f"192.0.2.{place} timeout 300s" in "".join(nft.taken)] == [
        *(1, 3, 4, 5, 6, 8, 9),
    ]


def test_a_batch_that_is_taken_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    nft = Fussy()
    made = batched(monkeypatch, nft, *(f"192.0.2.{place}" for place in range(1, 10)))
    assert (made.failed, len(nft.scripts)) == (0, 1)


def test_where_nothing_is_taken_not_each_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    nft = Nft(1)
    made = batched(monkeypatch, nft, *(f"192.0.2.{place}" for place in range(1, 100)))
    assert made.failed == 99
    assert len(nft.scripts) == 6


def test_changes_that_are_not_made_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall.subprocess, "run", Nft().run)
    made = Firewall("tandem", [5060], lambda source: False)
    monkeypatch.setattr(made._thread, "submit", lambda run: None)
    for place in range(10_003):
        made.told(f"192.0.{place >> 8}.{place & 255}", 300.0)
    assert made.dropped == 3
