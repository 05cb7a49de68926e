"""What one leg of a call has negotiated: its offers and answers, and what the engine must know of its peer.

A leg's side of RFC 3264 is a small state machine: one offer at a time, and the session stays as it was until an answer
is there. What a description says of the audio is the business of `pbx.media.section`. Nothing here sends anything;
`pbx.media.session` turns what a leg knows into engine commands.
"""

from __future__ import annotations

from collections.abc import Iterable

from pbx.errors import NegotiationError, UsageError
from pbx.media.section import AudioSection, Draft
from pbx.sdp.codecs import PayloadFormat
from pbx.sdp.model import Direction, MediaDescription, SessionDescription
from pbx.sdp.offer_answer import RemoteMedia, describe, refused_section
from pbx.values import Enum

__all__ = ["TABLE", "Input", "MediaLeg", "State"]


class State(Enum):
    """Where the leg's negotiation stands."""

    STABLE = "stable"
    LOCAL_OFFER = "local-offer"
    """We have offered and wait for the peer's answer."""
    REMOTE_OFFER = "remote-offer"
    """The peer has offered and waits for our answer."""


class Input(Enum):
    """What can happen to it."""

    SEND_OFFER = "send-offer"
    SEND_ANSWER = "send-answer"
    RECEIVE_OFFER = "receive-offer"
    RECEIVE_ANSWER = "receive-answer"
    ROLL_BACK = "roll-back"


TABLE: dict[State, dict[Input, State | None]] = {
    # None: that must not happen there. An answer in STABLE says the last one again, or corrects it: a 200 after a 183,
    # or another phone behind a forking proxy.
    State.STABLE: {
        Input.SEND_OFFER: State.LOCAL_OFFER,
        Input.SEND_ANSWER: State.STABLE,
        Input.RECEIVE_OFFER: State.REMOTE_OFFER,
        Input.RECEIVE_ANSWER: State.STABLE,
        Input.ROLL_BACK: State.STABLE,
    },
    State.LOCAL_OFFER: {
        Input.SEND_OFFER: State.LOCAL_OFFER,
        Input.SEND_ANSWER: None,
        Input.RECEIVE_OFFER: None,
        Input.RECEIVE_ANSWER: State.STABLE,
        Input.ROLL_BACK: State.STABLE,
    },
    State.REMOTE_OFFER: {
        Input.SEND_OFFER: None,
        Input.SEND_ANSWER: State.STABLE,
        Input.RECEIVE_OFFER: None,
        Input.RECEIVE_ANSWER: None,
        Input.ROLL_BACK: State.STABLE,
    },
}


