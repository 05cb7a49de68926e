"""Who may use the API, and what every answer says to a browser."""

from __future__ import annotations

import hmac
import os
import secrets
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pbx.errors import EnvironmentFault
from pbx.security.failures import FailureCounter, FailureLimits
from pbx.security.sources import source_of

__all__ = ["TOKEN_FILE", "Guard", "SecurityHeaders", "ensure_token", "is_loopback"]

TOKEN_FILE = "api-token"
_LARGEST_BODY = 64 * 1024
_WRONG_TOKENS = FailureLimits(free=10, ban_after=20, forgive_every=10.0, ban=60.0, longest_ban=3600.0, most_keys=5000)

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_bearer = HTTPBearer(auto_error=False, description="The token of `http.token`, or of the file `api-token`.")


def ensure_token(directory: Path) -> str:
    """Return the API's token from the storage directory, making one at the first start. Raises EnvironmentFault.

    For a configuration that names none: an API that anybody may use is no default, and one that nobody can use no help.
    """
    path = directory / TOKEN_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = path.read_text("ascii").strip()
            if token:
                return token
            raise EnvironmentFault(f"{path} is empty; remove it, and a new token is made") from None
        token = secrets.token_urlsafe(32)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
    except OSError as error:
        raise EnvironmentFault(f"the API's token {path} cannot be read or made: {error.strerror}") from error
    return token


def is_loopback(host: str) -> bool:
    """Return whether an address or name is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Lets in who knows the token. `token` is asked each time, so that a reload may change it.

    An address that has given too many wrong ones gets 429 for a minute and longer, with the right one, too: guessing on
    would never end otherwise.
    """

    def __init__(self, token: Callable[[], str], open_metrics: bool, now: Callable[[], float] = time.monotonic) -> None:
        """With `open_metrics`, the metrics need no token: for a server that listens on loopback only."""
        self._token = token
        self._open_metrics = open_metrics
        self._now = now
        self._failures: FailureCounter[str] = FailureCounter(_WRONG_TOKENS)

    def _right(self, host: str, credentials: HTTPAuthorizationCredentials | None) -> bool:
        now, token = self._now(), self._token()
        host = source_of(host)
        if self._failures.banned(host, now):
            raise HTTPException(429, "Too many wrong tokens came from this address.", {"Retry-After": "60"})
        given = credentials.credentials if credentials is not None else ""
        if bool(token) and hmac.compare_digest(given.encode(), token.encode()):
            return True
        if given:
            self._failures.failed(host, now)
        return False

    async def api(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> None:
        """Refuse who does not know the token."""
        if not self._right(request.client.host if request.client is not None else "", credentials):
            raise HTTPException(
                401,
                "The API needs the header: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": 'Bearer realm="tandem"'},
            )

    async def metrics(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> None:
        """Let in who knows the token, and anybody on a server that listens on loopback only.

        A web page that made its name resolve to 127.0.0.1 would send that name as Host, and is told nothing.
        """
        if not (self._open_metrics and is_loopback(request.url.hostname or "")):
            await self.api(request, credentials)


class SecurityHeaders:
    """ASGI middleware: adds the headers that harden a browser, refuses bodies that no endpoint wants, and whoever is
    at an address that is not allowed."""

    def __init__(self, app: ASGIApp, https: bool = False, allows: Callable[[str], bool] = lambda host: True) -> None:
        self._app = app
        self._allows = allows
        self._headers = _HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        client = scope.get("client")
        if not self._allows(client[0] if client else ""):
            await PlainTextResponse("Forbidden", 403)(scope, receive, send_hardened)
        elif "transfer-encoding" in headers:
            await PlainTextResponse("Length required", 411)(scope, receive, send_hardened)
        elif not length.isdigit() or int(length) > _LARGEST_BODY:
            await PlainTextResponse("Too large", 413)(scope, receive, send_hardened)
        else:
            await self._app(scope, receive, send_hardened)
