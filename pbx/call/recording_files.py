"""The files that a call's recordings go to: their names, their begin, and the ones that should be there and are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.summary import RecordingSummary
from pbx.media.events import RecordingFailed

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["record", "refuse"]


def record(
    call: Call, left: str, right: str | None, name: str = "", *, sound_format: str = "wav", mixed: bool = False
) -> str:
    """Record what two legs say (or one), from now on; return the recording's id.

    `name` is the file's, within the recordings folder.
    """
    path = _path(call, name, sound_format)
    recording = call.session.record(left, right, path, sound_format=sound_format, mixed=mixed)
    call.files.began(_summary(call, recording, path, left, right, mixed))
    return recording


def refuse(call: Call, callee: str, reason: str) -> None:
    """Write down that the call should be recorded and is not, and end it if policy says so."""
    path, recording = _path(call, "", "wav"), f"{call.id}/refused"
    call.files.began(_summary(call, recording, path, call.caller, callee, False))
    call.post(RecordingFailed(recording, path, reason))


def _path(call: Call, name: str, sound_format: str) -> str:
    stem = call.services.recording_path(name or call.id, call.services.wall()).removesuffix(".wav")
    taken = sum(one.path.rpartition(".")[0].startswith(stem) for one in call.summary.recordings)
    return f"{stem}{f'-{taken + 1}' if taken else ''}.{sound_format}"


def _summary(call: Call, recording: str, path: str, left: str, right: str | None, mixed: bool) -> RecordingSummary:
    legs = call.summary.legs
    other = legs[right].target if right is not None else ""
    return RecordingSummary(recording, path, call.services.wall(), legs[left].target, other, mixed=mixed)
