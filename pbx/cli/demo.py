"""``pbx demo``: a throw-away PBX, two phones that talk through it, and the proof of what happened."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbx.errors import EnvironmentFault

if TYPE_CHECKING:
    from rich.console import Console

    from pbx.cli.demo_proof import Claim
    from pbx.cli.demo_stage import Outcome, Stage

__all__ = ["register"]

_START = 15.0
_SETTLE = 8.0
_TAIL = 0.7
"""Seconds of the call after the last sound."""
_UNPROVEN = 1
_WIDTH = 140


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command(help="Start a throw-away PBX on loopback, let two phones talk through it, show and prove it.")(
        demo
    )


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run in this empty folder and leave all of it.", show_default=False),
    ] = None,
) -> None:
    """Run it all; exit with 0 only if everything is as it should be."""
    from rich.console import Console

    # A program that reads it has no width, and must not find it cut.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)
    folder = _folder(keep)
    began = time.monotonic()
    proven = False
    try:
        proven = _perform(folder, console, began)
    finally:
        _tidy(folder, keep is not None or not proven, console)
    if not proven:
        raise typer.Exit(_UNPROVEN)


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="pbx-demo-"))
    try:
        keep.mkdir(parents=True, exist_ok=True)
        used = any(keep.iterdir())
    except OSError as error:
        raise EnvironmentFault(f"{keep} cannot be used: {error.strerror}") from None
    if used:
        raise EnvironmentFault(f"{keep} is not empty; name a folder that is, or one that is not there yet")
    return keep.absolute()


def _tidy(folder: Path, keep: bool, console: Console) -> None:
    """Leave the recording alone, or everything."""
    if keep:
        console.print(f"Everything is in {folder}.")
        return
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "recordings":
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.is_file():
            entry.unlink()


# The play


def _perform(folder: Path, console: Console, began: float) -> bool:
    from pbx.cli.demo_stage import Stage, make_sounds
    from pbx.phone.sounds import read_wav

    console.print("[bold]Two phones talk through a PBX[/bold], all of it on loopback.\n")
    stage = Stage(folder)
    try:
        stage.configure()
        stage.serve(_START)
        console.print(
            f"[green]✓[/green] PBX on 127.0.0.1:{stage.sip} (UDP, TCP) after {time.monotonic() - began:.1f} s"
        )
        alice, bob, speech = make_sounds(folder, stage.settings.media.sounds)
        if not speech:
            console.print("  (without asterisk-core-sounds-en-wav Alice plays a melody and does not speak)")
        outcomes = _call(stage, console, alice, bob, read_wav(alice).seconds + _TAIL)
        record = _record(stage)
        ladder = stage.api(f"/calls/{record['id']}/trace")
        status = stage.stop_server(_SETTLE)
    finally:
        stage.close()
    recording = next(iter(sorted(stage.settings.storage.recordings_directory.rglob("*.wav"))), folder / "none.wav")
    played = {"Alice": alice, "Bob": bob}
    _show(console, ladder, record, recording)
    claims = _claims(folder, outcomes, record, recording, played, status)
    return _show_claims(console, claims, time.monotonic() - began)


def _call(stage: Stage, console: Console, alice: Path, bob: Path, seconds: float) -> dict[str, Outcome]:
    show = _shower(console)
    folder = stage.folder
    other = stage.phone(
        "Bob",
        "102",
        *("--wait", "--transport", "tcp", "--answer-after", "0.5"),
        *("--play", str(bob), "--record", str(folder / "bob-heard.wav")),
    )
    if stage.await_event("Bob", ("waiting", "exit"), _START, show) == "exit":
        raise EnvironmentFault(f"Bob's phone could not register:\n{stage.log()}")
    one = stage.phone(
        "Alice",
        "101",
        *("102", "--duration", f"{seconds:.2f}", "--hang-up-after", f"{seconds + _SETTLE:.2f}"),
        *("--play", str(alice), "--record", str(folder / "alice-heard.wav")),
    )
    stage.await_event("Alice", ("exit",), _START + seconds, show)
    outcomes = {"Alice": one.finish(_SETTLE), "Bob": other.finish(_SETTLE)}
    while not stage.told.empty():
        show(*stage.told.get())
    console.print()
    return outcomes


def _shower(console: Console) -> Callable[[str, Mapping[str, Any]], None]:
    """Return what shows one thing that a phone tells, as `pbx call` would."""
    from rich.text import Text

    from pbx.phone.lines import line_of, notice_of

    colours = {"Alice": "cyan", "Bob": "magenta"}

    def show(who: str, data: Mapping[str, Any]) -> None:
        notice = notice_of(data)
        if notice is not None:
            word, text = line_of(notice)
            console.print(Text.assemble((f"  {who:6} ", colours[who]), (word, "bold"), f" {text}"))

    return show


def _record(stage: Stage) -> dict[str, Any]:
    """Wait for the call's record to be complete."""
    end = time.monotonic() + _SETTLE
    while time.monotonic() < end:
        found = stage.api("/call-records?limit=1")["records"]
        if found and found[0]["ended"]:
            return dict(found[0])
        time.sleep(0.05)
    raise EnvironmentFault(f"no call record was written within {_SETTLE:.0f} s:\n{stage.log()}")


