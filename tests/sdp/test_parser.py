from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.sdp.model import (
    Connection,
    Direction,
    MediaDescription,
    Origin,
    SessionDescription,
    TimeDescription,
    direction_for,
)
from pbx.sdp.parser import MAXIMUM_MEDIA, MAXIMUM_OCTETS, parse
from pbx.sdp.writer import to_bytes
from tests.support.vectors import vectors

# RFC 8866 §5, the example of a session description.
SEMINAR = b"""v=0
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1
s=Call to John Smith
i=SDP Offer #1
u=http://www.jdoe.example.com/home.html
e=Jane Doe <jane@jdoe.example.com>
p=+1 617 555-6011
c=IN IP4 198.51.100.1
t=0 0
m=audio 49170 RTP/AVP 0
m=audio 49180 RTP/AVP 0
m=video 51372 RTP/AVP 99
c=IN IP6 2001:db8::2
a=rtpmap:99 h263-1998/90000
""".replace(b"\n", b"\r\n")


def test_the_example_of_rfc_8866() -> None:
    description = parse(SEMINAR)
    assert description.origin == Origin("jdoe", "3724394400", "3724394405", "198.51.100.1")
    assert description.name == "Call to John Smith"
    assert description.information == "SDP Offer #1"
    assert description.uri == "http://www.jdoe.example.com/home.html"
    assert description.emails == ("Jane Doe <jane@jdoe.example.com>",)
    assert description.phones == ("+1 617 555-6011",)
    assert description.times == (TimeDescription("0", "0"),)
    audio, other, video = description.media
    assert (audio.kind, audio.port, audio.protocol, audio.formats) == ("audio", 49170, "RTP/AVP", ("0",))
    assert description.connection_of(other) == Connection("198.51.100.1")
    assert description.connection_of(video) == Connection("2001:db8::2", "IP6")
    assert video.value("rtpmap") == "99 h263-1998/90000"
    assert to_bytes(description) == SEMINAR


def test_every_kind_of_line_is_kept() -> None:
    body = (
        b"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 233.252.0.1/127/3\r\nb=CT:128\r\n"
        b"t=2873397496 2873404696\r\n"
        b"r=7d 1h 0 25h\r\nr=604800 3600 0 90000\r\nt=0 0\r\n"
        b"z=2882844526 -1h 2898848070 0\r\nk=prompt\r\na=recvonly\r\n"
        b"m=video 49170/2 RTP/AVP 31\r\ni=slides\r\nc=IN IP4 233.252.0.2/127\r\nb=AS:64\r\nb=TIAS:50780\r\n"
        b"k=clear:x\r\na=quality:10\r\na=empty:\r\n"
    )
    description = parse(body)
    assert description.connection == Connection("233.252.0.1", suffix="/127/3")
    assert description.times[0].repeats == ("7d 1h 0 25h", "604800 3600 0 90000")
    assert description.media[0].port_count == 2
    assert description.media[0].attributes == (("quality", "10"), ("empty", ""))
    assert description.media[0].bandwidths == (("AS", "64"), ("TIAS", "50780"))
    assert to_bytes(description) == body


MINIMAL = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4000 RTP/AVP 0\na=sendonly\n"


@pytest.mark.parametrize(
    "body",
    [
        MINIMAL,
        MINIMAL.replace("\n", "\r\n"),
        MINIMAL.replace("\n", "\r"),
        "\r\n" + MINIMAL,
        MINIMAL + "\n\n",
        MINIMAL[:-1],
        MINIMAL.replace("t=0 0\n", ""),
        MINIMAL.replace("s=-\n", ""),
        MINIMAL.replace("s=-", "s="),
        MINIMAL.replace("s=-", "s= "),
        MINIMAL.replace("a=sendonly", "a=sendonly  "),
        MINIMAL.replace("m=audio 4000", "m=audio  4000"),
        MINIMAL.replace("c=IN IP4 192.0.2.1\nt=0 0\n", "t=0 0\nc=IN IP4 192.0.2.1 \n"),
        MINIMAL.replace("t=0 0\n", "t=0 0\nf=invalid:yes\nnonsense\n"),
        MINIMAL + "t=0 0\n",
    ],
)
def test_what_devices_send_means_the_same(body: str) -> None:
    assert parse(body) == parse(MINIMAL)
    assert parse(body.encode()) == parse(MINIMAL)


