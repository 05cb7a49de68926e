"""What one leg of a call has negotiated: its offers and answers, and what the engine must know of its peer.

A leg's side of RFC 3264 is a small state machine: one offer at a time, and the session stays as it was until an answer
is there. What a description says of the audio is the business of `pbx.media.section`, what it says of other media that
of `pbx.media.relayed`. Nothing here sends anything; `pbx.media.session` turns what a leg knows into engine commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from pbx.errors import NegotiationError, UsageError
from pbx.media.relayed import RelayedSection, read_others
from pbx.media.section import AudioSection, Draft
from pbx.sdp.codecs import PayloadFormat
from pbx.sdp.model import Direction, MediaDescription, SessionDescription
from pbx.sdp.offer_answer import RemoteMedia, describe, refused_section
from pbx.sdp.relayed import RELAYED_KINDS, RelayedMedia
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

_NO_OTHERS: Mapping[int, RelayedMedia] = MappingProxyType({})


class MediaLeg:
    """One leg's negotiation. A method that raises has changed nothing."""

    __slots__ = (
        "_answered",
        "_exchange",
        "_kinds",
        "_layout",
        "_offer",
        "_sent",
        "_sent_address",
        "_session_id",
        "_version",
        "audio",
        "name",
        "others",
        "state",
    )

    def __init__(
        self,
        name: str,
        session_id: int,
        entropy: Callable[[int], bytes],
        kinds: frozenset[str] = RELAYED_KINDS,
    ) -> None:
        self.name = name
        self.state = State.STABLE
        self.audio = AudioSection(name, entropy)
        self.others: dict[int, RelayedSection] = {}
        """The sections beside the audio, by slot: a number that a call gives each, the same on all its legs."""
        self._kinds = kinds
        self._session_id = session_id
        self._version = 0
        self._sent: tuple[MediaDescription, ...] = ()
        """The sections that we said last, and the address that they are received at."""
        self._sent_address = ""
        self._layout: tuple[MediaDescription, ...] = ()
        # What completed the last exchange; None before any and after a rollback.
        self._exchange: Input | None = None
        # Whether the peer has ever answered an offer of ours.
        self._answered = False
        # The sections of the offer that is pending or was answered last, ours or the peer's; of the peer's as an answer
        # would refuse them.
        self._offer: tuple[MediaDescription, ...] | None = None

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
    def has_audio(self) -> bool:
        """Whether the peer's pending offer, or else the session as it stands, has audio."""
        if self.state is State.REMOTE_OFFER:
            return self.audio.offer is not None
        return self.audio.remote is not None and not self.audio.absent

    @property
    def has_spoken(self) -> bool:
        """Whether the peer has said anything yet."""
        return self.has_audio or self.audio.remote is not None or bool(self.other_views())

    def other_views(self) -> dict[int, RelayedMedia]:
        """Return what this leg's peer last said of its other sections, by slot, as far as they are in use."""
        pending = self.state is State.REMOTE_OFFER
        views = {slot: section.offer if pending else section.remote for slot, section in self.others.items()}
        return {slot: view for slot, view in views.items() if view is not None}

    def other(self, slot: int, kind: str) -> RelayedSection:
        """Return the section of a slot, a new one if there is none."""
        section = self.others.get(slot)
        if section is None:
            section = self.others[slot] = RelayedSection(kind)
        return section

    @property
    def answered_ours(self) -> bool:
        """True if the exchange that completed last was our offer and the peer's answer, which may yet be corrected."""
        return self.state is State.STABLE and self._exchange is Input.RECEIVE_ANSWER

    def changes(self, offer: SessionDescription) -> bool:
        """Return whether an offer of the peer asks for more than addresses: another direction, other codecs or
        sections.

        Raises NegotiationError if nothing of it can be met.
        """
        audio, others = self._read_offer(offer)
        return (
            self.audio.changes(audio)
            or any(section.changes(others.get(slot)) for slot, section in self.others.items())
            or any(slot not in self.others for slot in others)
        )

    # -- the peer speaks

    def receive_offer(self, offer: SessionDescription) -> None:
        """Take the peer's offer. Raises NegotiationError if nothing of it can be met, 491 if an offer is pending."""
        state = self._next(Input.RECEIVE_OFFER)
        audio, others = self._read_offer(offer)
        self.audio.take_offer(audio)
        for slot, view in others.items():
            self.other(slot, view.kind)
        for slot, section in self.others.items():
            section.take_offer(others.get(slot))
        self._offer = tuple([refused_section(media) for media in offer.media])
        self.state = state

    def _read_offer(self, offer: SessionDescription) -> tuple[RemoteMedia | None, dict[int, RelayedMedia]]:
        audio, fault = None, None
        try:
            audio = self.audio.read_offer(offer)
        except NegotiationError as error:
            # Audio that is there and cannot be met is a fault; none at all is not, if there is something else.
            if any(media.kind == "audio" and media.port for media in offer.media):
                raise
            fault = error
        place = -1 if audio is None else audio.index
        others = read_others(offer, place, self.others, self._kinds, self.audio.local_address)
        if fault is not None and not others:
            raise fault
        return audio, others

    def receive_answer(self, answer: SessionDescription) -> None:
        """Take the peer's answer to our offer; the exchange is complete. Raises NegotiationError if it is none."""
        if self.state is State.STABLE and self._exchange is not Input.RECEIVE_ANSWER and self._answered:
            # A 200 that repeats the description of its 183, though an UPDATE has changed the session in between
            # (RFC 6337 §3.1.1 would have it without one): what was agreed later holds.
            return
        state = self._next(Input.RECEIVE_ANSWER)
        offer, own = self._offer, self.audio.local_address
        if offer is None:
            raise UsageError(f"leg {self.name}: an answer to no offer")
        others = {slot: section.read_answer(answer, own) for slot, section in self.others.items()}
        if self._lacks_audio(answer, self.audio.is_offered, others):
            self.audio.leave()
        else:
            self.audio.take_answer(self.audio.read_answer(answer, offer), to_offer=True)
        for slot, section in self.others.items():
            section.take_answer(others[slot], to_offer=True)
        self._layout = offer
        self._answered = True
        self._exchange, self.state = Input.RECEIVE_ANSWER, state

    def _lacks_audio(
        self, answer: SessionDescription, offered: bool, others: Mapping[int, RelayedMedia | None]
    ) -> bool:
        """Return whether an answer is one without audio: it refuses it, or we offered none, and takes something
        else."""
        index = self.audio.index
        refused = 0 <= index < len(answer.media) and answer.media[index].port == 0
        taken = any(others.values())
        if not offered and not taken:
            raise NegotiationError("all that was offered is refused")
        return not offered or (refused and taken)

    def follow(self, answer: SessionDescription) -> None:
        """Take the peer's answer to our last agreed description, which the leg has offered again of its own accord.

        That is a refresh of the session (RFC 4028 §7.4), or our answer that has changed since the peer had it reliably.
        Raises NegotiationError if it is no answer.
        """
        sent, audio = self._sent, self.audio
        if self.state is not State.STABLE or not sent or (audio.remote is None and not self.others):
            raise UsageError(f"leg {self.name}: an answer to no offer")
        others = {slot: section.read_answer_again(answer, audio.local_address) for slot, section in self.others.items()}
        if not self._lacks_audio(answer, audio.remote is not None and not audio.absent, others):
            read = audio.read_answer_again(answer, sent)
            if read is not None:
                audio.take_answer(read, to_offer=False)
        for slot, section in self.others.items():
            section.take_answer(others[slot], to_offer=False)

    # -- we speak

    def make_offer(
        self,
        codecs: Iterable[PayloadFormat] | None,
        direction: Direction,
        rtcp_mux: bool,
        packet_time: int | None = None,
        maximum_packet_time: int | None = None,
        others: Mapping[int, RelayedMedia] = _NO_OTHERS,
        in_place: int = -1,
    ) -> SessionDescription:
        """Return an offer, which waits for its answer from here on. Raises NegotiationError without a voice codec.

        `codecs` None: without audio. `others` are the sections of the other leg to offer, by slot, of which that of
        slot `in_place` takes the place of the audio unless it has one.
        """
        state = self._next(Input.SEND_OFFER)
        draft, place = None, self._place_of_audio()
        placed: dict[int, MediaDescription] = {}
        if codecs is not None:
            draft = self.audio.draft_offer(codecs, direction, rtcp_mux, packet_time, maximum_packet_time)
            placed[place] = draft.media
        places: dict[int, int] = {}
        for slot, view in others.items():
            section = self.others.get(slot)
            media = section.draft(view) if section is not None else None
            if section is None or media is None:
                continue
            index = place if section.index < 0 and slot == in_place else section.index
            if index < 0 or index in placed:
                index = max([len(self._layout) - 1, *placed]) + 1
            placed[index], places[slot] = media, index
        if not placed:
            raise NegotiationError("nothing that may be offered")
        # RFC 3264 §8: the m= lines of earlier descriptions keep their places; what is not used stays, with port zero.
        length = max(len(self._layout), max(placed) + 1)
        offer = self._publish(
            tuple([placed.get(index) or refused_section(self._layout[index]) for index in range(length)])
        )
        self.audio.offered(draft, place)
        for slot, section in self.others.items():
            index = places.get(slot, -1)
            section.take_offered(placed[index] if index >= 0 else None, index)
        self._offer = offer.media
        self.state = state
        return offer

    def _place_of_audio(self) -> int:
        return self.audio.index if self.audio.index >= 0 else len(self._layout)

    def make_answer(
        self,
        wanted: Iterable[PayloadFormat] | None,
        given: Direction,
        rtcp_mux: bool,
        packet_time: int | None = None,
        others: Mapping[int, RelayedMedia] = _NO_OTHERS,
    ) -> SessionDescription:
        """Return the answer to the peer's offer, or that answer again with other contents; the exchange is complete.

        `wanted` says which codecs the other side takes, in its order, None that it takes no audio; `given` what it
        wants to do, `others` what it has agreed to in other sections. Raises NegotiationError if no voice codec is
        common; the offer then still waits.
        """
        state = self._next(Input.SEND_ANSWER)
        draft = None
        if wanted is not None:
            draft = self.audio.draft_answer(wanted, given, rtcp_mux, packet_time)
        drafts = {slot: section.draft_answer(others.get(slot)) for slot, section in self.others.items()}
        return self._answer(draft, drafts, state)

    def repeat_answer(self, rtcp_mux: bool) -> SessionDescription:
        """Return an answer to the peer's offer that changes nothing in what was agreed; see `changes`."""
        state = self._next(Input.SEND_ANSWER)
        draft = self.audio.draft_same_answer(rtcp_mux) if self.audio.offer is not None else None
        return self._answer(draft, {slot: section.draft_same_answer() for slot, section in self.others.items()}, state)

    def _answer(
        self, draft: Draft | None, drafts: Mapping[int, MediaDescription | None], state: State
    ) -> SessionDescription:
        offer = self._offer
        if offer is None:
            raise UsageError(f"leg {self.name}: an answer to no offer")
        placed = {
            section.offer.index: media
            for slot, section in self.others.items()
            if (media := drafts[slot]) is not None and section.offer is not None
        }
        if draft is not None and self.audio.offer is not None:
            placed[self.audio.offer.index] = draft.media
        if not placed:
            raise NegotiationError("nothing of what was offered can be met")
        # RFC 3264 §6: for each "m=" line in the offer, there MUST be a corresponding "m=" line in the answer.
        answer = self._publish(tuple([placed.get(index) or refused for index, refused in enumerate(offer)]))
        if draft is not None:
            self.audio.answered(draft)
        else:
            self.audio.leave()
        for slot, section in self.others.items():
            section.answered(drafts[slot])
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
        address = self.audio.local_address
        if self._sent != sections or self._sent_address != address:
            self._version += 1
            self._sent, self._sent_address = sections, address
        return describe(self._session_id, self._version, address, sections)
