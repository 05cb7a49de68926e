"""Legs on the real driver and transaction layer over the in-memory network: an inbound and an outbound one, back to
back."""

from __future__ import annotations

from collections import Counter

from pbx.call import commands, events
from pbx.call.commands import Party
from pbx.call.leg import InboundLeg, Leg, LegContext, LegSettings, OutboundLeg
from pbx.net.transport import Listener
from pbx.sip.message import Request, make_response
from pbx.sip.stack import Destination, Flow, ServerTransaction, TransactionFailure
from pbx.sip.uri import Uri
from tests.support.network import Wire
from tests.support.sip import counted_ids
from tests.support.stack import Host

__all__ = ["LegHost"]

_ENDS = (events.HungUp, events.Rejected)


class LegHost(Host):
    """A host whose requests go to legs, as the registry does it. An INVITE outside any dialog makes a new one."""

    def __init__(self, wire: Wire, address: str, settings: LegSettings | None = None, transport: str = "udp") -> None:
        super().__init__(wire, Listener(transport, address, 5060))
        self.counts: Counter[str] = Counter()
        self.legs: dict[str, Leg] = {}
        self.told: dict[str, list[events.Event]] = {}
        self.context = LegContext(
            self.driver,
            counted_ids(),
            settings=settings or LegSettings(),
            count=lambda name: self.counts.update((name,)),
        )

    # -- from above

    def dial(self, leg_id: str, to: str, command: commands.Dial | None = None, **dial: object) -> OutboundLeg:
        leg = OutboundLeg(leg_id, self.context, self._emit)
        self._keep(leg)
        arguments: dict[str, object] = {"caller": Party("100"), "called": Party("200"), "offer": None, **dial}
        leg.handle(commands.Dial(leg_id, Destination(Uri.parse(to)), **arguments))  # type: ignore[arg-type]
        return leg

    def events_of(self, leg_id: str) -> list[str]:
        return [type(event).__name__ for event in self.told[leg_id]]

    def _keep(self, leg: Leg) -> None:
        self.legs[leg.id] = leg
        self.told[leg.id] = []

    def _emit(self, event: events.Event) -> None:
        told = self.told[event.leg]
        assert not told or not isinstance(told[-1], _ENDS), f"{event} after {told[-1]}"
        told.append(event)

    # -- RequestHandler

    def on_request(self, transaction: ServerTransaction, request: Request) -> None:
        self.requests.append((transaction, request))
        if request.to.tag is not None:
            owner = self.context.dialogs.find(request)
            if owner is None:
                self.driver.send_response(transaction, make_response(request, 481))
            else:
                transaction.user = owner
                owner.on_request(transaction, request)
            return
        assert request.method == "INVITE"
        leg = InboundLeg(f"in{len(self.legs)}", self.context, self._emit)
        transaction.user = leg
        self._keep(leg)
        leg.start(transaction, request)

    def on_ack(self, request: Request, flow: Flow) -> None:
        owner = self.context.dialogs.find(request)
        if owner is not None:
            owner.on_ack(request, flow)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        assert isinstance(transaction.user, Leg)
        transaction.user.on_cancel(transaction, cancel)

    def on_server_failure(self, transaction: ServerTransaction, failure: TransactionFailure) -> None:
        if isinstance(transaction.user, Leg):
            transaction.user.on_server_failure(transaction, failure)

    # -- at the end

    def check_rest(self) -> None:
        """Assert that nothing is left of any leg, and that nothing went wrong on the way."""
        assert self.faults == []
        assert self.layer.leftovers() == []
        assert len(self.context.dialogs) == 0
        for leg in self.legs.values():
            assert leg.finished, (leg.id, leg.state)
            assert not leg.timer.running
