"""What holds whatever phones send: nothing of one leg shows on the other, and RFC 3264 is kept on each."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pbx.errors import NegotiationError, ParseError
from pbx.media.commands import SetRemote
from pbx.sdp.codecs import codecs_of
from pbx.sdp.model import Attribute, Connection, Direction, MediaDescription, Origin, SessionDescription
from pbx.sdp.parser import parse
from pbx.sdp.writer import to_bytes
from tests.support.media import session

SECRET = "secret"
"""In everything that says where a leg is, what it is called or how it is protected."""

hidden_values = st.sampled_from(
    [
        f"{SECRET}.example.com",
        f"1 1 UDP 1 {SECRET} 4000 typ host",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}",
        f"5000 IN IP4 {SECRET}",
        f"123 cname:{SECRET}",
        f"sha-256 {SECRET}",
    ]
)
hidden_attributes = st.tuples(
    st.sampled_from(
        f"candidate crypto rtcp ssrc fingerprint ice-ufrag ice-pwd msid mid tool label source-filter rtcp-fb extmap "
        f"setup identity x-{SECRET} sendrecv ptime maxptime".split()
    ),
    hidden_values,
)
useful_attributes = st.sampled_from(
    [
        ("rtpmap", "101 telephone-event/8000"),
        ("fmtp", "101 0-15"),
        ("rtpmap", "96 opus/48000/2"),
        ("sendonly", None),
        ("ptime", "20"),
        ("rtcp-mux", None),
    ]
)
attributes: st.SearchStrategy[tuple[Attribute, ...]] = st.lists(hidden_attributes | useful_attributes, max_size=8).map(
    tuple
)
secret = st.just(SECRET)
secret_connection = st.just(Connection(f"{SECRET}.example.com"))
sections = st.lists(
    st.builds(
        MediaDescription,
        kind=st.sampled_from(["audio", "video", "image"]),
        port=st.sampled_from([0, 61999]),
        protocol=st.sampled_from(["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "udptl"]),
        formats=st.lists(st.sampled_from(["0", "8", "96", "101", "18"]), max_size=4).map(tuple),
        information=secret,
        connection=st.none() | secret_connection,
        bandwidths=st.just(((f"X-{SECRET}", SECRET),)),
        key=secret,
        attributes=attributes,
    ),
    max_size=3,
)
usable = st.builds(
    MediaDescription,
    kind=st.just("audio"),
    port=st.just(61999),
    protocol=st.just("RTP/AVP"),
    formats=st.just(("8", "0", "101")),
    information=secret,
    connection=secret_connection,
    attributes=attributes,
)
descriptions = st.builds(
    SessionDescription,
    origin=st.just(Origin(SECRET, "61999", "61999", f"{SECRET}.example.com")),
    name=secret,
    connection=secret_connection,
    attributes=attributes,
    media=st.builds(lambda first, audio, last: (*first, audio, *last), sections, usable, sections),
    information=secret,
    uri=secret,
    emails=st.just((SECRET,)),
    phones=st.just((SECRET,)),
    zone=secret,
    key=secret,
)


@given(descriptions, descriptions)
def test_nothing_of_one_leg_shows_on_the_other(offer: SessionDescription, answer: SessionDescription) -> None:
    made = session()
    try:
        made.set_remote("a", parse(to_bytes(offer)), offer=True)
        to_callee = to_bytes(made.offer_to("b", "a"))
    except NegotiationError:
        return
    assert SECRET.encode() not in to_callee
    assert b"61999" not in to_callee
    first = next(media for media in answer.media if media.kind == "audio")
    answer = SessionDescription(
        answer.origin, answer.name, answer.connection, attributes=answer.attributes, media=(first,)
    )
    try:
        made.set_remote("b", parse(to_bytes(answer)), offer=False)
        to_caller = to_bytes(made.answer_to("a", "b"))
    except NegotiationError:
        return
    assert SECRET.encode() not in to_caller
    assert b"61999" not in to_caller


@given(st.binary(max_size=300))
def test_whatever_a_peer_sends_is_met_or_refused(body: bytes) -> None:
    head = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 8 96 101\r\n"
    made = session()
    for candidate in (head + body, body):
        try:
            description = parse(candidate)
        except ParseError:
            continue
        try:
            made.set_remote("a", description, offer=True)
            made.offer_to("b", "a")
            made.local_answer("a")
        except NegotiationError:
            pass
        made.rollback("a")
        made.rollback("b")


class TwoPhones(RuleBasedStateMachine):
    """Two phones behind a call that offer, answer, hold, change codecs and decline as they like.

    Each answers correctly. What is checked is our side of RFC 3264 on each leg, and that both legs end alike.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made = session()
        self.version = 0
        self.sent: dict[str, SessionDescription] = {}
        self.remotes: dict[str, SetRemote] = {}
        self.asker: str | None = None
        self.offers: dict[str, SessionDescription] = {}
        self.numbers: dict[str, dict[int, str]] = {"a": {}, "b": {}}

    def phone(self, leg: str, formats: tuple[str, ...], direction: Direction, sections: int) -> SessionDescription:
        self.version += 1
        address = {"a": "192.0.2.1", "b": "192.0.2.2"}[leg]
        audio = MediaDescription(
            "audio",
            4000 + self.version,
            "RTP/AVP",
            formats,
            attributes=(("rtpmap", "101 telephone-event/8000"), ("rtpmap", "96 opus/48000/2"), (direction.value, None)),
        )
        video = MediaDescription("video", 5000, "RTP/AVP", ("31",))
        media = (audio, *([video] * (sections - 1)))
        origin = Origin("-", "1", str(self.version), address)
        return SessionDescription(origin, connection=Connection(address), media=media)

    @precondition(lambda self: self.asker is None)
    @rule(
        leg=st.sampled_from("ab"),
        formats=st.lists(st.sampled_from(["0", "8", "96"]), min_size=1, unique=True),
        direction=st.sampled_from(Direction),
        video=st.booleans(),
    )
    def offer(self, leg: str, formats: list[str], direction: Direction, video: bool) -> None:
        other = "b" if leg == "a" else "a"
        sections = max(len(self.sent[leg].media) if leg in self.sent else 1, 2 if video else 1)
        offer = self.phone(leg, (*formats, "101"), direction, sections)
        if leg in self.remotes and not self.made.concerns_other(leg, offer):
            self.made.set_remote(leg, offer, offer=True)
            self.check_answer(leg, offer, self.made.repeat_answer(leg))
            return
        self.made.set_remote(leg, offer, offer=True)
        passed = self.made.offer_to(other, leg)
        self.check_description(other, passed)
        assert direction is passed.direction_of(next(media for media in passed.media if media.port))
        self.asker, self.offers = leg, {leg: offer, other: passed}

    @precondition(lambda self: self.asker is not None)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        asker = self.asker or ""
        asked = "b" if asker == "a" else "a"
        offer = self.offers[asked]
        section = next(media for media in offer.media if media.port)
        offered = [codec.payload_type for codec in codecs_of(section) if not codec.is_companion]
        chosen = data.draw(st.lists(st.sampled_from(offered), min_size=1, unique=True))
        allowed = offer.direction_of(section).reversed
        direction = data.draw(st.sampled_from(Direction)).limited_to(allowed)
        answer = self.phone(asked, tuple(str(number) for number in chosen), direction, len(offer.media))
        self.made.set_remote(asked, answer, offer=False)
        self.check_answer(asker, self.offers[asker], self.made.answer_to(asker, asked))
        self.made.connect("a", "b")
        self.asker = None

    @precondition(lambda self: self.asker is not None)
    @rule()
    def decline(self) -> None:
        self.made.take_commands()
        self.made.rollback("a")
        self.made.rollback("b")
        assert self.made.take_commands() == []
        self.asker = None

    def check_description(self, leg: str, description: SessionDescription) -> None:
        before = self.sent.get(leg)
        if before is not None:
            assert description.origin.session_id == before.origin.session_id
            step = int(description.origin.version) - int(before.origin.version)
            assert step == (0 if description.media == before.media else 1)
            assert len(description.media) >= len(before.media)
        self.sent[leg] = description
        for codec in codecs_of(next(media for media in description.media if media.port)):
            assert self.numbers[leg].setdefault(codec.payload_type, codec.name) == codec.name
        assert parse(to_bytes(description)) == description

    def check_answer(self, leg: str, offer: SessionDescription, answer: SessionDescription) -> None:
        self.check_description(leg, answer)
        assert len(answer.media) == len(offer.media)
        for asked, given_ in zip(offer.media, answer.media, strict=True):
            assert (asked.kind, asked.protocol) == (given_.kind, given_.protocol)
            assert set(given_.formats) <= set(asked.formats)
            if given_.port:
                allowed = offer.direction_of(asked).reversed
                assert answer.direction_of(given_).limited_to(allowed) is answer.direction_of(given_)

    @invariant()
    def both_legs_agree(self) -> None:
        for command in self.made.take_commands():
            if isinstance(command, SetRemote):
                self.remotes[self.made.leg_of(command.stream) or ""] = command
        if self.asker is None and set(self.remotes) == {"a", "b"}:
            one, other = self.remotes["a"], self.remotes["b"]
            assert {codec.name for codec in one.codecs} == {codec.name for codec in other.codecs}
            # What may be sent to one is what is expected from the other.
            assert one.send == other.receive
            assert one.receive == other.send


TwoPhones.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestTwoPhones = TwoPhones.TestCase
