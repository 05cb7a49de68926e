"""What a new server has to offer a phone: 600 echoes, 601 speaks, 602 records and plays back. Heard by baresip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.peers.support.baresip import Baresip
from tests.peers.support.hearing import SILENCE, channels, length, spells
from tests.peers.support.server import ROOT, Server, Site, serving
from tests.peers.support.waiting import until
from tests.support.sound import correlation, level

pytestmark = pytest.mark.peers

_PLACES = (Path("/usr/share/asterisk/sounds/en"), Path("/usr/share/asterisk/sounds/en_US_f_Allison"))
SOUNDS = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
PLAN = (ROOT / "dialplans" / "default.yaml").read_text()
"""As it is shipped."""
SPEAKS = 2.0
"""How long the phone speaks for the recording. Seconds."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    extensions = {number: {"password": f"secret-of-{number}"} for number in ("101", "102")}
    with serving(site, site.settings(extensions=extensions), PLAN) as running:
        yield running


@pytest.fixture
def phone(server: Server, tmp_path: Path) -> Iterator[Baresip]:
    phone = Baresip(tmp_path / "phone", "101", "secret-of-101", server.site.sip, hertz=440)
    phone.start()
    server.registered("101")
    phone.fresh()
    yield phone
    phone.quit()


def sounds(*names: str) -> list[Path]:
    """Return the files of prompts; skips the test if they are not installed."""
    found = [SOUNDS / f"{name}.wav" for name in names]
    if not all(path.is_file() for path in found):
        pytest.skip("no prompts; apt-get install asterisk-core-sounds-en-wav")
    return found


def heard_by(phone: Baresip) -> tuple[int, Any]:
    rate, sides = channels(phone.heard_file)
    return rate, sides[0]


def test_echo(server: Server, phone: Baresip) -> None:
    """The phone hears its own tone, as it sent it."""
    before = len(server.records())
    phone.dial("600")
    phone.wait_established()
    phone.hear_more(2.0)
    phone.hang_up()
    phone.wait_ended()
    record = server.record(before + 1)
    assert (record["cause"]["slug"], record["route"]) == ("answered-caller-hung-up", "echo")
    assert record["steps"] == ["answer", "echo"]
    rate, samples = heard_by(phone)
    tones = [spell for spell in spells(samples, rate) if spell.hertz != SILENCE]
    assert [spell.hertz for spell in tones] == [440]
    assert tones[0].seconds > 1.5
    leg = record["legs"][0]
    assert leg["lost"] == 0
    assert abs(leg["received_packets"] - leg["sent_packets"]) <= 3


def test_greeting(server: Server, phone: Baresip) -> None:
    """The phone hears what is in the prompts' files, and then the server hangs up."""
    prompts = sounds("hello-world", "vm-goodbye")
    before = len(server.records())
    phone.dial("601")
    phone.wait_established()
    phone.wait_ended()
    record = server.record(before + 1)
    assert record["cause"]["slug"] == "completed"
    assert length(phone.heard_file) == pytest.approx(sum(map(length, prompts)), abs=0.3)
    samples = heard_by(phone)[1]
    place = 0
    for prompt in prompts:
        _, (spoken,) = channels(prompt)
        likeness, place = find(spoken, samples, place)
        assert likeness > 0.9, f"{prompt.name} is heard with a likeness of {likeness:.2f}"


def test_record_and_play_back(server: Server, phone: Baresip) -> None:
    """After the beep the phone speaks, presses #, and hears what it said."""
    before = len(server.records())
    phone.dial("602")
    phone.wait_established()
    until(lambda: recorded_so_far(server) > SPEAKS, "recording")
    phone.press("#")
    phone.wait_ended()
    record = server.record(before + 1)
    assert record["cause"]["slug"] == "completed"
    assert record["recordings"][0]["status"] == "complete"
    path, sidecar = server.recording(record)
    assert (sidecar["left"], sidecar["right"]) == ("extension/101", "")
    rate, sides = channels(path)
    assert len(sides) == 1
    for where, samples in ((f"recorded {path}", sides[0]), ("heard", heard_by(phone)[1])):
        tones = [spell for spell in spells(samples, rate) if spell.hertz == 440]
        assert len(tones) == 1, f"{where}: {spells(samples, rate)}"
        assert tones[0].seconds == pytest.approx(length(path), abs=0.4), where


def recorded_so_far(server: Server) -> float:
    """Return the length of the recording that runs. Seconds."""
    return max(map(length, server.site.recordings.rglob("*.wav.part")), default=0.0)


def find(wanted: Sequence[int], among: Sequence[int], start: int) -> tuple[float, int]:
    """Return how like `among`, somewhere from `start` on, is to the loudest half second of `wanted`, and where that is.

    First by loudness in steps of 10 ms, which finds the place, then sample by sample around it.
    """
    step, size = 80, min(4000, len(wanted) // 80 * 80)
    loudest = max(range(0, len(wanted) - size + 1, step), key=lambda n: level(wanted[n : n + size]))
    piece = wanted[loudest : loudest + size]
    loud = [level(piece[n : n + step]) for n in range(0, size, step)]
    all_loud = [level(among[n : n + step]) for n in range(0, len(among) - step, step)]
    places = range(start // step, len(all_loud) - len(loud))
    rough = step * max(places, key=lambda place: correlation(loud, all_loud[place : place + len(loud)]))
    fine = range(max(0, rough - 2 * step), min(len(among) - size, rough + 2 * step))
    likeness, place = max((correlation(piece, among[place : place + size]), place) for place in fine)
    return likeness, place
