"""The audio section of one leg: the codecs, direction and addresses that its offers and answers have come to.

`pbx.media.leg` says when an offer or an answer goes or comes; what it means for the audio is worked out here. What
reads or drafts may raise and changes nothing; what takes never raises. So a leg can read all sections of a description
before it takes any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pbx.errors import NegotiationError, UsageError
from pbx.sdp.codecs import PayloadFormat, same_codec
from pbx.sdp.model import Direction, MediaDescription, SessionDescription, direction_for
from pbx.sdp.offer_answer import (
    NO_KEYS,
    OFFERED_REPORTS,
    LocalMedia,
    RemoteMedia,
    answer_codecs,
    check_answer,
    family_of,
    find_audio,
    number_codecs,
    read_media,
    section,
)
from pbx.sdp.sdes import (
    ACCEPTING,
    OFFERED_SUITES,
    MasterKey,
    PeerKey,
    Srtp,
    crypto_attribute,
    fresh_key,
    offered_attributes,
)

__all__ = ["Answer", "AudioSection", "Draft", "Keys", "check_reach"]


class _Terms(NamedTuple):
    """What our description in the last completed exchange held."""

    codecs: tuple[PayloadFormat, ...]
    direction: Direction
    rtcp_mux: bool
    keys: Mapping[str, MasterKey]
    """Ours, by tag."""


class Keys(NamedTuple):
    """What an encrypted section is protected with."""

    receive: MasterKey
    """The peer's."""
    send: MasterKey
    after_peer: bool
    """The peer has yet to hear of ours: it will once our answer is there."""


class Draft(NamedTuple):
    """A section of ours that is about to be sent."""

    media: MediaDescription
    terms: _Terms
    given: Direction
    """What the other side of the call wants, of which the section's direction is what the peer allows."""
    packet_time: int | None


class Answer(NamedTuple):
    """The peer's answer, read against what we had said."""

    view: RemoteMedia
    agreed: tuple[PayloadFormat, ...]
    terms: _Terms


