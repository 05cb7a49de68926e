"""Where the sounds are that a dialplan names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pbx.loading import SOUND_SUFFIXES

__all__ = ["SoundFolders"]


class SoundFolders:
    """Finds a sound by its name in the first folder that has it, and remembers it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._found: dict[str, str] = {}

    def find(self, name: str) -> str:
        """Return the path of a sound; for one that is nowhere, where it should have been, which the engine then
        complains of."""
        found = self._found.get(name)
        if found is not None:
            return found
        for folder in self._folders:
            for suffix in SOUND_SUFFIXES:
                path = folder / (name + suffix)
                if path.is_file():
                    self._found[name] = str(path)
                    return str(path)
        return str(self._folders[0] / f"{name}.wav") if self._folders else f"{name}.wav"
