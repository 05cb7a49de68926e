"""What the API answers, as pydantic models: the schema that the OpenAPI page shows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pbx.call.summary import LegSummary, Summary
from pbx.media.events import Verdict
from pbx.media.quality import Quality
from pbx.ops.health import Report
from pbx.store.call_records import CallPage, CallRecord, LegRecord
from pbx.web.ports import Registration, TrunkState

__all__ = [
    "Attempt",
    "AudioVerdict",
    "Call",
    "CallRecordPage",
    "CallRecordView",
    "Calls",
    "Cause",
    "HealthView",
    "Leg",
    "NewCall",
    "Originate",
    "PartyView",
    "Problem",
    "Recording",
    "RecordingAction",
    "RegistrationView",
    "Registrations",
    "StatusView",
    "StoreView",
    "TrunkView",
    "Trunks",
]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Problem(_View):
    """Why a request was refused."""

    detail: str


class PartyView(_View):
    """Who somebody is."""

    number: str
    name: str = ""
    anonymous: bool = False


class Cause(_View):
    """Why a call ended."""

    slug: str
    text: str
    detail: str = ""
    blame: str
    sip_status: int


class AudioVerdict(_View):
    """How the audio of one direction does, or did when last judged."""

    finding: str
    """``flowing``, ``nothing`` …: see the audio verdict in the documentation."""
    text: str
    remedy: str = ""
    """What can be done; empty where nothing need be."""

    @classmethod
    def of(cls, finding: str, text: str, remedy: str) -> AudioVerdict | None:
        """Return the view of a verdict; None if there is none."""
        return cls(finding=finding, text=text, remedy=remedy) if finding else None


class Leg(_View):
    """One leg. Jitter, round trip and concealment are milliseconds, shares percent; null stands for not known (yet)."""

    target: str
    sip_call_id: str
    remote: str = ""
    codec: str = ""
    encryption: str | None = None
    """The SRTP suite of its audio; empty for plain RTP."""
    dropped_unauthentic: int | None = None
    dropped_replayed: int | None = None
    received_packets: int | None = None
    sent_packets: int | None = None
    lost: int | None = None
    jitter: float | None = None
    round_trip: float | None = None
    mos: float | None = None
    """Of what arrived from it (ITU-T G.107); `remote_mos` is of what arrived there, as its reports say."""
    r_factor: float | None = None
    loss: float | None = None
    remote_loss: float | None = None
    remote_jitter: float | None = None
    remote_mos: float | None = None
    concealed: int | None = None
    """Sound made up in place of lost packets, where it is decoded."""
    silent: float | None = None
    """The share of what arrived that was digital silence."""
    clipped: float | None = None
    """The share of what arrived that was cut off at full scale."""
    receiving: AudioVerdict | None = None
    """The audio from it; null while nobody has judged."""
    sending: AudioVerdict | None = None
    """The audio to it."""
    cause: str = ""

    @classmethod
    def of(cls, leg: LegSummary) -> Leg:
        """Return the view of a leg of a running call."""
        counts, quality = leg.counts, leg.quality or _UNKNOWN
        view = cls(
            target=leg.target,
            sip_call_id=leg.sip_call_id,
            remote=leg.remote,
            codec=leg.codec,
            encryption=leg.encryption,
            receiving=_verdict(leg.receiving),
            sending=_verdict(leg.sending),
            cause=leg.cause.slug if leg.cause else "",
        )
        if counts is None:
            return view
        return view.model_copy(
            update={
                "dropped_unauthentic": counts.dropped_unauthentic,
                "dropped_replayed": counts.dropped_replayed,
                "received_packets": counts.received_packets,
                "sent_packets": counts.sent_packets,
                "lost": counts.lost,
                "jitter": counts.jitter,
                "round_trip": _known(counts.round_trip),
                "mos": quality.mos,
                "r_factor": quality.r_factor,
                "loss": quality.loss,
                "remote_loss": quality.remote_loss,
                "remote_jitter": quality.remote_jitter,
                "remote_mos": quality.remote_mos,
                "concealed": counts.concealed,
                "silent": _share(counts.silent, counts.inspected),
                "clipped": _share(counts.clipped, counts.inspected),
            }
        )

    @classmethod
    def of_record(cls, leg: LegRecord) -> Leg:
        """Return the view of a leg as it is remembered."""
        return cls(
            target=leg.target,
            sip_call_id=leg.sip_call_id,
            remote=leg.remote,
            codec=leg.codec,
            encryption=leg.encryption,
            dropped_unauthentic=leg.dropped_unauthentic,
            dropped_replayed=leg.dropped_replayed,
            received_packets=leg.received_packets,
            sent_packets=leg.sent_packets,
            lost=leg.lost,
            jitter=leg.jitter,
            round_trip=_known(leg.round_trip),
            mos=_known(leg.mos),
            r_factor=_known(leg.r_factor),
            loss=_known(leg.loss),
            remote_loss=_known(leg.remote_loss),
            remote_jitter=_known(leg.remote_jitter),
            remote_mos=_known(leg.remote_mos),
            concealed=leg.concealed,
            silent=_known(leg.silent),
            clipped=_known(leg.clipped),
            receiving=AudioVerdict.of(leg.receiving, leg.receiving_text, leg.receiving_remedy),
            sending=AudioVerdict.of(leg.sending, leg.sending_text, leg.sending_remedy),
            cause=leg.cause,
        )


_UNKNOWN = Quality()


def _verdict(verdict: Verdict | None) -> AudioVerdict | None:
    return None if verdict is None else AudioVerdict.of(verdict.finding, verdict.text, verdict.remedy)


def _share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


class Attempt(_View):
    """One thing that was tried to answer the call."""

    target: str
    outcome: str
    detail: str = ""


class RecordingAction(BaseModel):
    """What is wanted of a call's recording."""

    action: Literal["start", "stop", "pause", "resume"]


