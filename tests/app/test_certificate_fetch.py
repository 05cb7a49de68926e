"""Fetching certificates from a web server of our own on loopback, by real TLS; and from where it must not be."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from pathlib import Path

import pytest

from pbx.app.certificate_fetch import CertificateFetcher, FetchError, download, lifetime
from pbx.net.certificates import ensure_certificate

DRIPS: list[int] = []
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/a.pem")
            self.end_headers()
            return
        if self.path == "/drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            with contextlib.suppress(OSError):
                for number in range(100):
                    self.wfile.write(b"X-More: to come\r\n")
                    DRIPS.append(number)
                    time.sleep(0.05)
                self.wfile.write(b"\r\nchain")
            return
        self.send_response(200 if self.path.startswith(("/a.pem", "/large")) else 404)
        self.send_header("Cache-Control", "public, max-age=120")
        self.end_headers()
        self.wfile.write(b"x" * 70_000 if self.path == "/large" else self.headers["Host"].encode())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ssl.SSLContext]]:
    folder = tmp_path_factory.mktemp("site")
    certificate, key = ensure_certificate(folder, "localhost", ["127.0.0.1"], datetime.now(UTC))
    assert isinstance(certificate, Path)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = served.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://localhost:{server.server_address[1]}", ssl.create_default_context(cafile=str(certificate))
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_there(site: tuple[str, ssl.SSLContext]) -> None:
    url, context = site
    data, seconds = download(f"{url}/a.pem?b=1", 5.0, LOOPBACK, context)
    assert data.decode() == url.removeprefix("https://")
    assert seconds == 120


@pytest.mark.parametrize(
    ("path", "words"), [("/moved", "answers 302"), ("/large", "longer than 64 KiB"), ("/none", "answers 404")]
)
def test_what_is_not_taken(site: tuple[str, ssl.SSLContext], path: str, words: str) -> None:
    with pytest.raises(FetchError, match=words):
        download(site[0] + path, 5.0, LOOPBACK, site[1])


def test_a_host_that_says_a_little_at_a_time_holds_no_thread(site: tuple[str, ssl.SSLContext]) -> None:
    """No read takes long, and all of them together five seconds here, or a day elsewhere."""
    with pytest.raises(FetchError, match="too slow"):
        download(f"{site[0]}/drip", 0.3, LOOPBACK, site[1])
    download(f"{site[0]}/a.pem", 5.0, LOOPBACK, site[1])  # which is answered once the other is over
    assert 0 < len(DRIPS) < 100, "it was listened to up to the end"


def test_a_host_without_a_certificate_that_is_believed(site: tuple[str, ssl.SSLContext]) -> None:
    with pytest.raises(FetchError, match="ConnectError"):
        download(f"{site[0]}/a.pem", 5.0, LOOPBACK, ssl.create_default_context())


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/a.pem",
        "https://127.0.0.1/a.pem",
        "https://10.0.0.1/a.pem",
        "https://169.254.169.254/latest",
        "https://[::1]/a.pem",
        "https://[::ffff:127.0.0.1]/a.pem",
        "https://100.64.0.1/a.pem",
        "https://0.0.0.0/a.pem",
        "https://224.0.0.1/a.pem",
    ],
)
def test_no_address_of_ours_is_asked(url: str) -> None:
    with pytest.raises(FetchError, match="not public"):
        download(url, 1.0, (), ssl.create_default_context())


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/a.pem", "https:///a.pem", "https://a:b@192.0.2.1/", "https://a:99999/"]
)
def test_no_url_but_those_of_https(url: str) -> None:
    with pytest.raises(FetchError, match="its URL"):
        download(url, 1.0, (), ssl.create_default_context())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("", 3600), ("max-age=5", 60), ("public, max-age=7200", 7200), ("max-age=999999", 86_400), ("no-store", 60)],
)
def test_how_long_it_is_kept(header: str, seconds: int) -> None:
    assert lifetime(header) == seconds


def test_one_url_is_fetched_once_and_kept() -> None:
    now, gate, loads = [0.0], threading.Event(), []
    soon: list[object] = []
    arrived = threading.Semaphore(0)

    def load(url: str, *_: object) -> tuple[bytes, float]:
        loads.append(url)
        gate.wait(5)
        if "bad" in url:
            raise FetchError("no such thing")
        return b"chain", 100.0

    def call_soon(call: object) -> None:
        soon.append(call)
        arrived.release()

    fetcher = CertificateFetcher(lambda: now[0], call_soon, load=load)  # type: ignore[arg-type]
    heard: list[bytes | str] = []
    fetcher("https://a/", heard.append)
    fetcher("https://a/", heard.append)
    assert not heard
    gate.set()
    assert arrived.acquire(timeout=5)
    soon.pop()()  # type: ignore[operator]
    assert heard == [b"chain", b"chain"]
    fetcher("https://a/", heard.append)
    assert (len(heard), len(loads)) == (3, 1)
    now[0] = 101.0
    fetcher("https://a/", heard.append)
    assert arrived.acquire(timeout=5)
    soon.pop()()  # type: ignore[operator]
    assert (len(heard), len(loads)) == (4, 2)
    fetcher("https://bad/", heard.append)
    assert arrived.acquire(timeout=5)
    soon.pop()()  # type: ignore[operator]
    fetcher("https://bad/", heard.append)
    assert heard[4:] == ["no such thing", "no such thing"]
    assert len(loads) == 3
    fetcher.stop()
