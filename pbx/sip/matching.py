"""By what messages find their transaction, and where a response goes (RFC 3261 §8.2.2.2, §17.1.3, §17.2.3, §18.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pbx.ids import BRANCH_COOKIE
from pbx.sip.stack import Flow

if TYPE_CHECKING:
    from pbx.sip.message import Request
    from pbx.sip.values import Via

__all__ = ["client_key", "merge_key", "modern", "reply_address", "reply_flow", "server_key", "set_via"]

_DEFAULT_PORTS: Final = {"UDP": 5060, "TCP": 5060, "TLS": 5061, "WS": 80, "WSS": 443}


def client_key(branch: str, method: str) -> str:
    """Return what a response is matched by: the branch of its top Via and the method of its CSeq (RFC 3261 §17.1.3)."""
    return f"{branch} {method}"


def modern(via: Via) -> bool:
    """Return whether the branch says that its client makes branches that are unique (RFC 3261 §8.1.1.7)."""
    branch = via.branch
    return branch is not None and branch.startswith(BRANCH_COOKIE)


def server_key(request: Request, via: Via, method: str) -> str:
    """Return what a request is matched by (RFC 3261 §17.2.3): ACK and CANCEL ask with `method` INVITE.

    `via` is the top Via. To be asked before received and rport are noted in it: without the cookie, the Via as the
    client wrote it is a part of the key, and so is all else that RFC 2543 matches by but for the To tag, which an ACK
    has and its INVITE has not.
    """
    if modern(via):
        # No token has a space in it, so keys of different parts are different.
        return f"{via.branch} {via.host}:{via.port} {method}"
    headers = request.headers
    return "\n".join(
        (
            str(request.uri),
            request.from_.tag or "",
            request.call_id,
            str(request.cseq.number),
            headers.get("Via") or "",
            method,
        )
    )


def merge_key(request: Request) -> str | None:
    """Return what two copies of one request share that came by different ways (RFC 3261 §8.2.2.2).

    None inside a dialog, and for a request without a From tag (RFC 2543), which says too little.
    """
    if request.to.tag is not None:
        return None
    tag = request.from_.tag
    return None if tag is None else f"{tag} {request.cseq} {request.call_id}"


def reply_address(via: Via) -> tuple[str, int]:
    """Return where a response goes if it cannot go back the way the request came (RFC 3261 §18.2.2, RFC 3581 §4).

    A maddr is not followed: whoever wrote it could aim our responses at anybody.
    """
    port = via.rport or via.port or _DEFAULT_PORTS.get(via.transport, 5060)
    return via.received or via.host, port


def reply_flow(via: Via, flow: Flow, force_rport: bool) -> Flow:
    """Return the way of the response to a request that came by `flow` with `via` on top, as it was sent.

    RFC 3261 §18.2.2: over a connection it goes back by it; over UDP to the source address, at the port of sent-by, or
    at the source port if the client asks so (RFC 3581). A client whose sent-by is another address than its source is
    behind a NAT, where no port but the source port leads to it, whether it asks or not.
    """
    if flow.reliable or force_rport or "rport" in via.params:
        return flow
    host, port = flow.remote
    if via.host != host:
        return flow
    wanted = via.port or _DEFAULT_PORTS["UDP"]
    return flow if wanted == port else Flow("udp", flow.local, (host, wanted))


def set_via(request: Request, flow: Flow, sent_by: str, branch: str) -> None:
    """Give a request of ours its only Via."""
    headers = request.headers
    # RFC 3581 §3: the client that supports rport MUST include it in the top Via without a value.
    rport = "" if flow.reliable else ";rport"
    value = f"SIP/2.0/{flow.transport.upper()} {sent_by};branch={branch}{rport}"
    if "Via" in headers:
        headers.set("Via", value)
    else:
        headers.prepend("Via", value)
