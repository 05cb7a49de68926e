"""Language packs: numbers, dates and characters become the names of sounds, by data alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pbx.errors import EnvironmentFault
from pbx.media.language import LanguagePack, load_language

NOW = datetime(2026, 11, 20, 16, 5, tzinfo=UTC)

GERMAN = """
rules:
  number:
    - {from: 0, say: ["digits/{value}"]}
    - {from: 13, unit: 10, say: [">", digits/10]}
    - {from: 20, unit: 10, say: [[{joined: rest}, digits/und], "digits/{part}"]}
    - {from: 100, unit: 100, say: [{joined: count}, digits/hundert, ">"]}
    - {from: 1000, unit: 1000, say: [{joined: count}, digits/tausend, ">"]}
    - {from: 1000000, unit: 1000000, say: ["<", digits/millionen, ">"], exact: ["<", digits/millionen]}
  joined:                       # ein-und-zwanzig, ein-hundert
    - {from: 0, say: [{number: value}]}
    - {from: 1, say: [digits/ein]}
    - {from: 2, say: [{number: value}]}
  ordinal:
    - {from: 0, say: [{number: value}, digits/te]}
  minute:
    - {from: 0, say: []}
    - {from: 1, say: [{number: value}]}
date: ["digits/day-{weekday}", {ordinal: day}, "digits/mon-{month_index}", {number: year}]
time: [{number: hour}, digits/uhr, {minute: minute}]
datetime: [date, digits/um, time]
spell: {"0-9": "digits/{character}", "a-z": "letters/{character}", "ä": letters/ae}
phonetic: {"a-z": "phonetic/{character}_p"}
"""


@pytest.fixture(scope="module")
def english() -> LanguagePack:
    return load_language("en")


@pytest.fixture
def german(tmp_path: Path) -> LanguagePack:
    path = tmp_path / "de.yaml"
    path.write_text(GERMAN)
    return load_language(str(path))


def words(sounds: tuple[str, ...]) -> str:
    return " ".join(sound.rpartition("/")[2] for sound in sounds)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("number", "0", "0"),
        ("number", "13", "13"),
        ("number", "20", "20"),
        ("number", "21", "20 1"),
        ("number", "90", "90"),
        ("number", "100", "1 hundred"),
        ("number", "342", "3 hundred 40 2"),
        ("number", "1000", "1 thousand"),
        ("number", "20017", "20 thousand 17"),
        ("number", "1234567", "1 million 2 hundred 30 4 thousand 5 hundred 60 7"),
        ("number", "-7", "minus 7"),
        ("number", "+49", "40 9"),
        ("ordinal", "3", "h-3"),
        ("ordinal", "20", "h-20"),
        ("ordinal", "31", "30 h-1"),
        ("ordinal", "100", "1 h-hundred"),
        ("ordinal", "121", "1 hundred 20 h-1"),
        ("digits", "0301#", "0 3 0 1 pound"),
        ("number", "+49 30 x", "plus 4 9 space 3 0 space x"),
        ("spell", "Ab-1", "a b dash 1"),
        ("spell", "\x00ü\N{SNOWMAN}", ""),
        ("phonetic", "sip9", "s_p i_p p_p 9_p"),
        ("date", "2026-11-20", "day-5 mon-10 h-20 20 20 6"),
        ("date", "1984-01-01", "day-0 mon-0 h-1 19 80 4"),
        ("date", "1905-02-03", "day-5 mon-1 h-3 19 oh 5"),
        ("date", "1900-12-31", "day-1 mon-11 30 h-1 19 hundred"),
        ("date", "2009-05-05", "day-2 mon-4 h-5 2 thousand 9"),
        ("time", "now", "4 oh 5 p-m"),
        ("time", "00:00", "12 oclock a-m"),
        ("time", "12:30", "12 30 p-m"),
        ("datetime", "", "day-5 mon-10 h-20 20 20 6 at 4 oh 5 p-m"),
    ],
)
def test_english(english: LanguagePack, kind: str, value: str, said: str) -> None:
    if kind == "time" and ":" in value:
        value = f"2026-11-20T{value}"
    assert words(english.say(kind, value, NOW)) == said


def test_every_english_sound_is_in_debians_package(english: LanguagePack) -> None:
    folder = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
    if not (folder / "digits").is_dir():
        pytest.skip("asterisk-core-sounds-en-wav is not installed")
    said: set[str] = set()
    for value in [*range(130), *range(900, 1100), 10**6, 10**9, 123_456_789]:
        said.update(english.say("number", str(value), NOW), english.say("ordinal", str(min(value, 10**6)), NOW))
    for day in range(1, 29):
        for year in (1999, 2000, 2009, 2010, 2026, 2100):
            said.update(english.say("datetime", f"{year}-{day % 12 + 1:02}-{day:02}T{day % 24:02}:{day * 2:02}", NOW))
    for character in map(chr, range(32, 127)):
        said.update(english.say("spell", character, NOW), english.say("phonetic", character, NOW))
    missing = [sound for sound in said if not (folder / f"{sound}.wav").is_file()]
    assert not missing


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("number", "1", "1"),
        ("number", "14", "4 10"),
        ("number", "21", "ein und 20"),
        ("number", "30", "30"),
        ("number", "47", "7 und 40"),
        ("number", "101", "ein hundert 1"),
        ("number", "321", "3 hundert ein und 20"),
        ("number", "21021", "ein und 20 tausend ein und 20"),
        ("number", "2000000", "2 millionen"),
        ("ordinal", "3", "3 te"),
        ("date", "2026-11-20", "day-5 20 te mon-10 2 tausend 6 und 20"),
        ("time", "2026-11-20T16:00", "6 10 uhr"),
        ("time", "now", "6 10 uhr 5"),
        ("spell", "Bär", "b ae r"),
    ],
)
def test_a_language_that_puts_units_before_tens(german: LanguagePack, kind: str, value: str, said: str) -> None:
    assert words(german.say(kind, value, NOW)) == said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('from: 0, say: ["digits/{value}"]', "from: 5, say: [x]"), "must begin with `from: 0`"),
        (("[{joined: rest}, digits/und]", "[{nothing: rest}]"), "has no rules"),
        (('unit: 10, say: [">"', 'unit: 0, say: [">"'), "unit of 1 or more"),
        (("{from: 2, say: [{number: value}]}", "{from: 2, say: [{joined: value}]}"), "has no rules"),
        (("date: ", "dates: "), "date"),
        (("{ordinal: day}", "{ordinal: tag}"), "tag"),
        (("rules:\n", "rules: [\n"), "faulty"),
    ],
)
def test_packs_that_are_faulty(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    assert change[0] in GERMAN
    path = tmp_path / "de.yaml"
    path.write_text(GERMAN.replace(*change))
    with pytest.raises(EnvironmentFault, match=says):
        load_language(str(path))


def test_a_pack_that_is_not_there() -> None:
    with pytest.raises(EnvironmentFault, match="known are en"):
        load_language("tlh")


def test_what_cannot_be_said(english: LanguagePack) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        english.say("money", "5", NOW)
    with pytest.raises(ValueError, match="no moment"):
        english.say("date", "tomorrow", NOW)
