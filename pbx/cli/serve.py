"""``pbx serve``: run the server in the foreground."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from pbx.cli.init import default_configuration, welcome
from pbx.cli.options import ConfigurationFile

if TYPE_CHECKING:
    from pbx.app.server import Server

__all__ = ["register", "serve"]


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command(help="Run in the foreground; SIGTERM drains, SIGHUP reloads.")(serve)


def serve(config: ConfigurationFile = None) -> None:
    """Serve until SIGTERM or Ctrl-C. Without a configuration the embedded default of `var/` is made and served."""
    from pbx.app.run import run

    path = config if config is not None else default_configuration()

    def ready(server: Server) -> None:
        for line in welcome(server.settings) if config is None else ():
            print(line)
        print("ready", flush=True)

    raise typer.Exit(run(path, os.environ, ready))
