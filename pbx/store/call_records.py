"""Call records: what is kept of a call, and how they are found again.

A record is a value. It is put when the call starts and again when it ends, the later one taking the earlier one's
place, so that a call that the server did not survive is seen to have been there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Engine, RowMapping, and_, or_, select, update

from pbx.cause import EndCause, cause_named
from pbx.store.schema import Row, call_records, heartbeats
from pbx.store.writer import Writer
from pbx.values import dataclass

__all__ = [
    "AttemptRecord",
    "CallFilter",
    "CallPage",
    "CallRecord",
    "CallRecords",
    "LegRecord",
    "RecordingRecord",
    "search_records",
]

_TABLE = call_records.name


@dataclass(frozen=True, slots=True)
class LegRecord:
    """One leg of a call. Jitter and round trip are milliseconds; -1 stands for not known."""

    target: str
    """Who was at its other end: ``extension/101``, ``trunk/carrier``."""
    sip_call_id: str = ""
    remote: str = ""
    """The signalling address."""
    codec: str = ""
    received_packets: int = 0
    sent_packets: int = 0
    lost: int = 0
    jitter: float = 0.0
    round_trip: float = -1.0
    mos: float = -1.0
    cause: str = ""
    """A cause's slug."""
    encryption: str = ""
    """The SRTP suite of its audio; empty for plain RTP."""
    dropped_unauthentic: int = 0
    """SRTP that the peer's key did not open."""
    dropped_replayed: int = 0
    r_factor: float = -1.0
    loss: float = -1.0
    """Percent of the peer's packets that did not arrive."""
    remote_loss: float = -1.0
    """Percent of ours that did not arrive there, as the peer reports; so the next two."""
    remote_jitter: float = -1.0
    remote_mos: float = -1.0
    concealed: int = 0
    """Milliseconds of sound made up where packets were lost, if it was decoded."""
    silent: float = -1.0
    """Percent of what arrived that was digital silence."""
    clipped: float = -1.0
    """Percent of what arrived that was cut off at full scale."""
    receiving: str = ""
    """How the audio from it did when last judged: ``flowing``, ``nothing`` …; empty if it was not."""
    receiving_text: str = ""
    receiving_remedy: str = ""
    sending: str = ""
    """The same of the audio to it."""
    sending_text: str = ""
    sending_remedy: str = ""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One thing that was tried to answer the call; `outcome` is a cause's slug, ``answered`` or ``passed-over``."""

    target: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RecordingRecord:
    """One recording. `status` is ``running``, ``complete``, ``failed`` or ``interrupted`` (the server died)."""

    id: str
    path: str
    status: str = "running"
    milliseconds: int = 0
    sha256: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call. Times are aware; `ended` and `cause` come when it is over."""

    id: str
    started: datetime
    source: str
    """``extension/101`` or ``trunk/customer``."""
    caller: str
    called: str
    """As the caller dialled it."""
    caller_name: str = ""
    number: str = ""
    """As it was dialled on."""
    route: str = ""
    destination: str = ""
    """The target that answered, or the last one tried."""
    answered: datetime | None = None
    ended: datetime | None = None
    duration: float = 0.0
    """Seconds from answer to end."""
    cause: str = ""
    cause_text: str = ""
    cause_detail: str = ""
    blame: str = ""
    sip_status: int = 0
    verification: str = ""
    """What a signature says of who calls: ``passed``, ``failed`` or ``none``; empty where none is looked for."""
    verification_detail: str = ""
    """Why, in words."""
    attestation: str = ""
    """How far its signer vouches for who calls: ``A``, ``B``, ``C`` (RFC 8588), or empty."""
    steps: tuple[str, ...] = ()
    """The steps of the route that were taken."""
    attempts: tuple[AttemptRecord, ...] = ()
    legs: tuple[LegRecord, ...] = ()
    recordings: tuple[RecordingRecord, ...] = ()
    audio: str = ""
    """The worst of what its legs' audio did; empty if it was not judged."""
    node: str = ""
    """Which server wrote it; filled in when it is put."""

    @property
    def recording_status(self) -> str:
        """The worst status of all recordings; empty if there was none."""
        found = {recording.status for recording in self.recordings}
        return next((status for status in ("failed", "interrupted", "running", "complete") if status in found), "")

    def ended_by(self, cause: EndCause, ended: datetime, duration: float | None = None) -> CallRecord:
        """Return the record of this call as it ended; `duration` in seconds, else by the wall clock."""
        if duration is None:
            duration = max(0.0, (ended - self.answered).total_seconds()) if self.answered else 0.0
        return replace(
            self,
            ended=ended,
            duration=duration,
            cause=cause.slug,
            cause_text=cause.text,
            cause_detail=cause.detail,
            blame=cause.blame.value,
            sip_status=cause.sip_status,
        )

    def row(self) -> Row:
        """Return the row of this record."""
        return {
            "id": self.id,
            "node": self.node,
            "started": self.started,
            "answered": self.answered,
            "ended": self.ended,
            "duration": self.duration,
            "source": self.source,
            "caller": self.caller,
            "caller_name": self.caller_name,
            "called": self.called,
            "number": self.number,
            "route": self.route,
            "destination": self.destination,
            "cause": self.cause,
            "cause_text": self.cause_text,
            "cause_detail": self.cause_detail,
            "blame": self.blame,
            "sip_status": self.sip_status,
            "verification": self.verification,
            "verification_detail": self.verification_detail,
            "attestation": self.attestation,
            "steps": list(self.steps),
            "attempts": [_attempt(attempt) for attempt in self.attempts],
            "legs": [_leg(leg) for leg in self.legs],
            "recordings": [_recording(recording) for recording in self.recordings],
            "recording_status": self.recording_status,
            "audio": self.audio,
        }


