"""A request of ours on its way: next hop, targets, connection, transaction, and the next target if that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from pbx.errors import ParseError
from pbx.net.addresses import may_send_to
from pbx.net.routing import address_request, retry_after, too_large_for_udp, wants_contact
from pbx.net.transport import show
from pbx.sip.stack import PassedOver, TransactionFailure
from pbx.sip.targets import Failover, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pbx.net.counters import Counters
    from pbx.net.transport import Network
    from pbx.sip.client import ClientTransaction as LayerTransaction
    from pbx.sip.message import Request, Response
    from pbx.sip.stack import Destination, Flow, ImpatientUser, Timer, TransactionUser
    from pbx.sip.targets import DeadTargets
    from pbx.sip.uri import Uri

__all__ = ["Carrier", "Outgoing", "OutgoingAck", "OutgoingRequest", "Resolving"]

_TCP_PATIENCE: Final = 1.5
"""Seconds for a TCP connection to come up that is only wanted because the request is large; then it goes by UDP."""
_HERE: Final = "a request on its way"
_OUR_FAULT: Final = "a fault of this server"
_NO_TCP_SECONDS: Final = 600.0
"""How long a host without TCP is remembered."""


class Resolving(Protocol):
    """RFC 3263: `pbx.net.resolver` has the real one."""

    def resolve(self, uri: Uri, hint: str, callback: Callable[[Sequence[Target], str], None]) -> None:
        """Give `callback` the targets of `uri` in order, or none and the reason; at once if the host is numeric."""


class Carrier(Protocol):
    """What a request on its way needs of the driver."""

    network: Network
    resolver: Resolving
    dead: DeadTargets
    counters: Counters

    def now(self) -> float:
        """Return the time."""

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call `call` later."""

    def guarded(self, where: str, call: Callable[[], object]) -> bool:
        """Call `call`; report its exception, and return False then."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call `call` as soon as whoever is calling now has returned."""

    def sent_by(self, flow: Flow) -> str:
        """Return ``host:port`` for a Via that goes over `flow`."""

    def contact_uri(self, flow: Flow | None, destination: Destination | None = None) -> Uri:
        """Return the URI by which the peer at the other end of `flow` reaches us."""

    def begin(self, outgoing: OutgoingRequest, flow: Flow, sent_by: str) -> LayerTransaction:
        """Give the request to the transaction layer, and carry out what it asks for."""

    def cancel_abandoned(self, transaction: LayerTransaction) -> None:
        """Cancel an INVITE whose target is given up: as soon as it says anything."""

    def send_ack_over(self, request: Request, flow: Flow, sent_by: str) -> str:
        """Send an ACK; return an empty text, or why it cannot be sent."""


