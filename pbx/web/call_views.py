"""Calls, running and remembered, as the API shows them, and what it is asked for them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pbx.call.summary import Summary
from pbx.store.call_records import CallPage, CallRecord
from pbx.web.leg_view import Leg
from pbx.web.views import PartyView, View

__all__ = [
    "Attempt",
    "Call",
    "CallRecordPage",
    "CallRecordView",
    "Calls",
    "Cause",
    "NewCall",
    "Originate",
    "Recording",
    "RecordingAction",
]


class Cause(View):
    """Why a call ended."""

    slug: str
    text: str
    detail: str = ""
    blame: str
    sip_status: int


class Attempt(View):
    """One thing that was tried to answer the call."""

    target: str
    outcome: str
    detail: str = ""


class RecordingAction(BaseModel):
    """What is wanted of a call's recording."""

    action: Literal["start", "stop", "pause", "resume"]


class Recording(View):
    """One recording of a call; its file is at ``/api/v1/call-records/{call}/recordings/{id}``."""

    id: str
    status: str
    milliseconds: int = 0
    sha256: str = ""
    failure: str = ""


class Call(View):
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


class Calls(View):
    """The running calls."""

    calls: list[Call]


class Originate(BaseModel):
    """A call to be made: `source` rings, and when it answers, `number` is dialled as if it had."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(pattern=r"^extension/[^/\s]{1,64}$", examples=["extension/101"])]
    number: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\s]+$", examples=["0301234567"])]


class NewCall(View):
    """The call that was begun."""

    id: str


class CallRecordView(View):
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


class CallRecordPage(View):
    """Some records, newest first. Ask again with `after` set to `next` for those that follow; the last page has
    none."""

    records: list[CallRecordView]
    next: str

    @classmethod
    def of(cls, page: CallPage) -> CallRecordPage:
        """Return the view of a page."""
        return cls(records=[CallRecordView.of(record) for record in page.records], next=page.next)
