"""Messages for tests of SIP, and a transaction layer with a transaction user that only remembers."""

from __future__ import annotations

from itertools import count

from pbx.ids import Ids
from pbx.sip.effects import (
    AckArrived,
    Cancelled,
    ClientFailed,
    Dropped,
    Effect,
    RequestArrived,
    ResponseArrived,
    Send,
    ServerFailed,
    StrayResponse,
)
from pbx.sip.headers import Headers
from pbx.sip.layer import LayerSettings, TransactionLayer
from pbx.sip.message import Request
from pbx.sip.stack import Flow

__all__ = ["Ear", "counted_ids", "request"]

_numbers = count(1)


def counted_ids() -> Ids:
    """Return a source of identifiers that gives the same ones in every run."""
    numbers = count(1)
    return Ids(lambda octets: b"".join(next(numbers).to_bytes(4, "big") for _ in range(octets // 4 + 1))[:octets])


def request(
    method: str,
    branch: str | None = "z9hG4bKbranch",
    cseq: int = 1,
    call_id: str = "call@example.com",
    from_tag: str = "ours",
    to_tag: str | None = None,
    via: str = "SIP/2.0/UDP 192.0.2.2:5060",
    extra: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    uri: str = "sip:bob@example.com",
) -> Request:
    """Return a request as a client sends it; `branch` None leaves the Via without one."""
    headers = Headers()
    headers.add("Via", via + (f";branch={branch}" if branch is not None else ""))
    headers.add("Max-Forwards", "70")
    headers.add("From", f"<sip:alice@example.com>;tag={from_tag}")
    headers.add("To", "<sip:bob@example.com>" + (f";tag={to_tag}" if to_tag else ""))
    headers.add("Call-ID", call_id)
    headers.add("CSeq", f"{cseq} {method}")
    for name, value in extra:
        headers.add(name, value)
    return Request(method, uri, headers, body)


class Ear:
    """A transaction layer whose effects are sorted by what they are, for tests without a network."""

    def __init__(self, settings: LayerSettings | None = None) -> None:
        self.layer = TransactionLayer(counted_ids(), settings)
        self.now = 0.0
        self.sent: list[tuple[float, bytes, Flow]] = []
        self.requests: list[RequestArrived] = []
        self.acks: list[AckArrived] = []
        self.cancels: list[Cancelled] = []
        self.responses: list[ResponseArrived] = []
        self.failures: list[ClientFailed] = []
        self.server_failures: list[ServerFailed] = []
        self.strays: list[StrayResponse] = []
        self.dropped: list[str] = []
        self.failed_at: list[float] = []

    def take(self, effects: list[Effect]) -> list[Effect]:
        """Sort effects and return them."""
        for effect in effects:
            match effect:
                case Send():
                    self.sent.append((self.now, effect.data, effect.flow))
                case RequestArrived():
                    self.requests.append(effect)
                case AckArrived():
                    self.acks.append(effect)
                case Cancelled():
                    self.cancels.append(effect)
                case ResponseArrived():
                    self.responses.append(effect)
                case ClientFailed():
                    self.failures.append(effect)
                    self.failed_at.append(self.now)
                case ServerFailed():
                    self.server_failures.append(effect)
                    self.failed_at.append(self.now)
                case StrayResponse():
                    self.strays.append(effect)
                case Dropped():
                    self.dropped.append(effect.reason)
        return effects

    def until(self, moment: float) -> None:
        """Step from timer to timer, up to `moment` and including it."""
        while (due := self.layer.next_timer()) is not None and due <= moment:
            self.now = max(self.now, due)
            self.take(self.layer.timers_due(self.now))
        self.now = max(self.now, moment)

    def moments(self, holding: bytes = b"") -> list[float]:
        """Return when messages were sent that hold these bytes."""
        return [moment for moment, data, _ in self.sent if holding in data]

    def last(self) -> bytes:
        """Return what was sent last."""
        return self.sent[-1][1]
