"""Offer and answer in one dialog (RFC 3264; which message may carry which, RFC 6337 §2.2): whose turn it is, and what
was agreed."""

from __future__ import annotations

from pbx.errors import UsageError
from pbx.values import Enum

__all__ = ["TABLE", "Negotiation", "Phase", "Step", "same_session"]


class Phase(Enum):
    """Where offer and answer stand."""

    NOTHING = "nothing"
    """No session was ever agreed, and no offer is open."""
    OFFERED = "offered"
    """Our offer awaits the peer's answer."""
    ASKED = "asked"
    """The peer's offer awaits our answer."""
    AGREED = "agreed"
    """There is a session and no offer is open."""


class Step(Enum):
    """What can happen to it."""

    SEND_OFFER = "send an offer"
    SEND_ANSWER = "send an answer"
    RECEIVE_OFFER = "receive an offer"
    RECEIVE_ANSWER = "receive an answer"
    WITHDRAW = "withdraw or refuse the open offer"


# RFC 3264 §4: at any time, either agent MAY generate a new offer that updates the session. However, it MUST NOT
# generate a new offer if it has received an offer which it has not yet answered or rejected. Furthermore, it MUST NOT
# generate a new offer if it has generated a prior offer for which it has not yet received an answer or a rejection. A
# step that is not here is not allowed. WITHDRAW leads back to AGREED if there ever was a session.
TABLE: dict[Phase, dict[Step, Phase]] = {
    Phase.NOTHING: {Step.SEND_OFFER: Phase.OFFERED, Step.RECEIVE_OFFER: Phase.ASKED},
    Phase.OFFERED: {Step.RECEIVE_ANSWER: Phase.AGREED, Step.WITHDRAW: Phase.NOTHING},
    Phase.ASKED: {Step.SEND_ANSWER: Phase.AGREED, Step.WITHDRAW: Phase.NOTHING},
    Phase.AGREED: {Step.SEND_OFFER: Phase.OFFERED, Step.RECEIVE_OFFER: Phase.ASKED},
}


class Negotiation:
    """The state of one dialog. `local` and `remote` are the bodies last agreed upon, empty before the first agreement.

    Every step raises UsageError where the table has none: whoever calls asks `allows` first where a peer could cause
    it.
    """

    __slots__ = ("_open", "local", "phase", "remote")

    def __init__(self) -> None:
        self.phase = Phase.NOTHING
        self.local = b""
        self.remote = b""
        self._open = b""

    def allows(self, step: Step) -> bool:
        """Return whether a step is allowed now."""
        return step in TABLE[self.phase]

    @property
    def settled(self) -> bool:
        """True if there is a session and no offer is open."""
        return self.phase is Phase.AGREED

    def send_offer(self, body: bytes) -> None:
        """Take that our offer goes out."""
        self._take(Step.SEND_OFFER)
        self._open = body

    def receive_offer(self, body: bytes) -> None:
        """Take that the peer's offer came in."""
        self._take(Step.RECEIVE_OFFER)
        self._open = body

    def send_answer(self, body: bytes) -> None:
        """Take that our answer goes out: the session is agreed."""
        self._take(Step.SEND_ANSWER)
        self.local, self.remote, self._open = body, self._open, b""

    def receive_answer(self, body: bytes) -> None:
        """Take that the peer's answer came in: the session is agreed."""
        self._take(Step.RECEIVE_ANSWER)
        self.local, self.remote, self._open = self._open, body, b""

    def withdraw(self) -> None:
        """Take that the open offer was refused or taken back: the session stays as it was (RFC 3264 §4, RFC 6141
        §3.1)."""
        self._take(Step.WITHDRAW)
        self._open = b""
        if self.local:
            self.phase = Phase.AGREED

    def _take(self, step: Step) -> None:
        after = TABLE[self.phase].get(step)
        if after is None:
            raise UsageError(f"cannot {step.value} while the session is {self.phase.value}")
        self.phase = after


def same_session(one: bytes, other: bytes) -> bool:
    """Return whether two bodies describe the same session, whatever their o= lines say."""
    return one == other or _without_origin(one) == _without_origin(other)


def _without_origin(body: bytes) -> list[bytes]:
    return [line for line in body.splitlines() if not line.startswith(b"o=")]