class MediaLeg:
    """One leg's negotiation. A method that raises has changed nothing."""

    __slots__ = (
        "_answered",
        "_exchange",
        "_layout",
        "_offer",
        "_sent",
        "_session_id",
        "_version",
        "audio",
        "name",
        "state",
    )

    def __init__(self, name: str, session_id: int) -> None:
        self.name = name
        self.state = State.STABLE
        self.audio = AudioSection(name)
        self._session_id = session_id
        self._version = 0
        self._sent: SessionDescription | None = None
        self._layout: tuple[MediaDescription, ...] = ()
        # What completed the last exchange; None before any and after a rollback.
        self._exchange: Input | None = None
        # Whether the peer has ever answered an offer of ours.
        self._answered = False
        # The offer that is pending or was answered last, ours or the peer's.
        self._offer: SessionDescription | None = None

    # -- what the other side of the call may know

    def source(self) -> tuple[RemoteMedia | None, tuple[PayloadFormat, ...], Direction]:
        """Return what this leg's peer last said of its audio, the codecs it takes and the direction it wants.

        They are of its pending offer if there is one, else of the session as it stands.
        """
        audio = self.audio
        if self.state is State.REMOTE_OFFER and audio.offer is not None:
            return audio.offer, audio.offer.codecs, audio.offer.direction
        return audio.remote, audio.agreed, audio.wish

    @property
    def answered_ours(self) -> bool:
        """True if the exchange that completed last was our offer and the peer's answer, which may yet be corrected."""
        return self.state is State.STABLE and self._exchange is Input.RECEIVE_ANSWER

    def changes(self, offer: SessionDescription) -> bool:
        """Return whether an offer of the peer asks for more than an address: another direction, or other codecs.

        Raises NegotiationError if nothing of it can be met.
        """
        return self.audio.changes(self.audio.read_offer(offer))

    # -- the peer speaks

    def receive_offer(self, offer: SessionDescription) -> None:
        """Take the peer's offer. Raises NegotiationError if nothing of it can be met, 491 if an offer is pending."""
        state = self._next(Input.RECEIVE_OFFER)
        self.audio.take_offer(self.audio.read_offer(offer))
        self._offer = offer
        self.state = state

    def receive_answer(self, answer: SessionDescription) -> None:
        """Take the peer's answer to our offer; the exchange is complete. Raises NegotiationError if it is none."""
        if self.state is State.STABLE and self._exchange is not Input.RECEIVE_ANSWER and self._answered:
            # A 200 that repeats the description of its 183, though an UPDATE has changed the session in between
            # (RFC 6337 §3.1.1 would have it without one): what was agreed later holds.
            return
        state = self._next(Input.RECEIVE_ANSWER)
        offer = self._offer
        if offer is None:
            raise UsageError(f"leg {self.name}: an answer to no offer")
        self.audio.take_answer(self.audio.read_answer(answer, offer), to_offer=True)
        self._layout = offer.media
        self._answered = True
        self._exchange, self.state = Input.RECEIVE_ANSWER, state

    def follow(self, answer: SessionDescription) -> None:
        """Take the peer's answer to our last agreed description, which the leg has offered again of its own accord.

        That is a refresh of the session (RFC 4028 §7.4), or our answer that has changed since the peer had it reliably.
        Raises NegotiationError if it is no answer.
        """
        sent = self._sent
        read = self.audio.read_answer_again(answer, sent) if self.state is State.STABLE and sent else None
        if read is None:
            raise UsageError(f"leg {self.name}: an answer to no offer")
        self.audio.take_answer(read, to_offer=False)

    # -- we speak

    def make_offer(
        self,
        codecs: Iterable[PayloadFormat],
        direction: Direction,
        rtcp_mux: bool,
        packet_time: int | None = None,
        maximum_packet_time: int | None = None,
    ) -> SessionDescription:
        """Return an offer, which waits for its answer from here on. Raises NegotiationError without a voice codec."""
        state = self._next(Input.SEND_OFFER)
        draft = self.audio.draft_offer(codecs, direction, rtcp_mux, packet_time, maximum_packet_time)
        index = max(self.audio.index, 0)
        # RFC 3264 §8: the m= lines of earlier descriptions keep their places; what is not used stays, with port zero.
        rest = [refused_section(media) for media in self._layout]
        offer = self._publish((*rest[:index], draft.media, *rest[index + 1 :]))
        self.audio.offered(draft)
        self._offer = offer
        self.state = state
        return offer

    def make_answer(
        self, wanted: Iterable[PayloadFormat], given: Direction, rtcp_mux: bool, packet_time: int | None = None
    ) -> SessionDescription:
        """Return the answer to the peer's offer, or that answer again with other contents; the exchange is complete.

        `wanted` says which codecs the other side takes, in its order, `given` what it wants to do. Raises
        NegotiationError if no voice codec is common; the offer then still waits.
        """
        state = self._next(Input.SEND_ANSWER)
        return self._answer(self.audio.draft_answer(wanted, given, rtcp_mux, packet_time), state)

    def repeat_answer(self, rtcp_mux: bool) -> SessionDescription:
        """Return an answer to the peer's offer that changes nothing in what was agreed; see `changes`."""
        state = self._next(Input.SEND_ANSWER)
        return self._answer(self.audio.draft_same_answer(rtcp_mux), state)

    def _answer(self, draft: Draft, state: State) -> SessionDescription:
        view, offer = self.audio.offer, self._offer
        if view is None or offer is None:
            raise UsageError(f"leg {self.name}: an answer to no offer")
        # RFC 3264 §6: for each "m=" line in the offer, there MUST be a corresponding "m=" line in the answer.
        sections = [
            draft.media if place == view.index else refused_section(media) for place, media in enumerate(offer.media)
        ]
        answer = self._publish(tuple(sections))
        self.audio.answered(draft)
        self._layout = answer.media
        self._exchange, self.state = Input.SEND_ANSWER, state
        return answer

    def roll_back(self) -> None:
        """Forget the pending offer, ours or the peer's: the session goes on as it was (RFC 3261 §14.1)."""
        if self.state is not State.STABLE:
            self._exchange = None
        self.state = self._next(Input.ROLL_BACK)

    # -- parts

    def _next(self, happened: Input) -> State:
        target = TABLE[self.state][happened]
        repeated = self.state is State.STABLE and happened in (Input.SEND_ANSWER, Input.RECEIVE_ANSWER)
        if target is None or (repeated and self._exchange is not happened):
            if happened is Input.RECEIVE_OFFER:
                # RFC 3261 §14.2: an offer that comes while another is pending gets 491.
                raise NegotiationError("an offer is already pending", 491)
            raise UsageError(f"leg {self.name}: {happened.value} in state {self.state.value}")
        return target

    def _publish(self, sections: tuple[MediaDescription, ...]) -> SessionDescription:
        """Return the description to send; its version counts up when anything changes (RFC 3264 §8)."""
        sent, address = self._sent, self.audio.local_address
        if sent is not None and sent.media == sections and sent.origin.address == address:
            return sent
        self._version += 1
        self._sent = describe(self._session_id, self._version, address, sections)
        return self._sent
