"""Keys between real phones that have them different ways."""

from __future__ import annotations

import cmath
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.support import ports
from tests.peers.support.baresip import Baresip
from tests.peers.support.hearing import channels
from tests.peers.support.phones import Fleet, Line
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.sipp import Sipp
from tests.peers.support.waiting import until
from tests.support.sound import tone, write_wav

pytestmark = pytest.mark.peers

EVENTS = Line("baresip", "udp", "101", 440)
INFO = Line("baresip", "udp", "102", 1000)
IN_BAND = Line("baresip", "udp", "103", 1000)
CUSTOMER = ports.port()

PLAN = {"routes": [{"name": "extensions", "when": {"number": "1XX"}, "do": [{"dial": "extension/{number}"}]}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    modes = {EVENTS: "auto", INFO: "info", IN_BAND: "inband"}
    extensions = {line.number: {"password": line.password, "dtmf": mode} for line, mode in modes.items()}
    address = f"127.0.0.1:{CUSTOMER}"
    trunks = {"customer": {"address": f"sip:{address}", "identify": [address], "dtmf": "info"}}
    with serving(site, site.settings(extensions=extensions, trunks=trunks), PLAN) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(server, tmp_path_factory.mktemp("phones"))
    yield made
    made.close()


def keys(phone: Any) -> str:
    """Return the keys that a phone was told of, in order."""
    assert isinstance(phone, Baresip)
    return "".join(str(one.get("param", "")) for one in phone.events if one.get("type") == "CALL_DTMF_START")


def talk(one: Any, other: Any, number: str) -> None:
    one.dial(number)
    one.wait_established()
    other.wait_established()
    other.hear_more(0.3)


def level(samples: Any, rate: int, hertz: int) -> float:
    """Return how loud a tone is, 0 to 1 of full scale."""
    step = -2j * cmath.pi * hertz / rate
    return 2 * abs(sum(sample * cmath.exp(step * at) for at, sample in enumerate(samples))) / len(samples) / 32768


def test_events_become_info(fleet: Fleet) -> None:
    with fleet.phones(EVENTS, INFO) as (one, other):
        talk(one, other, INFO.number)
        for digit in "5#":
            one.press(digit)
        until(lambda: len(keys(other)) >= 2, lambda: f"keys: {other.events}", 10)
        other.hear_more(0.4)
        assert keys(other) == "5#"
        one.hang_up()
        one.wait_ended()
        other.wait_ended()


def test_events_become_tones(fleet: Fleet) -> None:
    """770 and 1336 Hz together are the 5, in place of the caller's own tone."""
    with fleet.phones(EVENTS, IN_BAND) as (one, other):
        talk(one, other, IN_BAND.number)
        one.press("5")
        other.hear_more(1.0)
        one.hang_up()
        one.wait_ended()
        other.wait_ended()
        assert not keys(other)
        rate, (samples, *_) = channels(other.heard_file)
        windows = [samples[at : at + rate // 50] for at in range(0, len(samples) - rate // 50, rate // 50)]
        pressed = [min(level(one, rate, 770), level(one, rate, 1336)) > 0.1 for one in windows]
        assert any(pressed)
        first, last = pressed.index(True), len(pressed) - pressed[::-1].index(True)
        assert sum(pressed[first:last]) >= (last - first) - 1, "one key, not two"


def test_info_becomes_events(server: Server, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> None:
    words: dict[str, Any] = {"METHOD": "INFO", "TYPE": "application/dtmf-relay", "NUMBER": EVENTS.number, "HOLD": 800}
    with fleet.phones(EVENTS) as (phone,):
        caller = Sipp(tmp_path_factory.mktemp("sipp"), "uac-informs", CUSTOMER, server.site.sip, **words).start()
        try:
            caller.wait()
        finally:
            caller.end()
        phone.wait_ended()
        assert keys(phone) == "5"


DTMF = {"1": (697, 1209), "5": (770, 1336), "#": (941, 1477)}


def test_tones_become_events_and_are_not_heard_as_well(fleet: Fleet) -> None:
    """What the caller says is a tone of 1 kHz, with keys in it; the callee has telephone-events, and ears."""
    with fleet.phones(IN_BAND, EVENTS) as (one, other):
        spoken = one.folder / "speaks.wav"
        before = spoken.read_bytes()
        rate, (said, *_) = channels(spoken)
        text = list(said[: 2 * rate])
        for low, high in DTMF.values():
            text += [0] * (rate // 5)
            text += [a + b for a, b in zip(tone(low, 0.1, rate, 6_000), tone(high, 0.1, rate, 6_000), strict=True)]
        try:
            write_wav(spoken, [text + [0] * (rate // 5) + list(said)], rate)
            talk(one, other, EVENTS.number)
            until(lambda: len(keys(other)) >= 3, lambda: f"keys: {other.events}", 15)
            other.hear_more(0.6)
            one.hang_up()
            one.wait_ended()
            other.wait_ended()
        finally:
            spoken.write_bytes(before)
        assert keys(other) == "15#"
        rate, (samples, *_) = channels(other.heard_file)
        windows = [samples[at : at + rate // 100] for at in range(0, len(samples) - rate // 100, rate // 100)]
        for digit, pair in DTMF.items():
            assert max(min(level(part, rate, hertz) for hertz in pair) for part in windows) < 0.05, f"{digit} is heard"
        voice = [level(part, rate, 1000) > 0.2 for part in windows]
        first, last = voice.index(True), len(voice) - voice[::-1].index(True)
        assert voice[first:last].count(False) / 100 > 0.2, "the voice before the keys, and that behind them"
