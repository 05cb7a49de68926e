"""What became of the recordings of one call, in its summary."""

from __future__ import annotations

from collections.abc import Callable

from pbx.call.summary import RecordingSummary
from pbx.media.events import RecordingEnded, RecordingFailed

__all__ = ["RecordingLog"]


class RecordingLog:
    """Keeps the list of a summary's recordings true; `changed` hears of each begin and end."""

    __slots__ = ("_changed", "_recordings")

    def __init__(self, recordings: list[RecordingSummary], changed: Callable[[RecordingSummary], None]) -> None:
        self._recordings = recordings
        self._changed = changed

    def began(self, recording: RecordingSummary) -> None:
        """Write down that a recording was asked for."""
        self._recordings.append(recording)
        self._changed(recording)

    @property
    def running(self) -> list[str]:
        """The ids of the recordings whose end was not told yet."""
        return [one.recording for one in self._recordings if one.status == "running"]

    @property
    def latest(self) -> str:
        """The id of the recording that was begun last; LookupError if there is none."""
        return self._recordings[-1].recording

    def note(self, event: RecordingEnded | RecordingFailed) -> None:
        """Write down the end of a recording; one that this call did not begin is none of its business."""
        for one in self._recordings:
            if one.recording == event.recording:
                if isinstance(event, RecordingEnded):
                    one.status, one.duration, one.sha256 = "complete", event.duration, event.sha256
                    one.octets, one.gaps = event.octets, event.gaps
                else:
                    one.status, one.failure = "failed", event.reason
                self._changed(one)

    def give_up(self, failure: str) -> None:
        """Write down that the end of whatever still runs will never be told."""
        for one in self._recordings:
            if one.status == "running":
                one.status, one.failure = "failed", failure
                self._changed(one)