class Recording(_View):
    """One recording of a call; its file is at ``/api/v1/call-records/{call}/recordings/{id}``."""

    id: str
    status: str
    milliseconds: int = 0
    sha256: str = ""
    failure: str = ""


class Call(_View):
    """A running call. `seconds` counts from its start, `talked` from its answer."""

    id: str
    state: str
    source: str
    caller: PartyView
    called: str
    number: str
    route: str
    destination: str
    started: datetime
    answered: datetime | None
    seconds: float
    talked: float
    legs: list[Leg]
    attempts: list[Attempt]
    recordings: list[Recording]

    @classmethod
    def of(cls, summary: Summary, now: datetime) -> Call:
        """Return the view of a call at `now`."""
        return cls(
            id=summary.call,
            state=summary.state,
            source=summary.source,
            caller=PartyView.model_validate(summary.caller),
            called=summary.called,
            number=summary.number,
            route=summary.route,
            destination=summary.destination,
            started=summary.started_at,
            answered=summary.answered_at,
            seconds=max(0.0, (now - summary.started_at).total_seconds()),
            talked=max(0.0, (now - summary.answered_at).total_seconds()) if summary.answered_at else 0.0,
            legs=[Leg.of(leg) for leg in summary.legs.values()],
            attempts=[Attempt.model_validate(attempt) for attempt in summary.attempts],
            recordings=[
                Recording(
                    id=one.recording,
                    status=one.status,
                    milliseconds=one.duration,
                    sha256=one.sha256,
                    failure=one.failure,
                )
                for one in summary.recordings
            ],
        )


class Calls(_View):
    """The running calls."""

    calls: list[Call]


