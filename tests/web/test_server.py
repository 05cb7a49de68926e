from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from pbx.errors import EnvironmentFault
from pbx.web.server import WebServer


def test_it_serves_in_a_loop_of_others_and_takes_no_signals(site: Any) -> None:
    async def go() -> None:
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        server = WebServer(site.application(), "127.0.0.1", 0)
        server.start(asyncio.get_running_loop())
        url = f"http://127.0.0.1:{server.address[1]}"
        async with httpx.AsyncClient() as client:
            response = await client.get(f"{url}/api/v1/status", headers={"Authorization": f"Bearer {site.token}"})
            assert response.status_code == 200
            assert "server" not in response.headers
            page = await client.get(f"{url}/api/v1/call-records", headers={"Authorization": f"Bearer {site.token}"})
            assert page.json() == {"records": [], "next": ""}
            assert {number: signal.getsignal(number) for number in before} == before
            await server.stop()
            with pytest.raises(httpx.ConnectError):
                await client.get(url)
        await server.stop()

    asyncio.run(asyncio.wait_for(go(), 20))


def test_it_can_be_abandoned_with_a_connection_open(site: Any) -> None:
    async def go() -> None:
        server = WebServer(site.application(), "127.0.0.1", 0)
        server.start(asyncio.get_running_loop())
        reader, writer = await asyncio.open_connection("127.0.0.1", server.address[1])
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        server.abandon()
        await reader.read()
        writer.close()
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(go(), 20))


def test_a_taken_port_is_said_plainly(site: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(
            EnvironmentFault, match=rf"http\.listen 127\.0\.0\.1:{port} cannot be used: Address already in use"
        ):
            WebServer(site.application(), "127.0.0.1", port)


def test_an_address_of_somebody_else_is_said_plainly(site: Any) -> None:
    with pytest.raises(EnvironmentFault, match=r"http\.listen \[2001:db8::1\]:80"):
        WebServer(site.application(), "2001:db8::1", 80)


def test_a_certificate_that_is_none_is_said_plainly(site: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for path in (tmp_path / "bad.pem", tmp_path / "missing.pem"):
        with pytest.raises(EnvironmentFault, match=r"http\.certificate"):
            WebServer(site.application(), "127.0.0.1", 0, path, path)
