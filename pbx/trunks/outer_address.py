"""Where a peer sees a request of ours come from, as its response says: our router's address, where one translates."""

from __future__ import annotations

from pbx.errors import ParseError
from pbx.sip.grammar import parse_number
from pbx.sip.message import Response
from pbx.sip.stack import Flow

__all__ = ["Address", "outer_address"]

Address = tuple[str, int]


def outer_address(flow: Flow | None, response: Response) -> Address | None:
    """Return the address and port that a request was seen to come from, None if the peer does not say.

    RFC 3581 §4: the server MUST set the value of the rport parameter to the source port of the request, and MUST insert
    a received parameter. A connection has only one way, which lasts as long as it does.
    """
    if flow is None or flow.reliable:
        return None
    try:
        via = response.headers.top_via()
        port = parse_number(via.params.get("rport") or "", 65535, "rport")
    except ParseError:
        return None
    return (via.params.get("received") or via.host).strip("[]").lower(), port
