"""``pbx init``: the embedded default, with secrets of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pbx.cli.options import DEFAULT_FOLDER
from pbx.errors import EnvironmentFault

if TYPE_CHECKING:
    from pbx.config.schema import Settings

__all__ = ["default_configuration", "initialise", "register", "welcome"]

_SECRETS = ("101", "102", "api-token")
_NUMBERS = (
    ("600", "echo: hear yourself"),
    ("601", "a spoken greeting"),
    ("602", "record, and hear it played back"),
)


@dataclass(frozen=True, slots=True)
class Initialised:
    """The configuration, and whether it was made just now."""

    path: Path
    created: bool


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command(help="Write a configuration, a dialplan and secrets into a new folder.")(init)


def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; made if it is not there.")]) -> None:
    """Make the embedded default in a folder; what is there already is never touched."""
    made = initialise(folder)
    if not made.created:
        raise EnvironmentFault(f"{made.path} is there already; choose another folder, or remove it first")
    from pbx.loading import load_configured

    print(f"wrote {made.path}, {folder / 'dialplan.yaml'} and {folder / 'secrets'}")
    for line in welcome(load_configured(made.path, os.environ).settings):
        print(line)
    print(f"start it with: pbx serve -c {made.path}")


def default_configuration(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the configuration to serve when none is named, making it in `var/` at the first start."""
    return Path(environ["PBX_CONFIG"]) if environ.get("PBX_CONFIG") else initialise(DEFAULT_FOLDER).path


def initialise(folder: Path) -> Initialised:
    """Make configuration, dialplan and secrets in `folder` unless it has a configuration already.

    The configuration is written last, so that an interrupted run is simply done again. Raises EnvironmentFault if the
    folder cannot be written.
    """
    path = folder / "pbx.yaml"
    if path.exists():
        return Initialised(path, False)
    templates = files("pbx.config") / "templates"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
        for name in _SECRETS:
            _write_new(folder / "secrets" / name, secrets.token_hex(12) + "\n", 0o600)
        _write_new(folder / "dialplan.yaml", (templates / "dialplan.yaml").read_text("utf-8"), 0o644)
        _write_new(path, (templates / "pbx.yaml").read_text("utf-8"), 0o644)
    except OSError as error:
        raise EnvironmentFault(
            f"{error.filename or folder} cannot be written ({error.strerror}); choose another folder"
        ) from None
    return Initialised(path, True)


def welcome(settings: Settings) -> tuple[str, ...]:
    """Return what someone at the terminal needs for a first call: credentials, numbers worth dialling, the web address.

    For the embedded default only: the lines hold passwords, and belong on a terminal and never into a log.
    """
    domain = settings.sip.domain or "the address of this machine"
    lines = [f"register a phone at {domain}, {', '.join(str(each.uri) for each in settings.sip.listen)}:"]
    lines += [
        f"  extension {number} ({extension.name}): password {extension.password.reveal()}"
        for number, extension in settings.extensions.items()
    ]
    lines.append("numbers worth dialling:")
    lines += [f"  {number}  {what}" for number, what in _NUMBERS]
    http = settings.http
    if http.listen is not None:
        scheme = "https" if http.certificate is not None else "http"
        lines.append(f"web: {scheme}://{http.listen}/docs (API), /metrics, /healthz")
        if http.token is not None:
            lines.append(f"  API token: {http.token.reveal()}")
    return tuple(lines)


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that is not there; leave one that is."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
