from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from fastapi.security import HTTPAuthorizationCredentials

from pbx.errors import EnvironmentFault
from pbx.web.api import make_api
from pbx.web.security import Guard, ensure_token, is_loopback


def api_paths(site: Any) -> list[tuple[str, str]]:
    description = site.get("/openapi.json", token=None).json()
    return [
        (method.upper(), path.replace("{call}", "c1").replace("{recording}", "r1"))
        for path, methods in description["paths"].items()
        for method in methods
        if path.startswith("/api/")
    ]


@pytest.mark.parametrize("token", [None, "", "wrong", "the-api-toke", "the-api-token2", "\xfcn\xefcode"])
def test_every_path_of_the_api_needs_the_token(site: Any, token: str | None) -> None:
    paths = api_paths(site)
    assert len(paths) >= 11
    answers = [site.ask(method, path, token=token) for method, path in paths]
    assert answers[0].status_code == 401
    for (method, path), response in zip(paths, answers, strict=True):
        # Who goes on guessing is told 429.
        assert response.status_code in ((401, 429) if token else (401,)), (method, path)
        assert response.status_code == 429 or response.headers["WWW-Authenticate"].startswith("Bearer")
    assert site.calls.hung_up == []


def test_without_a_token_configured_nobody_gets_in(site: Any) -> None:
    site.token = ""
    for token in (None, "", "x"):
        assert site.get("/api/v1/status", token=token).status_code == 401


def test_the_token_may_change(site: Any) -> None:
    application = site.application()
    site.token = "another"
    assert site.get("/api/v1/status", application=application).status_code == 401
    assert site.get("/api/v1/status", application=application, token="another").status_code == 200


def test_metrics_are_open_on_loopback_only_and_not_to_a_rebound_name(site: Any) -> None:
    assert site.get("/metrics", token=None).status_code == 200
    assert site.get("/metrics", token=None, base="http://localhost:8080").status_code == 200
    assert site.get("/metrics", token=None, base="http://[::1]:8080").status_code == 200
    assert site.get("/metrics", token=None, base="http://evil.example:8080").status_code == 401
    closed = site.application(open_metrics=False)
    assert site.get("/metrics", token=None, application=closed).status_code == 401
    assert site.get("/metrics", application=closed).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/status", "/healthz", "/nothing", "/docs", "/openapi.json", "/metrics"])
def test_every_answer_hardens_the_browser(site: Any, path: str) -> None:
    headers = site.get(path, token=None).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers
    https = site.get(path, token=None, application=site.application(https=True)).headers
    assert "Strict-Transport-Security" in https


def test_the_page_loads_nothing_from_elsewhere(site: Any) -> None:
    page = site.get("/docs", token=None)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    links = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert links
    for link in links:
        assert re.match(r"/[^/]", link), link
        assert site.get(link, token=None).status_code == 200
    script = site.get("/docs/docs.js", token=None).text
    assert not re.search(r"https?:|//[a-z]|innerHTML|eval\(|document\.write", script)
    assert not re.search(r"<script>|style=|onclick", page.text)
    assert site.get("/", token=None).headers["Location"] == "/docs"
    for other in ("/redoc", "/docs/oauth2-redirect"):
        assert site.get(other, token=None).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Length": "70000"}, 413), ({"Content-Length": "x"}, 413), ({"Transfer-Encoding": "chunked"}, 411)],
)
def test_bodies_that_nobody_wants_are_refused_unread(site: Any, headers: dict[str, str], status: int) -> None:
    response = site.ask("POST", "/api/v1/calls", headers=headers, content=b"{}")
    assert response.status_code == status
    assert "X-Frame-Options" in response.headers


def test_a_token_is_made_once_and_kept_private(tmp_path: Path) -> None:
    token = ensure_token(tmp_path / "var")
    path = tmp_path / "var" / "api-token"
    assert len(token) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_token(tmp_path / "var") == token
    path.write_text("\n")
    with pytest.raises(EnvironmentFault, match="empty"):
        ensure_token(tmp_path / "var")
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot be read or made"):
        ensure_token(tmp_path / "file")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("", False),
        ("192.0.2.1", False),
        ("localhost.evil.example", False),
    ],
)
def test_what_loopback_is(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_who_guesses_tokens_is_shut_out_for_a_while(site: Any) -> None:
    now = [0.0]
    application = make_api(site.ports, Guard(lambda: site.token, open_metrics=False, now=lambda: now[0]))
    answers = [
        site.ask("GET", "/api/v1/status", token=f"guess-{number}", application=application).status_code
        for number in range(25)
    ]
    assert answers[:20] == [401] * 20
    assert answers[-1] == 429
    assert site.ask("GET", "/api/v1/status", application=application).status_code == 429, "guessed right, too late"
    now[0] = 61.0
    assert site.ask("GET", "/api/v1/status", application=application).status_code == 200


def test_who_has_a_network_guesses_no_more_than_who_has_an_address() -> None:
    """Whoever has one IPv6 address has 2**64 of them; and one of IPv4 may come as IPv6 over a socket for both."""
    guard = Guard(lambda: "right", open_metrics=False, now=lambda: 0.0)
    guess = HTTPAuthorizationCredentials(scheme="Bearer", credentials="guess")
    for number in range(21):
        assert not guard._right(f"2001:db8::{number:x}", guess)
    for host in ("2001:db8::ffff:1", "2001:db8::1"):
        with pytest.raises(HTTPException, match="429"):
            guard._right(host, guess)
    assert not guard._right("::ffff:192.0.2.1", guess)
    assert not guard._right("2001:db8:0:1::1", guess)


def test_addresses_that_are_not_allowed_get_nothing(site: Any) -> None:
    application = make_api(
        site.ports, Guard(lambda: site.token, open_metrics=True), allows=lambda host: host != "127.0.0.1"
    )
    for path in ("/api/v1/status", "/metrics", "/healthz", "/"):
        assert site.ask("GET", path, application=application).status_code == 403
