"""Path and Service-Route: the way to and from a registered phone through proxies (RFC 3327, RFC 3608)."""

from __future__ import annotations

from pbx.sip.headers import NameAddress
from pbx.sip.message import Message

__all__ = ["path_of", "path_values", "service_route_of"]


def path_of(message: Message) -> tuple[NameAddress, ...]:
    """Return Path, in the order in which it becomes the Route of a request to the phone (RFC 3327 §5.3). Raises
    ParseError."""
    return message.headers.each("Path", NameAddress.parse)


def path_values(message: Message) -> tuple[str, ...]:
    """Return Path as text, fit to be stored and to be sent as Route or in the 200's Path. Raises ParseError if it is
    malformed."""
    path_of(message)
    return tuple(message.headers.all("Path"))


def service_route_of(message: Message) -> tuple[NameAddress, ...]:
    """Return Service-Route, the Route of our later requests to that registrar (RFC 3608 §5). Raises ParseError."""
    return message.headers.each("Service-Route", NameAddress.parse)
