"""Services that are called by what they are and not by a number: ``urn:service:sos`` (RFC 5031).

A phone's button for help need not know what one dials for it in the country it is in. What a service becomes here is
the plan's to say (`numbering: services`), and for the services of ``sos`` its country's numbers are known.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["SERVICE_URN", "is_for_help", "more_general", "service_in"]

SERVICE_URN: Final = "urn:service:"
_LONGEST: Final = 128
# RFC 5031 §3: top-level = let-dig [ *25let-dig-hyp let-dig ], sub-service = let-dig [ *let-dig-hyp let-dig ]; compared
# without case. RFC 8141 §3: what follows ?+ or ?= does not count.
_SERVICE: Final = re.compile(
    r"urn:service:([a-z0-9](?:[a-z0-9-]{0,25}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)(?:\?[+=].+)?",
    re.ASCII | re.IGNORECASE,
)


def service_in(text: str) -> str:
    """Return the service that a URN is of, such as ``sos.police``, in lower case; empty if it is no service URN."""
    found = _SERVICE.fullmatch(text) if len(text) <= _LONGEST else None
    return found[1].lower() if found is not None else ""


def more_general(service: str) -> tuple[str, ...]:
    """Return a service and those that it is part of: RFC 5031 §3 lets labels be removed from the right."""
    labels = service.split(".")
    return tuple([".".join(labels[:length]) for length in range(len(labels), 0, -1)])


def is_for_help(service: str) -> bool:
    """Return whether a service is an emergency service (RFC 5031 §4.2); ``test.sos`` (RFC 6881 §15) is none."""
    return service == "sos" or service.startswith("sos.")
