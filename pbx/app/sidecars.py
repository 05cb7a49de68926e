"""The JSON beside each recording, written by a thread of its own: the reactor waits for no disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import structlog

from pbx.call.summary import RecordingSummary, Summary
from pbx.media.recordings import Sidecar, write_sidecar

__all__ = ["SidecarWriter"]

_log = structlog.get_logger("pbx.recordings")


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


class SidecarWriter:
    """Writes sidecars in the order in which they were asked for."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sidecars")
        self.failures = 0
        """Sidecars that could not be written."""

    def write(self, summary: Summary, recording: RecordingSummary) -> None:
        """Have the JSON beside `recording` say what is known of it now. Returns at once."""
        path = Path(recording.path)
        sidecar = Sidecar(
            call=summary.call,
            recording=recording.recording,
            file=path.name,
            started=_text(recording.started_at),
            left=recording.left,
            right=recording.right,
            caller=summary.caller.number,
            called=summary.called,
            status=recording.status,
            duration=recording.duration,
            octets=recording.octets,
            sha256=recording.sha256,
            gaps=recording.gaps,
            failure=recording.failure,
            channels="mixed" if recording.mixed else "stereo" if recording.right else "mono",
            pauses=tuple([(_text(begin), _text(end) if end else "") for begin, end in recording.pauses]),
            note=recording.note,
        )
        self._thread.submit(self._write, path, sidecar)

    def stop(self) -> None:
        """Write what waits, and end."""
        self._thread.shutdown()

    def _write(self, path: Path, sidecar: Sidecar) -> None:
        try:
            write_sidecar(path, sidecar)
        except Exception as error:  # noqa: BLE001 - nobody looks at what becomes of work on a thread
            self.failures += 1
            reason = error.strerror if isinstance(error, OSError) else repr(error)
            _log.error("sidecar-failed", call=sidecar.call, path=str(path), reason=reason)