def test_spaces_in_the_user_name() -> None:
    description = parse(MINIMAL.replace("o=-", "o=Alice B. Smith"))
    assert description.origin == Origin("Alice B. Smith", "1", "1", "192.0.2.1")


def test_without_origin() -> None:
    assert parse("v=0\ns=-\n").origin.address == "0.0.0.0"


def test_octets_that_are_no_utf8_are_written_as_they_came() -> None:
    body = MINIMAL.replace("s=-", "s=B\xfcro").replace("\n", "\r\n").encode("latin-1")
    assert to_bytes(parse(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        "",
        "v=1\n",
        "v=0;\n",
        "o=- 1 1 IN IP4 192.0.2.1\n",
        "v=0\no=- 1 IN IP4 192.0.2.1\n",
        "v=0\nc=IN IP4\n",
        "v=0\nt=0\n",
        "v=0\nm=\n",
        "v=0\nm=audio\n",
        "v=0\nm=audio 0\n",
        "v=0\nm=audio x RTP/AVP 0\n",
        "v=0\nm=audio -1 RTP/AVP 0\n",
        "v=0\nm=audio 65536 RTP/AVP 0\n",
        "v=0\nm=audio 1_0 RTP/AVP 0\n",
        "v=0\nm=audio \u0661 RTP/AVP 0\n",
        "v=0\nm=audio 1/ RTP/AVP 0\n",
        "v=0\nm=audio 1/99999999999999999999 RTP/AVP 0\n",
        "v=0\ns=a\0b\n",
        "v=0\n" + "m=audio 0 RTP/AVP 0\n" * (MAXIMUM_MEDIA + 1),
        "v=0\n" + "a=x\n" * (MAXIMUM_OCTETS // 4),
        "v=0\ns=\ud800\n",
        '{"v": 0}',
    ],
)
def test_what_is_no_description(body: str) -> None:
    with pytest.raises(ParseError):
        parse(body)


def test_a_medium_that_looks_like_another_line_is_a_medium() -> None:
    (medium,) = parse("v=0\nm=a=b 9 RTP/AVP 0\n").media
    assert (medium.kind, medium.attributes) == ("a=b", ())


words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
names = words.map(lambda text: text.replace(":", "_"))
addresses = words.map(lambda text: text.replace("/", "_"))
lines = st.text(st.characters(min_codepoint=32, codec="utf-8"), max_size=12).map(
    lambda text: " ".join(text.split()) or "x"
)
attributes = st.lists(st.tuples(names, st.none() | st.just("") | lines), max_size=4).map(tuple)
bandwidths = st.lists(st.tuples(names, words), max_size=2).map(tuple)
connections = st.builds(Connection, addresses, words, words, st.sampled_from(["", "/127", "/127/3"]))
media = st.builds(
    MediaDescription,
    kind=words,
    port=st.integers(0, 65535),
    protocol=words,
    formats=st.lists(words, max_size=4).map(tuple),
    port_count=st.integers(0, 65535),
    information=lines,
    connection=st.none() | connections,
    bandwidths=bandwidths,
    key=lines,
    attributes=attributes,
)
descriptions = st.builds(
    SessionDescription,
    origin=st.builds(Origin, lines, words, words, words, words, words),
    name=lines,
    connection=st.none() | connections,
    bandwidths=bandwidths,
    times=st.lists(st.builds(TimeDescription, words, words, st.lists(lines, max_size=2).map(tuple)), min_size=1).map(
        tuple
    ),
    attributes=attributes,
    media=st.lists(media, max_size=3).map(tuple),
    information=lines,
    uri=lines,
    emails=st.lists(lines, max_size=2).map(tuple),
    phones=st.lists(lines, max_size=2).map(tuple),
    zone=lines,
    key=lines,
)


@given(descriptions)
def test_what_is_written_is_read(description: SessionDescription) -> None:
    assert parse(to_bytes(description)) == description


@given(st.binary(max_size=200))
@example(b"v=0\nm=audio 1 RTP/AVP 0\nm=")
@example(b"v=0\no= \n")
def test_any_bytes_give_a_description_or_a_parse_error(body: bytes) -> None:
    for candidate in (body, b"v=0\r\n" + body, b"v=0\r\nm=audio 1 RTP/AVP 0\r\n" + body):
        try:
            description = parse(candidate)
        except ParseError:
            continue
        assert parse(to_bytes(description)) == description


@given(st.data())
def test_a_description_cut_or_changed_anywhere_does_no_harm(data: st.DataObject) -> None:
    body = bytearray(SEMINAR)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(body[: data.draw(st.integers(0, len(body)))]))
    except ParseError:
        return


