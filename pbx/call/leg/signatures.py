"""Signing who calls whom, as an INVITE of ours says it (RFC 8224 §4.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pbx.sip.ext.identity import number_in
from pbx.sip.ext.passport import telephone_number
from pbx.sip.headers import NameAddress

if TYPE_CHECKING:
    from pbx.call.commands import Voucher
    from pbx.call.leg.context import LegContext
    from pbx.sip.headers import Headers

__all__ = ["signature_of"]

_NUMBER = re.compile(r"\+?[0-9*#().-]{1,40}", re.ASCII)


def signature_of(context: LegContext, headers: Headers, voucher: Voucher) -> tuple[tuple[str, str], ...]:
    """Return the headers that sign what `headers` say: nothing if they name no two numbers.

    Signed is the number that the peer is told, in P-Asserted-Identity or else in From (RFC 8224 §8.1). An anonymous
    caller whom the peer is not told is not signed either: the claims would say who it is.
    """
    asserted = headers.get("P-Asserted-Identity")
    originator = _number_in(asserted or headers.get("From") or "")
    destination = _number_in(headers.get("To") or "")
    if not originator or not destination:
        context.count("signature-without-number")
        return ()
    # RFC 8224 §4.1: who passes a call on that is signed already, and changes nothing of what is signed, leaves it so.
    if voucher.received and (voucher.originator, telephone_number(destination)) in [
        (telephone_number(originator), one) for one in voucher.destinations
    ]:
        return (("Identity", voucher.received),)
    return context.sign(originator, destination, voucher)


def _number_in(value: str) -> str:
    """Return the telephone number of an address that we wrote; empty for a name, which SHAKEN does not sign."""
    if not value:
        return ""
    user = number_in(NameAddress.parse(value).uri)
    return user if _NUMBER.fullmatch(user) else ""
