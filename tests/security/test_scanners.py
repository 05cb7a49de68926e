from __future__ import annotations

import pytest

from pbx.security.scanners import SCANNERS, Scanners, Tries
from pbx.security.sources import show_source, source_of

REQUEST = "OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9\r\n{}\r\nMax-Forwards: 70\r\n\r\n"


def message(header: str) -> bytes:
    return REQUEST.format(header).encode()


@pytest.mark.parametrize("agent", SCANNERS)
def test_every_tool_is_known_by_the_beginning_of_its_name(agent: str) -> None:
    scanners = Scanners()
    assert scanners.name(message(f"User-Agent: {agent.upper()}/1.0")) == agent
    assert scanners.name(message(f"user-agent:{agent}")) == agent
    assert scanners.name(message(f"User-Agent: not {agent}")) == ""


@pytest.mark.parametrize(
    "header",
    [
        'From: "sipvicious"<sip:100@1.1.1.1>;tag=1',
        "From: <sip:a'or'3=3--@192.0.2.1>;tag=1",
        'f: "x\' OR 1=1" <sip:1@h>',
        "To: <sip:1%27%20or%201@h>",
        'From: "\' union select password" <sip:1@h>',
        "From: <script>alert(1)</script> <sip:1@h>",
        'From: "${jndi:ldap://h}" <sip:1@h>;tag=2',
    ],
)
def test_tricks_in_from_and_to_are_known(header: str) -> None:
    assert Scanners().name(message(header)) == "from-trick"


@pytest.mark.parametrize(
    "header",
    [
        "User-Agent: Yealink SIP-T46U 108.86.0.20",
        "User-Agent: Linphone/5.0 (mapping)",
        'From: "Séamus O\'Orsay" <sip:101@h>;tag=1',
        'From: "D\'or and Sons" <sip:101@h>;tag=1',
        'From: "script writer" <sip:101@h>;tag=1',
        "Subject: sipvicious",
        "X-User-Agent: friendly-scanner",
    ],
)
def test_honest_phones_are_left_alone(header: str) -> None:
    assert Scanners().name(message(header)) == ""


@pytest.mark.parametrize("value", ["{} x", "'{} x", "'or{} x", "%27{} x", "' union{} x", "'or'{}'or'"])
def test_looking_takes_time_linear_in_the_message(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million blanks anything that is not linear makes hours: this test would not end."""
    monkeypatch.setattr("pbx.security.scanners._LOOKED_AT", 1 << 21)
    for header in ("From", "User-Agent"):
        for filling in (" ", "\t", "'", "%20", "a"):
            assert Scanners().name(message(f"{header}:{value.format(filling * 300_000)}")) == ""


def test_more_tools_may_be_named() -> None:
    assert Scanners(["Dialer (mass)"]).name(message("User-Agent: dialer (mass) 2")) == "dialer (mass)"


def test_words_tried_count_once_they_are_not_proven_in_time() -> None:
    tries = Tries(limit=3)
    assert not any(tries.tried("s", f"10{number}", 0.0) for number in range(3))
    assert not tries.tried("s", "103", 1.0), "a moment ago is no reason yet"
    assert tries.tried("s", "103", 5.5)
    assert not tries.tried("other", "103", 5.5)


def test_many_phones_behind_one_address_prove_their_names() -> None:
    tries = Tries(limit=3)
    for number in range(100):
        assert not tries.tried("office", str(number), number * 0.1)
        tries.proved("office", str(number))
    assert len(tries) == 0


def test_a_fast_scan_need_not_wait() -> None:
    tries = Tries(limit=3)
    assert [tries.tried("s", str(number), 0.0) for number in range(31)] == [False] * 30 + [True]


def test_words_are_forgotten_and_sources_bounded() -> None:
    tries = Tries(limit=1, most_sources=10)
    assert not tries.tried("s", "1", 0.0)
    assert not tries.tried("s", "2", 700.0)
    for number in range(50):
        tries.tried(f"source-{number}", "1", 800.0)
    assert len(tries) == 10
    assert not Tries(limit=0).tried("s", "1", 0.0)


def test_an_ipv6_source_is_its_network() -> None:
    assert source_of("2001:db8:1:2::1") == source_of("2001:db8:1:2:ffff::9%eth0")
    assert source_of("2001:db8:1:2::1") != source_of("2001:db8:1:3::1")
    assert show_source(source_of("2001:db8:1:2::1")) == "2001:db8:1:2::/64"
    assert show_source(source_of("192.0.2.1")) == "192.0.2.1"
