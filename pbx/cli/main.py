"""The command ``pbx``.

A subcommand is a module of this package with a function ``register(application)``; it is found by being there. Modules
import what is heavy inside their commands, so that ``pbx check`` need not load a reactor.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, NoReturn

import typer

import pbx.cli
from pbx.errors import ConfigurationError, EnvironmentFault

__all__ = ["CONFIGURATION_FAULTY", "ENVIRONMENT_FAULTY", "application", "main"]

CONFIGURATION_FAULTY = 2
"""Exit code for faults in configuration or dialplan, and for wrong usage."""
ENVIRONMENT_FAULTY = 1
"""Exit code for what the machine refuses: a taken port, an unwritable folder."""

_ORDER = ("serve", "init", "check", "explain", "call", "demo", "status")
"""How ``pbx --help`` lists the modules; others follow by name."""


def application() -> typer.Typer:
    """Return the command line with every subcommand that this package holds."""
    made = typer.Typer(
        name="pbx",
        help="Tandem: a B2BUA and IP-PBX server.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(_root)
    names = [module.name for module in iter_modules(pbx.cli.__path__)]
    for name in sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        register = getattr(import_module(f"pbx.cli.{name}"), "register", None)
        if register is not None:
            register(made)
    return made


def main() -> None:
    """Run the command line; faults of the operator's files end with 2, those of the machine with 1."""
    try:
        application()()
    except ConfigurationError as error:
        _leave(error.faults, CONFIGURATION_FAULTY)
    except EnvironmentFault as error:
        _leave((str(error),), ENVIRONMENT_FAULTY)


def _leave(lines: tuple[str, ...], code: int) -> NoReturn:
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(code)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from pbx.ops.program import PROGRAM

        print(f"Tandem {PROGRAM['version']}, {PROGRAM['execution']}, Python {PROGRAM['python']}")
        raise typer.Exit


def _root(
    _: Annotated[
        bool, typer.Option("--version", help="Say what this is.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Tandem: a B2BUA and IP-PBX server."""
