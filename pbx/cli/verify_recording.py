"""``pbx verify-recording``: proves from the JSON beside recordings that they are complete and unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pbx.errors import EnvironmentFault

__all__ = ["register"]


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command(name="verify-recording")(verify_recording)


def verify_recording(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER…", help="Recordings, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one object a recording.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what is not proven.")] = False,
) -> None:
    """Prove that recordings are complete and unchanged: by size, duration and SHA-256, as noted when they ended.

    Ends with 1 if one is not proven.
    """
    from pbx.media.proof import prove, recordings_below

    proven = failed = 0
    for path in paths:
        if not path.exists():
            raise EnvironmentFault(f"{path} is not there.")
        for one in recordings_below(path):
            try:
                proof = prove(one)
            except OSError as error:
                raise EnvironmentFault(f"{one} cannot be read: {error.strerror}.") from error
            proven, failed = proven + proof.proven, failed + (not proof.proven)
            if quiet and proof.proven:
                continue
            if as_json:
                found = {"file": str(one), "proven": proof.proven, "faults": proof.faults, "remarks": proof.remarks}
                print(json.dumps(found, ensure_ascii=False))
            else:
                said = "; ".join((*proof.faults, *proof.remarks))
                print(f"{'complete' if proof.proven else 'NOT PROVEN'}  {one}{f'  ({said})' if said else ''}")
    if not as_json:
        print(f"{proven} proven, {failed} not")
    if failed or not proven:
        raise typer.Exit(1)
