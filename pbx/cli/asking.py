"""Asking the running server over its HTTP API, and showing what it says: shared by the commands that do.

Address and token are taken from the same configuration as the server's.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbx.cli.options import configuration_file
from pbx.errors import EnvironmentFault

if TYPE_CHECKING:
    import httpx

    from pbx.config.schema import Settings

__all__ = ["Json", "ask", "moment", "print_json", "print_table", "printable", "request", "span"]

_TIMEOUT = 10.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_TOKEN_FILE = "api-token"

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


# Asking


def ask(
    config: Path | None,
    method: str,
    path: str,
    query: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
) -> Any:
    """Ask the server, and return what it answers. Raises EnvironmentFault like `request`."""
    return request(config, method, path, query, body).json()


def request(
    config: Path | None,
    method: str,
    path: str,
    query: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
) -> httpx.Response:
    """Ask the server. Raises EnvironmentFault, in words, if it is not there or refuses."""
    import httpx

    from pbx.config.loader import load

    settings = load(configuration_file(config), os.environ)
    base = _base_url(settings)
    headers = {"Authorization": f"Bearer {_token(settings)}"}
    given = {name: value for name, value in (query or {}).items() if value != ""}
    try:
        with httpx.Client(
            base_url=f"{base}/api/v1",
            headers=headers,
            timeout=_TIMEOUT,
            verify=_verification(settings),
            trust_env=False,
        ) as client:
            response = client.request(method, path, params=given, json=body)
    except httpx.HTTPError as error:
        raise EnvironmentFault(
            f"nothing answers at {base} ({error or type(error).__name__}): "
            "is `pbx serve` running with this configuration?"
        ) from error
    if response.status_code == 401:
        raise EnvironmentFault(
            f"the server at {base} does not take this token: was it started with this configuration?"
        )
    if response.is_error:
        raise EnvironmentFault(_detail(response))
    return response


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"the server answered {response.status_code}"
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in detail)
    return printable(str(detail))


def _base_url(settings: Settings) -> str:
    listen = settings.http.listen
    if listen is None:
        raise EnvironmentFault("the configuration turns HTTP off (`http: null`), and these commands ask over it")
    host = _EVERYWHERE.get(listen.address, listen.address)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.http.certificate else 'http'}://{shown}:{listen.port}"


def _token(settings: Settings) -> str:
    if settings.http.token is not None:
        return settings.http.token.reveal()
    path = settings.storage.directory / _TOKEN_FILE
    try:
        return path.read_text("ascii").strip()
    except OSError as error:
        raise EnvironmentFault(
            f"the API's token cannot be read from {path}: {error.strerror}; the server makes it at its first start"
        ) from error


def _verification(settings: Settings) -> Any:
    """Trust the server's own certificate and nothing else: it may be self-signed, and for another name than the
    address."""
    if settings.http.certificate is None:
        return True
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(settings.http.certificate)
    except OSError as error:
        raise EnvironmentFault(f"http.certificate {settings.http.certificate} cannot be read: {error}") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


# Showing


def print_json(value: Any) -> None:
    """Print an answer as it is."""
    print(json.dumps(value, indent=2))


def print_table(headings: tuple[str, ...], rows: Iterable[tuple[Any, ...]], nothing: str = "") -> None:
    """Print a table, or `nothing` where there are no rows."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(printable(str(value))) for value in row] for row in rows]
    if not cells and nothing:
        print(nothing)
        return
    table = Table(*headings, box=None, pad_edge=False, show_header=any(headings), header_style="bold")
    for row in cells:
        table.add_row(*row)
    # A program that reads the output must not find it cut to the width of a terminal that is not there.
    width = None if sys.stdout.isatty() else 400
    Console(width=width, highlight=False, soft_wrap=width is not None).print(table)


def printable(text: str, lines: bool = False) -> str:
    """Replace what would act on the terminal: a caller chooses its name, and may put escape sequences there."""
    return "".join(one if one.isprintable() or (lines and one == "\n") else "\N{REPLACEMENT CHARACTER}" for one in text)


def span(seconds: float) -> str:
    """Return a duration for people."""
    return str(timedelta(seconds=round(seconds)))


def moment(text: str) -> str:
    """Return a moment on the clock of this machine."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
