"""The HTTP application: metrics, health, and the API with its page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Response
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from pbx.ops.metrics import CONTENT_TYPE
from pbx.store.call_records import CallFilter, CallRecord
from pbx.web.bundle import bundle
from pbx.web.call_views import Call, CallRecordPage, CallRecordView, Calls, NewCall, Originate, RecordingAction
from pbx.web.conferences_api import conferences_router
from pbx.web.listing import answer_list
from pbx.web.page import page_router
from pbx.web.ports import Ports
from pbx.web.security import Guard, SecurityHeaders
from pbx.web.security_api import security_router
from pbx.web.server_views import HealthView, Registrations, RegistrationView, StatusView, StoreView, Trunks, TrunkView
from pbx.web.views import Problem

__all__ = ["make_api"]

_REFUSED: dict[int | str, dict[str, Any]] = {401: {"model": Problem, "description": "No token, or a wrong one"}}
_MEDIA_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".opus": "audio/ogg"}
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is none of that id"}}


def make_api(
    ports: Ports, guard: Guard, https: bool = False, allows: Callable[[str], bool] = lambda host: True
) -> FastAPI:
    """Return the ASGI application; `allows` says from which addresses it may be used."""
    application = FastAPI(
        title="Tandem",
        version=ports.version,
        summary="Calls, registrations, trunks and call records of one PBX.",
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(SecurityHeaders, https=https, allows=allows)],
    )
    application.include_router(page_router())
    application.include_router(_open_router(ports, guard))
    routers = (_server_router(ports), _calls_router(ports), _traces_router(ports), _records_router(ports))
    for router in (*routers, conferences_router(ports), security_router(ports)):
        application.include_router(router, prefix="/api/v1", dependencies=[Depends(guard.api)], responses=_REFUSED)
    return application


def _now() -> datetime:
    return datetime.now(UTC)


def _open_router(ports: Ports, guard: Guard) -> APIRouter:
    """What monitoring asks; health says no more than a word to who has no token."""
    router = APIRouter(tags=["monitoring"])

    @router.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """Whether the process lives: it does if it answers."""
        return "ok\n"

    @router.get("/readyz", response_class=PlainTextResponse, responses={503: {"description": "Not ready"}})
    async def readyz() -> Response:
        """Whether the server should be given work: listeners up, store and media well, not draining."""
        report = ports.report()
        return PlainTextResponse(report.status + "\n", 200 if report.ready else 503)

    @router.get("/metrics", dependencies=[Depends(guard.metrics)], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(ports.metrics(), media_type=CONTENT_TYPE)

    return router


def _server_status(ports: Ports) -> StatusView:
    """Return the server at a glance."""
    health, store, now = HealthView.of(ports.report()), ports.store(), _now()
    return StatusView(
        version=ports.version,
        execution=ports.execution,
        status=health.status,
        started=ports.started,
        uptime=(now - ports.started).total_seconds(),
        calls=len(ports.calls),
        registrations=ports.registered(),
        trunks=len(ports.trunks()),
        reactor_lag=ports.reactor_lag(),
        checks=health.checks,
        store=StoreView(
            state=store.state.value,
            waiting_rows=store.waiting,
            spool_bytes=store.spooled_octets,
            lost_rows=store.lost,
            error=store.error,
        ),
    )


def _server_router(ports: Ports) -> APIRouter:
    router = APIRouter(tags=["server"])

    @router.get("/status")
    async def status() -> StatusView:
        """The server at a glance."""
        return _server_status(ports)

    @router.get("/registrations", response_model=Registrations)
    async def registrations(aor: str = "") -> Response:
        """Every registered contact, or those of one address-of-record or extension."""
        wanted = (
            one
            for one in ports.registrations()
            if not aor or aor in (one.aor, one.aor.partition(":")[2].partition("@")[0])
        )
        return await answer_list("registrations", wanted, RegistrationView.of)

    @router.get("/trunks")
    async def trunks() -> Trunks:
        """Every trunk, with its calls."""
        return Trunks(trunks=[TrunkView.of(trunk) for trunk in ports.trunks()])

    return router


def _calls_router(ports: Ports) -> APIRouter:
    router = APIRouter(prefix="/calls", tags=["calls"])

    @router.get("", response_model=Calls)
    async def calls() -> Response:
        """The running calls, the longest one first."""
        now = _now()
        return await answer_list("calls", ports.calls.all(), lambda summary: Call.of(summary, now))

    @router.post("", status_code=201, responses={409: {"model": Problem, "description": "It cannot be made"}})
    async def originate(wanted: Originate, response: Response) -> NewCall:
        """Ring an extension and, when it answers, dial a number as if it had."""
        try:
            call = ports.originate(wanted.source, wanted.number)
        except LookupError as error:
            raise HTTPException(409, str(error.args[0]) if error.args else "It cannot be made.") from error
        response.headers["Location"] = f"/api/v1/calls/{call}"
        return NewCall(id=call)

    @router.get("/{call}", responses=_UNKNOWN)
    async def one_call(call: str) -> Call:
        """One running call."""
        summary = ports.calls.get(call)
        if summary is None:
            raise HTTPException(404, "There is no running call of this id; its record is at /api/v1/call-records.")
        return Call.of(summary, _now())

    @router.delete("/{call}", status_code=204, responses=_UNKNOWN)
    async def hang_up(call: str) -> None:
        """End a call."""
        if not ports.calls.hang_up(call):
            raise HTTPException(404, "There is no running call of this id.")

    @router.post(
        "/{call}/recording",
        status_code=204,
        responses=_UNKNOWN | {409: {"model": Problem, "description": "It cannot be done now"}},
    )
    async def record(call: str, wanted: RecordingAction) -> None:
        """Start, stop, pause or resume the recording of a call whose two sides are connected."""
        try:
            refusal = ports.calls.record(call, wanted.action)
        except LookupError as error:
            raise HTTPException(404, "There is no running call of this id.") from error
        if refusal:
            raise HTTPException(409, f"{refusal[0].upper()}{refusal[1:]}.")

    return router


def _traces_router(ports: Ports) -> APIRouter:
    router = APIRouter(prefix="/calls", tags=["calls"])

    async def sip_call_ids(call: str) -> tuple[str, ...]:
        """Find the SIP Call-IDs of a call, running or ended."""
        summary = ports.calls.get(call)
        if summary is not None:
            return summary.sip_call_ids
        record = await run_in_threadpool(ports.records.get, call)
        if record is None:
            raise HTTPException(404, "There is no call of this id.")
        return tuple(leg.sip_call_id for leg in record.legs if leg.sip_call_id)

    @router.get("/{call}/trace", response_class=PlainTextResponse, responses=_UNKNOWN)
    async def trace(call: str, bodies: bool = False) -> str:
        """The SIP messages of a call as a ladder, with `bodies` in full too; for as long as they are kept."""
        text = ports.trace.ladder(await sip_call_ids(call), bodies)
        if not text:
            raise HTTPException(404, "No messages of this call are kept any more.")
        return text

    @router.get(
        "/{call}/trace.pcap",
        response_class=Response,
        responses=_UNKNOWN | {200: {"content": {"application/vnd.tcpdump.pcap": {}}}},
    )
    async def trace_pcap(call: str) -> Response:
        """The SIP messages of a call as a capture file for Wireshark."""
        data = ports.trace.pcap(await sip_call_ids(call))
        if not data:
            raise HTTPException(404, "No messages of this call are kept any more.")
        return Response(
            data,
            media_type="application/vnd.tcpdump.pcap",
            headers={"Content-Disposition": 'attachment; filename="call.pcap"'},
        )

    @router.get(
        "/{call}/bundle.zip",
        response_class=Response,
        responses=_UNKNOWN | {200: {"content": {"application/zip": {}}}},
    )
    async def bundle_of(call: str) -> Response:
        """All that is known of a call, running or ended, in one file: messages, decisions, media, configuration."""
        call_ids = await sip_call_ids(call)
        summary = ports.calls.get(call)
        record = None if summary is not None else await run_in_threadpool(ports.records.get, call)
        if summary is not None:
            facts = Call.of(summary, _now()).model_dump_json(indent=1)
            at = summary.started_at
            about = (summary.source, summary.called, at, summary.caller.number, summary.caller.name)
        elif record is not None:
            facts = CallRecordView.of(record).model_dump_json(indent=1)
            about = (record.source, record.called, record.started, record.caller, record.caller_name)
        else:
            raise HTTPException(404, "There is no call of this id.")
        files: dict[str, str | bytes] = {
            "call.json": facts,
            "ladder.txt": ports.trace.ladder(call_ids, True),
            "trace.pcap": ports.trace.pcap(call_ids),
            "server.json": _server_status(ports).model_dump_json(indent=1),
            **await run_in_threadpool(ports.circumstances, *about),
        }
        return Response(
            await run_in_threadpool(bundle, call, ports.version, _now(), files),
            media_type="application/zip",
            headers={"Content-Disposition": 'attachment; filename="call.zip"'},
        )

    return router


def _records_router(ports: Ports) -> APIRouter:
    """The handlers here wait for the database, so they are no coroutines: FastAPI runs them on threads."""
    router = APIRouter(prefix="/call-records", tags=["call records"])

    def find(call: str) -> CallRecord:
        record = ports.records.get(call)
        if record is None:
            raise HTTPException(404, "There is no call record of this id.")
        return record

    @router.get("", responses={400: {"model": Problem, "description": "A bad `after`"}})
    def call_records(
        wanted: Annotated[CallFilter, Depends(_filter)],
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        after: str = "",
    ) -> CallRecordPage:
        """Call records, newest first. What is left out does not matter; `number` is the caller or the called."""
        try:
            return CallRecordPage.of(ports.records.search(wanted, limit, after))
        except ValueError as error:
            raise HTTPException(400, "`after` must be the `next` of an earlier page.") from error

    @router.get("/{call}", responses=_UNKNOWN)
    def call_record(call: str) -> CallRecordView:
        """One call record."""
        return CallRecordView.of(find(call))

    # An id has a slash in it, "c5f2/3".
    @router.get(
        "/{call}/recordings/{recording:path}",
        response_class=FileResponse,
        responses=_UNKNOWN | {200: {"content": {kind: {} for kind in _MEDIA_TYPES.values()}}},
    )
    def recording(call: str, recording: str) -> FileResponse:
        """A recording's sound, as far as it goes while it is still running."""
        path = next((one.path for one in find(call).recordings if one.id == recording), None)
        if path is None:
            raise HTTPException(404, "The call has no recording of this id.")
        found = _sound_file(ports.recordings, path)
        if found is None:
            raise HTTPException(404, "The recording's file is not there any more.")
        # One that still runs is a WAV, whatever it will be.
        name = Path(path).name if found.suffix != ".part" else f"{Path(path).stem}.wav"
        return FileResponse(found, media_type=_MEDIA_TYPES.get(Path(name).suffix, "audio/wav"), filename=name)

    return router


def _filter(
    since: datetime | None = None,
    until: datetime | None = None,
    number: str = "",
    caller: str = "",
    called: str = "",
    source: str = "",
    destination: str = "",
    route: str = "",
    cause: str = "",
    answered: bool | None = None,
    recorded: bool | None = None,
    audio: str = "",
    verification: str = "",
) -> CallFilter:
    return CallFilter(
        _aware(since),
        _aware(until),
        number,
        caller,
        called,
        source,
        destination,
        route,
        cause,
        answered,
        recorded,
        audio,
        verification,
    )


def _aware(moment: datetime | None) -> datetime | None:
    """A time without a zone is taken for the server's own."""
    return moment.astimezone() if moment is not None and moment.tzinfo is None else moment


def _sound_file(folder: Path, name: str) -> Path | None:
    """Return the file of a recording, or what there is of it while it runs; None outside the folder of recordings."""
    folder = folder.resolve()
    for path in (folder / name, folder / f"{name}.part"):
        path = path.resolve()
        if path.is_relative_to(folder) and path.is_file():
            return path
    return None
