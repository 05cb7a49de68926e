"""How a request is made ready for its way: Request-URI, Route, and whether it is too large for UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pbx.sip.headers import NameAddress

if TYPE_CHECKING:
    from pbx.sip.message import Request, Response
    from pbx.sip.stack import Destination
    from pbx.sip.uri import Uri

__all__ = [
    "address_request",
    "next_hop_of",
    "retry_after",
    "too_large_for_udp",
    "wants_contact",
]

_WANT_CONTACT: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE"})
"""Methods whose Contact tells where requests in the dialog go. REGISTER is not among them: without Contact it asks for
the bindings (RFC 3261 §10.2.3)."""
_UDP_LIMIT: Final = 1300
_ROOM_FOR_VIA: Final = 110
_REST: Final = 40
"""The request line without its URI, Content-Length and the empty line."""
_LONGEST_RETRY: Final = 10**9


def address_request(request: Request, destination: Destination) -> Uri:
    """Write Request-URI and Route of `destination` into `request`; return the URI of the next hop. Raises ParseError.

    Can be done again with the same request.
    """
    headers = request.headers
    routes = destination.route
    next_hop = destination.next_hop
    uri = destination.uri
    if next_hop is None:
        next_hop = uri
        if routes:
            next_hop = NameAddress.parse(routes[0]).uri
            if "lr" not in next_hop.params:
                # RFC 3261 §12.2.1.1: the UAC MUST place the first URI from the route set into the Request-URI,
                # stripping any parameters that are not allowed in a Request-URI. The UAC MUST add a Route header field
                # containing the remainder of the route set values in order. The UAC MUST then place the remote target
                # URI into the Route header field as the last value.
                routes = (*routes[1:], f"<{uri}>")
                uri = next_hop = _as_request_uri(next_hop)
    request.uri = uri
    if "Route" in headers:
        headers.remove("Route")
    for route in routes:
        headers.add("Route", route)
    return next_hop


def _as_request_uri(uri: Uri) -> Uri:
    if not uri.headers and "method" not in uri.params:
        return uri
    return uri.with_(headers="", params={name: value for name, value in uri.params.items() if name != "method"})


def next_hop_of(destination: Destination) -> Uri:
    """Return the URI that a destination is resolved by. Raises ParseError."""
    if destination.next_hop is not None:
        return destination.next_hop
    return NameAddress.parse(destination.route[0]).uri if destination.route else destination.uri


def wants_contact(request: Request) -> bool:
    """Return whether a Contact of ours has to be added."""
    return request.method in _WANT_CONTACT and "Contact" not in request.headers


def too_large_for_udp(request: Request) -> bool:
    """Return whether RFC 3261 §18.1.1 wants `request` to go by a transport with congestion control.

    Its length is reckoned without writing it out, with some room for the Via that it has not got yet.
    """
    headers = request.headers
    # One text rather than a sum over names and values: this is asked of every request.
    text = "".join([part for header in headers for part in header])
    length = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    length += 4 * len(headers) + _ROOM_FOR_VIA + _REST + len(request.body) + len(str(request.uri))
    return length > _UDP_LIMIT


def retry_after(response: Response) -> float | None:
    """Return the seconds of a Retry-After header (RFC 3261 §20.33), None without a readable one."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    digits = value.partition(";")[0].partition("(")[0].strip(" \t")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        return None
    return float(min(int(digits), _LONGEST_RETRY))
