"""Who sends a request? Digest authentication, for REGISTER and for calls, and what failing at it costs.

Nobody learns from an answer whether a user exists: an unknown one and a wrong password are checked at the same cost and
answered alike (RFC 3261 §26.3.2.4 leaves both a 401).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from pbx.ids import Ids
from pbx.registrar.offers import AlgorithmOffers, Client
from pbx.sip.digest import Credential, DigestServer, Outcome, Verdict
from pbx.sip.message import Request, Response, make_response
from pbx.sip.stack import Flow, ServerTransaction, Stack

__all__ = ["Authenticator", "Guard", "Penalty"]

_log = structlog.get_logger("pbx.registrar.authentication")

_MOST_DELAYED = 500
"""Answers held back at once; a flood of failures is answered at once rather than remembered."""
_LONGEST_NAME = 64
"""Characters of a stranger's name that are remembered and logged."""


class Penalty(Protocol):
    """What a failure costs."""

    @property
    def delay(self) -> float:
        """Seconds to wait with the answer."""

    @property
    def banned(self) -> bool:
        """Whether nothing more is to be answered."""


class Guard(Protocol):
    """Who keeps count of failures and is told of them (`pbx.security.edge.EdgeGuard`)."""

    def user_banned(self, way: Flow, host: str, user: str, now: float) -> bool:
        """Return whether this user name at this address has failed too often."""

    def failed(self, host: str, user: str, now: float) -> Penalty:
        """Count a failure to prove to be `user`, and return what it costs."""

    def persisted(self, host: str, now: float) -> None:
        """Count an attempt of a user who is banned at this address."""

    def tried(self, way: Flow, host: str, name: str, now: float, number: str = "") -> None:
        """Take that a stranger asked in the `name` of somebody, or for a `number`, and has proven nothing yet."""

    def succeeded(self, host: str, user: str, name: str = "", number: str = "") -> None:
        """Forget a user's failures, now that it has proven itself."""


class Authenticator:
    """Finds out who sends a request, and answers it if that cannot be found out.

    `lookup` gives the credential of a user name, None if there is none; `permits(user, host)` says whether a user may
    be at an address.
    """

    def __init__(
        self,
        stack: Stack,
        digest: DigestServer,
        lookup: Callable[[str], Credential | None],
        guard: Guard,
        ids: Ids,
        permits: Callable[[str, str], bool] = lambda user, host: True,
    ) -> None:
        self._permits = permits
        self._stack = stack
        self._digest = digest
        self._lookup = lookup
        self._guard = guard
        self._ids = ids
        self._offers = AlgorithmOffers(digest.algorithms)
        self._delayed = 0
        self.counts = {"challenged": 0, "stale": 0, "wrong": 0, "malformed": 0, "banned": 0, "proven": 0}
        """Requests by what was found."""

    def authenticate(self, transaction: ServerTransaction, request: Request) -> str | None:
        """Return the user name that the request proves; None if it proves none, and then it has been or will be
        answered."""
        now = self._stack.now()
        values = request.headers.raw("Authorization")
        client = _client(transaction, request)
        if not values:
            self._challenge(transaction, request, now, self._offers.to(client, now))
            return None
        offered = self._offers.again(client)
        host = client[0]
        verdict = self._digest.check(values, request.method, request.uri, request.body, now, self._lookup, host)
        user = verdict.username
        if user and self._guard.user_banned(transaction.flow, host, user, now):
            self.counts["banned"] += 1
            if verdict.outcome in (Outcome.OK, Outcome.WRONG):  # it has heard our challenge, so it is who it says
                self._guard.persisted(host, now)
            self._answer(transaction, make_response(request, 403, to_tag=self._ids.tag()))
        elif verdict.ok and self._permits(user, host):
            self.counts["proven"] += 1
            self._guard.succeeded(host, user, *_asked(request))
            return user
        elif verdict.ok or verdict.outcome is Outcome.WRONG:
            # The right password at a place where it is not allowed: whoever stole it is told that it is wrong.
            self._refuse(transaction, request, verdict, offered, now)
        elif verdict.outcome is Outcome.MALFORMED:
            self.counts["malformed"] += 1
            self._answer(transaction, make_response(request, 400, verdict.detail, to_tag=self._ids.tag()))
        else:
            self._challenge(transaction, request, now, offered, stale=verdict.outcome is Outcome.STALE)
        return None

    def _challenge(
        self,
        transaction: ServerTransaction,
        request: Request,
        now: float,
        algorithms: Sequence[str],
        *,
        stale: bool = False,
    ) -> None:
        self.counts["stale" if stale else "challenged"] += 1
        if not stale:
            flow = transaction.flow
            name, number = _asked(request)
            self._guard.tried(flow, flow.remote[0], name, now, number)
        self._answer(transaction, self._unauthorized(transaction, request, now, algorithms, stale))

    def _unauthorized(
        self,
        transaction: ServerTransaction,
        request: Request,
        now: float,
        algorithms: Sequence[str],
        stale: bool = False,
    ) -> Response:
        response = make_response(request, 401, to_tag=self._ids.tag())
        for challenge in self._digest.challenges(now, stale, algorithms, transaction.flow.remote[0]):
            response.headers.add("WWW-Authenticate", challenge)
        return response

    def _refuse(
        self,
        transaction: ServerTransaction,
        request: Request,
        verdict: Verdict,
        offered: Sequence[str],
        now: float,
    ) -> None:
        self.counts["wrong"] += 1
        host = transaction.flow.remote[0]
        penalty = self._guard.failed(host, verdict.username, now)
        _log.warning(
            "authentication-failed",
            source=host,
            method=request.method,
            user=verdict.username[:_LONGEST_NAME],
            detail=verdict.detail or "not allowed at this address",
            banned=penalty.banned,
        )
        if penalty.banned:
            self._answer(transaction, make_response(request, 403, to_tag=self._ids.tag()))
        elif penalty.delay and self._delayed < _MOST_DELAYED:
            self._delayed += 1
            self._stack.later(penalty.delay, lambda: self._refuse_late(transaction, request, offered))
        else:
            self._answer(transaction, self._unauthorized(transaction, request, now, offered))

    def _refuse_late(self, transaction: ServerTransaction, request: Request, offered: Sequence[str]) -> None:
        self._delayed -= 1
        if not transaction.final_sent:
            self._answer(transaction, self._unauthorized(transaction, request, self._stack.now(), offered))

    def _answer(self, transaction: ServerTransaction, response: Response) -> None:
        self._stack.send_response(transaction, response)


def _asked(request: Request) -> tuple[str, str]:
    """Return in whose name a request is made, and the number that it calls, if it is a call."""
    if request.method == "REGISTER":
        return request.to.uri.user or "", ""
    number = request.uri.user or "" if request.method == "INVITE" else ""
    return request.from_.uri.user or "", number


def _client(transaction: ServerTransaction, request: Request) -> Client:
    # Cut, since thousands of clients are remembered and each may send a name of 64 KiB.
    return (
        transaction.flow.remote[0],
        (request.from_.uri.user or "")[:_LONGEST_NAME],
        (request.user_agent or "")[:_LONGEST_NAME],
    )
