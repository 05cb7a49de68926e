"""Who hears of calls: the call records and the log, from one summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from pbx.app.sidecars import SidecarWriter
from pbx.call.summary import LegSummary, RecordingSummary, Summary
from pbx.store.call_records import AttemptRecord, CallRecord, LegRecord, RecordingRecord

__all__ = ["CallObserver", "record_of"]

_log = structlog.get_logger("pbx.call")


class CallObserver:
    """Implements `pbx.call.ports.Observer`. `put` takes records and returns at once; `listeners` hear of ends too."""

    def __init__(self, put: Callable[[CallRecord], None], sidecars: SidecarWriter) -> None:
        self._put = put
        self._sidecars = sidecars
        self.on_ended: list[Callable[[Summary], None]] = []
        self.on_answered: list[Callable[[Summary], None]] = []
        self.on_started: list[Callable[[Summary], None]] = []
        self.faults = 0

    def call_started(self, summary: Summary) -> None:
        """Write the open record of a call that has come in."""
        self._put(record_of(summary))
        _log.info("call", call=summary.call, source=summary.source, called=summary.called, route=summary.route)
        for tell in self.on_started:
            tell(summary)

    def call_answered(self, summary: Summary) -> None:
        """Write that somebody talks, so that a record closed after a crash knows it."""
        self._put(record_of(summary))
        _log.info("answered", call=summary.call, destination=summary.destination)
        for tell in self.on_answered:
            tell(summary)

    def recording_changed(self, summary: Summary, recording: RecordingSummary) -> None:
        """Have the JSON beside a recording written; and in the call's record, so that one closed after a crash names
        its recordings."""
        self._sidecars.write(summary, recording)
        if summary.ended_at is None:
            self._put(record_of(summary))
        if recording.status == "failed":
            _log.error("recording-failed", call=summary.call, path=recording.path, reason=recording.failure)

    def call_ended(self, summary: Summary) -> None:
        """Write the whole record."""
        self._put(record_of(summary))
        cause = summary.cause
        _log.info(
            "ended",
            call=summary.call,
            cause=cause.slug if cause else "",
            detail=cause.detail if cause else "",
            seconds=round(summary.duration, 1),
        )
        for tell in self.on_ended:
            tell(summary)

    def fault(self, call: str, error: BaseException) -> None:
        """Log our own bug, loudly."""
        self.faults += 1
        _log.error("fault", call=call, exc_info=error)


def record_of(summary: Summary) -> CallRecord:
    """Return the record of a call as it stands."""
    record = CallRecord(
        id=summary.call,
        started=summary.started_at,
        source=summary.source,
        caller=summary.caller.number,
        caller_name=summary.caller.name,
        called=summary.called,
        number=summary.number,
        route=summary.route,
        destination=_destination(summary),
        answered=summary.answered_at,
        steps=tuple(summary.steps),
        attempts=tuple([AttemptRecord(one.target, one.outcome, one.detail) for one in summary.attempts]),
        legs=tuple([_leg(one) for one in summary.legs.values()]),
        recordings=tuple(
            [
                RecordingRecord(one.recording, one.path, one.status, one.duration, one.sha256, one.failure)
                for one in summary.recordings
            ]
        ),
    )
    if summary.cause is not None and summary.ended_at is not None:
        return record.ended_by(summary.cause, summary.ended_at, summary.duration)
    return record


def _destination(summary: Summary) -> str:
    """Return the target that answered, or else the one rung last, or else the last one that could not be rung."""
    if summary.destination:
        return summary.destination
    rung = list(summary.legs.values())[1:]  # the first leg is the caller's
    if rung:
        return rung[-1].target
    return summary.attempts[-1].target if summary.attempts else ""


def _leg(leg: LegSummary) -> LegRecord:
    record = LegRecord(leg.target, leg.sip_call_id, leg.remote, leg.codec, cause=leg.cause.slug if leg.cause else "")
    counts = leg.counts
    if counts is None:
        return record
    mos = leg.quality.mos if leg.quality is not None else None
    return replace(
        record,
        received_packets=counts.received_packets,
        sent_packets=counts.sent_packets,
        lost=counts.lost,
        jitter=round(counts.jitter, 2),
        round_trip=round(counts.round_trip, 2),
        mos=-1.0 if mos is None else round(mos, 2),
    )