class AudioSection:
    """One leg's audio."""

    __slots__ = (
        "_entropy",
        "_history",
        "_leg",
        "_offered",
        "_packet_time",
        "_reports",
        "_terms",
        "absent",
        "agreed",
        "given",
        "index",
        "keys",
        "local",
        "offer",
        "protection",
        "receive",
        "remote",
        "rtcp_mux",
        "send",
        "to_peer",
        "wish",
    )

    def __init__(self, leg: str, entropy: Callable[[int], bytes]) -> None:
        self._leg = leg
        self._entropy = entropy
        self.protection = ACCEPTING
        """Whether it may, or must, be encrypted."""
        self.keys: Keys | None = None
        """What the last completed exchange has it protected with; None for plain RTP."""
        self.index = -1
        """The place of its m= line; -1 before any exchange."""
        self.local: LocalMedia | None = None
        """Our end, once the engine has opened it."""
        self.offer: RemoteMedia | None = None
        """What the peer offered, pending or answered last; None if the last offer was ours."""
        self.remote: RemoteMedia | None = None
        """What the peer said in the last completed exchange."""
        self.absent = False
        """Whether the session as it stands has no audio, as during a fax by T.38; the rest says what it had last."""
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
        self._terms: _Terms | None = None
        self._offered: Draft | None = None
        self._history: tuple[PayloadFormat, ...] = ()
        """What each number has meant so far."""
        self._packet_time: int | None = None
        # What we said last of extended reports; to say it again is no change of the session.
        self._reports: str | None = OFFERED_REPORTS

    @property
    def local_address(self) -> str:
        """The address that the peer is told; empty before the stream is open."""
        return self.local.address if self.local else ""

    def remember_number(self, codec: PayloadFormat) -> int:
        """Return the payload type number that `codec` has had on this leg, else the one it comes with."""
        known = same_codec(codec, self._history)
        return codec.payload_type if known is None else known.payload_type

    # -- the peer speaks

    def read_offer(self, offer: SessionDescription) -> RemoteMedia:
        """Return what the peer offers. Raises NegotiationError if nothing of it can be met."""
        index, key = find_audio(offer, self.index, self.protection)
        view = read_media(offer, index, key=key)
        if all(codec.is_companion for codec in view.codecs):
            raise NegotiationError("no codec that is known")
        check_reach(self.local_address, view.address, view.direction)
        return view

    def take_offer(self, view: RemoteMedia | None) -> None:
        """Take what `read_offer` returned, None if the offer has no audio; the session stays as it was until it is
        answered."""
        self.offer = view

    def changes(self, view: RemoteMedia | None) -> bool:
        """Return whether an offer asks for more than an address: another direction, or other codecs."""
        if view is None or self.absent or self.remote is None:
            return view is not None or not self.absent
        if view.direction is not self.wish and not self._same_while_held(view):
            return True
        offered = {codec.payload_type: codec.key for codec in view.codecs}
        return any(offered.get(codec.payload_type) != codec.key for codec in self.agreed)

    def _same_while_held(self, view: RemoteMedia) -> bool:
        """True for the direction that is left of the peer's wish while the other side holds it."""
        return view.direction is self.wish.limited_to(self.given.reversed)

    def read_answer(self, answer: SessionDescription, offer: tuple[MediaDescription, ...]) -> Answer:
        """Return the peer's answer to `offer`, our last one. Raises NegotiationError if it is none."""
        if self._offered is None:
            raise UsageError(f"leg {self._leg}: an answer to no offer")
        return self._read(answer, offer, self._offered.terms)

    def read_answer_again(self, answer: SessionDescription, sent: tuple[MediaDescription, ...]) -> Answer | None:
        """Return the peer's answer to the session as it stands, which `sent` says; None if there is no session."""
        return None if self._terms is None else self._read(answer, sent, self._terms)

    def _read(self, answer: SessionDescription, offer: tuple[MediaDescription, ...], terms: _Terms) -> Answer:
        key = check_answer(answer, offer, self.index, terms.keys)
        view = read_media(answer, self.index, terms.codecs, key)
        check_reach(self.local_address, view.address, view.direction)
        return Answer(view, answer_codecs(terms.codecs, view.codecs), terms)

    def take_answer(self, answer: Answer, *, to_offer: bool) -> None:
        """Take what was read; `to_offer` if it answers our last offer rather than the session as it stands."""
        view, asked = answer.view, answer.terms.direction
        self._settle(view, answer.agreed, _numbers_to_peer(answer.agreed, view.codecs), answer.terms)
        self.send = asked.sends and view.direction.receives
        self.receive = asked.receives and view.direction.sends
        self.rtcp_mux = answer.terms.rtcp_mux and view.rtcp_mux
        self.keys = Keys(view.key.key, answer.terms.keys[view.key.tag], False) if view.key else None
        # Where we did not ask, the answer cannot tell what the peer would want (RFC 3264 §6.1): the older wish stands.
        self.wish = direction_for(
            view.direction.sends if asked.receives else self.wish.sends,
            view.direction.receives if asked.sends else self.wish.receives,
        )
        if to_offer:
            self.given = asked

    def leave(self) -> None:
        """Take that an exchange was completed without audio."""
        self.absent = True
        self.send = self.receive = False

    # -- we speak

    def draft_offer(
        self,
        codecs: Iterable[PayloadFormat],
        direction: Direction,
        rtcp_mux: bool,
        packet_time: int | None,
        maximum_packet_time: int | None,
    ) -> Draft:
        """Return our section of an offer. Raises NegotiationError without a voice codec."""
        numbered = number_codecs(codecs, {codec.payload_type: codec.key for codec in self._history})
        if all(codec.is_companion for codec in numbered):
            raise NegotiationError("no codec that may be offered")
        protocol, keys = self._offered_keys()
        local = self._our_end(protocol, rtcp_mux)
        lines = list(offered_attributes(keys))
        if self._reports:
            lines.append(("rtcp-xr", self._reports))
        media = section(local, numbered, direction, packet_time, maximum_packet_time, lines)
        return Draft(media, _Terms(numbered, direction, rtcp_mux, keys), direction, packet_time)

    def _offered_keys(self) -> tuple[str, Mapping[str, MasterKey]]:
        """Return the protocol of an offer and its keys by tag.

        In mid-call an encrypted section stays so, under the key that it has: a peer that takes another from us at each
        hold would have a gap each time. One that was agreed on as plain RTP stays that, unless policy demands more.
        """
        policy, offered = self.protection.policy, self._offered
        if self.keys is not None and self.remote is not None:
            first = self.keys.send
            suites = [suite for suite in OFFERED_SUITES if suite != first.suite and suite in self.protection.suites]
            others = offered.terms.keys.values() if offered is not None else ()
            earlier = {key.suite: key for key in others}
            keys = [first, *(earlier.get(suite) or fresh_key(suite, self._entropy) for suite in suites)]
            return self.remote.protocol, {str(tag): key for tag, key in enumerate(keys, 1)}
        if policy is not Srtp.REQUIRE and (policy is not Srtp.PREFER or self.remote is not None):
            return "RTP/AVP", NO_KEYS
        if offered is not None and offered.terms.keys and self.remote is None:
            return offered.media.protocol, offered.terms.keys
        suites = [suite for suite in OFFERED_SUITES if suite in self.protection.suites]
        if not suites and policy is Srtp.REQUIRE:
            raise NegotiationError("SRTP is required, and this server cannot do it", 488, "srtp-required")
        made = {str(tag): fresh_key(suite, self._entropy) for tag, suite in enumerate(suites, 1)}
        return "RTP/SAVP" if policy is Srtp.REQUIRE else "RTP/AVP", made

    def offered(self, draft: Draft | None, index: int) -> None:
        """Take that an offer goes with that section at place `index`; None: without audio."""
        self.offer, self._offered = None, draft
        if draft is not None:
            self._remember(draft.terms.codecs)
            self.index = index
            self._packet_time = draft.packet_time

    @property
    def is_offered(self) -> bool:
        """Whether our last offer has audio."""
        return self._offered is not None

    def draft_answer(
        self, wanted: Iterable[PayloadFormat], given: Direction, rtcp_mux: bool, packet_time: int | None
    ) -> Draft:
        """Return our section of the answer to the peer's offer. Raises NegotiationError if no voice codec is common."""
        view = self._answerable()
        check_reach(self.local_address, view.address, view.direction)
        agreed = answer_codecs(view.codecs, wanted)
        direction = view.direction.reversed.limited_to(given)
        local = self._our_end(view.protocol, rtcp_mux and view.rtcp_mux)
        keys = self._answered_keys(view.key)
        lines = [crypto_attribute(tag, view.key.suite, key) for tag, key in keys.items()] if view.key else []
        if view.extended_reports:
            lines.append(("rtcp-xr", " ".join(view.extended_reports)))
        media = section(local, agreed, direction, packet_time, keys=lines)
        return Draft(media, _Terms(agreed, direction, local.rtcp_mux, keys), given, packet_time)

    def _answered_keys(self, theirs: PeerKey | None) -> Mapping[str, MasterKey]:
        """Return our key of an answer, by the tag of the peer's: the one of before if the peer repeats its own too.

        A peer that takes another key counts both ways from the start.
        """
        if theirs is None:
            return NO_KEYS
        same = self.keys is not None and self.keys.receive == theirs.key
        ours = self.keys.send if self.keys is not None and same else fresh_key(theirs.key.suite, self._entropy)
        return {theirs.tag: ours}

    def draft_same_answer(self, rtcp_mux: bool) -> Draft:
        """Return our section of an answer that changes nothing in what was agreed."""
        return self.draft_answer(self.agreed, self.given, rtcp_mux, self._packet_time)

    def answered(self, draft: Draft) -> None:
        """Take that an answer with that section goes: the exchange is complete."""
        view, (agreed, direction, rtcp_mux, keys) = self._answerable(), draft.terms
        if self.remote is None or not self._same_while_held(view):
            self.wish = view.direction
        to_peer = tuple([same_codec(codec, view.codecs) or codec for codec in agreed])
        self._settle(view, agreed, to_peer, draft.terms)
        self.send, self.receive, self.rtcp_mux = direction.sends, direction.receives, rtcp_mux
        self.keys = Keys(view.key.key, keys[view.key.tag], True) if view.key else None
        self._reports = draft.media.value("rtcp-xr")
        self.given = draft.given
        self.index = view.index
        self._packet_time = draft.packet_time

    # -- parts

    def _answerable(self) -> RemoteMedia:
        if self.offer is None:
            raise UsageError(f"leg {self._leg}: an answer to no offer")
        return self.offer

    def _our_end(self, protocol: str, rtcp_mux: bool) -> LocalMedia:
        local = self.local
        if local is None:
            raise UsageError(f"leg {self._leg} has no ports yet")
        return LocalMedia(local.kind, protocol, local.address, local.port, local.rtcp_port, rtcp_mux)

    def _settle(
        self, view: RemoteMedia, agreed: tuple[PayloadFormat, ...], to_peer: tuple[PayloadFormat, ...], terms: _Terms
    ) -> None:
        self.remote, self.agreed, self.to_peer, self._terms = view, agreed, to_peer, terms
        self.absent = False
        self._remember(agreed)

    def _remember(self, codecs: tuple[PayloadFormat, ...]) -> None:
        known = [codec.payload_type for codec in self._history]
        fresh = tuple([codec for codec in codecs if codec.payload_type not in known])
        # Mostly it is empty before, and everything known after: then nothing is kept beside what was agreed.
        self._history = (*self._history, *fresh) if known else codecs


def check_reach(ours: str, address: str, direction: Direction) -> None:
    """Refuse a peer's address that our socket at `ours` cannot reach, or that is not one host's; names are judged in
    use."""
    if _is_multicast(address):
        raise NegotiationError("media to a multicast address")
    if ours and ":" in address and family_of(ours) == "IP4":
        raise NegotiationError("media by IPv6 where only IPv4 is there")
    if ours and family_of(ours) == "IP6" and _is_ipv4(address) and direction.receives:
        raise NegotiationError("media by IPv4 where only IPv6 is there")


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
