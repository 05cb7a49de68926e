"""REFER: Refer-To, Referred-By (RFC 3515, RFC 3892) and the message/sipfrag bodies that report how it went (RFC
3420)."""

from __future__ import annotations

import re
from typing import Final

from pbx.errors import ParseError
from pbx.sip.ext.replaces import Replaces
from pbx.sip.headers import NameAddress
from pbx.sip.message import Message, Request
from pbx.sip.reasons import REASON_PHRASES
from pbx.sip.uri import Uri

__all__ = ["SIPFRAG", "refer_to_of", "referred_by_of", "replaces_in", "sipfrag", "sipfrag_status", "wants_subscription"]

SIPFRAG: Final = "message/sipfrag;version=2.0"

_STATUS_LINE = re.compile(rb"[ \t\r\n]*+SIP/2\.0 ([1-6][0-9]{2})(?: ([^\r\n]*+))?", re.IGNORECASE)


def refer_to_of(request: Request) -> NameAddress:
    """Return Refer-To. Raises ParseError if it is missing, malformed, or there is more than one (RFC 3515 §2.4.2:
    400)."""
    if "Refer-To" in request.headers.repeated():
        raise ParseError("Refer-To is given twice")
    return request.headers.one("Refer-To", NameAddress.parse)


def referred_by_of(message: Message) -> NameAddress | None:
    """Return Referred-By, None if it is missing. Raises ParseError."""
    return message.headers.maybe("Referred-By", NameAddress.parse)


def replaces_in(uri: Uri) -> Replaces | None:
    """Return the Replaces that a Refer-To URI carries as a header (an attended transfer), None if there is none. Raises
    ParseError."""
    found = [value for name, value in uri.header_fields() if name == "replaces"]
    if len(found) > 1:
        raise ParseError("Replaces is given twice")
    return Replaces.parse(found[0]) if found else None


def wants_subscription(request: Request) -> bool:
    """Return whether a REFER asks for NOTIFYs: all do but one with ``Refer-Sub: false`` (RFC 4488)."""
    value = request.headers.get("Refer-Sub") or ""
    return value.partition(";")[0].strip(" \t").lower() != "false"


def sipfrag(status: int, reason: str | None = None) -> bytes:
    """Return a NOTIFY's body that says how the referred request stands (RFC 3515 §2.4.5)."""
    phrase = REASON_PHRASES.get(status, "") if reason is None else reason
    return f"SIP/2.0 {status} {phrase}\r\n".encode("utf-8", "replace")


def sipfrag_status(body: bytes) -> tuple[int, str]:
    """Return status and reason phrase of a message/sipfrag body. Raises ParseError."""
    match = _STATUS_LINE.match(body)
    if match is None:
        raise ParseError("Malformed message/sipfrag")
    return int(match[1]), (match[2] or b"").decode("utf-8", "replace")
