"""What is played for the names of a dialplan."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from structlog.testing import capture_logs

from pbx.app.sounds import Sounds, music_in
from pbx.media.language import load_language


def sounds(*folders: Path) -> Sounds:
    return Sounds(
        folders, "de", load_language("en"), ("/moh/a.wav",), lambda: datetime(2026, 11, 20, 16, 5, tzinfo=UTC)
    )


def test_files_tones_and_values(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, name in ((one, "hello.wav"), (two, "hello.g722"), (two, "digits/4.wav"), (two, "beep.ulaw")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    found = sounds(one, two)
    assert found.find("hello") == (str(one / "hello"),)  # which file is best, the engine finds out
    assert found.find("hello.g722") == (str(two / "hello.g722"),)
    assert found.find("beep") == (str(two / "beep"),)
    assert found.find("gone") == (str(one / "gone"),)
    assert found.find("tone:busy") == ("tone:425/480,0/480",)
    assert found.find("tone:busy/us") == ("tone:480+620/500,0/500",)
    assert found.find("say:digits/44") == (str(two / "digits/4"),) * 2
    assert found.find("say:time/now")[0] == str(two / "digits/4")
    assert found.find("say:number/") == ()
    assert found.find("tone:hum") == ("tone:hum",)  # the engine says what is wrong with it
    assert found.find("say:riddle/1") == ("say:riddle/1",)
    assert found.music() == ("/moh/a.wav",)


def test_music(tmp_path: Path) -> None:
    for name in ("b.wav", "a.flac", "LICENSE", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert music_in(tmp_path) == (str(tmp_path / "a.flac"), str(tmp_path / "b.wav"))
    assert music_in(None) == ()
    with capture_logs() as logs:
        assert music_in(tmp_path / "gone") == ()
    assert [log["event"] for log in logs] == ["no-music-on-hold"]
