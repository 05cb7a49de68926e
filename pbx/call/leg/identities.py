"""Who calls and who redirected the call, as an INVITE of ours says it to one peer or another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pbx.call.commands import Party, Redirection
from pbx.errors import ParseError
from pbx.sip.ext.diversion import REASONS, Diversion, diversions_of
from pbx.sip.ext.history_info import diversions_in, history_of, history_with
from pbx.sip.ext.identity import ANONYMOUS, RemoteParty, number_in
from pbx.sip.grammar import quote
from pbx.sip.headers import NameAddress
from pbx.sip.uri import Uri

if TYPE_CHECKING:
    from pbx.call.commands import Dial
    from pbx.call.leg.profile import Profile
    from pbx.sip.message import Request

__all__ = ["address_of", "from_header", "identity_headers", "redirections_of"]

_ANONYMOUS = str(ANONYMOUS)
_MOST_REDIRECTIONS = 10
_NUMBER = re.compile(r"\+?[0-9*#]+", re.ASCII)


def _uri_of(party: Party, host: str, profile: Profile, verstat: str = "") -> Uri:
    uri = profile.uri(Uri("sip", party.number or None, None, host))
    if not verstat or not uri.user or not _NUMBER.fullmatch(uri.user):
        return uri
    # 3GPP TS 24.229 §7.2A.20: verstat is a parameter of a tel URI, or of the user part of a SIP URI with user=phone.
    return uri.with_(user=f"{uri.user};verstat={verstat}", params={**uri.params, "user": "phone"})


def address_of(party: Party, host: str, profile: Profile, verstat: str = "") -> str:
    """Return the address that names a party, whether it wants to be shown or not."""
    uri = _uri_of(party, host, profile, verstat)
    return f"{quote(party.name)} <{uri}>" if party.name else f"<{uri}>"


def from_header(party: Party, host: str, profile: Profile, verstat: str = "") -> str:
    """Return the value of From, without its tag."""
    # RFC 3323 §4.1.1.3: the use of "anonymous@anonymous.invalid" is RECOMMENDED for a From that is to be anonymous.
    if party.anonymous:
        return _ANONYMOUS
    if profile.account:
        uri = Uri("sip", profile.account, None, host)
        return f"{quote(party.name)} <{uri}>" if party.name else f"<{uri}>"
    return address_of(party, host, profile, verstat)


def identity_headers(dial: Dial, host: str, profile: Profile) -> list[tuple[str, str]]:
    """Return what says who calls beside From, and who redirected the call, in the words of the peer's profile."""
    caller = dial.caller
    headers: list[tuple[str, str]] = []
    if caller.anonymous:
        # RFC 3325 §9.3: "id" asks that the asserted identity be kept from those who are not trusted.
        headers.append(("Privacy", "id"))
    # RFC 3325 §5: if the next node is not trusted, the proxy MUST NOT include P-Asserted-Identity where the user has
    # requested that it be kept private.
    if profile.identity and caller.number and (profile.trusted or not caller.anonymous):
        headers.append(_identity(caller, host, profile, dial.verstat))
    if profile.diversion and dial.redirections:
        headers += _redirections(dial, host, profile)
    return headers


def _identity(caller: Party, host: str, profile: Profile, verstat: str) -> tuple[str, str]:
    if profile.identity == "remote-party-id":
        address = NameAddress(caller.name, _uri_of(caller, host, profile))
        return "Remote-Party-ID", str(RemoteParty(address, "calling", caller.anonymous, screened=True))
    # RFC 3325 §9.1, §9.2: a trunk is told what we assert, a provider whose customer we are what we would prefer.
    if profile.identity == "p-preferred-identity":
        return "P-Preferred-Identity", address_of(caller, host, profile)
    return "P-Asserted-Identity", address_of(caller, host, profile, verstat)


def _redirections(dial: Dial, host: str, profile: Profile) -> list[tuple[str, str]]:
    diversions = []
    for one in dial.redirections:
        if one.party.anonymous and not profile.trusted:
            address = ANONYMOUS
        else:
            address = NameAddress(one.party.name, _uri_of(one.party, host, profile))
        reason = one.reason if one.reason in REASONS else "unknown"
        diversions.append(Diversion(address, reason, 1, one.party.anonymous))
    if profile.diversion == "diversion":
        return [("Diversion", str(diversion)) for diversion in diversions]
    target = NameAddress(dial.called.name, _uri_of(dial.called, host, profile))
    return [("History-Info", ", ".join([str(entry) for entry in history_with(diversions, target)]))]


def redirections_of(request: Request) -> tuple[Redirection, ...]:
    """Return who has redirected a call before it came here, the last one first: by Diversion, else by History-Info.

    Malformed headers say nothing: no call should fail for them.
    """
    if "Diversion" not in request.headers and "History-Info" not in request.headers:
        return ()
    try:
        found = diversions_of(request) or diversions_in(history_of(request))
    except ParseError:
        return ()
    return tuple(
        [
            Redirection(Party(number_in(one.address.uri), one.address.display, one.private), one.reason)
            for one in found[:_MOST_REDIRECTIONS]
        ]
    )
