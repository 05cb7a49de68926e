"""The files of recordings: where they are, the JSON beside each, and what is done with those that a crash cut off.

A recording ``2026/11/20/143005-c5f2.wav`` is written as ``….wav.part``, whose header is kept true, and has ``….json``
beside it from its first moment on. The engine renames the file when it is whole; the JSON then holds its duration and
SHA-256. One in another format (``….flac``) is a WAV, too, until its end, and stays one if it is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

__all__ = ["PART", "Recovered", "Sidecar", "read_sidecar", "recording_path", "recover", "sidecar_path", "write_sidecar"]

PART = ".part"
"""What follows the name of a recording that is still being written."""

_SOUNDS = (".wav", ".flac", ".opus")
_HEADER = 44
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What is told of a recording in the JSON beside it. Times are ISO 8601 with the zone, durations milliseconds."""

    call: str
    recording: str
    file: str
    """The name of the sound file, in the same folder."""
    started: str
    left: str = ""
    """Who is heard in the left channel, ``extension/101``; in a mono file the only one."""
    right: str = ""
    channels: str = "stereo"
    """``stereo``: one a side; ``mixed``: both in one; ``mono``: there is one side only."""
    caller: str = ""
    called: str = ""
    status: str = "running"
    """``running``, ``complete``, ``interrupted`` (the server died; the file was mended at the next start) or
    ``failed``."""
    duration: int = 0
    octets: int = 0
    sha256: str = ""
    gaps: int = 0
    """Milliseconds of silence in the place of packets that were missing, of both channels."""
    pauses: tuple[tuple[str, str], ...] = ()
    """From when to when the recording was paused; the end is empty while it is."""
    failure: str = ""
    note: str = ""
    """What is not as it was asked for."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """One recording that a crash had cut off."""

    path: Path
    duration: int
    sha256: str
    sidecar: Sidecar | None


def recording_path(folder: Path, name: str, at: datetime) -> Path:
    """Return where the recording `name` that starts at `at` belongs: ``folder/YYYY/MM/DD/HHMMSS-name.wav``."""
    return folder / f"{at:%Y}" / f"{at:%m}" / f"{at:%d}" / f"{at:%H%M%S}-{name}.wav"


def sidecar_path(path: Path) -> Path:
    """Return the path of the JSON beside a recording."""
    return path.with_suffix(".json")


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write the JSON beside the recording `path`, whole or not at all. Raises OSError."""
    target = sidecar_path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".json.part")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(sidecar), file, ensure_ascii=False, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)


def read_sidecar(path: Path) -> Sidecar | None:
    """Return what the JSON beside the recording `path` says; None if there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads(sidecar_path(path).read_text("utf-8"))
        known = {name: found[name] for name in Sidecar.__dataclass_fields__ if name in found}
        known["pauses"] = tuple((begin, end) for begin, end in known.get("pauses", ()))
        return Sidecar(**known)
    except (OSError, ValueError, TypeError):
        return None


def recover(folder: Path) -> list[Recovered]:
    """Mend what a crash left below `folder`: finish each ``.part`` and say in its JSON that it was interrupted.

    To be called before the engine starts. A file without a sound header holds nothing and stays as it is, for somebody
    to look at. Raises OSError if the disk does.
    """
    return [found for part in sorted(_parts(folder)) if (found := _mend(part)) is not None]


def _parts(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for draft in folder.rglob(f"*{PART}.draft"):
        draft.unlink()  # of a conversion that was cut off; what it was made from is there
    for part in folder.rglob(f"*{PART}"):
        if part.name.removesuffix(PART).endswith(_SOUNDS):
            yield part


def _mend(part: Path) -> Recovered | None:
    size = part.stat().st_size
    with part.open("r+b") as file:
        header = bytearray(file.read(_HEADER))
        if len(header) < _HEADER or header[:4] != b"RIFF" or header[8:16] != b"WAVEfmt ":
            return None
        rate = int.from_bytes(header[24:28], "little")
        block = int.from_bytes(header[32:34], "little")
        if not rate or not block:
            return None
        # The header is written after the samples that it counts, so there may be more samples than it says, or a torn
        # last one.
        octets = (size - _HEADER) // block * block
        file.truncate(_HEADER + octets)
        header[4:8] = (octets + _HEADER - 8).to_bytes(4, "little")
        header[40:44] = octets.to_bytes(4, "little")
        file.seek(0)
        file.write(header)
        file.flush()
        os.fsync(file.fileno())
    path = part.with_name(part.name.removesuffix(PART)).with_suffix(".wav")
    part.replace(path)
    duration = octets // block * 1000 // rate
    digest = _digest(path)
    sidecar = read_sidecar(path)
    if sidecar is not None:
        size = octets + _HEADER
        sidecar = replace(sidecar, file=path.name, status="interrupted", duration=duration, octets=size, sha256=digest)
        write_sidecar(path, sidecar)
    return Recovered(path, duration, digest, sidecar)


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
