"""A section of one leg that is relayed unread to the same section of the other leg: video, text, T.38.

A call numbers these sections (`slot`), the same on all its legs. Each leg's m= lines are in the order in which that leg
heard of them. What reads or drafts may raise and changes nothing; what takes never raises.
"""

from __future__ import annotations

from pbx.media.section import check_reach
from pbx.sdp.model import Direction, MediaDescription, SessionDescription
from pbx.sdp.offer_answer import LocalMedia
from pbx.sdp.relayed import RelayedMedia, read_relayed, relayed_section

__all__ = ["RelayedSection", "read_others"]


class RelayedSection:
    """One leg's part of a slot."""

    __slots__ = ("_said", "index", "kind", "local", "offer", "offered", "receive", "remote", "rtcp_mux", "send")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.index = -1
        """The place of its m= line; -1 before any exchange."""
        self.local: LocalMedia | None = None
        """Our end, once the engine has opened it."""
        self.offer: RelayedMedia | None = None
        """What the peer offers here, pending or answered last; None if that is nothing, or the last offer was ours."""
        self.offered: MediaDescription | None = None
        """What our offer held, pending or answered last; None if that is nothing, or the last offer was the peer's."""
        self.remote: RelayedMedia | None = None
        """What the peer said in the last completed exchange; None: not in use."""
        self.send = False
        self.receive = False
        self.rtcp_mux = False
        self._said: MediaDescription | None = None

    # -- the peer speaks

    def take_offer(self, view: RelayedMedia | None) -> None:
        """Take what the peer offers; the session stays as it was until it is answered."""
        self.offer, self.offered = view, None

    def changes(self, view: RelayedMedia | None) -> bool:
        """Return whether an offer asks here for more than another address."""
        return (view.terms if view else None) != (self.remote.terms if self.remote else None)

    def read_answer(self, answer: SessionDescription, own: str) -> RelayedMedia | None:
        """Return what the peer answers here to our last offer; None if it refuses, or nothing was offered."""
        return self._read(answer, own) if self.offered is not None else None

    def read_answer_again(self, answer: SessionDescription, own: str) -> RelayedMedia | None:
        """Return what the peer answers here to the session as it stands."""
        return self._read(answer, own) if self._said is not None else None

    def _read(self, answer: SessionDescription, own: str) -> RelayedMedia | None:
        if not 0 <= self.index < len(answer.media):
            return None
        view = read_relayed(answer, self.index)
        if view is not None:
            check_reach(own, view.address, view.direction)
        return view

    def take_answer(self, view: RelayedMedia | None, *, to_offer: bool) -> None:
        """Take what was read; `to_offer` if it answers our last offer rather than the session as it stands."""
        self._settle(view, self.offered if to_offer else self._said)

    # -- we speak

    def draft(self, other: RelayedMedia, protocol: str = "", rtcp_mux: bool = True) -> MediaDescription | None:
        """Return our section that tells the peer what the other leg's peer said; None without ports for it."""
        local = self.local
        if local is None:
            return None
        mux = rtcp_mux and other.rtcp_mux
        return relayed_section(other, protocol or other.protocol, local.port, local.rtcp_port, other.direction, mux)

    def draft_answer(self, other: RelayedMedia | None) -> MediaDescription | None:
        """Return our answer to the peer's offer, from what the other leg has agreed to; None refuses it."""
        offer = self.offer
        if offer is None or other is None or offer.kind != other.kind:
            return None
        return self.draft(other, offer.protocol, offer.rtcp_mux)

    def draft_same_answer(self) -> MediaDescription | None:
        """Return our answer to an offer that changes nothing here."""
        return self._said if self.offer is not None else None

    def take_offered(self, media: MediaDescription | None, index: int) -> None:
        """Take that our offer goes with this section; None: without it."""
        self.offer, self.offered = None, media
        if media is not None:
            self.index = index

    def answered(self, media: MediaDescription | None) -> None:
        """Take that our answer goes with this section, None: refused; the exchange is complete."""
        offer = self.offer
        if offer is not None:
            self.index = offer.index
        self._settle(offer if media is not None else None, media)

    def _settle(self, view: RelayedMedia | None, said: MediaDescription | None) -> None:
        if view is None or said is None:
            self.remote = self._said = None
            self.send = self.receive = False
            return
        self.remote, self._said = view, said
        ours = _direction_in(said)
        self.send = ours.sends and view.direction.receives
        self.receive = ours.receives and view.direction.sends
        self.rtcp_mux = said.has("rtcp-mux") and view.rtcp_mux


def _direction_in(media: MediaDescription) -> Direction:
    """Return the direction that a section of ours says; UDPTL has none, and both sides send."""
    return next((direction for direction in Direction if media.has(direction.value)), Direction.SENDRECV)


def read_others(
    offer: SessionDescription, audio: int, slots: dict[int, RelayedSection], kinds: frozenset[str], own: str
) -> dict[int, RelayedMedia]:
    """Return what an offer holds beside the audio section at place `audio` (-1: it holds none), by slot.

    A section keeps the slot that has had its m= line, while it is of the same kind; others get new ones. Only `kinds`
    are taken. Raises NegotiationError for an address that cannot be reached.
    """
    found: dict[int, RelayedMedia] = {}
    for index in range(len(offer.media)):
        if index == audio:
            continue
        view = read_relayed(offer, index)
        if view is None or view.kind not in kinds:
            continue
        check_reach(own, view.address, view.direction)
        found[_slot_of(view, slots, found)] = view
    return found


def _slot_of(view: RelayedMedia, slots: dict[int, RelayedSection], taken: dict[int, RelayedMedia]) -> int:
    for slot, section in slots.items():
        if section.index == view.index and slot not in taken and section.kind == view.kind:
            return slot
    return max([-1, *slots, *taken]) + 1
