"""What is played for the names of a dialplan: files in folders, tones of a country, what a language says, music."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import structlog

from pbx.loading import SOUND_SUFFIXES
from pbx.media.language import SAID, LanguagePack
from pbx.media.tones import is_tone, tone

__all__ = ["Sounds", "music_in"]

_log = structlog.get_logger("pbx.sounds")

_MOST_FILES = 256
"""That the engine takes in one play."""


class Sounds:
    """Finds what is to be played. A name is looked up once, and its answer remembered."""

    def __init__(
        self,
        folders: Sequence[Path],
        country: str,
        language: LanguagePack,
        music: tuple[str, ...],
        wall: Callable[[], datetime],
    ) -> None:
        """`country` is that of tones without one, `music` the files of the music on hold."""
        self._folders = folders
        self._country = country
        self._language = language
        self._music = music
        self._wall = wall
        self._found: dict[str, str] = {}

    def find(self, name: str) -> tuple[str, ...]:
        """Return the sounds that a name stands for, as the engine takes them.

        What is nowhere stays as it is, and the engine complains of it: the play ends with the reason.
        """
        if is_tone(name):
            try:
                return (tone(name, self._country),)
            except ValueError:
                return (name,)
        if name.startswith(SAID):
            kind, _, value = name.removeprefix(SAID).partition("/")
            try:
                said = self._language.say(kind, value, self._wall())
            except ValueError:
                return (name,)
            return tuple([self._file(sound) for sound in said])
        return (self._file(name),)

    def music(self) -> tuple[str, ...]:
        """Return the files of the music on hold; none for silence."""
        return self._music

    def _file(self, name: str) -> str:
        found = self._found.get(name)
        if found is None:
            found = self._look_up(name)
            if len(self._found) < 10_000:  # names with placeholders come from callers
                self._found[name] = found
        return found

    def _look_up(self, name: str) -> str:
        """Return the path without a suffix if the name has none: which file is best depends on the codec."""
        for folder in self._folders:
            for suffix in SOUND_SUFFIXES:
                if (folder / (name + suffix)).is_file():
                    return str(folder / name)
        return str(self._folders[0] / name) if self._folders else name


def music_in(folder: Path | None) -> tuple[str, ...]:
    """Return the sound files in a folder, in the order of their names; says once if there is none. Waits for the
    disk."""
    if folder is None:
        return ()
    try:
        files = sorted(one for one in folder.iterdir() if one.suffix and one.suffix in SOUND_SUFFIXES and one.is_file())
    except OSError as error:
        remedy = "install asterisk-moh-opsound-wav, or set media.music_on_hold"
        _log.warning("no-music-on-hold", folder=str(folder), reason=error.strerror, remedy=remedy)
        return ()
    if not files:
        _log.warning("no-music-on-hold", folder=str(folder), reason="it holds no sound file")
    return tuple(str(one) for one in files[:_MOST_FILES])
