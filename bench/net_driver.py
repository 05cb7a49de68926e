"""Microseconds of CPU for one OPTIONS in and its 200 out, through the whole stack: socket, driver, parser, transaction.

    python bench/net_driver.py [--requests 20000] [--window 8] [--trace] [--compare]

A child process sends; what is counted is this process's own CPU time. `--compare` measures the bare socket loops that
the UDP transport was chosen from, echoing datagrams of the same size without any SIP: Twisted's UDP port and our own
reader.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import time

import uvloop
from twisted.internet import asyncioreactor

LOOP = uvloop.new_event_loop()
asyncio.set_event_loop(LOOP)
asyncioreactor.install(LOOP)

from twisted.internet import reactor  # noqa: E402
from twisted.internet.protocol import DatagramProtocol  # noqa: E402

from pbx.ids import Ids  # noqa: E402
from pbx.net.addresses import AddressBook  # noqa: E402
from pbx.net.clock import LoopClock  # noqa: E402
from pbx.net.counters import Counters  # noqa: E402
from pbx.net.driver import Driver  # noqa: E402
from pbx.net.network import RealNetwork  # noqa: E402
from pbx.net.trace import Trace  # noqa: E402
from pbx.net.transport import Listener  # noqa: E402
from pbx.net.udp import UdpTransport  # noqa: E402
from pbx.sip.layer import TransactionLayer  # noqa: E402
from pbx.sip.message import Request, make_response  # noqa: E402
from pbx.sip.stack import Flow, ServerTransaction, TransactionFailure  # noqa: E402

OPTIONS = (
    "OPTIONS sip:tandem@127.0.0.1:{port} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK-{number};rport\r\n"
    "Max-Forwards: 70\r\n"
    "From: <sip:probe@127.0.0.1>;tag=t{number}\r\n"
    "To: <sip:tandem@127.0.0.1>\r\n"
    "Call-ID: options-{number}@127.0.0.1\r\n"
    "CSeq: 1 OPTIONS\r\n"
    "Contact: <sip:probe@127.0.0.1:{own}>\r\n"
    "Accept: application/sdp\r\n"
    "User-Agent: bench\r\n"
    "Content-Length: 0\r\n\r\n"
)
END = b"the end of it"


class Answerer:
    """Answers every request 200, as any handler would."""

    def __init__(self) -> None:
        self.driver: Driver | None = None

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        response = make_response(request, 200, to_tag="bench")
        response.headers.add("Allow", "INVITE, ACK, CANCEL, OPTIONS, BYE")
        response.headers.add("Server", "Tandem")
        assert self.driver is not None
        self.driver.send_response(transaction, response)

    def on_ack(self, request: Request, flow: Flow) -> None: ...

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None: ...

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None: ...


class NoResolver:
    def resolve(self, uri: object, hint: str, callback: object) -> None:
        raise NotImplementedError


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def client(port: int, requests: int, window: int) -> None:
    """Send `requests` OPTIONS, at most `window` unanswered at a time."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    sock.settimeout(2)
    own = sock.getsockname()[1]
    sent = answered = 0
    while answered < requests:
        while sent < requests and sent - answered < window:
            sock.send(OPTIONS.format(port=port, own=own, number=sent).encode())
            sent += 1
        sock.recv(65535)
        answered += 1
    sock.send(END)


def measure(port: int, requests: int, window: int, ended: list[float]) -> float:
    """Return microseconds of CPU per request, until `ended` is filled."""
    start: list[float] = []

    def begin() -> None:
        if os.fork() == 0:
            client(port, requests, window)
            os._exit(0)
        start.append(cpu())

    def poll() -> None:
        if ended or time.monotonic() > deadline:
            reactor.crash()  # type: ignore[attr-defined]
            LOOP.stop()
        else:
            LOOP.call_later(0.05, poll)

    deadline = time.monotonic() + 60
    LOOP.call_soon(begin)
    LOOP.call_soon(poll)
    LOOP.run_forever()
    os.wait()
    assert ended, "it did not end in time"
    return (ended[0] - start[0]) * 1e6 / requests


def whole_stack(arguments: argparse.Namespace) -> float:
    clock, counters, ended = LoopClock(LOOP), Counters(), []
    network = RealNetwork(reactor, clock, [Listener("udp", "127.0.0.1", 0)], counters)
    handler = Answerer()
    handler.driver = driver = Driver(
        clock,
        TransactionLayer(Ids()),
        NoResolver(),
        network,
        Ids(),
        lambda where, error: print(where, repr(error)),
        counters=counters,
        trace=Trace() if arguments.trace else None,
    )
    take = driver.received

    def received(data: bytes, flow: Flow) -> None:
        if data == END:
            ended.append(cpu())
        else:
            take(data, flow)

    driver.received = received  # type: ignore[method-assign]
    driver.start(handler)
    spent = measure(network.listening[0][1][1], arguments.requests, arguments.window, ended)
    driver.stop()
    return spent


class Echo:
    """A sink that sends everything back."""

    def __init__(self, ended: list[float]) -> None:
        self.udp: UdpTransport | None = None
        self.ended = ended

    def received(self, data: bytes, flow: Flow) -> None:
        if data == END:
            self.ended.append(cpu())
        elif self.udp is not None:
            self.udp.send(flow, data)


def own_reader(arguments: argparse.Namespace, host: str) -> float:
    ended: list[float] = []
    udp = UdpTransport(Listener("udp", host, 0), AddressBook(time.monotonic), Counters())
    sink = Echo(ended)
    sink.udp = udp
    udp.start(reactor, sink)
    spent = measure(udp.local[1], arguments.requests, arguments.window, ended)
    udp.stop()
    return spent


def twisted_port(arguments: argparse.Namespace) -> float:
    ended: list[float] = []

    class Protocol(DatagramProtocol):
        def datagramReceived(self, datagram: bytes, addr: object) -> None:  # noqa: N802
            if datagram == END:
                ended.append(cpu())
            else:
                self.transport.write(datagram, addr)

    port = reactor.listenUDP(0, Protocol(), interface="127.0.0.1", maxPacketSize=65535)  # type: ignore[attr-defined]
    spent = measure(port.getHost().port, arguments.requests, arguments.window, ended)
    port.stopListening()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--window", type=int, default=8, help="requests unanswered at a time; 1 wakes up for each")
    parser.add_argument("--trace", action="store_true", help="with the capture ring")
    parser.add_argument("--compare", action="store_true", help="measure the bare socket loops too")
    arguments = parser.parse_args()
    print(f"{arguments.requests} requests, window {arguments.window}, microseconds of CPU each, in and out together")
    if arguments.compare:
        print(f"{'Twisted UDP port, echo':36}{twisted_port(arguments):8.1f}")
        print(f"{'own reader, echo':36}{own_reader(arguments, '127.0.0.1'):8.1f}")
        print(f"{'own reader, wildcard listener, echo':36}{own_reader(arguments, '0.0.0.0'):8.1f}")
    name = "whole stack, traced" if arguments.trace else "whole stack"
    print(f"{name:36}{whole_stack(arguments):8.1f}")


if __name__ == "__main__":
    main()
