"""Client-initiated connections: instance-id, reg-id, flow timer (RFC 5626) and the NAT hints that come with them."""

from __future__ import annotations

from typing import Final

from pbx.errors import ParseError
from pbx.sip.ext.options import OUTBOUND, supports
from pbx.sip.grammar import parse_number, quote, unquote
from pbx.sip.headers import NameAddress
from pbx.sip.message import Message, Request

__all__ = ["flow_timer_of", "instance_of", "instance_param", "reg_id_of", "wants_outbound"]

_LARGEST_REG_ID: Final = 2**31 - 1
_LONGEST_INSTANCE: Final = 256


def instance_of(contact: NameAddress) -> str | None:
    """Return the instance-id of a Contact without quotes and brackets (``urn:uuid:…``), None if it has none. Raises
    ParseError.

    RFC 5626 §4.1: the UAC MUST enclose the URN in angle brackets and quotes; it is compared octet by octet (§3.1) save
    for the case of a UUID.
    """
    value = contact.params.get("+sip.instance")
    if value is None:
        return None
    text = unquote(value).strip(" \t")
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if not text or len(text) > _LONGEST_INSTANCE:
        raise ParseError("Malformed +sip.instance")
    return text.lower() if text[:9].lower() == "urn:uuid:" else text


def instance_param(instance: str) -> str:
    """Return the value of +sip.instance for an instance-id."""
    return quote(f"<{instance}>")


def reg_id_of(contact: NameAddress) -> int | None:
    """Return the reg-id of a Contact, 1 to 2**31-1, None if it has none. Raises ParseError."""
    value = contact.params.get("reg-id")
    if value is None:
        return None
    number = parse_number(value, _LARGEST_REG_ID, "reg-id")
    if not number:
        raise ParseError("reg-id is zero")
    return number


def wants_outbound(request: Request, contact: NameAddress) -> bool:
    """Return whether a REGISTER asks for an outbound binding of that Contact (RFC 5626 §6).

    Without an instance-id a reg-id is ignored (§4.2), and so it is for a phone that does not support outbound. Raises
    ParseError.
    """
    return reg_id_of(contact) is not None and instance_of(contact) is not None and supports(request, OUTBOUND)


def flow_timer_of(message: Message) -> int | None:
    """Return Flow-Timer in seconds: how often the client has to send a keep-alive (RFC 5626 §5.4). Raises
    ParseError."""
    value = message.headers.get("Flow-Timer")
    return None if value is None else parse_number(value, 2**32 - 1, "Flow-Timer")
