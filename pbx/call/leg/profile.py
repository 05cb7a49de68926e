"""What one carrier or another wants otherwise than the RFCs would have it: a set of switches, each by its own name."""

from __future__ import annotations

from pbx.call.commands import Party
from pbx.sip.uri import Uri
from pbx.values import dataclass

__all__ = ["DEFAULT", "Profile"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How calls to a peer, and from it, differ from the usual."""

    identity: str = ""
    """How the peer is told who calls beside From: ``p-asserted-identity``, ``p-preferred-identity`` or
    ``remote-party-id``; empty for none."""
    trusted: bool = False
    """Whether it is told who an anonymous caller is (RFC 3325)."""
    diversion: str = ""
    """How it is told who redirected a call: ``diversion`` or ``history-info``; empty for not at all."""
    user_phone: bool = False
    """``user=phone`` on every SIP URI that holds a number (RFC 3261 §19.1.1)."""
    plus: str = "keep"
    """What becomes of a leading + of numbers sent to it: ``keep``, ``strip``, or ``add`` for those of digits alone."""
    account: str = ""
    """The user part of From, in place of the caller's number, which only `identity` then says; empty for that."""
    contact_user: str = ""
    """The user part of our Contact; empty for none."""
    ringing: int = 180
    """The status that tells it that a phone rings: 180, or 183 for a peer that takes no 180."""
    early_media: bool = True
    """Whether its early media is heard; else the caller hears that it rings."""

    def number(self, number: str) -> str:
        """Return a number as the peer wants it."""
        if self.plus == "strip":
            return number.removeprefix("+")
        if self.plus == "add" and number.isascii() and number.isdigit():
            return f"+{number}"
        return number

    def uri(self, uri: Uri) -> Uri:
        """Return the URI of a number as the peer wants it."""
        if not uri.is_sip or not uri.user:
            return uri
        user = self.number(uri.user)
        params = uri.params
        # RFC 3261 §19.1.1: user=phone says that the user part is a telephone number; a name is none.
        if self.user_phone and user.removeprefix("+").replace("*", "").replace("#", "").isdigit():
            params = {**params, "user": "phone"}
        return uri if user == uri.user and params == uri.params else uri.with_(user=user, params=params)

    def shown(self, party: Party) -> Party:
        """Return a caller with the number as the peer wants it."""
        number = self.number(party.number)
        return party if number == party.number else Party(number, party.name, party.anonymous)


DEFAULT = Profile()
