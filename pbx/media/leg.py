"""What one leg of a call has negotiated: its offers and answers, and what the engine must know of its peer.

A leg's side of RFC 3264 is a small state machine: one offer at a time, and the session stays as it was until an answer
is there. Nothing here sends anything; `pbx.media.session` turns what a leg knows into engine commands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pbx.errors import NegotiationError, UsageError
from pbx.sdp.codecs import PayloadFormat, same_codec
from pbx.sdp.model import Direction, MediaDescription, SessionDescription, direction_for
from pbx.sdp.offer_answer import (
    LocalMedia,
    RemoteMedia,
    answer_codecs,
    check_answer,
    describe,
    family_of,
    find_audio,
    number_codecs,
    read_media,
    refused_section,
    section,
)
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


class _Said(NamedTuple):
    """What our description in the last completed exchange held."""

    codecs: tuple[PayloadFormat, ...]
    direction: Direction
    rtcp_mux: bool


class MediaLeg:
    """One leg's negotiation. A method that raises has changed nothing."""

    __slots__ = (
        "_answered",
        "_exchange",
        "_history",
        "_index",
        "_layout",
        "_offer",
        "_offer_view",
        "_offered_codecs",
        "_offered_direction",
        "_offered_mux",
        "_packet_time",
        "_said",
        "_sent",
        "_session_id",
        "_version",
        "agreed",
        "given",
        "local",
        "name",
        "receive",
        "remote",
        "rtcp_mux",
        "send",
        "state",
        "to_peer",
        "wish",
    )

    def __init__(self, name: str, session_id: int) -> None:
        self.name = name
        self.local: LocalMedia | None = None
        """Our end, once the engine has opened it."""
        self.state = State.STABLE
        self.remote: RemoteMedia | None = None
        """What the peer said in the last completed exchange."""
        self.agreed: tuple[PayloadFormat, ...] = ()
        """The codecs of the last completed exchange, by the numbers of its offer."""
        self.to_peer: tuple[PayloadFormat, ...] = ()
        """The same by the numbers that the peer wants to receive, then under those that it may send by otherwise."""
        self.send = False
        """Whether media may go to the peer."""
        self.receive = False
        """Whether media is expected from the peer."""
        self.rtcp_mux = False
        self.wish = Direction.SENDRECV
        """What the peer itself wants, whatever the other side allows: a leg that is held still wishes for both ways."""
        self.given = Direction.SENDRECV
        """What we, on behalf of the other side, wanted in the last exchange."""
        self._session_id = session_id
        self._version = 0
        self._sent: SessionDescription | None = None
        self._said: _Said | None = None
        self._layout: tuple[MediaDescription, ...] = ()
        self._index = -1
        self._history: dict[int, tuple[str, int, int]] = {}
        self._packet_time: int | None = None
        # What completed the last exchange; None before any and after a rollback.
        self._exchange: Input | None = None
        # Whether the peer has ever answered an offer of ours.
        self._answered = False
        # The offer that is pending or was answered last: ours with what stands in it, or the peer's as read.
        self._offer: SessionDescription | None = None
        self._offer_view: RemoteMedia | None = None
        self._offered_codecs: tuple[PayloadFormat, ...] = ()
        self._offered_direction = Direction.SENDRECV
        self._offered_mux = False

    # -- what the other side of the call may know

    def source(self) -> tuple[RemoteMedia | None, tuple[PayloadFormat, ...], Direction]:
        """Return what this leg's peer last said, the codecs it takes and the direction it wants.

        They are of its pending offer if there is one, else of the session as it stands.
        """
        view = self._offer_view
        if self.state is State.REMOTE_OFFER and view is not None:
            return view, view.codecs, view.direction
        return self.remote, self.agreed, self.wish

    @property
    def answerable(self) -> RemoteMedia | None:
        """What the peer offered, pending or answered last; None if the last offer was ours."""
        return self._offer_view

    @property
    def answered_ours(self) -> bool:
        """True if the exchange that completed last was our offer and the peer's answer, which may yet be corrected."""
        return self.state is State.STABLE and self._exchange is Input.RECEIVE_ANSWER

    @property
    def local_address(self) -> str:
        """The address that the peer is told; empty before the stream is open."""
        return self.local.address if self.local else ""

    def remember_number(self, codec: PayloadFormat) -> int:
        """Return the payload type number that `codec` has had on this leg, else the one it comes with."""
        for number, key in self._history.items():
            if key == codec.key:
                return number
        return codec.payload_type

    def changes(self, offer: SessionDescription) -> bool:
        """Return whether an offer of the peer asks for more than an address: another direction, or other codecs.

        Raises NegotiationError if nothing of it can be met.
        """
        view = self._read_offer(offer)
        if self.remote is None:
            return True
        if view.direction is not self.wish and not self._same_while_held(view):
            return True
        offered = {codec.payload_type: codec.key for codec in view.codecs}
        return any(offered.get(codec.payload_type) != codec.key for codec in self.agreed)

    def _same_while_held(self, view: RemoteMedia) -> bool:
        """True for the direction that is left of the peer's wish while the other side holds it."""
        return view.direction is self.wish.limited_to(self.given.reversed)

    # -- the peer speaks

    def receive_offer(self, offer: SessionDescription) -> None:
        """Take the peer's offer. Raises NegotiationError if nothing of it can be met, 491 if an offer is pending."""
        state = self._next(Input.RECEIVE_OFFER)
        view = self._read_offer(offer)
        self._offer, self._offer_view = offer, view
        self.state = state

    def _read_offer(self, offer: SessionDescription) -> RemoteMedia:
        view = read_media(offer, find_audio(offer, self._index))
        if all(codec.is_companion for codec in view.codecs):
            raise NegotiationError("no codec that is known")
        self._check_address(view)
        return view

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
        self._take_answer(answer, offer, _Said(self._offered_codecs, self._offered_direction, self._offered_mux))
        self.given = self._offered_direction
        self._layout = offer.media
        self._answered = True
        self._exchange, self.state = Input.RECEIVE_ANSWER, state

    def follow(self, answer: SessionDescription) -> None:
        """Take the peer's answer to our last agreed description, which the leg has offered again of its own accord.

        That is a refresh of the session (RFC 4028 §7.4), or our answer that has changed since the peer had it reliably.
        Raises NegotiationError if it is no answer.
        """
        sent, said = self._sent, self._said
        if self.state is not State.STABLE or sent is None or said is None:
            raise UsageError(f"leg {self.name}: an answer to no offer")
        self._take_answer(answer, sent, said)

    def _take_answer(self, answer: SessionDescription, offer: SessionDescription, said: _Said) -> None:
        check_answer(answer, offer, self._index)
        view = read_media(answer, self._index, said.codecs)
        self._check_address(view)
        agreed = answer_codecs(said.codecs, view.codecs)
        asked = said.direction
        self._settle(view, agreed, _numbers_to_peer(agreed, view.codecs), said)
        self.send = asked.sends and view.direction.receives
        self.receive = asked.receives and view.direction.sends
        self.rtcp_mux = said.rtcp_mux and view.rtcp_mux
        # Where we did not ask, the answer cannot tell what the peer would want (RFC 3264 §6.1): the older wish stands.
        self.wish = direction_for(
            view.direction.sends if asked.receives else self.wish.sends,
            view.direction.receives if asked.sends else self.wish.receives,
        )

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
        numbered = number_codecs(codecs, self._history)
        if all(codec.is_companion for codec in numbered):
            raise NegotiationError("no codec that may be offered")
        local = self._our_end("RTP/AVP", rtcp_mux)
        index = max(self._index, 0)
        # RFC 3264 §8: the m= lines of earlier descriptions keep their places; what is not used stays, with port zero.
        rest = [refused_section(media) for media in self._layout]
        audio = section(local, numbered, direction, packet_time, maximum_packet_time)
        offer = self._publish(local, (*rest[:index], audio, *rest[index + 1 :]))
        for codec in numbered:
            self._history.setdefault(codec.payload_type, codec.key)
        self._index = index
        self._packet_time = packet_time
        self._offer, self._offer_view = offer, None
        self._offered_codecs, self._offered_direction, self._offered_mux = numbered, direction, rtcp_mux
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
        view, offer = self._offer_view, self._offer
        if view is None or offer is None:
            raise UsageError(f"leg {self.name}: an answer to no offer")
        self._check_address(view)
        agreed = answer_codecs(view.codecs, wanted)
        direction = view.direction.reversed.limited_to(given)
        local = self._our_end(view.protocol, rtcp_mux and view.rtcp_mux)
        audio = section(local, agreed, direction, packet_time)
        # RFC 3264 §6: for each "m=" line in the offer, there MUST be a corresponding "m=" line in the answer.
        sections = [audio if place == view.index else refused_section(media) for place, media in enumerate(offer.media)]
        answer = self._publish(local, tuple(sections))
        if self.remote is None or not self._same_while_held(view):
            self.wish = view.direction
        to_peer = tuple([same_codec(codec, view.codecs) or codec for codec in agreed])
        self._settle(view, agreed, to_peer, _Said(agreed, direction, local.rtcp_mux))
        self.send, self.receive = direction.sends, direction.receives
        self.rtcp_mux = local.rtcp_mux
        self.given = given
        self._index = view.index
        self._layout = answer.media
        self._packet_time = packet_time
        self._exchange, self.state = Input.SEND_ANSWER, state
        return answer

    def repeat_answer(self, rtcp_mux: bool) -> SessionDescription:
        """Return an answer to the peer's offer that changes nothing in what was agreed; see `changes`."""
        return self.make_answer(self.agreed, self.given, rtcp_mux, self._packet_time)

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

    def _our_end(self, protocol: str, rtcp_mux: bool) -> LocalMedia:
        local = self.local
        if local is None:
            raise UsageError(f"leg {self.name} has no ports yet")
        return LocalMedia(local.kind, protocol, local.address, local.port, local.rtcp_port, rtcp_mux)

    def _check_address(self, view: RemoteMedia) -> None:
        """Refuse a peer's address that our socket cannot reach, or that is not one host's; names are judged in use."""
        ours, address = self.local_address, view.address
        if _is_multicast(address):
            raise NegotiationError("media to a multicast address")
        if ours and ":" in address and family_of(ours) == "IP4":
            raise NegotiationError("media by IPv6 where only IPv4 is there")
        if ours and family_of(ours) == "IP6" and _is_ipv4(address) and view.direction.receives:
            raise NegotiationError("media by IPv4 where only IPv6 is there")

    def _publish(self, local: LocalMedia, sections: tuple[MediaDescription, ...]) -> SessionDescription:
        """Return the description to send; its version counts up when anything changes (RFC 3264 §8)."""
        sent = self._sent
        if sent is not None and sent.media == sections and sent.origin.address == local.address:
            return sent
        self._version += 1
        self._sent = describe(self._session_id, self._version, local.address, sections)
        return self._sent

    def _settle(
        self, view: RemoteMedia, agreed: tuple[PayloadFormat, ...], to_peer: tuple[PayloadFormat, ...], said: _Said
    ) -> None:
        self.remote, self.agreed, self.to_peer, self._said = view, agreed, to_peer, said
        for codec in agreed:
            self._history.setdefault(codec.payload_type, codec.key)


def _is_ipv4(address: str) -> bool:
    return address.replace(".", "").isdigit()


def _is_multicast(address: str) -> bool:
    """Return whether many would hear what is sent there: IPv4 multicast and broadcast, IPv6 multicast."""
    if ":" in address:
        return address[:2].lower() == "ff"
    first = address.partition(".")[0]
    return _is_ipv4(address) and len(first) == 3 and first >= "224"


def _numbers_to_peer(
    agreed: tuple[PayloadFormat, ...], answered: tuple[PayloadFormat, ...]
) -> tuple[PayloadFormat, ...]:
    """Return the codecs as an answer numbers them, then, where that differs, as our offer did.

    RFC 3264 §5.1 lets an answer use another number for a codec than its offer: we send by the answer's number, the peer
    by the offer's.
    """
    wanted = [same_codec(codec, answered) or codec for codec in agreed]
    numbers = {codec.payload_type for codec in wanted}
    return tuple(wanted + [codec for codec in agreed if codec.payload_type not in numbers])
