"""The section ``sip:``. The docstrings are the source of ``docs/configuration.md``."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pbx.config.hep_section import Hep
from pbx.config.kinds import (
    Address,
    Duration,
    FilePath,
    Kind,
    ListenUri,
    ListenUriText,
    Networks,
    Positive,
    Seconds,
    Section,
    Size,
    Words,
    as_list,
    parse_address,
    parse_host_port,
)
from pbx.config.stun_section import Stun

__all__ = ["LOCAL_NETWORKS", "Digest", "Listener", "Resolver", "SessionTimer", "Sip", "Tcp", "Trace"]

LOCAL_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


class Listener(Section):
    """One place to listen. A bare listen URI stands for one with no options of its own."""

    uri: ListenUriText
    """Transport, address and port: `udp://`, `tcp://` or `tls://`, with `0.0.0.0` or `[::]` for every address."""
    external_address: Address | None = None
    """The address that peers outside the local networks are told; overrides that of `sip`."""
    local_networks: Networks | None = None
    """Networks whose hosts are told the address listened on; overrides those of `sip`. Both are about signalling;
    `media` has its own."""
    certificate: FilePath | None = None
    """The certificate of a `tls://` listener (PEM, with its chain); overrides that of `sip`."""
    key: FilePath | None = None
    """The key of that certificate (PEM)."""
    allow_from: Networks | None = None
    """The only networks that are listened to here; any if left out. What else comes is dropped without an answer."""


class SessionTimer(Section):
    """Session timers (RFC 4028): both sides notice when the other is gone."""

    mode: Literal["off", "accept", "offer"] = "accept"
    """`off`: never. `accept`: when the peer asks. `offer`: Tandem asks, in each call that it makes and answers."""
    expires: Duration = 1800.0
    """The interval to ask for. A session that is not refreshed in time ends."""
    min_expires: Duration = 90.0
    """The shortest interval that is accepted; RFC 4028 allows nothing below 90s."""


class Tcp(Section):
    """Limits of TCP and TLS connections."""

    max_connections: int = Field(default=10_000, ge=1, le=1_000_000)
    """Connections that are open at once, TCP and TLS each; those that we open count apart."""
    max_connections_per_address: int = Field(default=500, ge=1, le=1_000_000)
    """Those of them that come from one address."""
    max_message: Annotated[Size, Field(ge=1024, le=2**30)] = 65_536
    """The largest message that is read, headers and body; a larger one closes the connection."""
    idle_timeout: Positive = 3600.0
    """A connection on which nothing comes for so long is closed."""
    connect_timeout: Positive = 5.0
    """How long a connection of ours may take to open, before the next target is tried."""
    handshake_timeout: Positive = 10.0
    """How long a peer may take for the TLS handshake, and for its first message after it."""


class Digest(Section):
    """How phones prove who they are (RFC 7616, RFC 8760)."""

    realm: str | None = None
    """The realm of challenges; the domain if left out, or else `tandem`."""
    algorithms: Annotated[
        tuple[Literal["SHA-512-256", "SHA-256", "MD5"], ...],
        BeforeValidator(as_list),
        Field(min_length=1),
        Kind("list of algorithms", "[SHA-256, MD5]"),
    ] = ("SHA-256", "MD5")
    """The algorithms offered, best first."""
    nonce_lifetime: Positive = 300.0
    """How long a nonce counts; after that the phone is given a new one without being asked for the password."""


def _name_server(text: str) -> str:
    try:
        return parse_address(text)
    except ValueError:
        return str(parse_host_port(text))


NameServer = Annotated[str, AfterValidator(_name_server)]


class Resolver(Section):
    """How peers' names are resolved (RFC 3263)."""

    servers: Annotated[tuple[NameServer, ...], BeforeValidator(as_list), Kind("list of addresses", "[192.0.2.53]")] = ()
    """Addresses of DNS servers, with a port where it is not 53; those of the machine if left out."""
    timeout: Positive = 5.0
    """How long to wait for an answer."""
    dead_for: Duration = 30.0
    """How long a target that did not reply is passed over while there are others."""


class Trace(Section):
    """What is kept in memory of recent calls for `pbx calls --trace`."""

    calls: int = Field(default=1000, ge=0, le=1_000_000)
    """How many calls, of two legs each; 0 keeps nothing."""
    messages: int = Field(default=64, ge=2, le=10_000)
    """How many messages of each leg: the first ones and the last ones. One of more than 2 KiB counts as several."""


class Sip(Section):
    """Signalling: where to listen, what to say of ourselves, and the timers."""

    listen: Annotated[
        tuple[Listener, ...],
        BeforeValidator(lambda value: _listeners(value)),
        Field(min_length=1),
        Kind("list of listen URIs or listeners", '["udp://0.0.0.0:5060"]'),
    ] = (
        Listener(uri=ListenUri("udp", "0.0.0.0", 5060)),
        Listener(uri=ListenUri("tcp", "0.0.0.0", 5060)),
    )
    """Where to listen: listen URIs, or mappings with `uri` and options."""
    domain: str | None = None
    """The domain of the extensions, as in `sip:101@DOMAIN`. Left out, every address that phones call us by is ours."""
    aliases: Words = ()
    """Further domains that are ours."""
    user_agent: str = "Tandem"
    """What User-Agent and Server say; empty to say nothing."""
    external_address: Address | None = None
    """The address by which the outside reaches us, where a router with NAT stands between: for listeners of its
    family."""
    local_networks: Networks = LOCAL_NETWORKS
    """Networks whose hosts reach us without that router, and are told the address listened on."""
    certificate: FilePath | None = None
    """The certificate of `tls://` listeners (PEM, with its chain). Left out, one is made at first start."""
    key: FilePath | None = None
    """The key of the certificate (PEM)."""
    authorities: FilePath | None = None
    """Certificates (PEM) that the TLS peers we connect to are checked against; the machine's if left out."""
    client_authorities: FilePath | None = None
    """Certificates (PEM) that TLS peers who connect to us are checked against, where they show one: trunks are known by
    theirs (`match`). Left out, none is asked for."""
    t1: Duration = 0.5
    """RFC 3261's T1, an estimate of the round trip; the transaction timers follow from it."""
    t2: Duration = 4.0
    """RFC 3261's T2, the longest interval between retransmissions."""
    t4: Positive = 5.0
    """RFC 3261's T4, how long a message may linger in the network."""
    max_forwards: int = Field(default=70, ge=1, le=255)
    """Max-Forwards of the calls that begin here; others pass on theirs less one."""
    keep_alive: Seconds | None = 25.0
    """How often a phone behind NAT, and a trunk that we are registered with, is sent a few bytes, so that routers keep
    the way open; `null` never."""
    receive_buffer: Annotated[Size, Field(ge=4096, le=2**30)] = 4 * 1024 * 1024
    """Size of a UDP socket's receive buffer, so that a burst is not lost."""
    dscp: int = Field(default=24, ge=0, le=63)
    """DSCP of signalling packets; 24 is CS3."""
    session_timer: SessionTimer = SessionTimer()
    digest: Digest = Digest()
    tcp: Tcp = Tcp()
    resolver: Resolver = Resolver()
    trace: Trace = Trace()
    hep: Hep | None = None
    stun: Stun | None = None


def _listeners(value: object) -> object:
    """Turn bare listen URIs into listeners."""
    items = as_list(value)
    if not isinstance(items, list | tuple):
        return items
    return [{"uri": item} if isinstance(item, str) else item for item in items]
