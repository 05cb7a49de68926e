"""``pbx check``: every fault in configuration and dialplan, and the dialplan's own tests."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pbx.cli.options import ConfigurationFile, configuration_file
from pbx.cli.proof import print_forwarders, print_proof, proof_data

if TYPE_CHECKING:
    from pbx.loading import Examination
    from pbx.positions import Fault

__all__ = ["register"]


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command(help="Check configuration and dialplan, and run the dialplan's own tests.")(check)


def check(
    config: ConfigurationFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what is wrong or doubtful.")] = False,
) -> None:
    """Print every fault and warning with its place; exit with 2 if there is a fault."""
    from pbx.loading import examine

    path = configuration_file(config)
    examination = examine(path, os.environ)
    if as_json:
        data: dict[str, object] = {
            "faults": [_data(fault) for fault in examination.faults],
            "warnings": [_data(warning) for warning in examination.warnings],
        }
        if examination.proof is not None:
            data["reaches"] = proof_data(examination.proof)
        print(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        _print(path, examination, quiet)
    if examination.faults:
        raise typer.Exit(2)


def _print(path: Path, examination: Examination, quiet: bool) -> None:
    for fault in examination.faults:
        print(fault, file=sys.stderr)
    for warning in examination.warnings:
        print(f"{warning.position}: warning: {warning.text}", file=sys.stderr)
    warned = _count(len(examination.warnings), "warning")
    if examination.faults:
        print(f"{path}: {_count(len(examination.faults), 'fault')}, {warned}. Not fit to be served.", file=sys.stderr)
    if examination.faults or quiet:
        return
    print(f"{path}: good. {_summary(examination)}; {warned}.")
    if examination.proof is not None and examination.settings is not None and examination.settings.trunks:
        print_proof(examination.proof)
        print_forwarders(examination.settings)


def _summary(examination: Examination) -> str:
    settings, plan = examination.settings, examination.dialplan
    parts = []
    if settings is not None:
        parts = [
            _count(len(settings.sip.listen), "listener"),
            _count(len(settings.extensions), "extension"),
            _count(len(settings.trunks), "trunk"),
        ]
    if plan is not None:
        parts += [_count(len(plan.routes), "route"), f"{_count(len(plan.tests), 'test')} passed"]
    return ", ".join(parts)


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


def _data(fault: Fault) -> dict[str, object]:
    position = fault.position
    return {"file": position.file, "line": position.line, "column": position.column, "text": fault.text}
