"""TCP connections and TLS handshakes that never finish: the call that is up does not notice, whoever is new gets in,
and nothing is left of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.peers.support.baresip import Baresip
from tests.peers.support.idle import socket_phone
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.waiting import until

pytestmark = [pytest.mark.peers, pytest.mark.alone]

HOSTS = [f"127.0.95.{number}" for number in range(1, 16)]
EACH = 60
PLAN = {
    "routes": [
        {"name": "phones", "when": {"from": "extension", "number": "1XX"}, "do": [{"dial": "extension/{number}"}]}
    ]
}
HALF_A_MESSAGE = b"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.95.1;branch=z9hG4bK1\r\n"
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50)


@contextmanager
def half_open(site: Site) -> Iterator[None]:
    """Hold connections of many addresses on which nothing comes, or half of what should."""
    ways = ((site.sip, b""), (site.sip, HALF_A_MESSAGE), (site.tls, HALF_A_HELLO))
    with ExitStack() as stack:
        for number in range(EACH):
            port, start = ways[number % len(ways)]
            for host in HOSTS:
                made = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5, (host, 0)))
                made.sendall(start)
        yield


def closed(server: Server) -> float:
    """Return how many connections were closed because they did not get on."""
    names = ("stream_half_open", "stream_evicted_half_open", "stream_stalled_message", "stream_refused_source")
    metrics = server.metrics()
    return sum(metrics[f'tandem_net_events_total{{event="{name}"}}'] for name in names)


def test_connections_that_never_finish(tmp_path: Path) -> None:
    site = Site(tmp_path / "server")
    listen = [f"{kind}://127.0.0.1:{site.tls if kind == 'tls' else site.sip}" for kind in ("udp", "tcp", "tls")]
    settings = site.settings(
        sip={"listen": listen, "tcp": {"handshake_timeout": "2s"}},
        extensions={number: {"password": f"secret-of-{number}"} for number in ("101", "102", "103")},
    )
    with serving(site, settings, PLAN) as server:
        one = Baresip(tmp_path / "one", "101", "secret-of-101", site.sip, hertz=440, transport="tcp")
        other = Baresip(tmp_path / "other", "102", "secret-of-102", site.sip, hertz=1000)
        try:
            one.start()
            other.start()
            server.registered("101", "102")
            one.dial("102")
            one.wait_established()
            other.wait_established()
            before = server.metrics()["process_resident_memory_bytes"]
            with half_open(site):
                new = socket_phone(site.sip, "103", "secret-of-103", tcp=True)
                assert new.register().status == 200
                new.close()
                until(lambda: closed(server) >= len(HOSTS) * EACH, lambda: f"end of all: {closed(server)}", 20)
                assert server.metrics()["process_resident_memory_bytes"] - before < 100e6
            one.hear_more(0.3)
            one.hang_up()
            one.wait_ended()
            other.wait_ended()
        finally:
            one.quit()
            other.quit()
        record = server.record()
        assert record["cause"]["slug"] == "answered-caller-hung-up"
        for leg in record["legs"]:
            assert leg["lost"] == 0
            # The phones have little of a processor, too.
            assert leg["received_packets"] > 25 * record["duration"]
