"""Music on hold between real phones: who is put on hold hears the file, from one place on and without a hole, until the
call is taken up again."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.peers.support.hearing import SILENCE, channels, spells
from tests.peers.support.phones import Fleet, Line
from tests.peers.support.server import Server, Site, serving
from tests.peers.test_phones import PLAN
from tests.support.sound import correlation, read_wav, write_wav

pytestmark = pytest.mark.peers

HOLDER = Line("baresip", "udp", "151", 440)
HELD = Line("linphone", "udp", "152", 1000)
MUSIC = sorted(Path("/usr/share/asterisk/moh").glob("*.wav"))
MUSIC_SECONDS = 2
"""Of the file that is played, round and round."""
HOLD = 2.5
TALK = 0.8
PIECE = 1600
"""Samples that are looked for."""
ADRIFT = 1200
"""Samples by which the music may be off its time: what a phone on a busy machine hears is not always in time."""


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a real piece of music in it."""
    if not MUSIC:
        pytest.skip("asterisk-moh-opsound-wav is not installed")
    rate, (samples, *_) = read_wav(MUSIC[0])
    assert rate == 8000
    folder = tmp_path_factory.mktemp("music")
    start = len(samples) // 2
    write_wav(folder / "piece.wav", [samples[start : start + MUSIC_SECONDS * rate]])
    return folder


@pytest.fixture(scope="module")
def server(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    extensions = {line.number: {"password": line.password} for line in (HOLDER, HELD)}
    settings = site.settings(extensions=extensions, media={"music_on_hold": str(music)})
    with serving(site, settings, PLAN) as running:
        yield running


def place_of(piece: array[int], music: list[int], places: Iterable[int]) -> tuple[int, float]:
    """Return at which of these places a piece is most like the music, which goes round, and how like."""
    twice = array("h", music + music)
    rough = piece[::4]
    best = max(places, key=lambda at: correlation(rough, twice[at % len(music) :][: len(piece) : 4]))
    return best, correlation(piece, twice[best % len(music) :][: len(piece)])


def test_who_is_held_hears_the_music(server: Server, music: Path, tmp_path: Path) -> None:
    fleet = Fleet(server, tmp_path)
    try:
        with fleet.phones(HOLDER, HELD) as (holder, held):
            holder.dial(HELD.number)
            holder.wait_established()
            held.wait_established()
            held.hear_more(TALK)
            holder.hold()
            time.sleep(HOLD)
            holder.resume()
            time.sleep(TALK)
            holder.hang_up()
            held.wait_ended()
            rate, (samples, *_) = channels(held.heard_file)
    finally:
        fleet.close()
    assert rate == 8000
    found = spells(samples, rate)
    sounds = [spell.hertz for spell in found if spell.seconds > 0.3 and spell.hertz != SILENCE]
    assert sounds[0] == sounds[-1] == HOLDER.hertz, found
    (_, (played, *_)) = read_wav(music / "piece.wav")
    begin = next(int((spell.start + spell.seconds) * rate) for spell in found if spell.hertz == HOLDER.hertz)
    pieces = [samples[begin + 2400 + place * PIECE :][:PIECE] for place in range(8)]
    due: int | None = None
    good = 0
    for piece in pieces:
        places = range(len(played)) if due is None else range(due - ADRIFT, due + ADRIFT)
        at, like = place_of(piece, played, places)
        good += like > 0.95
        due = at + PIECE if like > 0.95 else due and due + PIECE
    assert good >= len(pieces) - 2, f"{good} of {len(pieces)} pieces are in the music, one after the other"
