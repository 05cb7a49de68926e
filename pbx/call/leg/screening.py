"""What an INVITE must satisfy before it becomes a call (RFC 3261 §8.2), and any later request before it is looked
at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.leg.bodies import SDP, description_of
from pbx.errors import ProtocolError
from pbx.sip.ext.options import unsupported

if TYPE_CHECKING:
    from collections.abc import Collection

    from pbx.sdp.model import SessionDescription
    from pbx.sip.message import Request

__all__ = ["Refusal", "check_required", "screen_invite"]


class Refusal(ProtocolError):
    """A request that must be refused with `status` and `headers`."""

    def __init__(self, reason: str, status: int, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(reason, status)
        self.headers = headers


def check_required(request: Request, known: Collection[str]) -> None:
    """Raise Refusal 420 for an extension that is required and not among the option tags that are `known`.

    RFC 3261 §8.2.2.3: if a UAS does not understand an option-tag listed in a Require header field, it MUST respond by
    generating a response with status code 420 (Bad Extension). The UAS MUST add an Unsupported header field, and list
    in it those options it does not understand.
    """
    if "Require" in request.headers:
        unknown = unsupported(request, known)
        if unknown:
            raise Refusal("Bad Extension", 420, (("Unsupported", ", ".join(unknown)),))


def _accepts_descriptions(request: Request) -> bool:
    """RFC 3261 §20.1: if no Accept header field is present, the server SHOULD assume a default value of
    application/sdp."""
    if "Accept" not in request.headers:
        return True
    ranges = [value.partition(";")[0].replace(" ", "").lower() for value in request.headers.all("Accept")]
    return any(media in (SDP, "application/*", "*/*") for media in ranges)


def screen_invite(request: Request, known: Collection[str]) -> tuple[bytes, SessionDescription] | None:
    """Return the offer of an INVITE, as bytes and parsed; None for a late offer.

    Raises Refusal, UnsupportedBody or ParseError: in RFC 3261's order, extensions (§8.2.2.3) before content (§8.2.3). A
    peer that takes no session description as a response's body cannot be called with: 406.
    """
    check_required(request, known)
    offer = description_of(request)
    if not _accepts_descriptions(request):
        raise Refusal("Not Acceptable", 406, (("Accept", SDP),))
    return offer
