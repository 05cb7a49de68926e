"""Which digest algorithms a client is offered.

RFC 8760 §2.3 has the server send one challenge an algorithm and the client answer the first that it knows. Some clients
give up when they see one that they do not know. They are offered MD5 alone: known ones by name, others once they have
shown it, by asking again without an answer to the challenge they got.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence

__all__ = ["AlgorithmOffers", "Client"]

# baresip 1.0.0 (Debian 12) fails with "Function not implemented" if any challenge is not MD5.
_KNOWN = re.compile(r"baresip v[01]\.")
_SIMPLE = ("MD5",)
_PATIENCE = 300.0
"""Seconds within which asking again means that a challenge was not understood."""
_MOST_REMEMBERED = 10_000

Client = tuple[str, str, str]
"""A client as far as it can be told: the host that it sends from, the user of its From, its User-Agent."""


class AlgorithmOffers:
    """Remembers who could not answer. The clock is the caller's; memory is bounded."""

    def __init__(self, algorithms: Sequence[str]) -> None:
        """`algorithms` are those that the server would offer to everybody."""
        self._all = tuple(algorithms)
        self._choice = len(self._all) > 1 and "MD5" in self._all
        self._unanswered: OrderedDict[Client, float] = OrderedDict()
        self._simple: OrderedDict[Client, None] = OrderedDict()

    def to(self, client: Client, now: float) -> Sequence[str]:
        """Return what to offer to a client that sent no answer to a challenge; it is taken to be sent."""
        if not self._choice:
            return self._all
        if _KNOWN.match(client[2]) or client in self._simple:
            return _SIMPLE
        asked = self._unanswered.pop(client, None)
        if asked is not None and now - asked < _PATIENCE:
            self._simple[client] = None
            if len(self._simple) > _MOST_REMEMBERED:
                self._simple.popitem(last=False)
            return _SIMPLE
        self._unanswered[client] = now
        if len(self._unanswered) > _MOST_REMEMBERED:
            self._unanswered.popitem(last=False)
        return self._all

    def again(self, client: Client) -> Sequence[str]:
        """Return what to offer to a client that answered a challenge, rightly or not: it understood what it was
        given."""
        self._unanswered.pop(client, None)
        return _SIMPLE if self._choice and (_KNOWN.match(client[2]) or client in self._simple) else self._all
