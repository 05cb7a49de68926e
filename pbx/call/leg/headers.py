"""What our own messages carry: nothing in them comes from the other leg of the call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.leg.identities import from_header, identity_headers
from pbx.call.leg.signatures import signature_of
from pbx.cause import EndCause, cause_named
from pbx.errors import ParseError
from pbx.sip.ext.options import RELIABLE, REPLACES, TIMER
from pbx.sip.ext.reason import answered_elsewhere, reasons_of
from pbx.sip.grammar import quote
from pbx.sip.headers import Headers
from pbx.sip.message import Response
from pbx.sip.names import key_of
from pbx.sip.uri import Uri

if TYPE_CHECKING:
    from pbx.call.commands import Dial
    from pbx.call.leg.base import Leg
    from pbx.call.leg.context import LegSettings
    from pbx.sip.message import Message
    from pbx.sip.values import NameAddress

__all__ = [
    "ACCEPT",
    "ALLOW",
    "METHODS",
    "OPTION_TAGS",
    "OURS",
    "SUPPORTED",
    "capabilities",
    "capabilities_late",
    "cause_of_cancel",
    "invite_headers",
    "option_tags",
    "redirections_in",
    "reason_text_in",
    "retry_after_in",
]

METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "PRACK", "UPDATE", "INFO", "MESSAGE", "REFER", "NOTIFY")
"""The methods that a leg takes."""

OPTION_TAGS = frozenset((RELIABLE, TIMER))
"""The extensions that a leg knows: what Require may ask for (RFC 3261 §8.2.2.3)."""

ALLOW = ", ".join(METHODS)
SUPPORTED = f"{RELIABLE}, {TIMER}"
_CAPABILITIES = (
    (("Allow", ALLOW), ("Supported", RELIABLE)),
    (("Allow", ALLOW), ("Supported", SUPPORTED)),
)
_REPLACING = (
    (("Allow", ALLOW), ("Supported", f"{RELIABLE}, {REPLACES}")),
    (("Allow", ALLOW), ("Supported", f"{SUPPORTED}, {REPLACES}")),
)
_CAPABILITIES_LATE = (
    (("Allow", ALLOW),),
    (("Allow", ALLOW), ("Supported", TIMER)),
)
ACCEPT = "application/sdp"

OURS = frozenset(
    key_of(name)
    for name in (
        *(
            "Via",
            "Max-Forwards",
            "Route",
            "Record-Route",
            "From",
            "To",
            "Call-ID",
            "CSeq",
            "Contact",
            "Allow",
            "Supported",
        ),
        *(
            "Require",
            "Proxy-Require",
            "Session-Expires",
            "Min-SE",
            "Content-Type",
            "Content-Length",
            "Content-Encoding",
        ),
        *(
            "Content-Disposition",
            "RSeq",
            "RAck",
            "Authorization",
            "Proxy-Authorization",
            "User-Agent",
            "Server",
            "Accept",
        ),
        # Who calls, and what only a dialog or a transfer of ours may say.
        *("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy", "Replaces", "Refer-To"),
        *("Identity", "Referred-By"),
    )
)
"""Headers, by `key_of`, that a leg writes itself, or not at all: none of them may come from a policy or another
leg."""

_WITHOUT_TIMER = OPTION_TAGS - {TIMER}
_REPLACES = frozenset((REPLACES,))


def capabilities(settings: LegSettings) -> tuple[tuple[str, str], ...]:
    """Return the headers that say what we can do."""
    return (_REPLACING if settings.replaces else _CAPABILITIES)[settings.session_timers]


def capabilities_late(settings: LegSettings) -> tuple[tuple[str, str], ...]:
    """Return the headers of an INVITE without an offer, or of a re-INVITE: without 100rel.

    RFC 3262 §5 would have a reliable provisional response bring the offer, while the answer is not known until the
    caller has one; without 100rel the offer comes with the 2xx.
    """
    return _CAPABILITIES_LATE[settings.session_timers]


def option_tags(settings: LegSettings) -> frozenset[str]:
    """Return the extensions that a leg knows: what Require may ask for (RFC 3261 §8.2.2.3)."""
    tags = OPTION_TAGS if settings.session_timers else _WITHOUT_TIMER
    return tags | _REPLACES if settings.replaces else tags


def invite_headers(leg: Leg, dial: Dial, cseq: int) -> Headers:
    """Return the headers of the INVITE that `dial` asks for; the stack adds Via, Route and, unless it stands here,
    Contact."""
    settings, destination = leg.settings, dial.destination
    called, profile = dial.called, settings.profile
    host = settings.domain or leg.context.stack.contact_uri(None, destination).host
    to = profile.uri(Uri("sip", called.number or destination.uri.user, None, settings.domain or destination.uri.host))
    reliable = settings.reliable_provisionals and dial.offer is not None
    headers = Headers(
        (
            ("Max-Forwards", str(dial.max_forwards)),
            ("From", f"{from_header(dial.caller, host, profile, dial.verstat)};tag={leg.local_tag}"),
            ("To", f"{quote(called.name)} <{to}>" if called.name else f"<{to}>"),
            ("Call-ID", leg.call_id),
            ("CSeq", f"{cseq} INVITE"),
            *(capabilities(settings) if reliable else capabilities_late(settings)),
            *leg.timer.ask(),
        )
    )
    if profile.contact_user:
        contact = leg.context.stack.contact_uri(None, destination, profile.contact_user)
        headers.add("Contact", f"<{contact}>")
    if settings.product:
        headers.add("User-Agent", settings.product)
    said = identity_headers(dial, host, profile)
    headers.extend(said)
    ours = {key_of(name) for name, _ in said}
    for name, value in dial.headers:
        if key_of(name) in OURS:
            leg.context.count("header-withheld")
        elif key_of(name) not in ours:
            headers.add(name, value)
    if dial.offer is not None:
        headers.add("Content-Type", ACCEPT)
    if dial.voucher is not None:
        headers.extend(signature_of(leg.context, headers, dial.voucher))
    return headers


def redirections_in(response: Message) -> tuple[str, ...]:
    """Return the Contacts of a 3xx, best first (RFC 3261 §8.1.3.4 orders them by q, which is 1 unless said); empty for
    another status."""
    if not isinstance(response, Response) or not 300 <= response.status < 400:
        return ()
    try:
        ranked = [(_preference(contact), str(contact.uri)) for contact in response.contacts]
    except ParseError:
        return ()
    ranked.sort(key=lambda pair: -pair[0])
    return tuple([uri for _, uri in ranked])


def _preference(contact: NameAddress) -> float:
    try:
        preference = float(contact.params.get("q") or 1)
    except ValueError:
        return 0.0
    return preference if 0 <= preference <= 1 else 0.0


def cause_of_cancel(cancel: Message) -> EndCause:
    """Return why a caller gave up: usually of its own will, but a forking proxy says when another phone has answered
    (RFC 3326 §3.1)."""
    return cause_named("answered-elsewhere" if answered_elsewhere(cancel) else "cancelled", reason_text_in(cancel))


def reason_text_in(message: Message) -> str:
    """Return what a message's Reason says, for the record; empty if it has none."""
    if "Reason" not in message.headers:
        return ""
    return "; ".join(f"{reason.protocol} {reason.cause or ''} {reason.text}".strip() for reason in reasons_of(message))


def retry_after_in(message: Message) -> int:
    """Return the seconds of Retry-After (RFC 3261 §20.33), 0 if it is missing or malformed."""
    text = message.headers.get("Retry-After") or ""
    digits = text.partition(";")[0].partition("(")[0].strip()
    return min(int(digits), 2**31) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else 0
