"""What became of the recordings of one call, in its summary."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pbx.call.summary import RecordingSummary, Summary
from pbx.media.events import RecordingBehind, RecordingEnded, RecordingFailed

__all__ = ["RecordingLog"]


class RecordingLog:
    """Keeps the list of a summary's recordings true; `changed` hears of each begin and end."""

    __slots__ = ("_summary", "_tell")

    def __init__(self, summary: Summary, changed: Callable[[Summary, RecordingSummary], None]) -> None:
        self._summary = summary
        self._tell = changed

    @property
    def _recordings(self) -> list[RecordingSummary]:
        return self._summary.recordings

    def _changed(self, recording: RecordingSummary) -> None:
        self._tell(self._summary, recording)

    def began(self, recording: RecordingSummary) -> None:
        """Write down that a recording was asked for."""
        self._recordings.append(recording)
        self._changed(recording)

    @property
    def running(self) -> list[str]:
        """The ids of the recordings whose end was not told yet."""
        return [one.recording for one in self._recordings if one.status == "running"]

    def note(self, event: RecordingEnded | RecordingFailed) -> None:
        """Write down the end of a recording; one that this call did not begin is none of its business."""
        for one in self._recordings:
            if one.recording == event.recording:
                if isinstance(event, RecordingEnded):
                    one.status, one.duration, one.sha256 = "complete", event.duration, event.sha256
                    one.octets, one.gaps = event.octets, event.gaps
                    one.path, one.note = event.path, event.note or one.note
                else:
                    one.status, one.failure = "failed", event.reason
                    one.path = f"{one.path.rpartition('.')[0]}.wav"
                self._changed(one)

    def behind(self, event: RecordingBehind) -> None:
        """Write down that packets are missing in a recording because the disk is too slow."""
        for one in self._recordings:
            if one.recording == event.recording:
                one.note = "packets are missing: the disk was too slow"
                self._changed(one)

    def pause(self, recording: str, paused: bool, at: datetime) -> None:
        """Write down that a recording was paused, or went on; nothing if that is how it was."""
        for one in self._recordings:
            if one.recording != recording:
                continue
            pending = bool(one.pauses) and one.pauses[-1][1] is None
            if paused and not pending:
                one.pauses.append((at, None))
            elif not paused and pending:
                one.pauses[-1] = (one.pauses[-1][0], at)
            else:
                return
            self._changed(one)

    def give_up(self, failure: str) -> None:
        """Write down that the end of whatever still runs will never be told."""
        for one in self._recordings:
            if one.status == "running":
                one.status, one.failure = "failed", failure
                self._changed(one)
