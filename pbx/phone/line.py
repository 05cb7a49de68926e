"""Who a phone is and where its server is: what a user writes, read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from pbx.errors import ConfigurationError, ParseError
from pbx.sip.headers import NameAddress
from pbx.sip.stack import Destination, Flow
from pbx.sip.uri import Uri
from pbx.trunks.account import Account

__all__ = ["TRANSPORTS", "Line", "read_line"]

TRANSPORTS: Final = ("udp", "tcp", "tls")

_ACCOUNT: Final = "line"
_DIALLED = re.compile(r"[+0-9A-Da-d*#() ./-]+")
"""A number as people write it. What stands between the digits is not dialled."""
_BETWEEN: Final = str.maketrans("", "", "() ./-")


@dataclass(frozen=True, slots=True)
class Line:
    """One identity at one server; `read_line` makes it. Without `server` there is nothing to register with."""

    user: str = ""
    name: str = ""
    password: str | None = field(default=None, repr=False)
    server: Uri | None = None
    """The server's domain, as it stands in addresses: without user and parameters."""
    server_hop: Uri | None = None
    """What of it is resolved: with the transport."""
    proxy: Uri | None = None
    """The outbound proxy, which every request goes to first, with lr."""
    transport: str = "udp"
    """What is used where an address does not say; ``udp``, ``tcp`` or ``tls``."""

    def account(self, expires: int) -> Account:
        """Return what is registered. There must be a server and a user."""
        assert self.server is not None, "nothing to register with"
        return Account(
            _ACCOUNT,
            self.server.with_(user=self.user, port=None),
            self.server,
            self.route,
            None if self.proxy is not None else self.server_hop,
            self.user,
            expires,
        )

    @property
    def route(self) -> tuple[str, ...]:
        """The pre-loaded Route (RFC 3261 §8.1.2)."""
        return () if self.proxy is None else (f"<{self.proxy}>",)

    @property
    def way(self) -> str:
        """Where requests go first, for people."""
        hop = self.proxy or self.server
        if hop is None:
            return self.transport
        host = f"[{hop.host}]" if ":" in hop.host else hop.host
        return f"{self.transport} {host}" + (f":{hop.port}" if hop.port else "")

    def destination(self, target: str, flow: Flow | None) -> Destination:
        """Return where a call to what a user wrote goes: a number at the server, ``user@host`` or a URI.

        With `flow`, which leads to the server or proxy, what goes there takes it. Raises ConfigurationError.
        """
        uri = self._target(target)
        if self.proxy is not None:
            return Destination(uri, self.route, flow, flow is not None)
        if self.server is not None and (uri.host, uri.port) == (self.server.host, self.server.port):
            return Destination(uri, (), flow, flow is not None, self.server_hop)
        transport = uri.params.get("transport")
        hop = (
            uri if transport or uri.scheme != "sip" or self.transport == "udp" else _with_transport(uri, self.transport)
        )
        return Destination(uri, next_hop=hop)

    def _target(self, text: str) -> Uri:
        text = text.strip()
        try:
            if text.lower().startswith(("sip:", "sips:")):
                uri = Uri.parse(text)
            elif text.lower().startswith("tel:"):
                number = Uri.parse(text).user or ""
                uri = self._at_server(number.translate(_BETWEEN), text)
            elif "@" in text:
                uri = Uri.parse(f"sip:{text}")
            else:
                uri = self._at_server(text.translate(_BETWEEN) if _DIALLED.fullmatch(text) else text, text)
        except ParseError as error:
            raise _wrong(
                f"{text!r} cannot be called: {error.reason}; write a number, user@host or sip:user@host"
            ) from None
        return uri

    def _at_server(self, user: str, text: str) -> Uri:
        if self.server is None:
            raise _wrong(f"{text!r} is to be called at which server? Give --server (SIP_SERVER), or sip:{text}@host")
        if not user:
            raise _wrong("an empty number cannot be called")
        return self.server.with_(user=user)


def read_line(
    *, server: str = "", user: str = "", password: str = "", proxy: str = "", transport: str = "", name: str = ""
) -> Line:
    """Read what a user writes. Raises ConfigurationError that says what is wrong, with a line for each fault.

    `server` is ``host``, ``host:port`` or a URI; `user` may be ``user@domain``, the domain then being that of the
    addresses while `server` only says where to go; `proxy` is a full URI such as ``sip:host:port;transport=tcp;lr``.
    """
    faults: list[str] = []
    if transport and transport not in TRANSPORTS:
        faults.append(f"--transport {transport}: there are {', '.join(TRANSPORTS)}")
    hop = _read(server, "--server", faults)
    outbound = _read(proxy, "--outbound-proxy", faults)
    user, _, domain = user.removeprefix("sip:").partition("@")
    named = _read(domain, "--user", faults)
    if faults:
        raise ConfigurationError(tuple(faults))
    first = outbound or hop or named
    used = transport or _transport_of(first) or "udp"
    if outbound is not None:
        if transport:
            outbound = _with_transport(outbound, transport)
        if "lr" not in outbound.params:
            # Without it the proxy would be a strict router (RFC 2543), of which there are none left.
            outbound = outbound.with_(params={**outbound.params, "lr": None})
    hop = hop or named
    domain_uri = named or hop
    return Line(
        user,
        name,
        password or None,
        None if domain_uri is None else Uri("sip", None, None, domain_uri.host, domain_uri.port),
        None if hop is None else _with_transport(hop, used),
        outbound,
        used,
    )


def _read(text: str, option: str, faults: list[str]) -> Uri | None:
    text = text.strip()
    if not text:
        return None
    if text.startswith("<"):
        try:
            text = str(NameAddress.parse(text).uri)
        except ParseError:
            faults.append(f"{option} {text}: an angle bracket is not closed")
            return None
    written = text
    if not text.lower().startswith(("sip:", "sips:")):
        # An IPv6 address is told from host and port by its colons.
        text = f"sip:[{text}]" if text.count(":") > 1 and not text.startswith("[") else f"sip:{text}"
    try:
        uri = Uri.parse(text)
    except ParseError as error:
        faults.append(f"{option} {written}: {error.reason}; write host, host:port or sip:host:port;transport=tcp")
        return None
    transport = _transport_of(uri)
    if transport and transport not in TRANSPORTS:
        faults.append(f"{option} {written}: there is no transport {transport} here, but {', '.join(TRANSPORTS)}")
        return None
    return uri.with_(user=None, password=None)


def _transport_of(uri: Uri | None) -> str:
    if uri is None:
        return ""
    return "tls" if uri.scheme == "sips" else (uri.params.get("transport") or "").lower()


def _with_transport(uri: Uri, transport: str) -> Uri:
    """Return a URI that is resolved for this transport. UDP needs not be said, and then RFC 3263 would ask DNS for a
    service; it is said all the same, since the phone has but one way out."""
    return uri.with_(scheme="sip", params={**uri.params, "transport": transport})


def _wrong(text: str) -> ConfigurationError:
    return ConfigurationError((text,))