FILES = sorted(vectors("sdp/sdp-transform").glob("*.sdp"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_browsers_and_devices(path: object) -> None:
    body = path.read_bytes()  # type: ignore[attr-defined]
    description = parse(body)
    assert len(description.media) == body.count(b"\nm=")
    attributes = sum(len(media.attributes) for media in description.media) + len(description.attributes)
    assert attributes == body.count(b"\na=")
    assert parse(to_bytes(description)) == description


def siprec_bodies() -> list[tuple[str, bytes]]:
    found = []
    for path in sorted(vectors("sdp/siprec-offers").glob("*.txt")):
        text = path.read_bytes().replace(b"\r\n", b"\n")
        parts = text.split(b"__split_here__\n") if b"__split_here__" in text else text.split(b"\n--")
        for number, part in enumerate(parts):
            start = part.find(b"v=0\n")
            if start >= 0:
                found.append((f"{path.stem}-{number}", part[start:]))
    return found


@pytest.mark.parametrize(("name", "body"), siprec_bodies())
def test_recording_clients(name: str, body: bytes) -> None:
    description = parse(body)
    assert description.media, name
    for section in description.media:
        assert section.kind == "audio"
        assert section.port > 0
        assert section.formats


def test_directions() -> None:
    description = parse(MINIMAL)
    assert description.direction_of(description.media[0]) is Direction.SENDONLY
    session = replace(description, attributes=(("recvonly", None),))
    assert session.direction_of(session.media[0]) is Direction.SENDONLY
    bare = replace(session, media=(replace(session.media[0], attributes=()),))
    assert bare.direction_of(bare.media[0]) is Direction.RECVONLY
    bare = replace(bare, attributes=())
    assert bare.direction_of(bare.media[0]) is Direction.SENDRECV


@pytest.mark.parametrize("one", Direction)
@pytest.mark.parametrize("other", Direction)
def test_direction_arithmetic(one: Direction, other: Direction) -> None:
    assert direction_for(one.sends, one.receives) is one
    assert one.reversed.reversed is one
    assert one.reversed.sends is one.receives
    both = one.limited_to(other)
    assert both.sends == (one.sends and other.sends)
    assert both.receives == (one.receives and other.receives)


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_unspecified_addresses(address: str) -> None:
    assert Connection(address).unspecified
    assert not Connection("192.0.2.1").unspecified


def test_attributes_by_name() -> None:
    media = MediaDescription(
        "audio", 1, "RTP/AVP", ("0",), attributes=(("a", "1"), ("b", None), ("a", "2"), ("a", None))
    )
    assert list(media.values("a")) == ["1", "2"]
    assert media.value("a") == "1"
    assert media.value("b") is None
    assert media.has("b")
    assert not media.has("c")
    session = SessionDescription(Origin("-", "1", "1", "x"), attributes=media.attributes)
    assert session.value("a") == "1"
    assert session.has("b")
    assert session.value("c") is None
