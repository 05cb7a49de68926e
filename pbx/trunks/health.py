"""Whether trunks are there: each is asked by OPTIONS (RFC 3261 §11) again and again, and is down while it is silent.

Sans-IO: it speaks `pbx.sip.stack.Stack` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from pbx.ids import Ids
from pbx.sip.headers import Headers
from pbx.sip.message import Request, Response
from pbx.sip.stack import ClientTransaction, Destination, Flow, Stack, Timer, TransactionFailure
from pbx.trunks.outer_address import Address, outer_address

__all__ = ["Health", "Probe", "TrunkHealth", "TrunkStatus"]

_SHORTEST_PAUSE: Final = 0.1
"""Seconds between an outcome and the next question, should the answer take longer than the interval."""
_OUT_OF_SERVICE: Final = frozenset((408, 502, 503, 504))
"""What a peer says that is out of service, or a proxy on the way to one that does not reply. Any other final response,
401 or 404 or 405 among them, comes from somebody who is there."""


class Health(Enum):
    """What is known of a trunk."""

    UNKNOWN = "unknown"
    """It has been asked, and there is time left to reply."""
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Probe:
    """Whom to ask, and how often. Times are seconds. Two probes that are equal need not be told apart at a reload."""

    trunk: str
    destination: Destination
    interval: float
    timeout: float
    """Longer without a reply is a miss."""
    down_after: int = 1
    """So many misses in a row, and it is down."""
    up_after: int = 1
    """So many replies in a row, and it is up again."""


@dataclass(frozen=True, slots=True)
class TrunkStatus:
    """How a trunk stands. Made anew at each change."""

    trunk: str
    health: Health = Health.UNKNOWN
    since: float = 0.0
    """When it became so, on the stack's clock."""
    round_trip: float = 0.0
    """Seconds that its last reply took; 0 before any."""
    detail: str = ""
    """What it said when it was last asked, or why it said nothing."""


def _nobody_asks(flow: Flow, outer: Address) -> None:
    """Do nothing."""


class TrunkHealth:
    """Every trunk that is watched. `changed` hears of each that comes up or goes down."""

    def __init__(
        self,
        stack: Stack,
        ids: Ids,
        product: str,
        changed: Callable[[TrunkStatus], None],
        seen: Callable[[Flow, Address], None] = _nobody_asks,
    ) -> None:
        """`seen` hears where a trunk sees a question come from, and by which way it went."""
        self._stack = stack
        self._ids = ids
        self._changed = changed
        self.seen = seen
        self._watches: dict[str, _Watch] = {}
        self.product = product
        """The User-Agent header; empty sends none."""

    def replace(self, probes: Iterable[Probe]) -> None:
        """Watch these trunks and no others. One that is watched as before does not notice."""
        wanted = {probe.trunk: probe for probe in probes}
        for trunk, watch in list(self._watches.items()):
            if wanted.get(trunk) != watch.probe:
                watch.stop()
                del self._watches[trunk]
        for trunk, probe in wanted.items():
            if trunk not in self._watches:
                watch = self._watches[trunk] = _Watch(self, probe)
                watch.ask()

    def of(self, trunk: str) -> TrunkStatus | None:
        """Return how a trunk stands; None if it is not watched."""
        watch = self._watches.get(trunk)
        return None if watch is None else watch.status

    def is_down(self, trunk: str) -> bool:
        """Return whether a trunk is known to be down."""
        watch = self._watches.get(trunk)
        return watch is not None and watch.status.health is Health.DOWN

    def __iter__(self) -> Iterator[TrunkStatus]:
        """Give the status of every trunk that is watched."""
        return iter([watch.status for watch in self._watches.values()])

    def stop(self) -> None:
        """Watch none any more."""
        self.replace(())

    # -- what a watch needs

    @property
    def stack(self) -> Stack:
        """The SIP stack."""
        return self._stack

    def options(self, destination: Destination) -> Request:
        """Return the question."""
        host = self._stack.contact_uri(None, destination).host
        headers = Headers(
            (
                ("Max-Forwards", "70"),
                ("From", f"<sip:{f'[{host}]' if ':' in host else host}>;tag={self._ids.tag()}"),
                ("To", f"<{destination.uri}>"),
                ("Call-ID", self._ids.call_id()),
                ("CSeq", "1 OPTIONS"),
                # RFC 3261 §11.1: an Accept header field SHOULD be included to indicate the type of message body the
                # UAC wishes to receive in the response.
                ("Accept", "application/sdp"),
            )
        )
        if self.product:
            headers.add("User-Agent", self.product)
        return Request("OPTIONS", destination.uri, headers)

    def changed(self, status: TrunkStatus) -> None:
        """Tell that a trunk has come up or gone down."""
        self._changed(status)


class _Watch:
    """One trunk. Each question is a `_Question`, so that a reply to an older one is told apart."""

    def __init__(self, owner: TrunkHealth, probe: Probe) -> None:
        self.probe = probe
        self.status = TrunkStatus(probe.trunk, since=owner.stack.now())
        self._owner = owner
        self._row = 0
        """Outcomes in a row that differ from what the trunk counts as."""
        self._question: _Question | None = None
        self._timer: Timer | None = None

    def ask(self) -> None:
        """Ask now."""
        stack = self._owner.stack
        destination = self.probe.destination
        self._question = _Question(self, stack.now())
        self._timer = stack.later(self.probe.timeout, self._late)
        stack.send_request(self._owner.options(destination), destination, self._question)

    def stop(self) -> None:
        """Ask no more, and heed no reply."""
        self._question = None
        if self._timer is not None:
            self._timer.cancel()

    def seen(self, flow: Flow, outer: Address) -> None:
        """Take where the trunk has seen a question come from."""
        self._owner.seen(flow, outer)

    def _late(self) -> None:
        question = self._question
        if question is not None:
            self.told(question, Health.DOWN, f"no reply within {self.probe.timeout:g} s")

    def told(self, question: _Question, health: Health, detail: str) -> None:
        """Take what became of a question, unless that was settled before."""
        if question is not self._question:
            return
        self.stop()
        now = self._owner.stack.now()
        took = now - question.asked
        self._timer = self._owner.stack.later(max(self.probe.interval - took, _SHORTEST_PAUSE), self.ask)
        before = self.status
        self.status = replace(before, detail=detail)
        if health is Health.UP:
            self.status = replace(self.status, round_trip=took)
        if health is before.health:
            self._row = 0
            return
        self._row += 1
        # The first reply of all is believed: a trunk that was never heard of does not have to recover.
        needed = self.probe.down_after if health is Health.DOWN else self.probe.up_after
        if self._row >= needed or (health is Health.UP and before.health is Health.UNKNOWN):
            self._row = 0
            self.status = replace(self.status, health=health, since=now)
            self._owner.changed(self.status)


class _Question:
    """One OPTIONS request; a `TransactionUser`."""

    def __init__(self, watch: _Watch, asked: float) -> None:
        self.asked = asked
        self._watch = watch

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Take a response; a provisional one says nothing yet."""
        if response.status >= 200:
            outer = outer_address(transaction.flow, response)
            if outer is not None and transaction.flow is not None:
                self._watch.seen(transaction.flow, outer)
            health = Health.DOWN if response.status in _OUT_OF_SERVICE else Health.UP
            self._watch.told(self, health, f"{response.status} {response.reason}".rstrip())

    def on_failure(self, transaction: ClientTransaction, failure: TransactionFailure) -> None:
        """Take that there will be no response."""
        self._watch.told(self, Health.DOWN, failure.detail or failure.kind)