@dataclass(frozen=True, slots=True)
class _Owned:
    record: CallRecord
    node: str

    def row(self) -> Row:
        row = self.record.row()
        row["node"] = self.node
        return row


def _reader(kind: type[LegRecord | AttemptRecord | RecordingRecord]) -> Callable[[object], dict[str, Any]]:
    """Return what makes a dictionary of a value of `kind`; several times faster than dataclasses.asdict."""
    names = tuple(field.name for field in fields(kind))
    read = attrgetter(*names)
    return lambda value: dict(zip(names, read(value), strict=True))


_leg, _attempt, _recording = _reader(LegRecord), _reader(AttemptRecord), _reader(RecordingRecord)


def _record(row: RowMapping) -> CallRecord:
    values: dict[str, Any] = {str(name): value for name, value in row.items()}
    del values["recording_status"]
    values["steps"] = tuple(values["steps"])
    values["attempts"] = tuple(AttemptRecord(**item) for item in values["attempts"])
    values["legs"] = tuple(LegRecord(**item) for item in values["legs"])
    values["recordings"] = tuple(RecordingRecord(**item) for item in values["recordings"])
    return CallRecord(**values)


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which records are wanted; what is None or empty does not matter. `number` is the caller or the called."""

    since: datetime | None = None
    """Started at this moment or later."""
    until: datetime | None = None
    """Started before this moment."""
    number: str = ""
    caller: str = ""
    called: str = ""
    source: str = ""
    destination: str = ""
    route: str = ""
    cause: str = ""
    answered: bool | None = None
    recorded: bool | None = None
    audio: str = ""
    verification: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return this filter in SQL."""
        columns = call_records.c
        found: list[ColumnElement[bool]] = [
            columns[name] == value
            for name in ("caller", "called", "source", "destination", "route", "cause", "audio", "verification")
            if (value := getattr(self, name))
        ]
        if self.since is not None:
            found.append(columns.started >= self.since)
        if self.until is not None:
            found.append(columns.started < self.until)
        if self.number:
            found.append(or_(*(column == self.number for column in (columns.caller, columns.called, columns.number))))
        if self.answered is not None:
            found.append(columns.answered.is_not(None) if self.answered else columns.answered.is_(None))
        if self.recorded is not None:
            found.append(columns.recording_status != "" if self.recorded else columns.recording_status == "")
        return found


@dataclass(frozen=True, slots=True)
class CallPage:
    """Some records, newest first; `next` asks for those after them, and is empty on the last page."""

    records: tuple[CallRecord, ...]
    next: str = ""


_NO_FILTER = CallFilter()


def search_records(engine: Engine, wanted: CallFilter, limit: int, after: str = "") -> CallPage:
    """Return up to `limit` records of a database, as `CallRecords.search`. SQLAlchemyError if it cannot be read."""
    columns = call_records.c
    query = select(call_records).where(*wanted.conditions())
    if after:
        moment, call = _position(after)
        query = query.where(or_(columns.started < moment, and_(columns.started == moment, columns.id < call)))
    query = query.order_by(columns.started.desc(), columns.id.desc()).limit(limit + 1)
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    records = tuple(_record(row) for row in rows[:limit])
    more = len(rows) > limit and records
    return CallPage(records, f"{records[-1].started.isoformat()} {records[-1].id}" if more else "")


@dataclass(slots=True)
class CallRecords:
    """The call records of the database. `put` never waits; the others query, and belong on a thread that may wait."""

    engine: Engine
    writer: Writer
    node: str

    def put(self, record: CallRecord) -> None:
        """Keep a record, in place of the one of the same id. Returns at once; it is on disk within the second."""
        self.writer.put(_TABLE, (record.id,), record if record.node else _Owned(record, self.node))

    def get(self, call: str) -> CallRecord | None:
        """Return the record of this id, if there is one."""
        with self.engine.connect() as connection:
            row = connection.execute(select(call_records).where(call_records.c.id == call)).mappings().first()
        return _record(row) if row is not None else None

    def search(self, wanted: CallFilter = _NO_FILTER, limit: int = 100, after: str = "") -> CallPage:
        """Return up to `limit` records, newest first, from where page `after` ended. ValueError for a bad `after`."""
        return search_records(self.engine, wanted, limit, after)

    def close_interrupted(self) -> tuple[CallRecord, ...]:
        """Close the calls that this node left open when it died, at its last heartbeat, and return them.

        Their running recordings become ``interrupted``. To be called before the first call of this run.
        """
        columns = call_records.c
        closed = []
        with self.engine.begin() as connection:
            beat = connection.execute(select(heartbeats.c.beat).where(heartbeats.c.node == self.node)).scalar()
            still_open = select(call_records).where(columns.ended.is_(None), columns.node == self.node)
            for row in connection.execute(still_open).mappings().all():
                record = _record(row)
                alive = [moment for moment in (beat, record.answered, record.started) if moment is not None]
                record = replace(record, recordings=tuple(_interrupted(one) for one in record.recordings))
                record = record.ended_by(cause_named("server-crashed"), max(alive))
                connection.execute(update(call_records).where(columns.id == record.id).values(record.row()))
                closed.append(record)
        return tuple(closed)


def _interrupted(recording: RecordingRecord) -> RecordingRecord:
    return replace(recording, status="interrupted") if recording.status == "running" else recording


def _position(after: str) -> tuple[datetime, str]:
    moment, found, call = after.partition(" ")
    if not found:
        raise ValueError("no position of a page")
    started = datetime.fromisoformat(moment)
    return (started if started.tzinfo else started.replace(tzinfo=UTC)), call
