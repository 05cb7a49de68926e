"""Who hears of calls: the call records and the log, from one summary."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from pbx.app.sidecars import SidecarWriter
from pbx.call.summary import LegSummary, RecordingSummary, Summary
from pbx.call.table import State
from pbx.media.events import Verdict
from pbx.media.quality import Quality
from pbx.media.verdict import Finding, worst
from pbx.store.call_records import AttemptRecord, CallRecord, LegRecord, RecordingRecord

__all__ = ["CallObserver", "record_of"]

_TOGETHER = 0.25
"""Seconds."""
_ENDED = State.ENDED.value
_UNKNOWN = Quality()
_UNJUDGED = Verdict("", True, "", "")


class CallObserver:
    """Implements `pbx.call.ports.Observer`. `put` takes records and returns at once.

    Records are made a quarter of a second later, all together: whatever happens to a call within that time is written
    down once. `later` is the stack's.
    """

    def __init__(
        self,
        put: Callable[[CallRecord], None],
        sidecars: SidecarWriter,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._put = put
        self._sidecars = sidecars
        self._later = later
        self._changed: dict[str, Summary] = {}
        self._log = structlog.get_logger("pbx.call").bind()
        self.on_ended: list[Callable[[Summary], None]] = []
        self.on_started: list[Callable[[Summary], None]] = []
        self.faults = 0
        self.verdicts: dict[tuple[str, ...], float] = {}
        """Verdicts on audio so far, by direction and finding."""
        self._faulty: set[tuple[str, str, str]] = set()
        """Call, leg and direction of the audio that is at fault now."""

    def call_started(self, summary: Summary) -> None:
        """Have the open record of a call written that has come in."""
        self._write(summary)
        self._log.info("call", call=summary.call, source=summary.source, called=summary.called, route=summary.route)
        for tell in self.on_started:
            tell(summary)

    def call_answered(self, summary: Summary) -> None:
        """Have it written that somebody talks, so that a record closed after a crash knows it."""
        self._write(summary)
        self._log.info("answered", call=summary.call, destination=summary.destination)

    def recording_changed(self, summary: Summary, recording: RecordingSummary) -> None:
        """Have the JSON beside a recording written; and in the call's record, so that one closed after a crash names
        its recordings."""
        self._sidecars.write(summary, recording)
        self._write(summary)
        if recording.status == "failed":
            self._log.error("recording-failed", call=summary.call, path=recording.path, reason=recording.failure)

    def audio_judged(self, summary: Summary, leg: LegSummary, verdict: Verdict) -> None:
        """Count a verdict; one that is a fault, or the end of one, is logged and written down at once."""
        direction = "receiving" if verdict.arriving else "sending"
        key = direction, verdict.finding
        self.verdicts[key] = self.verdicts.get(key, 0) + 1
        mark = summary.call, leg.leg, direction
        if not verdict.fault and mark not in self._faulty:
            return
        if verdict.fault:
            self._faulty.add(mark)
        else:
            self._faulty.discard(mark)
        log = self._log.warning if verdict.fault else self._log.info
        log(
            "audio",
            call=summary.call,
            leg=leg.target,
            direction=direction,
            finding=verdict.finding,
            text=verdict.text,
            remedy=verdict.remedy,
        )
        if summary.state != _ENDED:
            self._write(summary)

    def call_ended(self, summary: Summary) -> None:
        """Have the whole record written."""
        self._write(summary)
        self._faulty -= {
            (summary.call, leg, direction) for leg in summary.legs for direction in ("receiving", "sending")
        }
        cause = summary.cause
        self._log.info(
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
        self._log.error("fault", call=call, exc_info=error)

    def _write(self, summary: Summary) -> None:
        if not self._changed:
            self._later(_TOGETHER, self.flush)
        self._changed[summary.call] = summary

    def flush(self) -> None:
        """Put the records of all calls that have changed."""
        changed, self._changed = self._changed, {}
        for summary in changed.values():
            self._put(record_of(summary))


def record_of(summary: Summary) -> CallRecord:
    """Return the record of a call as it stands."""
    cause = summary.cause if summary.state == _ENDED else None
    return CallRecord(
        id=summary.call,
        started=summary.started_at,
        source=summary.source,
        caller=summary.caller.number,
        called=summary.called,
        caller_name=summary.caller.name,
        number=summary.number,
        route=summary.route,
        destination=_destination(summary),
        answered=summary.answered_at,
        ended=None if cause is None else summary.ended_at,
        duration=0.0 if cause is None else summary.duration,
        cause="" if cause is None else cause.slug,
        cause_text="" if cause is None else cause.text,
        cause_detail="" if cause is None else cause.detail,
        blame="" if cause is None else cause.blame.value,
        sip_status=0 if cause is None else cause.sip_status,
        verification=summary.verification.outcome if summary.verification.detail else "",
        verification_detail=summary.verification.detail,
        attestation=summary.verification.attestation,
        steps=tuple(summary.steps),
        attempts=tuple([AttemptRecord(one.target, one.outcome, one.detail) for one in summary.attempts]),
        legs=tuple([_leg(one) for one in summary.legs.values()]),
        recordings=tuple(
            [
                RecordingRecord(one.recording, one.path, one.status, one.duration, one.sha256, one.failure)
                for one in summary.recordings
            ]
        ),
        audio=_audio(summary),
    )


def _destination(summary: Summary) -> str:
    """Return the target that answered, or else the one rung last, or else the last one that could not be rung."""
    if summary.destination:
        return summary.destination
    rung = list(summary.legs.values())[1:]  # the first leg is the caller's
    if rung:
        return rung[-1].target
    return summary.attempts[-1].target if summary.attempts else ""


def _audio(summary: Summary) -> str:
    verdicts = [one for leg in summary.legs.values() for one in (leg.receiving, leg.sending) if one is not None]
    found = worst([Finding(verdict.finding) for verdict in verdicts])
    return "" if found is None else found.value


def _rounded(value: float | None) -> float:
    return -1.0 if value is None else round(value, 2)


def _share(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else -1.0


def _leg(leg: LegSummary) -> LegRecord:
    cause = leg.cause.slug if leg.cause else ""
    counts, quality = leg.counts, leg.quality
    if counts is None:
        return LegRecord(leg.target, leg.sip_call_id, leg.remote, leg.codec, cause=cause, encryption=leg.encryption)
    if quality is None:
        quality = _UNKNOWN
    receiving, sending = leg.receiving or _UNJUDGED, leg.sending or _UNJUDGED
    return LegRecord(
        leg.target,
        leg.sip_call_id,
        leg.remote,
        leg.codec,
        counts.received_packets,
        counts.sent_packets,
        counts.lost,
        round(counts.jitter, 2),
        round(counts.round_trip, 2),
        _rounded(quality.mos),
        cause,
        leg.encryption,
        counts.dropped_unauthentic,
        counts.dropped_replayed,
        _rounded(quality.r_factor),
        _rounded(quality.loss),
        _rounded(quality.remote_loss),
        _rounded(quality.remote_jitter),
        _rounded(quality.remote_mos),
        counts.concealed,
        _share(counts.silent, counts.inspected),
        _share(counts.clipped, counts.inspected),
        receiving.finding,
        receiving.text,
        receiving.remedy,
        sending.finding,
        sending.text,
        sending.remedy,
    )
