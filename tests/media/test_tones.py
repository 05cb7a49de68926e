"""The table of tones: every entry can be played, and says what its country's tones are."""

from __future__ import annotations

import pytest

from pbx.media.commands import Play
from pbx.media.events import PlayEnded
from pbx.media.tones import countries, tone, tone_names
from tests.support.desk import Desk


def test_names_and_countries() -> None:
    assert len(countries()) >= 12
    assert {"us", "uk", "de", "fr", "no"} <= set(countries())
    assert set(tone_names()) >= {"dial", "ringback", "busy", "congestion"}
    assert tone("tone:busy/de", "us") == "tone:425/480,0/480"
    assert tone("tone:ringback", "us") == "tone:440+480/2000,0/4000"
    assert tone("tone:record/de", "us") == "tone:1400/500,0/15000"  # of all, since Germany's is not listed
    assert tone("tone:1000/200", "us") == "tone:1000/200"


@pytest.mark.parametrize("name", ["tone:busy/xx", "tone:hum", "tone:", "tone:busy/", "tone:425/", "tone:425/1"])
def test_what_there_is_not(name: str) -> None:
    with pytest.raises(ValueError, match=r"there (is|are) no"):
        tone(name, "us")


def test_the_engine_plays_every_one() -> None:
    with Desk() as desk:
        desk.phone("a")
        for country in countries():
            for name in tone_names():
                spelled = tone(f"tone:{name}/{country}", "us")
                desk.submit(Play("a", f"{name}/{country}", (spelled,), start=3_600_000))
                assert desk.wait(PlayEnded).failure == "", (name, country)
