"""Whom a request calls: a number, a name, or a service (RFC 5031)."""

from __future__ import annotations

from typing import Final

from pbx.dialplan.services import SERVICE_URN, service_in
from pbx.sip.ext.identity import number_in
from pbx.sip.uri import Uri

__all__ = ["called_in", "reason_against"]

_ADDRESSES: Final = ("sip", "sips", "tel")


def called_in(uri: Uri) -> str:
    """Return what a URI calls, as the dialplan is asked for it: the number or name that it stands for, or a service as
    ``urn:service:sos``, in lower case."""
    if uri.scheme != "urn":
        return number_in(uri)
    service = service_in(str(uri))
    return SERVICE_URN + service if service else ""


def reason_against(method: str, uri: Uri) -> int:
    """Return the status by which a request outside a dialog is refused for its Request-URI; 0 if it may be for us.

    RFC 3261 §8.2.2.1: a scheme that the UAS does not support SHOULD be rejected with a 416. Of URNs, services are
    supported, and only calls are made to them; one that is written as none can be is not found.
    """
    scheme = uri.scheme
    if scheme in _ADDRESSES:
        return 0
    if scheme != "urn" or method == "REGISTER" or uri.opaque[:8].lower() != "service:":
        return 416
    return 0 if service_in(str(uri)) else 404