# What happened


def _show(console: Console, ladder: str, record: Mapping[str, Any], recording: Path) -> None:
    from rich.text import Text

    from pbx.phone.sounds import read_wav

    console.print("[bold]What went over the wire[/bold]")
    console.print(Text(re.sub(r"[^\x20-\x7e\n]", "?", ladder.rstrip())))
    console.print()
    _table(
        console,
        "The call record",
        ("", ""),
        [
            ("id", record["id"]),
            ("started", record["started"]),
            ("answered", record["answered"]),
            ("from", f"{record['source']}, shown as {record['caller']['name']} <{record['caller']['number']}>"),
            ("dialled", record["called"]),
            ("route", record["route"]),
            ("to", record["destination"]),
            ("talked", f"{record['duration']:.1f} s"),
            ("ended", record["cause"]["text"] if record["cause"] else "not ended"),
        ],
    )
    _table(
        console,
        "The quality of each leg",
        ("leg", "codec", "received", "lost", "jitter", "round trip", "MOS"),
        [
            (
                leg["target"],
                leg["codec"],
                leg["received_packets"],
                leg["lost"],
                _milliseconds(leg["jitter"]),
                _milliseconds(leg["round_trip"]),
                "?" if leg["mos"] is None else f"{leg['mos']:.1f}",
            )
            for leg in record["legs"]
        ],
    )
    if recording.exists():
        sound = read_wav(recording)
        console.print(f"[bold]The recording[/bold]\n  {recording}")
        console.print(f"  {sound.seconds:.1f} s, {len(sound.channels)} channels at {sound.rate} Hz\n")


def _milliseconds(value: float | None) -> str:
    return "?" if value is None or value < 0 else f"{value:.1f} ms"


def _table(console: Console, title: str, headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(f"[bold]{title}[/bold]")
    table = Table(*headings, box=None, show_header=any(headings), header_style="dim", padding=(0, 2, 0, 2))
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)
    console.print()


def _claims(
    folder: Path,
    outcomes: Mapping[str, Outcome],
    record: Mapping[str, Any],
    recording: Path,
    played: Mapping[str, Path],
    status: int,
) -> list[Claim]:
    from pbx.cli import demo_proof as proof

    claims = [claim for name, outcome in outcomes.items() for claim in proof.check_phones(name, outcome)]
    claims += proof.check_record(record)
    claims += proof.check_quality(record["legs"])
    claims += proof.check_sound("Bob", folder / "bob-heard.wav", "Alice", played)
    claims += proof.check_sound("Alice", folder / "alice-heard.wav", "Bob", played)
    claims += proof.check_recording(recording, record, played)
    claims.append(proof.Claim("The PBX stopped in good order", status == 0, f"exit status {status}"))
    return claims


def _show_claims(console: Console, claims: list[Claim], seconds: float) -> bool:
    from rich.table import Table
    from rich.text import Text

    console.print("[bold]The proof[/bold]")
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    for claim in claims:
        mark = Text("✓", "green") if claim.true else Text("✗", "bold red")
        table.add_row(mark, Text(claim.text), Text(claim.seen, "dim"))
    console.print(table)
    failed = sum(not claim.true for claim in claims)
    if failed:
        console.print(f"\n[bold red]{failed} of {len(claims)} claims do not hold.[/bold red]")
    else:
        console.print(f"\n[green]All {len(claims)} claims hold[/green], {seconds:.1f} s in all.")
    return not failed
