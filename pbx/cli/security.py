"""``pbx bans``, ``ban``, ``unban``, ``budgets`` and ``reset-budget``: who is kept out, and what calls have cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import typer

from pbx.cli.asking import Json, ask, moment, print_json, print_table, printable, request, span
from pbx.cli.options import ConfigurationFile
from pbx.units import parse_duration

__all__ = ["register"]

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="An IPv4 or IPv6 address; of IPv6 its /64 counts.")]


def register(application: typer.Typer) -> None:
    """Add the commands."""
    for command in (bans, ban, unban, budgets):
        application.command()(command)
    application.command("reset-budget")(reset_budget)


def bans(config: ConfigurationFile = None, as_json: Json = False) -> None:
    """List the addresses that are banned, and why."""
    found = ask(config, "GET", "/bans")
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    rows = [
        (
            one["address"],
            moment(one["since"]),
            span((datetime.fromisoformat(one["until"]) - now).total_seconds()),
            one["count"],
            one["reason"],
        )
        for one in found["bans"]
    ]
    print_table(("address", "since", "for another", "bans", "reason"), rows, "nobody is banned")


def ban(
    address: Address,
    duration: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long, such as 1h; else twice the last time.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why, for those who list it.")] = "",
    config: ConfigurationFile = None,
) -> None:
    """Ban an address. Trunks and registered phones there are known, and go on calling."""
    try:
        seconds = parse_duration(duration) if duration else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    found = ask(config, "POST", "/bans", body={"address": address, "seconds": seconds, "reason": reason})
    print(f"banned {printable(found['address'])} until {moment(found['until'])}")


def unban(address: Address, config: ConfigurationFile = None) -> None:
    """Lift a ban, and forget that there ever was one."""
    request(config, "DELETE", f"/bans/{quote(address.partition('/')[0], safe='')}")
    print(f"lifted the ban of {printable(address)}")


def budgets(config: ConfigurationFile = None, as_json: Json = False) -> None:
    """List what is spent of the budgets, and by whom."""
    found = ask(config, "GET", "/budgets")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["budget"],
            one["subject"],
            _of(str(one["calls"]), one["calls_allowed"]),
            _of(f"{one['seconds'] / 60:.1f}", None if one["seconds_allowed"] is None else one["seconds_allowed"] / 60),
            "SPENT" if one["exceeded"] else "",
            moment(one["until"]),
        )
        for one in found["budgets"]
    ]
    print_table(("budget", "of", "calls", "minutes", "", "until"), rows, "nothing is spent")


def _of(spent: str, allowed: float | None) -> str:
    return spent if allowed is None else f"{spent} of {allowed:g}"


def reset_budget(
    budget: Annotated[str, typer.Argument(metavar="BUDGET", help="Its name in `security.budgets`.")],
    subject: Annotated[
        str, typer.Argument(metavar="[OF]", help="Whose, such as extension/101; everybody's if left out.")
    ] = "",
    config: ConfigurationFile = None,
) -> None:
    """Give a budget back before its hour or day is over."""
    request(config, "DELETE", f"/budgets/{quote(budget, safe='')}", {"subject": subject})
    print(f"reset {printable(budget)}")
