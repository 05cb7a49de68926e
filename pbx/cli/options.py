"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DEFAULT_FOLDER", "ConfigurationFile", "configuration_file"]

DEFAULT_FOLDER = Path("var")
"""Where the embedded default lives when no configuration is named."""

ConfigurationFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="PBX_CONFIG", show_default=False, help="The configuration; var/pbx.yaml if left out."
    ),
]


def configuration_file(given: Path | None) -> Path:
    """Return the configuration that is meant."""
    return given if given is not None else DEFAULT_FOLDER / "pbx.yaml"
