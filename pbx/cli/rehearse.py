"""``pbx rehearse``: past calls through another dialplan, before it is put in force."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pbx.cli.options import ConfigurationFile, configuration_file
from pbx.errors import ConfigurationError

if TYPE_CHECKING:
    from pbx.config.schema import Settings
    from pbx.dialplan.model import Dialplan
    from pbx.dialplan.rehearsal import PastCall, Rehearsed

__all__ = ["WOULD_CHANGE", "register"]

WOULD_CHANGE = 3
"""Exit code if a call would go another way."""
_PAGE = 500


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command(help="Replay past calls through another dialplan, and list those that would go another way.")(
        rehearse
    )


def rehearse(
    plan: Annotated[Path, typer.Option(help="The dialplan to try.", show_default=False)],
    config: ConfigurationFile = None,
    since: Annotated[
        str, typer.Option(help="Calls since this moment, such as 2026-11-20, or for so long, such as 30d.")
    ] = "30d",
    limit: Annotated[int, typer.Option(min=1, help="Look at no more than so many calls, the newest.")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read call records and both plans; exit with 3 if a call would change, with 2 if the new plan is faulty."""
    from pbx.dialplan.rehearsal import rehearse as rehearse_call
    from pbx.loading import examine

    path = configuration_file(config)
    in_force = examine(path, os.environ)
    if in_force.settings is None:
        raise ConfigurationError(tuple(str(fault) for fault in in_force.faults))
    candidate = examine(path, os.environ, dialplan=plan)
    if candidate.faults or candidate.dialplan is None:
        raise ConfigurationError(tuple(str(fault) for fault in candidate.faults))
    zone = candidate.dialplan.zone
    looked, outcomes = 0, []
    for past in _past_calls(in_force.settings, _moment(since, zone), limit, in_force.dialplan, zone):
        looked += 1
        outcome = rehearse_call(past, candidate.dialplan, in_force.dialplan)
        if outcome.changed or outcome.headers:
            outcomes.append(outcome)
    changed = [outcome for outcome in outcomes if outcome.changed]
    unsure = sum(outcome.headers for outcome in outcomes)
    if as_json:
        print(json.dumps(_data(looked, changed, unsure), indent=2, ensure_ascii=False))
    else:
        _print(looked, changed, unsure)
    if changed:
        raise typer.Exit(WOULD_CHANGE)


def _moment(text: str, zone: tzinfo | None) -> datetime:
    from pbx.units import parse_duration

    now = datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - timedelta(seconds=parse_duration(text))
        except ValueError:
            raise typer.BadParameter(f"`{text}` is neither a moment, as 2026-11-20, nor a duration, as 30d") from None
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=zone) if zone is not None else moment.astimezone()


def _past_calls(
    settings: Settings, since: datetime, limit: int, plan: Dialplan | None, zone: tzinfo | None
) -> Iterator[PastCall]:
    """Go through the records of the database, newest first, telling on a terminal how far it is."""
    from pbx.dialplan.decision import Query
    from pbx.dialplan.rehearsal import PastCall
    from pbx.store.call_records import CallFilter
    from pbx.store.history import past_records

    url = settings.storage.database.reveal() if settings.storage.database else ""
    told = sys.stderr.isatty()
    count = 0
    for record in past_records(settings.storage.directory, url, CallFilter(since=since), limit, _PAGE):
        count += 1
        if told and count % _PAGE == 0:
            print(f"\r{count} calls, back to {record.started:%Y-%m-%d}", end="", file=sys.stderr)
        at = record.started.astimezone(zone) if zone is not None else record.started.astimezone()
        verified = record.verification or "none"
        query = Query(record.source, record.called, at, record.caller, record.caller_name, verification=verified)
        yield PastCall(record.id, query, record.route, record.number if record.attempts else "")
    if told and count >= _PAGE:
        print("\r\x1b[K", end="", file=sys.stderr)


def _print(looked: int, changed: list[Rehearsed], unsure: int) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for outcome in changed:
        query, past = outcome.past.query, outcome.past
        console.print(
            Text(f"{query.at:%Y-%m-%d %H:%M:%S}  {query.source} dialled {query.number}  ({past.call})", "bold")
        )
        for mark, style, route, lines in (
            ("-", "red", past.route, outcome.before),
            ("+", "green", outcome.decision.route or "", outcome.after),
        ):
            console.print(Text(f"  {mark} {route or 'no route'}", style))
            for line in lines:
                console.print(Text(f"  {mark}   {line}", style))
    console.print(f"{looked} calls, {len(changed) or 'none'} would go another way.")
    if unsure:
        console.print(
            f"{unsure} of them met a route that looks at a header; records keep no headers, so they may go otherwise."
        )


def _data(looked: int, changed: list[Rehearsed], unsure: int) -> dict[str, object]:
    return {
        "calls": looked,
        "changed": [
            {
                "call": outcome.past.call,
                "at": outcome.past.query.at.isoformat(),
                "from": outcome.past.query.source,
                "number": outcome.past.query.number,
                "before": {"route": outcome.past.route or None, "steps": list(outcome.before)},
                "after": {"route": outcome.decision.route, "steps": list(outcome.after)},
                "depends_on_headers": outcome.headers,
            }
            for outcome in changed
        ],
        "depending_on_headers": unsure,
    }