class Originate(BaseModel):
    """A call to be made: `source` rings, and when it answers, `number` is dialled as if it had."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(pattern=r"^extension/[^/\s]{1,64}$", examples=["extension/101"])]
    number: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\s]+$", examples=["0301234567"])]


class NewCall(_View):
    """The call that was begun."""

    id: str


class CallRecordView(_View):
    """A call as it is remembered. `duration` is seconds from its answer to its end."""

    id: str
    node: str
    started: datetime
    answered: datetime | None
    ended: datetime | None
    duration: float
    source: str
    caller: PartyView
    called: str
    number: str
    route: str
    destination: str
    cause: Cause | None
    verification: str
    """What a signature says of who calls: ``passed``, ``failed``, ``none``; empty where none is looked for."""
    verification_detail: str
    attestation: str
    steps: list[str]
    attempts: list[Attempt]
    legs: list[Leg]
    audio: str = ""
    """The worst of what its legs' audio did; empty if it was not judged."""
    recordings: list[Recording]

    @classmethod
    def of(cls, record: CallRecord) -> CallRecordView:
        """Return the view of a record."""
        return cls(
            id=record.id,
            node=record.node,
            started=record.started,
            answered=record.answered,
            ended=record.ended,
            duration=record.duration,
            source=record.source,
            caller=PartyView(number=record.caller, name=record.caller_name),
            called=record.called,
            number=record.number,
            route=record.route,
            destination=record.destination,
            cause=Cause(
                slug=record.cause,
                text=record.cause_text,
                detail=record.cause_detail,
                blame=record.blame,
                sip_status=record.sip_status,
            )
            if record.cause
            else None,
            verification=record.verification,
            verification_detail=record.verification_detail,
            attestation=record.attestation,
            steps=list(record.steps),
            attempts=[Attempt.model_validate(attempt) for attempt in record.attempts],
            legs=[Leg.of_record(leg) for leg in record.legs],
            audio=record.audio,
            recordings=[Recording.model_validate(recording) for recording in record.recordings],
        )


def _known(value: float) -> float | None:
    return None if value < 0 else value


class CallRecordPage(_View):
    """Some records, newest first. Ask again with `after` set to `next` for those that follow; the last page has
    none."""

    records: list[CallRecordView]
    next: str

    @classmethod
    def of(cls, page: CallPage) -> CallRecordPage:
        """Return the view of a page."""
        return cls(records=[CallRecordView.of(record) for record in page.records], next=page.next)


class RegistrationView(_View):
    """One registered contact. `expires` is seconds from now."""

    aor: str
    contact: str
    source: str
    expires: float
    q: float
    user_agent: str
    path: list[str]
    behind_nat: bool
    reachable: bool

    @classmethod
    def of(cls, registration: Registration) -> RegistrationView:
        """Return the view of a registration."""
        return cls.model_validate(registration)


class Registrations(_View):
    """Every registered contact."""

    registrations: list[RegistrationView]


class TrunkView(_View):
    """One trunk. Counts are calls since the start, `active` those of now."""

    name: str
    address: str
    active: int
    inbound: int
    outbound: int
    failed: int
    max_calls: int | None
    health: str
    """``up``, ``down``, ``unknown``, or ``unwatched`` for a trunk that is not asked."""
    health_for: float | None
    """Seconds that it has been so."""
    round_trip: float | None
    """Seconds that its last reply took."""
    detail: str
    registration: str
    """``registered``, ``registering``, ``waiting`` …; ``none`` where we do not register with it."""
    registration_ends: float | None
    """Seconds until it ends, if it is not renewed."""
    registration_detail: str
    """Why there is none, or no new one."""
    max_calls_per_second: float | None
    why_not: str
    """Why it takes no calls now, where another one is there to take them; empty if it does."""

    @classmethod
    def of(cls, trunk: TrunkState) -> TrunkView:
        """Return the view of a trunk."""
        return cls.model_validate(trunk)


class Trunks(_View):
    """Every trunk."""

    trunks: list[TrunkView]


class HealthView(_View):
    """Whether the server should be given work, and each part by name: ``ok``, or what is the matter."""

    status: str
    checks: dict[str, str]

    @classmethod
    def of(cls, report: Report) -> HealthView:
        """Return the view of a report."""
        checks = {
            name: f"{check.condition.value}: {check.detail}" if check.detail else check.condition.value
            for name, check in report.checks.items()
        }
        return cls(status=report.status, checks=checks)


class StoreView(_View):
    """How writing to the database goes."""

    state: str
    waiting_rows: int
    spool_bytes: int
    lost_rows: int
    error: str


class StatusView(_View):
    """The server at a glance. `reactor_lag` is the longest that a timer was late, in seconds."""

    version: str
    status: str
    started: datetime
    uptime: float
    calls: int
    registrations: int
    trunks: int
    reactor_lag: float
    checks: dict[str, str]
    store: StoreView
