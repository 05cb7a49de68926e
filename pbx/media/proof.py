"""Proving from the JSON beside a recording that it is complete: nothing cut off, nothing changed, nothing missing."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from pbx.media.recordings import PART, Sidecar, read_sidecar, sidecar_path
from pbx.values import dataclass

__all__ = ["Proof", "prove", "recordings_below"]

_BLOCK = 1024 * 1024
_HEADER = 44
_SUFFIXES = (".wav", ".flac", ".opus")
_TOLERANCE = 1
"""Milliseconds that a duration may differ by rounding."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is to be said of one recording."""

    path: Path
    faults: tuple[str, ...]
    """Why it is not proven; empty if it is."""
    remarks: tuple[str, ...] = ()
    """What one should know of a recording that is proven all the same: gaps, pauses."""
    sidecar: Sidecar | None = None

    @property
    def proven(self) -> bool:
        """True if the file is what the JSON says, and that says complete."""
        return not self.faults


def recordings_below(path: Path) -> Iterator[Path]:
    """Yield a recording, or every one below a folder: sound files, and JSON whose sound file is gone."""
    if not path.is_dir():
        yield path
        return
    found = {one.with_suffix("") for one in path.rglob("*.json")}
    for one in sorted(path.rglob("*")):
        if one.suffix in _SUFFIXES or one.name.endswith(PART):
            found.discard(one.with_name(one.name.removesuffix(PART)).with_suffix(""))
            yield one
    for stem in sorted(found):
        yield stem.with_suffix(".json")


def prove(path: Path) -> Proof:
    """Compare a recording with the JSON beside it. Reads the whole file; raises OSError if the disk does."""
    if path.suffix == PART:
        return Proof(path, ("it is still being written, or was cut off: the next start of the server finishes it",))
    sidecar = read_sidecar(path)
    if sidecar is None:
        return Proof(path, (f"there is no {sidecar_path(path).name} beside it that can be read",))
    if path.suffix == ".json":
        why = f": {sidecar.failure}" if sidecar.failure else ""
        return Proof(path, (f"its sound file {sidecar.file} is not there; it is {sidecar.status}{why}",), (), sidecar)
    faults = [*_status(path, sidecar), *_content(path, sidecar)]
    return Proof(path, tuple(faults), tuple(_remarks(sidecar)), sidecar)


def _status(path: Path, sidecar: Sidecar) -> Iterator[str]:
    if sidecar.file != path.name:
        yield f"its JSON tells of {sidecar.file}"
    if sidecar.status != "complete":
        yield f"it is {sidecar.status}, not complete{f': {sidecar.failure}' if sidecar.failure else ''}"


def _content(path: Path, sidecar: Sidecar) -> Iterator[str]:
    if not path.is_file():
        yield "it is not there"
        return
    size = path.stat().st_size
    if size != sidecar.octets:
        yield f"it has {size} octets; {sidecar.octets} were written"
    digest = sha256()
    with path.open("rb") as file:
        header = file.read(_HEADER)
        digest.update(header)
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != sidecar.sha256:
        yield "its SHA-256 is another one: it was changed after it was written"
    elif path.suffix == ".wav" and abs(_milliseconds(header) - sidecar.duration) > _TOLERANCE:
        yield f"it lasts {_milliseconds(header)} ms; its JSON says {sidecar.duration}"


def _milliseconds(header: bytes) -> int:
    """Return what the header of a WAV of ours says that it lasts."""
    rate, block = int.from_bytes(header[24:28], "little"), int.from_bytes(header[32:34], "little")
    return int.from_bytes(header[40:44], "little") // block * 1000 // rate if rate and block else 0


def _remarks(sidecar: Sidecar) -> Iterator[str]:
    if sidecar.gaps:
        yield f"{sidecar.gaps} ms of packets were missing"
    if sidecar.pauses:
        yield f"it was paused {len(sidecar.pauses)} time{'s' if len(sidecar.pauses) > 1 else ''}"
    if sidecar.note:
        yield sidecar.note
