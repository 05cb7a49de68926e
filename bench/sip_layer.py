"""What the transaction layer costs: microseconds a step, and bytes a finished transaction over UDP.

    python bench/sip_layer.py

The parser's share is measured by itself and taken off where a line says so. Each figure is the best of several runs.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence

from pbx.ids import Ids
from pbx.sip.effects import RequestArrived, Send
from pbx.sip.headers import Headers
from pbx.sip.layer import TransactionLayer
from pbx.sip.message import Request, make_response
from pbx.sip.parser import parse_message, validate
from pbx.sip.stack import Flow

NUMBER = 2000
RUNS = 5
FLOW = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
    b"m=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
)


def request(method: str, number: int, via: bool = True) -> Request:
    headers = Headers()
    if via:
        headers.add("Via", f"SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK{method}{number};rport")
    headers.add("Max-Forwards", "70")
    headers.add("From", f'"Alice" <sip:alice@example.com>;tag=from{number}')
    headers.add("To", "<sip:bob@example.com>")
    headers.add("Call-ID", f"call-{number}@192.0.2.2")
    headers.add("CSeq", f"1 {method}")
    headers.add("Contact", "<sip:alice@192.0.2.2:5060>")
    headers.add("User-Agent", "bench 1.0")
    headers.add("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO")
    if method == "INVITE":
        headers.add("Content-Type", "application/sdp")
    return Request(method, "sip:bob@example.com", headers, SDP if method == "INVITE" else b"")


def best(prepare: Callable[[], Sequence[Callable[[], object]]]) -> float:
    """Return the least time in µs that one of the prepared calls takes on average."""
    figures = []
    for _ in range(RUNS):
        calls = prepare()
        gc.collect()
        gc.disable()
        start = time.perf_counter()
        for call in calls:
            call()
        figures.append((time.perf_counter() - start) / len(calls) * 1e6)
        gc.enable()
    return min(figures)


def parsing(data: list[bytes]) -> float:
    def parse(octets: bytes) -> None:
        validate(parse_message(octets))

    return best(lambda: [lambda octets=octets: parse(octets) for octets in data])  # type: ignore[misc]


def asked(method: str) -> tuple[TransactionLayer, list[bytes]]:
    """Start client transactions; return the layer and the requests as sent."""
    layer = TransactionLayer(Ids())
    sent = []
    for number in range(NUMBER):
        _, effects = layer.request(request(method, number, via=False), FLOW, "192.0.2.1:5060", None, 0.0)
        assert isinstance(effects[0], Send)
        sent.append(effects[0].data)
    return layer, sent


def answers(sent: list[bytes], status: int) -> list[bytes]:
    found = []
    for data in sent:
        message = parse_message(data)
        assert isinstance(message, Request)
        response = make_response(message, status, to_tag="theirs")
        response.headers.add("Contact", "<sip:bob@192.0.2.9:5060>")
        response.body = SDP
        found.append(response.to_bytes())
    return found


def receive_response(method: str, status: int) -> tuple[float, float]:
    """Return the cost of receive() with and without parsing."""

    def prepare() -> list[Callable[[], object]]:
        layer, sent = asked(method)
        return [lambda data=data: layer.receive(data, FLOW, 1.0) for data in answers(sent, status)]  # type: ignore[misc]

    whole = best(prepare)
    _, sent = asked(method)
    return whole, whole - parsing(answers(sent, status))


def receive_request(method: str) -> tuple[float, float]:
    data = [request(method, number).to_bytes() for number in range(NUMBER)]

    def prepare() -> list[Callable[[], object]]:
        layer = TransactionLayer(Ids())
        return [lambda octets=octets: layer.receive(octets, FLOW, 0.0) for octets in data]  # type: ignore[misc]

    whole = best(prepare)
    return whole, whole - parsing(data)


def send_request(method: str) -> float:
    def prepare() -> list[Callable[[], object]]:
        layer = TransactionLayer(Ids())
        messages = [request(method, number, via=False) for number in range(NUMBER)]
        return [
            lambda message=message: layer.request(message, FLOW, "192.0.2.1:5060", None, 0.0)  # type: ignore[misc]
            for message in messages
        ]

    return best(prepare)


def respond(method: str, status: int) -> float:
    def prepare() -> list[Callable[[], object]]:
        layer = TransactionLayer(Ids())
        calls: list[Callable[[], object]] = []
        for number in range(NUMBER):
            (effect,) = layer.receive(request(method, number).to_bytes(), FLOW, 0.0)
            assert isinstance(effect, RequestArrived)
            response = make_response(effect.request, status, to_tag="mine")
            calls.append(lambda t=effect.transaction, r=response: layer.respond(t, r, 0.0))  # type: ignore[misc]
        return calls

    return best(prepare)


def next_timer() -> float:
    layer, _ = asked("INVITE")
    return best(lambda: [layer.next_timer] * NUMBER)


def run_timers() -> float:
    """Return the cost of one retransmission."""

    def prepare() -> list[Callable[[], object]]:
        layer, _ = asked("INVITE")
        return [lambda: layer.timers_due(0.5)]

    return best(prepare) / NUMBER


def bytes_of(make: Callable[[TransactionLayer, int], None]) -> float:
    """Return how much memory a transaction keeps once it is finished."""
    layer = TransactionLayer(Ids())
    for number in range(NUMBER):
        make(layer, number + NUMBER)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(NUMBER):
        make(layer, number)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / NUMBER


def finished_server(method: str, status: int) -> float:
    def make(layer: TransactionLayer, number: int) -> None:
        (effect,) = layer.receive(request(method, number).to_bytes(), FLOW, 0.0)
        assert isinstance(effect, RequestArrived)
        layer.respond(effect.transaction, make_response(effect.request, status, to_tag="mine"), 0.0)

    return bytes_of(make)


def finished_client(method: str, status: int) -> float:
    def make(layer: TransactionLayer, number: int) -> None:
        _, effects = layer.request(request(method, number, via=False), FLOW, "192.0.2.1:5060", object(), 0.0)
        assert isinstance(effects[0], Send)
        layer.receive(answers([effects[0].data], status)[0], FLOW, 0.0)

    return bytes_of(make)


def main() -> None:
    print(f"{'µs':>40}   {'whole':>7} {'less parsing':>13}")
    for method, status in (("INVITE", 180), ("INVITE", 200), ("INVITE", 486), ("BYE", 200)):
        whole, share = receive_response(method, status)
        print(f"{f'receive {status} to {method}':>40}   {whole:7.1f} {share:13.1f}")
    for method in ("INVITE", "BYE", "ACK"):
        whole, share = receive_request(method)
        print(f"{f'receive {method}':>40}   {whole:7.1f} {share:13.1f}")
    for method in ("INVITE", "BYE"):
        print(f"{f'request {method} (with writing it)':>40}   {send_request(method):7.1f}")
    for method, status in (("INVITE", 180), ("INVITE", 200), ("INVITE", 486), ("BYE", 200)):
        print(f"{f'respond {status} to {method} (with writing it)':>40}   {respond(method, status):7.1f}")
    print(f"{f'next_timer with {NUMBER} transactions':>40}   {next_timer():7.2f}")
    print(f"{'one retransmission':>40}   {run_timers():7.2f}")
    print(f"\n{'bytes kept by a finished transaction':>40}")
    for method, status in (("INVITE", 200), ("INVITE", 486), ("BYE", 200)):
        print(f"{f'server {method} {status}':>40}   {finished_server(method, status):7.0f}")
        print(f"{f'client {method} {status}':>40}   {finished_client(method, status):7.0f}")


if __name__ == "__main__":
    main()
