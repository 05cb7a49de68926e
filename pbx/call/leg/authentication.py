"""Answering the challenges that a leg's requests meet (RFC 3261 §22.2, §22.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.errors import ParseError
from pbx.sip.digest import DigestClient

if TYPE_CHECKING:
    from pbx.call.leg.base import Leg
    from pbx.sip.message import Request, Response

__all__ = ["answer_challenge", "credentials_in"]

_HEADERS = ("Authorization", "Proxy-Authorization")


def credentials_in(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the credentials that a request of ours carries."""
    headers = request.headers
    return tuple([(name, value) for name in _HEADERS if name in headers for value in headers.raw(name)])


def answer_challenge(leg: Leg, request: Request, response: Response) -> tuple[tuple[str, str], ...]:
    """Return the credentials for sending `request` again after a 401 or 407; empty if there are none or they were just
    refused.

    The leg then keeps the challenge, so that its later requests carry credentials at once.
    """
    if not leg.credentials:
        return ()
    if leg.digest is None:
        name, lookup = leg.credentials, leg.context.credentials
        leg.digest = DigestClient(lambda realm: lookup(name, realm))
    try:
        answered = leg.digest.answer(request, response, leg.context.ids.token(8))
    except ParseError:
        answered = False
    if not answered:
        leg.context.count("challenge-unanswered")
        return ()
    return credentials_in(request)
