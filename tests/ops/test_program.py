"""What a server says of itself is what runs."""

from __future__ import annotations

import platform

from typer.testing import CliRunner

import pbx.sip.parser
from pbx import __version__
from pbx.cli.main import application
from pbx.ops.program import EXECUTION


def test_it_says_whether_it_is_compiled() -> None:
    interpreted = str(pbx.sip.parser.__file__).endswith(".py")
    assert ("interpreted" if interpreted else "compiled") == EXECUTION


def test_the_command_says_its_version() -> None:
    result = CliRunner().invoke(application(), ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"Tandem {__version__}, {EXECUTION}, Python {platform.python_version()}\n"
