"""Who calls through a trunk, and who has redirected such a call, as its INVITE says."""

from __future__ import annotations

from pbx.call.commands import Party, Redirection
from pbx.call.leg.identities import redirections_of
from pbx.sip.ext.identity import asserted_identities, is_anonymous, number_in, remote_parties
from pbx.sip.headers import NameAddress
from pbx.sip.message import Request

__all__ = ["party_of_trunk_call", "redirections_of_trunk_call"]


def party_of_trunk_call(request: Request, trusted: bool) -> Party:
    """Return who calls through a trunk: what P-Asserted-Identity or else Remote-Party-ID says if the trunk is believed,
    else From (RFC 3325 §8)."""
    address = (_asserted(request) if trusted else None) or request.from_
    number = number_in(address.uri)
    nobody = number.lower() == "anonymous"
    return Party("" if nobody else number, address.display, nobody or is_anonymous(request))


def _asserted(request: Request) -> NameAddress | None:
    asserted = asserted_identities(request)
    if asserted:
        return asserted[0]
    calling = [one.address for one in remote_parties(request) if one.party in ("", "calling")]
    return calling[0] if calling else None


def redirections_of_trunk_call(request: Request, trusted: bool) -> tuple[Redirection, ...]:
    """Return who has redirected a call through a trunk, if it is believed."""
    return redirections_of(request) if trusted else ()