class Outgoing:
    """What a request and an ACK have in common: the search for a flow.

    Nobody is called back before the constructor of the request has returned.
    """

    __slots__ = (
        "_attempt",
        "_carrier",
        "_destination",
        "_failover",
        "_own_contact",
        "_upgraded",
        "flow",
        "passed",
        "request",
    )

    def __init__(self, carrier: Carrier, request: Request, destination: Destination) -> None:
        self._carrier = carrier
        self._destination = destination
        self._failover: Failover | None = None
        self._attempt: _Attempt | None = None
        self._upgraded = False
        self._own_contact = wants_contact(request)
        self.request = request
        self.flow: Flow | None = None
        self.passed: tuple[PassedOver, ...] = ()

    # -- looking for a way

    def start(self) -> None:
        """Set out."""
        try:
            next_hop = address_request(self.request, self._destination)
        except ParseError as error:
            self._give_up("resolve", error.reason)
            return
        flow = self._destination.flow
        if flow is not None:
            if self._carrier.network.alive(flow):
                self._go(flow)
                return
            if not self._destination.fallback:
                self._carrier.counters["flow_gone"] += 1
                self._give_up("transport", f"the way to {show(flow.remote)} is gone")
                return
        self._carrier.resolver.resolve(next_hop, "", self._resolved)

    def _resolved(self, targets: Sequence[Target], detail: str) -> None:
        if not self._carrier.guarded(_HERE, lambda: self._choose(targets, detail)):
            self._give_up("transport", _OUR_FAULT)

    def _choose(self, targets: Sequence[Target], detail: str) -> None:
        if self._over():
            return
        usable = [target for target in targets if self._usable(target)]
        if not usable:
            refused = "no transport leads there" if targets else detail or "no address was found"
            self._give_up("resolve", refused)
            return
        carrier = self._carrier
        self._failover = Failover(usable, carrier.dead, carrier.now())
        self._try(self._failover.current)

    def _usable(self, target: Target) -> bool:
        return may_send_to(target.host) and self._carrier.network.offers(target.transport, target.host)

    def _try(self, target: Target | None) -> None:
        assert target is not None
        self._upgraded = False
        way = target
        if target.transport == "udp" and too_large_for_udp(self.request):
            by_tcp = Target("tcp", target.host, target.port, target.name)
            if self._carrier.network.listens("tcp", target.host) and not self._carrier.dead.dead(
                by_tcp, self._carrier.now()
            ):
                # RFC 3261 §18.1.1: if a request is larger than 1300 bytes and the path MTU is unknown, the request MUST
                # be sent using an RFC 2914 congestion controlled transport protocol, such as TCP.
                self._upgraded = True
                way = by_tcp
        self._attempt = attempt = _Attempt(self, way)
        if self._upgraded:
            attempt.timer = self._carrier.later(_TCP_PATIENCE, attempt.too_late)
        self._carrier.network.connect(way.transport, (way.host, way.port), way.name, attempt)

    def attempt_done(self, attempt: _Attempt, flow: Flow | None, detail: str) -> None:
        """Take what became of a connection."""
        if attempt is not self._attempt:
            return
        self._attempt = None
        if not self._carrier.guarded(_HERE, lambda: self._go_on(attempt, flow, detail)):
            self._give_up("transport", _OUR_FAULT)

    def _go_on(self, attempt: _Attempt, flow: Flow | None, detail: str) -> None:
        if flow is not None:
            self._go(flow)
            return
        if self._upgraded:
            self._without_tcp(attempt.target)
            return
        self._failed(TransactionFailure("transport", f"{_named(attempt.target)}: {detail}"))

    def _without_tcp(self, target: Target) -> None:
        """RFC 3261 §18.1.1: if the connection attempt is refused, the element SHOULD retry the request, using UDP."""
        self._carrier.dead.mark(target, self._carrier.now(), _NO_TCP_SECONDS)
        assert self._failover is not None
        self._try(self._failover.current)

    def _failed(self, failure: TransactionFailure) -> None:
        """Go on to the next target, or give up."""
        failover = self._failover
        before = None if failover is None else failover.current
        following = None if failover is None else failover.failure(failure.kind, self._carrier.now())
        if following is None:
            self._give_up(failure.kind, failure.detail)
        else:
            self._pass_over(before, 0, failure.kind, failure.detail or "no response")
            self._try(following)

    def _pass_over(self, target: Target | None, status: int, kind: str, detail: str) -> None:
        assert target is not None
        name = _named(target)
        text = detail if detail.startswith(name) else f"{name}: {detail}"
        self.passed = (*self.passed, PassedOver(status, kind, text))

    def _go(self, flow: Flow) -> None:
        carrier = self._carrier
        self.flow = flow
        if self._own_contact:
            self.request.headers.set("Contact", f"<{carrier.contact_uri(flow, self._destination)}>")
        self._send(flow, carrier.sent_by(flow))

    # -- what differs

    def _over(self) -> bool:
        """Return whether nobody wants this any more."""
        return False

    def _send(self, flow: Flow, sent_by: str) -> None:
        raise NotImplementedError

    def _give_up(self, kind: str, detail: str) -> None:
        raise NotImplementedError


class _Attempt:
    """Waits for one connection (`pbx.net.transport.Connecting`)."""

    __slots__ = ("_outgoing", "target", "timer")

    def __init__(self, outgoing: Outgoing, target: Target) -> None:
        self._outgoing = outgoing
        self.target = target
        self.timer: Timer | None = None

    def connected(self, flow: Flow) -> None:
        self._done(flow, "")

    def not_connected(self, detail: str) -> None:
        self._done(None, detail)

    def too_late(self) -> None:
        self._done(None, "no connection in time")

    def _done(self, flow: Flow | None, detail: str) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self._outgoing.attempt_done(self, flow, detail)


