"""What is decided about media before any peer speaks: addresses, codecs, latching."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_pton

from pbx.errors import ConfigurationError, UsageError
from pbx.media.processing import Processing
from pbx.sdp.codecs import TELEPHONE_EVENT, PayloadFormat
from pbx.sdp.relayed import RELAYED_KINDS
from pbx.sdp.sdes import SUITES, Protection, Srtp

__all__ = [
    "ENGINE_CODECS",
    "MAXIMUM_FORMATS",
    "LatchPolicy",
    "MediaSettings",
    "RtcpMux",
    "is_numeric",
    "is_private",
]

MAXIMUM_FORMATS = 16
"""Payload types that one stream of the engine may have."""

_HIGHEST_RATE = 192_000
_MOST_CHANNELS = 8
# Beyond these the engine takes no codec, not even to relay it.

ENGINE_CODECS = ("opus", "g722", "pcma", "pcmu", "l16")
"""Voice codecs that the engine decodes and encodes, in the order in which we offer them when nobody says otherwise."""

_COMPANIONS = frozenset((TELEPHONE_EVENT, "cn"))

# Redundancy and repair name payload numbers of other formats in their parameters, so they cannot pass by name alone.
_NEVER = frozenset(("red", "ulpfec", "flexfec", "rtx"))

# What we offer of our own accord, by encoding name. Dynamic numbers as most phones have them.
_OWN = {
    "opus": PayloadFormat(96, "opus", 48000, 2, "useinbandfec=1"),
    "g722": PayloadFormat(9, "G722", 8000),
    "pcma": PayloadFormat(8, "PCMA", 8000),
    "pcmu": PayloadFormat(0, "PCMU", 8000),
    "l16": PayloadFormat(97, "L16", 16000),
    "g729": PayloadFormat(18, "G729", 8000, 1, "annexb=no"),
}
_OWN_EVENT = PayloadFormat(101, TELEPHONE_EVENT, 8000, 1, "0-15")
_OWN_EVENT_48 = PayloadFormat(100, TELEPHONE_EVENT, 48000, 1, "0-15")

_Network = IPv4Network | IPv6Network
_UNTOUCHED = Processing()


class RtcpMux(Enum):
    """Whether RTCP may share the RTP port (RFC 5761)."""

    OFFER = "offer"
    ACCEPT = "accept"
    """If the peer asks for it."""
    NEVER = "never"


class LatchPolicy(Enum):
    """Whether to believe the first source of media over the address that the peer said."""

    AUTOMATIC = "automatic"
    """Where the leg asks for it, and where a peer on a public address says a private one: it sits behind NAT."""
    ASKED = "asked"
    """Where the leg asks for it, and nowhere else."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class MediaSettings:
    """What holds for the media of every call."""

    address: str = "127.0.0.1"
    """Bound for IPv4 peers, or for all. A wildcard needs `external_address`, or a leg that says what stands for it."""
    address6: str = ""
    """Bound for IPv6 peers; empty: they get `address`."""
    follow_signalling: bool = False
    """Bind our own end of a leg's signalling instead, where that is known and of the family that the peer wants."""
    external_address: str = ""
    """Told to IPv4 peers outside `local_networks` (a 1:1 NAT before us); empty: what is bound."""
    external_address6: str = ""
    local_networks: tuple[str, ...] = (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    )
    codecs: tuple[str, ...] = ()
    """Voice codecs (encoding names) that may pass to and from legs without a list of their own, best first; empty: any
    may, in the order of the other side."""
    engine_codecs: tuple[str, ...] = ENGINE_CODECS
    """Voice codecs, in lower case, that this build of the engine decodes and encodes."""
    transcode: bool = False
    """Whether sides without a common codec are offered and answered what the engine can turn into each other."""
    packet_time: int = 20
    """Milliseconds a packet that we send, unless the peer asks for another."""
    no_media_timeout: int = 60_000
    """Milliseconds; 0 never."""
    rtcp_mux: RtcpMux = RtcpMux.ACCEPT
    latch: LatchPolicy = LatchPolicy.AUTOMATIC
    relayed: frozenset[str] = RELAYED_KINDS
    """Kinds of media beside audio that are relayed between two legs; others are refused."""
    srtp: Srtp = Srtp.ACCEPT
    """Whether audio is encrypted, where a leg has no policy of its own."""
    processing: Processing = _UNTOUCHED
    """What is done to what a peer says, where a leg does not say otherwise."""
    suites: frozenset[str] = frozenset(SUITES)
    """The suites that the engine can do."""

    def __post_init__(self) -> None:
        """Check the addresses. Raises ConfigurationError that names every one that is none."""
        faults: list[str] = []
        for field in ("address", "address6", "external_address", "external_address6"):
            value = getattr(self, field)
            if value and not is_numeric(value):
                faults.append(f"media.{field}: {value!r} is no IP address")
        for network in self.local_networks:
            try:
                ip_network(network, strict=False)
            except ValueError:
                faults.append(f"media.local_networks: {network!r} is no network, such as 10.0.0.0/8")
        if faults:
            raise ConfigurationError(tuple(faults))

    def protection(self, policy: Srtp | None = None) -> Protection:
        """Return what a leg may do for its encryption; `policy` is its own, None for `srtp`."""
        return Protection(self.srtp if policy is None else policy, self.suites)

    @cached_property
    def _local(self) -> tuple[_Network, ...]:
        return tuple(ip_network(network, strict=False) for network in self.local_networks)

    def own_codecs(self, names: tuple[str, ...] = ()) -> tuple[PayloadFormat, ...]:
        """Return what we offer when there is no other side whose wishes to carry: voice codecs, and telephone-event.

        `names` are those of the leg, empty for `codecs`. No voice codec is there if they allow none that the engine can
        make.
        """
        voices = self.own_voices(names or self.codecs or ENGINE_CODECS[:-1])
        rates = {voice.rate for voice in voices}
        events = [_OWN_EVENT] if rates - {48000} else []
        return tuple(voices + events + ([_OWN_EVENT_48] if 48000 in rates else []))

    def own_voices(self, names: Iterable[str]) -> list[PayloadFormat]:
        """Return the voice codecs of these names that the engine has, as we offer them."""
        lower = [name.lower() for name in names]
        return [_OWN[name] for name in lower if name in _OWN and name in self.engine_codecs]

    def decodes(self, codec: PayloadFormat) -> bool:
        """Return whether the engine decodes a voice codec, or understands what comes beside one."""
        name = codec.name.lower()
        return (name in _COMPANIONS or name in self.engine_codecs) and (name != "l16" or codec.channels == 1)

    def permitted(
        self, codecs: Iterable[PayloadFormat], decodable_only: bool, names: tuple[str, ...] = ()
    ) -> tuple[PayloadFormat, ...]:
        """Return those of `codecs` that may pass; with `decodable_only` those the engine can decode.

        `names` are those of the leg, empty for `codecs`. They come in the order of that list, voices first; without one
        as they are given.
        """
        ranks = _ranks(names or self.codecs)
        passed: list[PayloadFormat] = []
        for codec in codecs:
            name = codec.name.lower()
            if name in _NEVER or (ranks and name not in ranks) or (decodable_only and not self.decodes(codec)):
                continue
            if codec.rate > _HIGHEST_RATE or codec.channels > _MOST_CHANNELS:
                continue
            passed.append(codec)
        if ranks:
            passed.sort(key=lambda codec: ranks[codec.name.lower()])
        while len(passed) > MAXIMUM_FORMATS:
            voices = [codec for codec in passed if not codec.is_companion]
            passed.remove(voices[-1] if len(voices) > 1 else passed[-1])
        return tuple(passed)

    def bind_address(self, remote: str, local: str = "") -> str:
        """Return what to bind for a peer at `remote` whose signalling comes to `local`, our own address; both are
        numeric, or empty while they are not known."""
        if self.follow_signalling and local and (not remote or (":" in remote) == (":" in local)):
            # A link-local address cannot be bound without its interface, which nobody here knows.
            return "::" if local.startswith("fe80:") else local
        return self.address6 if self.address6 and ":" in remote else self.address

    def advertised(self, bound: str, peer: str, local: str) -> str:
        """Return the address that a peer is told.

        `bound` is what is bound, `peer` where the peer's signalling comes from and `local` our own address towards it;
        both may be empty. Raises UsageError if a wildcard is bound and nothing says what stands for it.
        """
        external = self.external_address6 if ":" in bound else self.external_address
        if external and not self.is_local(peer):
            return external
        if bound not in ("0.0.0.0", "::"):
            return bound
        if local and (":" in local) == (":" in bound):
            return local
        if external:
            return external
        raise UsageError("media.address is a wildcard, and there is no external address to tell peers instead")

    def is_local(self, address: str) -> bool:
        """Return whether `address` lies in `local_networks`; an empty one does not."""
        if not address:
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._local if network.version == parsed.version)

    def latches(self, leg: bool, said: str, peer: str) -> bool:
        """Return whether to latch.

        `leg` is what the leg asks for, `said` the peer's media address, `peer` where it signals from (may be empty).
        """
        if self.latch is LatchPolicy.ASKED:
            return leg
        if self.latch is not LatchPolicy.AUTOMATIC:
            return self.latch is LatchPolicy.ALWAYS
        return leg or (bool(peer) and said != peer and is_private(said) and not is_private(peer))


@lru_cache(maxsize=256)
def _ranks(names: tuple[str, ...]) -> dict[str, int]:
    """Return the places of codecs in a list; empty for an empty list.

    Whoever lists voice codecs does not mean to lose the keys that a caller presses.
    """
    if not names:
        return {}
    ranks = dict.fromkeys(_COMPANIONS, len(names))
    for place, name in enumerate(names):
        ranks.setdefault(name.lower(), place)
    return ranks


def is_numeric(address: str) -> bool:
    """Return whether `address` is an IPv4 or IPv6 address rather than a host name."""
    try:
        # A tenth of what `ipaddress` takes, and this is asked of every description.
        inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        return False
    return True


_UNREACHABLE: tuple[_Network, ...] = tuple(
    ip_network(network)
    for network in (
        # RFC 1918, loopback, link-local, carrier-grade NAT (RFC 6598), unique local (RFC 4193).
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    )
)


def is_private(address: str) -> bool:
    """Return whether `address` is numeric and cannot be reached across the Internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in _UNREACHABLE if network.version == parsed.version)
