"""An outbound registration: we are the user agent client of a registrar (RFC 3261 §10.2).

Sans-IO: it speaks `pbx.sip.stack.Stack` alone. What happens is told to its owner in the words of `account.py`; its
states are in `registration_table.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pbx.errors import ParseError
from pbx.ids import Ids
from pbx.sip.digest import DigestClient
from pbx.sip.ext.outbound import flow_timer_of, instance_param
from pbx.sip.ext.path import service_route_of
from pbx.sip.grammar import parse_number
from pbx.sip.headers import Headers, NameAddress
from pbx.sip.message import Request, Response
from pbx.sip.stack import ClientTransaction, Destination, Flow, Stack, Timer, TransactionFailure
from pbx.sip.uri import Uri
from pbx.trunks.account import Account, Credentials, Owner, RegistrationSettings, Status, Trouble
from pbx.trunks.outer_address import outer_address
from pbx.trunks.registration_table import TABLE, Input, State

__all__ = ["Registration"]

_MOST_ATTEMPTS: Final = 5
"""Requests in one round: a registrar may call every nonce stale, or every interval too brief."""
_CREDENTIALS: Final = ("Authorization", "Proxy-Authorization")
_LONGEST_INTERVAL: Final = 7 * 24 * 3600
_SHORTEST_INTERVAL: Final = 2
_TOO_SOON: Final = 32.0
"""Seconds: what a transaction may take until it times out. A renewal begins longer before the end than that."""
# RFC 3261 §21: what the same request would get again. Other 4xx, 5xx and 6xx may pass.
_REFUSALS: Final = frozenset((400, 401, 402, 403, 404, 405, 407, 410, 416, 420, 421, 423, 439, 493, 494, 603, 604, 606))


class Registration:
    """One account at its registrar, kept registered from `start` until `stop` or `abandon`.

    Raises ParseError for an account whose route is none.
    """

    def __init__(
        self,
        account: Account,
        stack: Stack,
        ids: Ids,
        credentials: Credentials,
        owner: Owner,
        settings: RegistrationSettings | None = None,
    ) -> None:
        for route in account.route:
            NameAddress.parse(route)
        self.account = account
        self.status = Status(account.name)
        self._stack = stack
        self._ids = ids
        self._owner = owner
        self._settings = settings or RegistrationSettings()
        self._digest = DigestClient(lambda realm: credentials(account.name, realm))
        # RFC 3261 §10.2: a UA SHOULD use the same Call-ID for all registrations sent to one registrar, and MUST
        # increment CSeq by one for each.
        self._call_id = ids.call_id()
        self._tag = ids.tag()
        self._cseq = 0
        self._interval = account.expires
        self._outbound = bool(account.instance)
        self._attempts = 0
        self._flow: Flow | None = None
        """The way that the round under way takes."""
        self._contact: Uri | None = None
        """What the request under way registers."""
        self._bound: Uri | None = None
        """What the registrar has of us."""
        self._request: Request | None = None
        self._transaction: ClientTransaction | None = None
        self._due: Timer | None = None
        self._expiry: Timer | None = None
        self._retry_after = 0.0
        self._correcting = False
        """Whether the binding was made anew only for its Contact."""

    # -- from above

    def start(self) -> None:
        """Register; a registration that holds, or that waits to be tried again, is renewed now."""
        self._take(Input.START)

    def stop(self) -> None:
        """Remove the binding; ENDED is told once the registrar has answered, or will not."""
        self._take(Input.STOP)

    def abandon(self) -> None:
        """End at once. The binding stays at the registrar until it expires."""
        self._take(Input.ABANDON)

    def flow_closed(self, flow: Flow) -> None:
        """Take that a connection is gone."""
        if flow == self.status.flow:
            self.status = replace(self.status, flow=None)
            self._take(Input.FLOW_LOST)

    def address_changed(self) -> None:
        """Take that our own address towards the registrar is another one: the way of before is no good any more."""
        self.status = replace(self.status, flow=None)
        self._take(Input.START)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.status.state

    def _take(self, given: Input) -> None:
        action, target = TABLE[self.status.state][given]
        if target is None:
            return
        # The state first: an action may change more of the status, and ends by whatever it sends.
        self.status = replace(self.status, state=target)
        getattr(self, action.value)()
        self._owner.registration_changed(self.status)

    # -- actions

    def _nothing(self) -> None:
        """Do nothing."""

    def _send(self) -> None:
        """Begin a round: a REGISTER and what its challenges ask for."""
        self._set_due(None)
        self._attempts = 0
        flow = self.status.flow
        # A connection is kept; over UDP each round may find another server (RFC 3263 §4.3).
        self._flow = flow if flow is not None and flow.reliable else None
        self._send_request(self._interval)

    def _remove(self) -> None:
        """Begin the round that removes the binding (RFC 3261 §10.2.2)."""
        self._set_due(None)
        self._set_expiry(None)
        self._attempts = 0
        self._flow = self.status.flow
        self._send_request(0)

    def _hold(self) -> None:
        """Take the binding."""
        now, interval = self._stack.now(), self.status.interval
        self.status = replace(
            self.status,
            contact=self._bound,
            until=now + interval,
            trouble=Trouble.NONE,
            status=0,
            detail="",
            failures=0,
            retry_at=0.0,
        )
        self._set_expiry(float(interval))
        # The way is known for certain only now. A Contact that does not fit it is replaced at once, but not again and
        # again where each request goes another way.
        self._correcting = not self._correcting and self._contact != self._contact_for(self.status.flow)
        self._set_due(0.0 if self._correcting else self._renewal(interval))

    def _renewal(self, interval: int) -> float:
        """Return in how many seconds to renew: early enough for a second try, and not all accounts at one moment."""
        margin = min(interval / 2, max(interval / 10, _TOO_SOON + 8))
        return (interval - margin) * (0.9 + 0.1 * self._chance())

    def _retry(self) -> None:
        """Set the time of the next attempt.

        RFC 5626 §4.5: the wait is chosen at random from between 50 and 100 % of a bound that doubles with each failure.
        """
        status, settings = self.status, self._settings
        failures = status.failures + 1
        if status.trouble in (Trouble.NO_CREDENTIALS, Trouble.CREDENTIALS, Trouble.REFUSED):
            bound = settings.refused_retry
        else:
            bound = min(settings.longest_retry, settings.first_retry * 2.0 ** min(failures - 1, 16))
        wait = max(bound * (0.5 + 0.5 * self._chance()), min(self._retry_after, settings.longest_retry_after))
        self.status = replace(status, failures=failures, retry_at=self._stack.now() + wait)
        self._set_due(wait)

    def _lose(self) -> None:
        """Take that there is no binding any more."""
        self._set_expiry(None)
        self._bound = None
        self.status = replace(self.status, contact=None, until=0.0)

    def _lose_and_retry(self) -> None:
        self._lose()
        self._retry()

    def _lose_and_send(self) -> None:
        self._lose()
        self._send()

    def _finish(self) -> None:
        """Leave nothing behind."""
        self._set_due(None)
        self._lose()
        self._transaction = self._request = None
        self.status = replace(self.status, retry_at=0.0)

    def _set_due(self, delay: float | None) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = None if delay is None else self._stack.later(delay, self._is_due)

    def _is_due(self) -> None:
        self._due = None
        self._take(Input.DUE)

    def _set_expiry(self, delay: float | None) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = None if delay is None else self._stack.later(delay, self._expired)

    def _expired(self) -> None:
        self._expiry = None
        self._take(Input.EXPIRED)

    def _chance(self) -> float:
        return self._ids.number(16) / 65535

    # -- the request

    def _contact_for(self, flow: Flow | None) -> Uri:
        account = self.account
        return self._stack.contact_uri(flow, self._destination(None), account.contact_user)

    def _destination(self, flow: Flow | None) -> Destination:
        account = self.account
        return Destination(account.registrar, account.route, flow, flow is not None, account.next_hop)

    def _send_request(self, expires: int, authorization: tuple[tuple[str, str], ...] = ()) -> None:
        self._attempts += 1
        self._cseq += 1
        self._retry_after = 0.0
        account = self.account
        self._contact = self._contact_for(self._flow or self.status.flow) if expires else self._bound
        aor = NameAddress("", account.aor)
        headers = Headers(
            (
                ("Max-Forwards", "70"),
                ("From", str(aor.with_tag(self._tag))),
                ("To", str(aor)),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._cseq} REGISTER"),
            )
        )
        for contact in self._contacts(expires):
            headers.add("Contact", contact)
        headers.add("Supported", "path, outbound" if self._outbound else "path")
        if self._settings.product:
            headers.add("User-Agent", self._settings.product)
        for name, value in authorization:
            headers.add(name, value)
        request = Request("REGISTER", account.registrar, headers)
        if not authorization:
            self._digest.authorize(request, self._ids.token(8))
        self._request = request
        self._transaction = self._stack.send_request(request, self._destination(self._flow), self)

    def _contacts(self, expires: int) -> list[str]:
        """Return the Contact values: ours, and the one that it replaces."""
        contacts = []
        if self._contact is not None:
            params: dict[str, str | None] = {}
            if self._outbound:
                params["+sip.instance"], params["reg-id"] = instance_param(self.account.instance), "1"
            params["expires"] = str(expires)
            contacts.append(str(NameAddress("", self._contact, params)))
        if expires and not self._outbound and self._bound not in (None, self._contact):
            contacts.append(f"<{self._bound}>;expires=0")
        return contacts

    # -- TransactionUser

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Take a response."""
        if transaction is not self._transaction or response.status < 200:
            return
        self._flow = transaction.flow
        self.status = replace(self.status, flow=transaction.flow)
        if response.status < 300:
            self.status = replace(self.status, outer=outer_address(transaction.flow, response))
            self._accepted(response)
            return
        again = self._corrected(response) if self._attempts < _MOST_ATTEMPTS else None
        if again is None:
            self._not_accepted(response)
        else:
            self._send_request(0 if self.state is State.REMOVING else self._interval, again)

    def on_failure(self, transaction: ClientTransaction, failure: TransactionFailure) -> None:
        """Take that there will be no final response."""
        if transaction is self._transaction:
            # Whoever answers next time may be another, over another connection.
            self._flow = None
            self.status = replace(self.status, flow=None)
            trouble = Trouble.TIMEOUT if failure.kind == "timeout" else Trouble.UNREACHABLE
            self._fail(trouble, 0, failure.detail)

    def _corrected(self, response: Response) -> tuple[tuple[str, str], ...] | None:
        """Return the credentials to send the request again with, perhaps none; None if that would be of no use."""
        if response.status in (401, 407):
            return self._answer_challenge(response) or None
        if response.status == 423:
            # RFC 3261 §10.2.8: the UA MAY retry the registration after making the expiration interval equal to or
            # greater than the expiration interval within the Min-Expires header field of the 423.
            least = _seconds(response, "Min-Expires")
            if self._interval < least <= _LONGEST_INTERVAL:
                self._interval = least
                return ()
        elif response.status == 439 and self._outbound:
            # RFC 5626 §6: a proxy on the way does not know outbound; without it the registration is as good as any.
            self._outbound = False
            return ()
        return None

    def _answer_challenge(self, response: Response) -> tuple[tuple[str, str], ...]:
        request = self._request
        try:
            if request is None or not self._digest.answer(request, response, self._ids.token(8)):
                return ()
        except ParseError:
            return ()
        return tuple([(name, value) for name in _CREDENTIALS for value in request.headers.raw(name)])

    def _accepted(self, response: Response) -> None:
        self._transaction = self._request = None
        self._bound = self._contact
        self.status = replace(
            self.status,
            interval=self._granted(response),
            flow_timer=_flow_timer(response),
            service_route=_service_route(response),
        )
        self._take(Input.ACCEPTED)

    def _granted(self, response: Response) -> int:
        """Return the seconds granted: RFC 3261 §10.2.4 has them in the expires parameter of our Contact.

        Registrars that write another Contact than ours, or none, mostly say it in Expires.
        """
        try:
            contacts = response.contacts
            said = response.expires
        except ParseError:
            return self._interval
        ours = [one for one in contacts if self._contact is not None and one.uri.equivalent(self._contact)]
        value = next((one.params.get("expires") for one in ours or contacts[:1]), None)
        try:
            granted = parse_number(value, 2**32 - 1, "expires") if value else said
        except ParseError:
            granted = said
        return min(max(granted or self._interval, _SHORTEST_INTERVAL), _LONGEST_INTERVAL)

    def _not_accepted(self, response: Response) -> None:
        status = response.status
        self._retry_after = float(_seconds(response, "Retry-After"))
        if status in (401, 407):
            asked = self._request is not None and any(name in self._request.headers for name in _CREDENTIALS)
            trouble = Trouble.CREDENTIALS if asked else Trouble.NO_CREDENTIALS
        elif status < 400 or status in _REFUSALS:
            trouble = Trouble.REFUSED
        else:
            trouble = Trouble.SERVER
        self._fail(trouble, status, response.reason)

    def _fail(self, trouble: Trouble, status: int, detail: str) -> None:
        self._transaction = self._request = None
        self.status = replace(self.status, trouble=trouble, status=status, detail=detail)
        refused = trouble in (Trouble.CREDENTIALS, Trouble.NO_CREDENTIALS, Trouble.REFUSED)
        self._take(Input.REFUSED if refused else Input.FAILED)


def _seconds(response: Response, name: str) -> int:
    """Return the seconds of a header such as Retry-After (RFC 3261 §20.33), 0 without a readable one."""
    text = (response.headers.get(name) or "").partition(";")[0].partition("(")[0].strip(" \t")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0


def _flow_timer(response: Response) -> int:
    try:
        return flow_timer_of(response) or 0
    except ParseError:
        return 0


def _service_route(response: Response) -> tuple[str, ...]:
    try:
        service_route_of(response)
    except ParseError:
        return ()
    return tuple(response.headers.all("Service-Route"))
