"""Routers that translate addresses, as homes, offices and data centres have them."""

from __future__ import annotations

from collections.abc import Mapping as Pairs
from enum import Enum

from tests.system.support.namespaces import Lab, Machine

__all__ = ["Mapping", "Router"]

INSIDE, OUTSIDE = "inside", "outside"


class Mapping(Enum):
    """How a router chooses the port outside (RFC 4787 §4.1). All let in only whom a packet was sent to."""

    CONE = "masquerade"
    """Keeps the port, whoever is sent to: what is called a port-restricted cone."""
    SYMMETRIC = "masquerade fully-random"
    """Another port for each destination, by chance."""


class Router(Machine):
    """A router between a network inside and one outside."""

    _forwards: Pairs[int, str] = {}

    @classmethod
    def between(
        cls,
        lab: Lab,
        name: str,
        inside: tuple[str, str],
        outside: tuple[str, str],
        mapping: Mapping,
        udp_timeout: int = 30,
        forwards: Pairs[int, str] | None = None,
    ) -> Router:
        """Make one as homes have it. `inside` and `outside` are a network and the router's address on it.

        It forgets a UDP mapping over which nothing came or went for `udp_timeout` seconds. TCP ports in `forwards` it
        leads to machines inside.
        """
        router = lab.add(cls(name))
        router._forwards = forwards or {}
        lab.connect(router, inside[0], inside[1], interface=INSIDE)
        lab.connect(router, outside[0], outside[1], interface=OUTSIDE)
        router.set(
            net__ipv4__ip_forward=1,
            net__netfilter__nf_conntrack_udp_timeout=udp_timeout,
            net__netfilter__nf_conntrack_udp_timeout_stream=udp_timeout,
        )
        router.translate(mapping)
        return router

    @classmethod
    def one_to_one(cls, lab: Lab, name: str, inside: tuple[str, str], outside: tuple[str, Pairs[str, str]]) -> Router:
        """Make one that maps each of its addresses outside (with its prefix) to a machine inside, and back."""
        router = lab.add(cls(name))
        lab.connect(router, inside[0], inside[1], interface=INSIDE)
        lab.connect(router, outside[0], *outside[1], interface=OUTSIDE)
        router.set(net__ipv4__ip_forward=1)
        pairs = [(public.partition("/")[0], private) for public, private in outside[1].items()]
        router._load(
            "\n".join(f'oifname "{OUTSIDE}" ip saddr {private} snat to {public}' for public, private in pairs),
            "\n".join(f'iifname "{OUTSIDE}" ip daddr {public} dnat to {private}' for public, private in pairs),
            "",
        )
        return router

    def translate(self, mapping: Mapping) -> None:
        """Choose ports like this from now on. What is mapped stays as it is; see `forget`."""
        self._load(
            f'oifname "{OUTSIDE}" {mapping.value}',
            "\n".join(f'iifname "{OUTSIDE}" tcp dport {port} dnat to {to}' for port, to in self._forwards.items()),
            f'iifname "{OUTSIDE}" ct state new ct status & dnat == 0 drop',
        )

    def _load(self, outgoing: str, incoming: str, passing: str) -> None:
        self.run(
            *("nft", "-f", "-"),
            text=f"""
            flush ruleset
            table ip translation {{
                chain outgoing {{
                    type nat hook postrouting priority srcnat
                    {outgoing}
                }}
                chain incoming {{
                    type nat hook prerouting priority dstnat
                    {incoming}
                }}
                chain passing {{
                    type filter hook forward priority filter
                    {passing}
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
