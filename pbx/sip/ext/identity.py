"""Who calls, said by those who know: P-Asserted-Identity and Privacy (RFC 3325, RFC 3323), and Remote-Party-ID.

Whether to believe them is not decided here.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pbx.errors import ParseError
from pbx.sip.headers import NameAddress
from pbx.sip.message import Message
from pbx.sip.uri import Uri

__all__ = [
    "ANONYMOUS",
    "RemoteParty",
    "asserted_identities",
    "is_anonymous",
    "number_in",
    "preferred_identities",
    "privacy_of",
    "remote_parties",
    "without_verstat",
]

ANONYMOUS: Final = NameAddress("Anonymous", Uri(user="anonymous", host="anonymous.invalid"))
"""What stands in From when the caller is not to be known (RFC 3323 §4.1.1.3, RFC 3325 §7)."""

_BEGINS_NUMBER: Final = frozenset("+0123456789")
_VERSTAT: Final = re.compile(r";verstat(=[^;]*)?(?=;|$)", re.ASCII | re.IGNORECASE)
_HIDING: Final = frozenset({"id", "user", "header"})


def number_in(uri: Uri) -> str:
    """Return the number or name that a URI stands for.

    RFC 3261 §19.1.6: the parameters of a telephone number stand within the user part: number portability (RFC 4694), or
    what the network has verified, which nobody but the network may say (verstat, 3GPP TS 24.229 §7.2A.20).
    """
    if uri.scheme == "tel":
        return uri.aor().removeprefix("tel:")
    user = uri.user or ""
    if ";" not in user:
        return user
    return user.partition(";")[0] if user[:1] in _BEGINS_NUMBER else _VERSTAT.sub("", user)


def without_verstat(uri: Uri) -> Uri:
    """Return a URI without what its writer says that a network has verified of it (3GPP TS 24.229 §7.2A.20)."""
    if "verstat" not in str(uri).lower():
        return uri
    if not uri.is_sip:
        return Uri.parse(_VERSTAT.sub("", str(uri)))
    params = {name: value for name, value in uri.params.items() if name != "verstat"}
    return uri.with_(user=_VERSTAT.sub("", uri.user or "") or None, params=params)


class RemoteParty(NamedTuple):
    """One Remote-Party-ID value (draft-ietf-sip-privacy-04, which Cisco, Asterisk and others still send)."""

    address: NameAddress
    party: str
    """``calling`` or ``called``; empty if it does not say."""
    private: bool
    """True if the name or the address is not to be shown."""
    screened: bool
    """True if the network has verified it."""

    @staticmethod
    def parse(text: str) -> RemoteParty:
        """Parse one Remote-Party-ID value. Raises ParseError."""
        address = NameAddress.parse(text)
        params = address.params
        privacy = (params.get("privacy") or "off").strip('"').lower()
        return RemoteParty(
            NameAddress(address.display, address.uri),
            (params.get("party") or "").lower(),
            privacy not in ("off", ""),
            (params.get("screen") or "").lower() == "yes",
        )

    def __str__(self) -> str:
        privacy = "full" if self.private else "off"
        screen = "yes" if self.screened else "no"
        return f"{self.address};party={self.party or 'calling'};privacy={privacy};screen={screen}"


def asserted_identities(message: Message) -> tuple[NameAddress, ...]:
    """Return P-Asserted-Identity: none, one, or two of which one is a tel URI (RFC 3325 §9.1). Raises ParseError."""
    return message.headers.each("P-Asserted-Identity", NameAddress.parse)


def preferred_identities(message: Message) -> tuple[NameAddress, ...]:
    """Return P-Preferred-Identity, what a phone would like to be called (RFC 3325 §9.2). Raises ParseError."""
    return message.headers.each("P-Preferred-Identity", NameAddress.parse)


def remote_parties(message: Message) -> tuple[RemoteParty, ...]:
    """Return Remote-Party-ID. Raises ParseError."""
    return message.headers.each("Remote-Party-ID", RemoteParty.parse)


def privacy_of(message: Message) -> frozenset[str]:
    """Return the values of Privacy in lower case (RFC 3323 §4.2: separated by semicolons; some separate them by
    commas)."""
    values = message.headers.raw("Privacy")
    words = [word.strip(" \t").lower() for value in values for word in value.replace(",", ";").split(";")]
    return frozenset([word for word in words if word])


def is_anonymous(message: Message) -> bool:
    """Return whether the caller asks not to be shown: by Privacy, by Remote-Party-ID, or by an anonymous From."""
    if privacy_of(message) & _HIDING:
        return True
    try:
        if any(party.private for party in remote_parties(message) if party.party in ("", "calling")):
            return True
        uri = message.from_.uri
    except ParseError:
        return False
    return (uri.user or "").lower() == "anonymous" or uri.host == "anonymous.invalid"
