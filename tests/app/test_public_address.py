"""Our own address learned by STUN: from a server of our own, and told to those outside."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from pbx.app.public_address import StunError, ask
from pbx.config.stun_section import StunServer
from pbx.rtp.stun import BINDING, Attribute, MessageClass, StunMessage, encode_address
from tests.support.pbx import LOOPBACK, Connect, Serve, free_ports, sdp

OUTSIDE, LATER = "203.0.113.7", "203.0.113.8"
TRANSACTION = bytes(range(12))
Answers = Callable[[StunMessage], list[bytes]]


def success(request: StunMessage, host: str = OUTSIDE, transaction: bytes = b"") -> bytes:
    transaction = transaction or request.transaction
    value = encode_address(host, 4321, transaction)
    return StunMessage(MessageClass.SUCCESS, BINDING, transaction, ((Attribute.XOR_MAPPED_ADDRESS, value),)).to_bytes()


class StunHost:
    """A STUN server that says what it is told to."""

    def __init__(self) -> None:
        self.answers: Answers = lambda request: [success(request)]
        self.line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.line.bind((LOOPBACK, 0))
        self.server = StunServer(LOOPBACK, self.line.getsockname()[1])
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            data, source = self.line.recvfrom(2048)
            if data == b"stop":
                return
            for answer in self.answers(StunMessage.parse(data)):
                self.line.sendto(answer, source)

    def stop(self) -> None:
        self.line.sendto(b"stop", self.line.getsockname())
        self.thread.join()
        self.line.close()


@pytest.fixture
def host() -> Iterator[StunHost]:
    made = StunHost()
    yield made
    made.stop()


def test_what_a_server_says(host: StunHost) -> None:
    assert ask(host.server, TRANSACTION) == OUTSIDE
    # Noise, and the answer to somebody else's question, are passed over.
    host.answers = lambda request: [b"noise", success(request, LATER, bytes(12)), success(request)]
    assert ask(host.server, TRANSACTION) == OUTSIDE


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda request: success(request, "0.0.0.0"), "cannot be ours"),
        (lambda request: success(request, "224.0.0.1"), "cannot be ours"),
        (lambda request: success(request, "2001:db8::1"), "cannot be ours"),
        (lambda request: StunMessage(MessageClass.SUCCESS, BINDING, request.transaction).to_bytes(), "refuses to say"),
        (lambda request: StunMessage(MessageClass.ERROR, BINDING, request.transaction).to_bytes(), "refuses to say"),
        (
            lambda request: StunMessage(
                MessageClass.SUCCESS, BINDING, request.transaction, ((Attribute.XOR_MAPPED_ADDRESS, bytes(4)),)
            ).to_bytes(),
            "nothing that can be read",
        ),
    ],
)
def test_what_is_not_believed(host: StunHost, answer: Callable[[StunMessage], bytes], why: str) -> None:
    host.answers = lambda request: [answer(request)]
    with pytest.raises(StunError, match=why):
        ask(host.server, TRANSACTION)


def test_a_server_that_does_not_answer(host: StunHost) -> None:
    host.answers = lambda request: []
    with pytest.raises(StunError, match="does not answer"):
        ask(host.server, TRANSACTION, (0.02, 0.02))


def test_peers_outside_are_told_what_was_learned(serve: Serve, phone: Connect, host: StunHost) -> None:
    (port,) = free_ports()
    pbx = serve(
        f"""
sip:
  listen: ["udp://{LOOPBACK}:0"]
  local_networks: []
  stun: {{server: "{LOOPBACK}:{host.server.port}"}}
trunks: {{carrier: {{address: "sip:{LOOPBACK}:{port}", identify: "{LOOPBACK}:{port}"}}}}
extensions: {{"101": {{password: wonderland}}}}
""",
        "routes: [{name: out, when: {from: extension}, do: [{dial: trunk/carrier}]}]",
    )
    carrier, alice = phone(pbx, port=port), phone(pbx, "101", "wonderland")
    watch = pbx.server.public_address
    assert watch is not None
    pbx.world.until(lambda: watch.address)
    for told in (OUTSIDE, LATER):
        sent = alice.start("INVITE", f"sip:70@{LOOPBACK}", sdp())
        invite = carrier.request("INVITE")
        assert (invite.top_via.host, invite.contacts[0].uri.host) == (told, told)
        assert f"IN IP4 {told}".encode() in invite.body
        carrier.answer(invite, 486)
        alice.acknowledge(sent, alice.final(sent))
        host.answers = lambda request: [success(request, LATER)]
        watch.start()
        pbx.world.until(lambda: watch.address == LATER)
