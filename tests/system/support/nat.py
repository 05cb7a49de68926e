"""Routers that translate addresses, as homes, offices and data centres have them."""

from __future__ import annotations

from enum import Enum

from tests.system.support.namespaces import Lab, Machine

__all__ = ["Mapping", "Router"]


class Mapping(Enum):
    """How a router chooses the port outside (RFC 4787 §4.1). All let in only whom a packet was sent to."""

    CONE = "masquerade"
    """Keeps the port, whoever is sent to: what is called a port-restricted cone."""
    SYMMETRIC = "masquerade fully-random"
    """Another port for each destination, by chance."""


class Router(Machine):
    """A router between a network inside and one outside, such as a home's.

    It forgets a UDP mapping over which nothing came or went for `udp_timeout` seconds.
    """

    @classmethod
    def between(
        cls,
        lab: Lab,
        name: str,
        inside: tuple[str, str],
        outside: tuple[str, str],
        mapping: Mapping,
        udp_timeout: int = 8,
    ) -> Router:
        """Make one; `inside` and `outside` are a network and the router's address on it, with its prefix."""
        router = lab.add(cls(name))
        lab.connect(router, inside[0], inside[1], interface="inside")
        lab.connect(router, outside[0], outside[1], interface="outside")
        router.set(
            net__ipv4__ip_forward=1,
            net__netfilter__nf_conntrack_udp_timeout=udp_timeout,
            net__netfilter__nf_conntrack_udp_timeout_stream=udp_timeout,
        )
        router.translate(mapping.value)
        return router

    def translate(self, rule: str, incoming: str = "") -> None:
        """Have an nftables rule for what goes outside, and perhaps one for what comes from there; nothing else passes
        inward."""
        self.run(
            "nft",
            "-f",
            "-",
            text=f"""
            flush ruleset
            table ip home {{
                chain outgoing {{
                    type nat hook postrouting priority srcnat
                    oifname "outside" {rule}
                }}
                chain incoming {{
                    type nat hook prerouting priority dstnat
                    {incoming and f'iifname "outside" {incoming}'}
                }}
                chain passing {{
                    type filter hook forward priority filter
                    iifname "outside" ct state new {"" if incoming else "drop"}{"accept" if incoming else ""}
                }}
            }}
            """,
        )

    def forget(self) -> None:
        """Lose every mapping, as a router does that was started anew."""
        self.run("conntrack", "-F")

    def mappings(self) -> str:
        """The mappings that it has, for a failure's text."""
        return self.run("conntrack", "-L")