class OutgoingRequest(Outgoing):
    """A request, with a transaction for each target that it is tried at (`pbx.sip.stack.ClientTransaction`)."""

    __slots__ = ("_abandoned", "_cancelled", "_fell_back", "_over_by", "_patience", "_transaction", "_user")

    def __init__(self, carrier: Carrier, request: Request, destination: Destination, user: TransactionUser) -> None:
        super().__init__(carrier, request, destination)
        self._user: TransactionUser | None = user
        self._transaction: LayerTransaction | None = None
        self._over_by = ""
        self._cancelled = False
        self._fell_back = False
        self._abandoned: tuple[LayerTransaction, ...] = ()
        """INVITEs to targets that said nothing in time; they are cancelled as soon as that is allowed."""
        self._patience: Timer | None = None

    @property
    def user(self) -> TransactionUser | None:
        """Who hears of it, None once a failure was told."""
        return self._user

    def cancel(self) -> LayerTransaction | None:
        """Stop looking for targets; return the transaction that has to be cancelled, None if nothing was sent."""
        self._cancelled = True
        self._hurry_no_more()
        if self._failover is not None:
            self._failover.settle()
        transaction = self._transaction
        if transaction is None and not self._over_by:
            self._attempt = None
            self._give_up("cancelled", "cancelled before it was sent")
        return transaction

    # -- what the layer's effects tell

    def responded(self, transaction: LayerTransaction, response: Response) -> TransactionUser | None:
        """Take a response; return whom to tell, None if the request goes on to the next target."""
        if transaction is not self._transaction:
            # A target that was given up speaks after all; whoever is asked now decides, but a call that it answers
            # must be acknowledged, and is one.
            return self._answered_late(transaction) if 200 <= response.status < 300 else None
        self._hurry_no_more()
        failover = self._failover
        if failover is not None and not failover.settled:
            status, before = response.status, failover.current
            following = failover.response(status, self._carrier.now(), retry_after(response) if status == 503 else None)
            if following is not None:
                self._transaction = None
                self._pass_over(before, status, "", f"{status} {response.reason}".rstrip())
                self._try(following)
                return None
        return self._user

    def _answered_late(self, transaction: LayerTransaction) -> TransactionUser | None:
        if transaction not in self._abandoned:
            return None
        pending = self._transaction
        if pending is not None and pending is not transaction:
            # RFC 3261 §16.7 step 10: after a 2xx, the pending client transactions are cancelled.
            self._abandon(pending)
            self._transaction = transaction
        if self._failover is not None:
            self._failover.settle()
        return self._user

    def _abandon(self, transaction: LayerTransaction) -> None:
        self._abandoned = (*self._abandoned, transaction)
        # Its CANCEL is made from its request as it was sent.
        self.request = self.request.copy()
        self._carrier.cancel_abandoned(transaction)

    def _hurry_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _silent(self) -> None:
        self._patience = None
        transaction, user = self._transaction, self._user
        if transaction is None or user is None or self._cancelled:
            return
        failover = self._failover
        before = None if failover is None else failover.current
        following = None if failover is None else failover.silence(self._carrier.now())
        if following is None:
            cast("ImpatientUser", user).on_silence(self)
            return
        self._transaction = None
        self._pass_over(before, 0, "timeout", f"no response within {self._destination.patience:g} s")
        self._abandon(transaction)
        self._try(following)

    def broke(self, transaction: LayerTransaction, failure: TransactionFailure) -> None:
        """Take that the transaction failed."""
        if transaction is not self._transaction:
            return
        self._transaction = None
        self._hurry_no_more()
        failover = self._failover
        if failure.kind == "transport" and not self._cancelled:
            if self._upgraded and failover is not None and not failover.settled and failover.current is not None:
                self._without_tcp(failover.current._replace(transport="tcp"))
                return
            if failover is None and self._destination.fallback and not self._fell_back:
                self._fall_back()
                return
        self._failed(failure)

    def _fall_back(self) -> None:
        """The flow was there and is not: resolve, as `Destination.fallback` allows."""
        self._fell_back = True
        try:
            next_hop = address_request(self.request, self._destination)
        except ParseError as error:
            self._give_up("resolve", error.reason)
            return
        self._carrier.resolver.resolve(next_hop, "", self._resolved)

    # -- what differs from an ACK

    def _over(self) -> bool:
        return bool(self._over_by)

    def _send(self, flow: Flow, sent_by: str) -> None:
        self._transaction = self._carrier.begin(self, flow, sent_by)
        if self._destination.patience and self._user is not None and not self._cancelled:
            self._hurry_no_more()
            self._patience = self._carrier.later(self._destination.patience, self._silent)

    def _give_up(self, kind: str, detail: str) -> None:
        if self._over_by:
            return
        self._over_by = kind
        self._hurry_no_more()
        if kind in ("resolve", "transport"):
            self._carrier.counters["request_unroutable"] += 1
        user, failure = self._user, TransactionFailure(kind, detail)
        self._user = None
        if user is not None:
            told = user
            self._carrier.soon(lambda: told.on_failure(self, failure))


class OutgoingAck(Outgoing):
    """An ACK for a 2xx. Nobody hears of a failure: the 2xx comes again, and so does the ACK."""

    __slots__ = ()

    def _send(self, flow: Flow, sent_by: str) -> None:
        fault = self._carrier.send_ack_over(self.request, flow, sent_by)
        if fault:
            self._failed(TransactionFailure("transport", fault))

    def _give_up(self, kind: str, detail: str) -> None:
        self._carrier.counters["ack_failed"] += 1


def _named(target: Target) -> str:
    return f"{target.transport} {show((target.host, target.port))}"
