"""Header names: their canonical spelling, compact forms, and which headers are lists or may stand only once (RFC 3261
§7.3, §20)."""

from __future__ import annotations

from typing import Final

from pbx.sip.grammar import is_token

__all__ = ["CANONICAL", "LISTS", "SINGLE", "canonical", "key_of"]

_COMPACT: Final = {
    # IANA's registry of compact forms
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}

# ruff: noqa: SIM905
LISTS: Final = frozenset(
    """
    Accept Accept-Contact Accept-Encoding Accept-Language Accept-Resource-Priority Alert-Info Allow Allow-Events
    Call-Info Contact Content-Encoding Content-Language Diversion Error-Info Feature-Caps Geolocation History-Info
    In-Reply-To P-Access-Network-Info P-Asserted-Identity P-Associated-URI P-Early-Media P-Media-Authorization
    P-Preferred-Identity P-Visited-Network-ID Path Permission-Missing Proxy-Require Reason Record-Route Recv-Info
    Reject-Contact Remote-Party-ID Request-Disposition Require Resource-Priority Route Security-Client Security-Server
    Security-Verify Service-Route Supported Trigger-Consent Unsupported User-to-User Via Warning
    """.split()
)
"""Headers whose grammar is a comma-separated list. All others are never split: a comma in a Date or an Authorization
separates nothing."""

SINGLE: Final = frozenset(
    """
    Call-ID Content-Length Content-Type CSeq Event Expires From Max-Forwards Min-Expires Min-SE RAck Refer-Sub Refer-To
    Referred-By Replaces RSeq Session-Expires SIP-ETag SIP-If-Match Subscription-State To
    """.split()
)
"""Headers that may stand only once, and whose second value would change what the message means (RFC 4475 §3.3.8).

The likes of Subject or Server are single in the grammar too, but a copy of them harms nobody and the first one counts.
"""

_OTHERS: Final = """
    Authentication-Info Authorization Content-Disposition Content-ID Date Flow-Timer Identity Identity-Info Join
    MIME-Version Organization P-Asserted-Service P-Charging-Vector Policy-Contact Priority Privacy Proxy-Authenticate
    Proxy-Authorization Reply-To Retry-After Server Session-ID Subject Target-Dialog Timestamp User-Agent
    WWW-Authenticate """.split()

_ALL: Final = sorted(LISTS | SINGLE | set(_OTHERS))

CANONICAL: Final[dict[str, str]] = {}
"""The usual spellings of known headers, each to its canonical name. Other spellings are found through lower case."""

for _name in _ALL:
    CANONICAL[_name] = CANONICAL[_name.lower()] = CANONICAL[_name.upper()] = _name
for _short, _name in _COMPACT.items():
    CANONICAL[_short] = CANONICAL[_short.upper()] = _name


def canonical(name: str) -> str:
    """Return the canonical spelling of a header's name, or `name` itself if it is unknown (whatever its case)."""
    return CANONICAL.get(name) or CANONICAL.get(name.lower(), name)


def key_of(name: str) -> str:
    """Return what headers are told apart by: the canonical name of a known header, the lower-case name of any other."""
    known = CANONICAL.get(name)
    if known is not None:
        return known
    lower = name.lower()
    return CANONICAL.get(lower, lower)


def is_header_name(name: str) -> bool:
    """Return whether `name` can name a header (RFC 3261 §25.1: header-name = token)."""
    return is_token(name)
