"""``pbx explain``: which routes were tried for a call, why each did or did not match, and what would be done."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pbx.cli.options import ConfigurationFile, configuration_file
from pbx.errors import ConfigurationError

if TYPE_CHECKING:
    from pbx.dialplan.decision import Decision, Query
    from pbx.dialplan.model import Dialplan
    from pbx.loading import Examination
    from pbx.numbers import TrunkNumbers

__all__ = ["register"]


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command(help="Say how a call would be routed, and why.")(explain)


def explain(
    source: Annotated[str, typer.Option("--from", help="extension/NUMBER or trunk/NAME.", show_default=False)],
    number: Annotated[
        str,
        typer.Option("--number", "-n", help="The number dialled, or a service: urn:service:sos.", show_default=False),
    ],
    config: ConfigurationFile = None,
    at: Annotated[str, typer.Option(help="When, such as 2026-11-20T22:00; now if left out.")] = "",
    caller: Annotated[str, typer.Option(help="The caller's number; that of the extension if left out.")] = "",
    header: Annotated[list[str] | None, typer.Option(help='A header of the INVITE, as "Name: value".')] = None,
    codec: Annotated[list[str] | None, typer.Option(help="A codec that the caller offers, such as opus.")] = None,
    verification: Annotated[
        str, typer.Option(help="What a signature says of who calls: passed, failed, none.")
    ] = "none",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Decide one call and print the decision. Exit with 2 if the dialplan cannot be read."""
    from pbx.dialplan.explain import decision_data
    from pbx.dialplan.selftest import heard
    from pbx.loading import examine, trunk_numbers
    from pbx.numbers import TrunkNumbers

    path = configuration_file(config)
    examination = examine(path, os.environ)
    plan = examination.dialplan
    if plan is None:
        raise ConfigurationError(tuple(str(fault) for fault in examination.faults))
    if examination.faults:
        print(f"note: {path} has faults, see `pbx check`; this is what the plan would do.", file=sys.stderr)
    query = _query(examination, plan, source, number, at, caller, header or [], tuple(codec or ()), verification)
    numbers = trunk_numbers(examination.settings) if examination.settings is not None else TrunkNumbers()
    decision = plan.decide(heard(query, numbers))
    if as_json:
        print(json.dumps(decision_data(decision), indent=2, ensure_ascii=False))
    else:
        _print(decision, numbers, query.number)


def _query(
    examination: Examination,
    plan: Dialplan,
    source: str,
    number: str,
    at: str,
    caller: str,
    headers: list[str],
    codecs: tuple[str, ...],
    verification: str,
) -> Query:
    from pbx.dialplan.conditions import VERIFICATIONS
    from pbx.dialplan.decision import Query

    if verification not in VERIFICATIONS:
        raise typer.BadParameter(f"`{verification}` is no verification; write passed, failed or none")

    kind, _, name = source.partition("/")
    if kind in ("extension", "trunk") and not name:
        raise typer.BadParameter(f"a call comes from one {kind}; write {kind}/NAME")
    caller_name = ""
    _note_unknown(examination, kind, name)
    if source.startswith("extension/") and not caller:
        caller = name
        settings = examination.settings
        extension = settings.extensions.get(name) if settings is not None else None
        caller_name = extension.name if extension is not None else ""
    pairs = []
    for text in headers:
        key, colon, value = text.partition(":")
        if not colon:
            raise typer.BadParameter(f'`{text}` is not a header; write "Name: value"')
        pairs.append((key.strip(), value.strip()))
    return Query(
        source, number, _moment(at, plan), caller, caller_name, tuple(pairs), codecs, verification=verification
    )


def _note_unknown(examination: Examination, kind: str, name: str) -> None:
    settings = examination.settings
    if kind not in ("extension", "trunk"):
        print(f"note: `{kind}` is neither extension/NUMBER nor trunk/NAME: nobody who is known.", file=sys.stderr)
    elif settings is not None and name not in (settings.extensions if kind == "extension" else settings.trunks):
        print(f"note: there is no {kind} `{name}` in the configuration.", file=sys.stderr)


def _moment(at: str, plan: Dialplan) -> datetime:
    if not at:
        return datetime.now().astimezone(plan.zone)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise typer.BadParameter(f"`{at}` is no moment; write it like 2026-11-20T22:00") from None
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=plan.zone) if plan.zone is not None else moment.astimezone()


def _print(decision: Decision, numbers: TrunkNumbers, written: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pbx.dialplan.explain import decision_lines
    from pbx.dialplan.services import service_in

    console = Console(highlight=False, soft_wrap=True)
    query = decision.query
    console.print(Text(f"{decision.dialled} dialled by {query.source}, {query.at:%a %Y-%m-%d %H:%M %Z}"))
    if written != decision.dialled:
        console.print(Text(f"{query.source} writes it {written}."))
    if decision.emergency:
        console.print("It is an emergency call: no limit stops it.")
    if decision.dialled != query.number:
        console.print(Text(f"It calls {query.number} in the end, and is decided as if that had been dialled."))
    elif service_in(decision.dialled):
        console.print(Text("Nothing says what the service is called by: give it a number in `numbering: services`."))
    considered = decision.considered
    if considered:
        console.print(Text(f"routes of {considered[0].position.file}:", "dim"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for each in considered:
        mark = Text("✓", "green") if each.matched else Text("✗", "red")
        place = Text(f"line {each.position.line}", "dim")
        table.add_row(mark, Text(each.route, "bold" if each.matched else ""), place, Text(each.why))
    console.print(table)
    console.print()
    if decision.route is None:
        console.print("No route takes the call.")
    elif decision.number != query.number:
        console.print(Text(f"The number becomes {decision.number}."))
    for depth, sentence in decision_lines(decision, numbers):
        console.print(Text("  " * (depth + 1) + sentence))
