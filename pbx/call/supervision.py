"""Supervision: others who listen to two who talk, whisper to one of them, or talk with both.

The relay between caller and callee becomes a mix for as long as somebody supervises, and a relay again after: the
engine does both without a gap. A supervisor is a leg of the call that it supervises, and ends with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pbx.call.commands import AcceptOffer, DeclineOffer
from pbx.call.events import Answered, OfferAnswered, Offered
from pbx.call.own_offer import dial_with_own_offer
from pbx.call.ports import Candidate
from pbx.cause import cause_named
from pbx.errors import NegotiationError
from pbx.media import events as media
from pbx.values import Enum

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Mode", "Supervision"]


class Mode(Enum):
    """What a supervisor is to the call."""

    LISTEN = "listen"
    """Hears both, and nobody hears it."""
    WHISPER = "whisper"
    """Hears both, and one of them hears it."""
    BARGE = "barge"
    """Talks with both."""


class _Supervisor:
    __slots__ = ("candidate", "confidant", "joined", "mode")

    def __init__(self, candidate: Candidate, mode: Mode, confidant: str) -> None:
        self.candidate = candidate
        self.mode = mode
        self.confidant = confidant
        """The leg that a whisper is for."""
        self.joined = False


class Supervision:
    """The supervisors of one call."""

    __slots__ = ("_call", "_count", "_supervisors")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._count = 0
        self._supervisors: dict[str, _Supervisor] = {}

    def reason_against(self) -> str:
        """Return why the call cannot be supervised now; empty if it can."""
        call = self._call
        if not call.connected:
            return "nobody talks in this call yet"
        for leg in (call.caller, call.bridge.callee):
            if not call.session.decodable(leg):
                return f"this server cannot decode {call.session.codec_name(leg) or 'what the call speaks'}"
        return ""

    def begin(self, candidate: Candidate, mode: Mode, confidant: str = "") -> None:
        """Dial a supervisor, who joins when it answers. `confidant`: the leg to whisper to; empty for the callee."""
        call = self._call
        self._count += 1
        leg = f"{call.id}-s{self._count}"
        self._supervisors[leg] = _Supervisor(candidate, mode, confidant or call.bridge.callee)
        call.open_leg(leg, candidate)

    def change(self, target: str, mode: Mode, confidant: str = "") -> bool:
        """Give a supervisor that is there already another mode; False if it is not there."""
        for leg, one in self._supervisors.items():
            if one.candidate.target == target:
                one.mode, one.confidant = mode, confidant or one.confidant
                if one.joined:
                    self._call.session.set_role(leg, mute=mode is Mode.LISTEN, hearers=_hearers(one))
                return True
        return False

    def take(self, item: Any) -> bool:
        """Take what is of a supervisor's leg or stream; return False for anything else."""
        session = self._call.session
        leg = session.leg_of(item.stream) if isinstance(item, (media.Opened, media.Closed)) else item.leg
        if leg not in self._supervisors:
            return False
        if isinstance(item, media.Opened):
            dial_with_own_offer(self._call, leg, self._supervisors[leg].candidate)
        elif isinstance(item, media.Closed):
            self._drop(leg, "no-ports", item.reason)
        elif isinstance(item, Answered):
            self._answered(item)
        elif isinstance(item, Offered):
            self._offered(item)
        elif isinstance(item, OfferAnswered):
            self._refreshed(item)
        return True

    def gone(self, leg: str) -> None:
        """Take it that a leg has left."""
        one = self._supervisors.pop(leg, None)
        if one is None:
            return
        call = self._call
        call.session.close(leg)
        if one.joined and not any(other.joined for other in self._supervisors.values()):
            for party in (call.caller, call.bridge.callee):
                call.session.leave(party)
            call.session.connect(call.caller, call.bridge.callee)

    def end(self) -> None:
        """Send all supervisors away."""
        for leg in list(self._supervisors):
            self._drop(leg, "completed", "the call was transferred")

    def _answered(self, item: Answered) -> None:
        call, one = self._call, self._supervisors[item.leg]
        try:
            call.session.set_remote(item.leg, item.sdp, offer=False)
        except NegotiationError as error:
            self._drop(item.leg, "media-unacceptable", error.reason)
            return
        call.summary.legs[item.leg].answered = call.services.now()
        mix = f"{call.id}/mix"
        if not any(other.joined for other in self._supervisors.values()):
            for party in (call.caller, call.bridge.callee):
                call.session.join(party, mix)
        one.joined = True
        call.session.join(item.leg, mix, mute=one.mode is Mode.LISTEN, hearers=_hearers(one))

    def _offered(self, item: Offered) -> None:
        call, session = self._call, self._call.session
        try:
            if item.sdp is None:
                sdp = session.local_offer(item.leg)
            else:
                session.set_remote(item.leg, item.sdp, offer=True)
                sdp = session.local_answer(item.leg)
        except NegotiationError as error:
            session.rollback(item.leg)
            call.command(DeclineOffer(item.leg, error.status))
            return
        call.command(AcceptOffer(item.leg, sdp))

    def _refreshed(self, item: OfferAnswered) -> None:
        try:
            self._call.session.take_answer(item.leg, item.sdp)
        except NegotiationError as error:
            self._drop(item.leg, "media-refused", error.reason)

    def _drop(self, leg: str, cause: str, detail: str) -> None:
        self.gone(leg)
        self._call.drop_leg(leg, cause_named(cause, detail))


def _hearers(one: _Supervisor) -> tuple[str, ...]:
    return (one.confidant,) if one.mode is Mode.WHISPER else ()
