"""Bans in the kernel, in a namespace with nftables of its own."""

from __future__ import annotations

import socket

import pytest

from pbx.app.firewall import Firewall
from pbx.security.sources import source_of
from tests.peers.support.waiting import until
from tests.system.support.namespaces import Lab

pytestmark = pytest.mark.peers

SIP, OTHER = 5060, 5070
SERVER = {socket.AF_INET: "203.0.113.10", socket.AF_INET6: "2001:db8:1::10"}
PEER = {socket.AF_INET: "203.0.113.20", socket.AF_INET6: "2001:db8:1::20"}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_the_kernel_drops_who_is_banned_at_our_ports_alone(lab: Lab, family: socket.AddressFamily) -> None:
    server, peer = lab.machine("server"), lab.machine("peer")
    lab.connect(server, "net", "203.0.113.10/24", "2001:db8:1::10/64")
    lab.connect(peer, "net", "203.0.113.20/24", "2001:db8:1::20/64")
    listening = {}
    with server.inside():
        for port in (SIP, OTHER):
            listening[port] = socket.socket(family, socket.SOCK_DGRAM)
            listening[port].bind((SERVER[family], port))
            listening[port].settimeout(0.3)
        firewall = Firewall("tandem", [SIP], lambda source: source == "203.0.113.99")
        # The thread that runs nft is made here, and so is in this machine.
        firewall.start()
    with peer.inside():
        sender = socket.socket(family, socket.SOCK_DGRAM)
        sender.bind((PEER[family], 0))

    def heard(port: int) -> bool:
        sender.sendto(b"hello", (SERVER[family], port))
        try:
            return listening[port].recv(100) == b"hello"
        except TimeoutError:
            return False

    def elements() -> str:
        return server.run("sh", "-c", "nft list table inet tandem || true")

    try:
        until(lambda: "banned6" in elements(), "the table")
        assert heard(SIP)
        firewall.told(source_of(PEER[family]), 300.0)
        firewall.told("203.0.113.99", 300.0)
        until(lambda: "expires" in elements(), "the ban")
        assert (heard(SIP), heard(OTHER)) == (False, True)
        assert "203.0.113.99" not in elements(), "a phone is there, too"
        firewall.told(source_of(PEER[family]), None)
        until(lambda: heard(SIP), "the lifted ban")
        firewall.told(source_of(PEER[family]), 1.0)
        until(lambda: not heard(SIP), "the short ban")
        until(lambda: heard(SIP), "its end", 10)
    finally:
        firewall.stop()
        for one in (*listening.values(), sender):
            one.close()
    assert "tandem" not in server.run("nft", "list", "tables")
    assert firewall.failed == 0
