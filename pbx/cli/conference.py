"""Calls of more than two: ``pbx conferences``, ``mute``, ``unmute``, ``kick``, ``listen``, ``whisper``, ``barge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from pbx.cli.asking import Json, ask, print_json, print_table, printable, request, span
from pbx.cli.options import ConfigurationFile

__all__ = ["register"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the conference.")]
MemberId = Annotated[str, typer.Argument(metavar="MEMBER", help="Its id, as `pbx conferences` shows it.")]
CallId = Annotated[str, typer.Argument(metavar="CALL", help="Its id, as `pbx calls` shows it.")]
Supervisor = Annotated[str, typer.Option("--as", metavar="EXTENSION", help="Who is rung to do it.")]


def register(application: typer.Typer) -> None:
    """Add the commands."""
    for command in (conferences, mute, unmute, kick, listen, whisper, barge):
        application.command()(command)


def conferences(config: ConfigurationFile = None, as_json: Json = False) -> None:
    """List the conferences and who is in them."""
    found = ask(config, "GET", "/conferences")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            conference["name"] + (" (recorded)" if conference["recording"] else ""),
            one["id"],
            one["source"],
            one["number"],
            span(one["seconds"]),
            " ".join(word for word in ("moderator", "muted", "waiting", "speaking") if one[word]),
        )
        for conference in found["conferences"]
        for one in conference["members"]
    ]
    print_table(("conference", "member", "source", "number", "for", "state"), rows, "no conferences")


def mute(name: Name, member: MemberId, config: ConfigurationFile = None) -> None:
    """Mute a member of a conference; it cannot unmute itself."""
    _set_muted(config, name, member, True)


def unmute(name: Name, member: MemberId, config: ConfigurationFile = None) -> None:
    """Let a member of a conference be heard again."""
    _set_muted(config, name, member, False)


def kick(name: Name, member: MemberId, config: ConfigurationFile = None) -> None:
    """Throw a member out of a conference: its call is hung up."""
    request(config, "DELETE", _member(name, member))
    print(f"threw {printable(member)} out of {printable(name)}")


def listen(call: CallId, supervisor: Supervisor, config: ConfigurationFile = None) -> None:
    """Ring an extension and let it hear a call; nobody hears it."""
    _supervise(config, call, supervisor, "listen")


def whisper(
    call: CallId,
    supervisor: Supervisor,
    to: Annotated[str, typer.Option(help="caller or callee; left out: whichever is an extension.")] = "",
    config: ConfigurationFile = None,
) -> None:
    """Ring an extension and let it hear a call, and one side of the call hear it."""
    if to not in ("", "caller", "callee"):
        raise typer.BadParameter("--to must be caller or callee")
    _supervise(config, call, supervisor, "whisper", to)


def barge(call: CallId, supervisor: Supervisor, config: ConfigurationFile = None) -> None:
    """Ring an extension and let it talk with both sides of a call."""
    _supervise(config, call, supervisor, "barge")


def _member(name: str, member: str) -> str:
    return f"/conferences/{quote(name, safe='')}/members/{quote(member, safe='')}"


def _set_muted(config: Path | None, name: str, member: str, muted: bool) -> None:
    request(config, "PATCH", _member(name, member), body={"muted": muted})
    print(f"{'muted' if muted else 'unmuted'} {printable(member)}")


def _supervise(config: Path | None, call: str, supervisor: str, mode: str, whisper_to: str = "") -> None:
    extension = supervisor if "/" in supervisor else f"extension/{supervisor}"
    wanted = {"supervisor": extension, "mode": mode, "whisper_to": whisper_to}
    request(config, "POST", f"/calls/{quote(call, safe='')}/supervisors", body=wanted)
    print(f"{printable(extension)} is rung")
