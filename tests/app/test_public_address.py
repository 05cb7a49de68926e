"""Our own address learned by STUN: from a server of our own, and told to those outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pbx.app.public_address import StunError, ask
from pbx.config.stun_section import StunServer
from pbx.rtp.stun import BINDING, Attribute, MessageClass, StunMessage
from tests.support.pbx import LOOPBACK, Connect, Serve, free_ports, sdp
from tests.support.stun import StunHost, success

OUTSIDE, LATER = "203.0.113.7", "203.0.113.8"
TRANSACTION = bytes(range(12))


@pytest.fixture
def host() -> Iterator[StunHost]:
    made = StunHost(LOOPBACK, lambda request, _: [success(request, OUTSIDE)])
    yield made
    made.stop()


def test_what_a_server_says(host: StunHost) -> None:
    assert ask(StunServer(*host.place), TRANSACTION) == OUTSIDE
    # Noise, and the answer to somebody else's question, are passed over.
    host.answers = lambda request, _: [b"noise", success(request, LATER, bytes(12)), success(request, OUTSIDE)]
    assert ask(StunServer(*host.place), TRANSACTION) == OUTSIDE


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
    host.answers = lambda request, _: [answer(request)]
    with pytest.raises(StunError, match=why):
        ask(StunServer(*host.place), TRANSACTION)


def test_a_server_that_does_not_answer(host: StunHost) -> None:
    host.answers = lambda request, _: []
    with pytest.raises(StunError, match="does not answer"):
        ask(StunServer(*host.place), TRANSACTION, (0.02, 0.02))


def test_peers_outside_are_told_what_was_learned(serve: Serve, phone: Connect, host: StunHost) -> None:
    (port,) = free_ports()
    pbx = serve(
        f"""
sip:
  listen: ["udp://{LOOPBACK}:0"]
  local_networks: []
  stun: {{server: "{LOOPBACK}:{host.place[1]}"}}
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
        host.answers = lambda request, _: [success(request, LATER)]
        watch.start()
        pbx.world.until(lambda: watch.address == LATER)
