"""What a REGISTER costs: CPU each, and how many a second one core takes.

    python -m bench.registrar [--bindings N] [--rounds N]

In one process, without sockets: bytes go through the transaction layer, digest, the registrar, the location and the
store's writer thread (SQLite in a temporary directory), and the response is written out. CPU counts all threads.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from pbx.ids import Ids
from pbx.registrar.authentication import Authenticator
from pbx.registrar.location import Location
from pbx.registrar.service import RegistrarService, RegistrarSettings
from pbx.security.edge import EdgeGuard
from pbx.sip.digest import Credential, DigestClient, DigestServer
from pbx.sip.effects import RequestArrived, Send
from pbx.sip.layer import TransactionLayer
from pbx.sip.message import Request
from pbx.sip.parser import parse_message
from pbx.sip.stack import Flow
from pbx.store.store import Store


class Bench:
    """The registrar over a transaction layer, with bytes in and bytes out."""

    def __init__(self, directory: Path) -> None:
        self.ids = Ids()
        self.layer = TransactionLayer(self.ids)
        self.store = Store.open(directory)
        self.store.start()
        self.location = Location(self.store.bindings, time.monotonic, time.time)
        guard: EdgeGuard[Flow] = EdgeGuard(self.location.has_flow)
        digest = DigestServer(self.ids, "pbx.example.com", b"0123456789abcdef", capacity=200_000)
        stack: Any = self
        authenticator = Authenticator(stack, digest, lambda name: Credential(name, "secret"), guard, self.ids)
        settings = RegistrarSettings("pbx.example.com")
        self.registrar = RegistrarService(
            stack,
            self.location,
            authenticator.authenticate,
            lambda user, name: 10 if user == name else 0,
            settings,
            self.ids,
            time.time,
        )
        self.now = time.monotonic
        self.sent: list[bytes] = []

    def later(self, delay: float, call: Callable[[], None]) -> Any:
        """Never comes to it."""
        raise AssertionError("nothing waits here")

    def send_response(self, transaction: Any, response: Any) -> None:
        """Write a response out."""
        for effect in self.layer.respond(transaction, response, self.now()):
            if isinstance(effect, Send):
                self.sent.append(effect.data)

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one datagram."""
        for effect in self.layer.receive(data, flow, self.now()):
            if isinstance(effect, RequestArrived):
                self.registrar.on_register(effect.transaction, effect.transaction.request)
            elif isinstance(effect, Send):
                self.sent.append(effect.data)
        self.layer.timers_due(self.now())


class Phone:
    """Writes what a phone would send."""

    def __init__(self, number: int) -> None:
        self.name = f"{number:05}"
        self.host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.flow = Flow("udp", ("192.0.2.1", 5060), (self.host, 5060))
        credential = Credential(self.name, "secret")
        self.client = DigestClient(lambda realm: credential)
        self.cseq = 0

    def request(self) -> Request:
        """Return the next REGISTER, with credentials once a challenge is known."""
        self.cseq += 1
        text = (
            "REGISTER sip:pbx.example.com SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.host}:5060;rport;branch=z9hG4bK{self.name}{self.cseq}\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <sip:{self.name}@pbx.example.com>;tag=4fxaed73sl\r\n"
            f"To: <sip:{self.name}@pbx.example.com>\r\n"
            f"Call-ID: 7TVUS-{self.name}\r\n"
            f"CSeq: {self.cseq} REGISTER\r\n"
            f"Contact: <sip:{self.name}@{self.host}:5060;transport=udp>\r\n"
            "User-Agent: A phone 1.2.3\r\n"
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE\r\n"
            "Expires: 60\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        parsed = parse_message(text.encode())
        assert isinstance(parsed, Request)
        self.client.authorize(parsed, "0a4f113b")
        return parsed


def measure(bench: Bench, work: list[tuple[bytes, Flow]]) -> tuple[float, float]:
    """Return microseconds of CPU and of wall time for each datagram."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    for data, flow in work:
        bench.receive(data, flow)
    wall = time.perf_counter() - wall
    bench.store.writer.flush()
    return (time.process_time() - cpu) / len(work) * 1e6, wall / len(work) * 1e6


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bindings", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        phones = [Phone(number) for number in range(options.bindings)]
        first = [(phone.request().to_bytes(), phone.flow) for phone in phones]
        challenged = measure(bench, first)
        for phone, answer in zip(phones, bench.sent, strict=True):
            response = parse_message(answer)
            assert not isinstance(response, Request)
            assert response.status == 401
            phone.client.answer(phone.request(), response, "0a4f113b")
        bench.sent.clear()
        registered = measure(bench, [(phone.request().to_bytes(), phone.flow) for phone in phones])
        assert len(bench.location) == options.bindings, bench.registrar.responses
        assert bench.registrar.responses == {200: options.bindings}
        best = (float("inf"), float("inf"))
        for _ in range(options.rounds):
            bench.sent.clear()
            best = min(best, measure(bench, [(phone.request().to_bytes(), phone.flow) for phone in phones]))
        assert bench.registrar.responses == {200: options.bindings * (1 + options.rounds)}
        sweep = time.perf_counter()
        bench.location.sweep()
        sweep = time.perf_counter() - sweep
        clean = bench.store.stop()
    rows = [
        ("REGISTER without credentials, 401", challenged),
        ("first REGISTER with credentials, 200", registered),
        ("refresh with credentials, 200", best),
    ]
    out = sys.stdout
    out.write(f"{options.bindings} bindings, SQLite, digest SHA-256\n")
    for name, (cpu, wall) in rows:
        out.write(f"{name:<40}{cpu:8.0f} us CPU {wall:8.0f} us wall {1e6 / cpu:8.0f} /s a core\n")
    out.write(f"all of them each minute: {best[0] * options.bindings / 60e6:.1%} of a core\n")
    out.write(f"sweep: {sweep * 1e3:.2f} ms; store stopped clean: {clean}\n")


if __name__ == "__main__":
    main()
