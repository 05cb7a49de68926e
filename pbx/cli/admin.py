"""``pbx status``, ``calls``, ``records``, ``registrations``, ``trunks``, ``hangup`` and ``originate``: they ask the
running server over its HTTP API, whose address and token they take from the same configuration."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from pbx.cli.asking import Json
from pbx.cli.asking import ask as _ask
from pbx.cli.asking import moment as _moment
from pbx.cli.asking import print_json as _print_json
from pbx.cli.asking import print_table as _print_table
from pbx.cli.asking import printable as _printable
from pbx.cli.asking import request as _request
from pbx.cli.asking import span as _span
from pbx.cli.options import ConfigurationFile
from pbx.errors import EnvironmentFault

if TYPE_CHECKING:
    pass

__all__ = ["register"]

CallId = Annotated[str, typer.Argument(metavar="ID", help="The id of a call, as `pbx calls` shows it.")]


def register(application: typer.Typer) -> None:
    """Add the commands."""
    for command in (status, calls, bundle, records, registrations, trunks, hangup, originate, record):
        application.command()(command)


_RECORDING_ACTIONS = {"start": "started", "stop": "stopped", "pause": "paused", "resume": "resumed"}

_FIT = ("ready", "degraded")
"""What `/readyz` answers 200 to."""

# Commands


def status(
    config: ConfigurationFile = None,
    as_json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print nothing; exit with 1 unless the server should be given work.")
    ] = False,
) -> None:
    """Show the running server at a glance."""
    found = _ask(config, "GET", "/status")
    if quiet:
        if found["status"] not in _FIT:
            raise EnvironmentFault(f"the server is {found['status']}")
        return
    if as_json:
        _print_json(found)
        return
    rows = [
        ("version", f"{found['version']}, {found['execution']}"),
        ("state", found["status"]),
        ("up", _span(found["uptime"])),
        ("calls", found["calls"]),
        ("registrations", found["registrations"]),
        ("trunks", found["trunks"]),
        ("worst reactor lag", f"{found['reactor_lag'] * 1000:.0f} ms"),
        *((name, value) for name, value in found["checks"].items()),
    ]
    _print_table(("", ""), rows)


def calls(
    config: ConfigurationFile = None,
    trace: Annotated[str, typer.Option(metavar="ID", help="Show the SIP messages of this call as a ladder.")] = "",
    bodies: Annotated[bool, typer.Option(help="With --trace: the messages in full too.")] = False,
    pcap: Annotated[Path | None, typer.Option(help="With --trace: write them to this file, for Wireshark.")] = None,
    as_json: Json = False,
) -> None:
    """List the running calls, or show the messages of one, running or ended."""
    if (bodies or pcap) and not trace:
        raise typer.BadParameter("--bodies and --pcap need --trace ID")
    if pcap is not None:
        _save(pcap, _request(config, "GET", f"/calls/{quote(trace, safe='')}/trace.pcap").content)
    elif trace:
        path = f"/calls/{quote(trace, safe='')}/trace"
        print(_printable(_request(config, "GET", path, {"bodies": bodies}).text.rstrip("\n"), lines=True))
    else:
        found = _ask(config, "GET", "/calls")
        if as_json:
            _print_json(found)
        else:
            _print_calls(found["calls"])


def bundle(
    call: CallId,
    file: Annotated[Path | None, typer.Argument(help="Where to; call-ID.zip here if left out.")] = None,
    config: ConfigurationFile = None,
) -> None:
    """Write all that is known of a call into one ZIP file: messages, decisions, media, configuration; no secrets."""
    data = _request(config, "GET", f"/calls/{quote(call, safe='')}/bundle.zip").content
    _save(file if file is not None else Path(f"call-{call}.zip"), data)


def _save(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}") from error
    print(f"wrote {path}, {len(data)} octets")


def records(
    config: ConfigurationFile = None,
    number: Annotated[str, typer.Option(help="Only calls from or to this number.")] = "",
    cause: Annotated[str, typer.Option(help="Only calls that ended so, such as `busy`.")] = "",
    audio: Annotated[str, typer.Option(help="Only calls whose audio was so, such as `nothing`.")] = "",
    verification: Annotated[str, typer.Option(help="Only calls whose signature has `passed` or `failed`.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Only calls that started then or later.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """List call records, newest first."""
    wanted = {"number": number, "cause": cause, "audio": audio, "verification": verification, "limit": limit}
    if since is not None:
        wanted["since"] = since.astimezone().isoformat()
    found = _ask(config, "GET", "/call-records", wanted)
    if as_json:
        _print_json(found)
        return
    rows = [
        (
            one["id"],
            _moment(one["started"]),
            one["source"],
            one["caller"]["number"],
            one["called"],
            one["destination"],
            _span(one["duration"]) if one["answered"] else "",
            one["cause"]["slug"] if one["cause"] else "running",
            f"{one['verification']} {one['attestation']}".strip(),
            one["audio"],
            " ".join(recording["status"] for recording in one["recordings"]),
        )
        for one in found["records"]
    ]
    place = ("id", "started", "source", "caller", "called", "destination")
    headings = (*place, "talked", "cause", "verified", "audio", "recorded")
    _print_table(headings, rows, "no call records")
    _print_verdicts(found["records"])


def registrations(
    aor: Annotated[str, typer.Argument(metavar="[EXTENSION]", help="Only those of one extension.")] = "",
    config: ConfigurationFile = None,
    as_json: Json = False,
) -> None:
    """List the registered phones."""
    found = _ask(config, "GET", "/registrations", {"aor": aor})
    if as_json:
        _print_json(found)
        return
    rows = [
        (
            one["aor"],
            one["contact"],
            one["source"] + (" NAT" if one["behind_nat"] else "") + ("" if one["reachable"] else " UNREACHABLE"),
            _span(one["expires"]),
            one["user_agent"],
        )
        for one in found["registrations"]
    ]
    _print_table(("address", "contact", "from", "expires in", "phone"), rows, "nobody is registered")


def trunks(config: ConfigurationFile = None, as_json: Json = False) -> None:
    """List the trunks and their calls."""
    found = _ask(config, "GET", "/trunks")
    if as_json:
        _print_json(found)
        return
    rows = [
        (
            one["name"],
            one["address"],
            _health(one),
            _registration(one),
            _calls_of(one),
            one["inbound"],
            one["outbound"],
            one["failed"],
        )
        for one in found["trunks"]
    ]
    _print_table(("trunk", "address", "state", "registration", "calls", "in", "out", "failed"), rows, "no trunks")


def _health(trunk: dict[str, Any]) -> str:
    """Say how a trunk stands: ``up, 12 ms`` or ``down for 0:03:20, no reply within 5 s``."""
    if trunk["why_not"] and trunk["health"] != "down":
        return f"not used: {trunk['why_not']}"
    if trunk["health"] == "up":
        return f"up, {trunk['round_trip'] * 1000:.0f} ms"
    if trunk["health"] == "down":
        return f"down for {_span(trunk['health_for'])}, {trunk['detail']}"
    return "" if trunk["health"] == "unwatched" else trunk["health"]


def _calls_of(trunk: dict[str, Any]) -> str:
    """Say how many calls a trunk has, of how many, and how many more it may get: ``3 of 30, 5/s``."""
    text = str(trunk["active"])
    if trunk["max_calls"] is not None:
        text += f" of {trunk['max_calls']}"
    return text if trunk["max_calls_per_second"] is None else f"{text}, {trunk['max_calls_per_second']:g}/s"


def _registration(trunk: dict[str, Any]) -> str:
    """Say how our registration with a trunk stands: ``registered``, or ``waiting, credentials: 403 Forbidden``."""
    state = trunk["registration"]
    if state == "none":
        return ""
    return f"{state}, {trunk['registration_detail']}" if trunk["registration_detail"] else str(state)


def hangup(call: CallId, config: ConfigurationFile = None) -> None:
    """End a running call."""
    _request(config, "DELETE", f"/calls/{quote(call, safe='')}")
    print(f"hung up {_printable(call)}")


def originate(
    source: Annotated[str, typer.Argument(metavar="EXTENSION", help="Who is rung first.")],
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="What is then dialled as if the extension had.")],
    config: ConfigurationFile = None,
    as_json: Json = False,
) -> None:
    """Ring an extension and, when it answers, dial a number as if it had."""
    wanted = {"source": source if "/" in source else f"extension/{source}", "number": number}
    found = _ask(config, "POST", "/calls", body=wanted)
    if as_json:
        _print_json(found)
    else:
        print(_printable(found["id"]))


def record(
    call: CallId,
    action: Annotated[str, typer.Argument(metavar="start|stop|pause|resume", help="What is wanted of its recording.")],
    config: ConfigurationFile = None,
) -> None:
    """Start, stop, pause or resume the recording of a running call."""
    if action not in _RECORDING_ACTIONS:
        raise typer.BadParameter(f"{action} is none of {', '.join(_RECORDING_ACTIONS)}")
    _request(config, "POST", f"/calls/{quote(call, safe='')}/recording", body={"action": action})
    print(f"{_RECORDING_ACTIONS[action]} the recording of {_printable(call)}")


# Showing


def _print_calls(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            one["id"],
            one["source"],
            one["caller"]["number"],
            one["called"],
            one["destination"],
            one["state"],
            _span(one["talked"] or one["seconds"]),
            one["route"],
            " ".join(recording["status"] for recording in one["recordings"]),
        )
        for one in found
    ]
    headings = ("id", "source", "caller", "called", "destination", "state", "for", "route", "recording")
    _print_table(headings, rows, "no calls")
    _print_verdicts(found)


def _print_verdicts(calls: list[dict[str, Any]]) -> None:
    """Say below a table of calls what is wrong with their audio, and what can be done."""
    for call in calls:
        for leg in call["legs"]:
            for verdict in (leg["receiving"], leg["sending"]):
                if verdict and verdict["remedy"]:
                    print(f"{_printable(call['id'])}: {_printable(verdict['text'])} {_printable(verdict['remedy'])}")
