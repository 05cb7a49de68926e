from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.sip.framing import PING, PONG, StreamFramer, is_keep_alive
from pbx.sip.parser import MessageError

HEAD = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n"
EMPTY = HEAD + b"Content-Length: 0\r\n\r\n"
FULL = HEAD + b"l: 9\r\n\r\nab\r\n\r\ncd\r"
FOLDED = HEAD + b"CONTENT-LENGTH \t:\r\n  5\r\n\r\n\r\n\r\n!"
BARE = HEAD + b"\r\n"


def by_octets(framer: StreamFramer, data: bytes) -> list[bytes]:
    return [item for octet in data for item in framer.feed(bytes([octet]))]


@pytest.mark.parametrize("message", [EMPTY, FULL, FOLDED, BARE])
def test_one_message(message: bytes) -> None:
    assert StreamFramer().feed(message) == [message]
    framer = StreamFramer()
    assert by_octets(framer, message) == [message]
    assert framer.pending == 0


STREAM = [EMPTY, PING, FULL, FULL, FOLDED, PING, PING, BARE, EMPTY]


def test_many_messages() -> None:
    data = b"".join(STREAM)
    assert StreamFramer().feed(data) == STREAM
    assert by_octets(StreamFramer(), data) == STREAM


@given(st.lists(st.integers(0, len(b"".join(STREAM))), max_size=20))
def test_many_messages_cut_anywhere(cuts: list[int]) -> None:
    data = b"".join(STREAM)
    bounds = [0, *sorted(cuts), len(data)]
    framer = StreamFramer()
    items = [item for start, end in pairwise(bounds) for item in framer.feed(data[start:end])]
    assert items == STREAM
    assert framer.pending == 0


def test_pings_and_pongs() -> None:
    framer = StreamFramer()
    assert framer.feed(PING) == [PING]
    assert framer.feed(PONG) == []  # a pong, or half of a ping
    assert framer.feed(EMPTY) == [EMPTY]
    assert framer.feed(PONG + EMPTY) == [EMPTY]
    assert framer.feed(PING + PONG + EMPTY) == [PING, EMPTY]
    assert by_octets(framer, PING) == [PING]
    assert framer.feed(b"\r") == []
    assert framer.feed(b"\n") == []
    assert framer.feed(b"\r\n") == [PING]
    assert framer.pending == 0


def test_a_lone_carriage_return_does_not_stop_the_stream() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r" + EMPTY) == [b"\r" + EMPTY]
    assert framer.feed(b"\n" + EMPTY) == [b"\n" + EMPTY]


def test_an_unfinished_message_waits() -> None:
    framer = StreamFramer()
    assert framer.feed(FULL[:-1]) == []
    assert framer.pending == len(FULL) - 1
    assert framer.feed(FULL[-1:]) == [FULL]


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        (b"Content-Length: -1", 400, "Content-Length is not a number"),
        (b"Content-Length:", 400, "Content-Length is not a number"),
        (b"Content-Length: 1 2", 400, "Content-Length is not a number"),
        (b"Content-Length: \xd9\xa3", 400, "Content-Length is not a number"),
        (b"Content-Length: " + b"9" * 5000, 400, "Content-Length is not a number"),
        (b"Content-Length: 1\r\nl: 1", 400, "Content-Length is given twice"),
        (b"Content-Length: 1001", 513, "The body is too long"),
    ],
)
def test_lengths_that_cannot_be_followed(lines: bytes, status: int, reason: str) -> None:
    for feed in (lambda framer, data: framer.feed(data), by_octets):
        framer = StreamFramer(max_body=1000)
        with pytest.raises(MessageError) as caught:
            feed(framer, HEAD + lines + b"\r\n\r\n" + EMPTY)
        assert (caught.value.status, caught.value.reason) == (status, reason)
        assert caught.value.request is not None
        assert caught.value.request.call_id == "x"
        assert framer.error is caught.value
        with pytest.raises(MessageError):
            framer.feed(EMPTY)


def test_headers_without_end() -> None:
    framer = StreamFramer(max_headers=1000)
    assert framer.feed(b"a" * 1003) == []
    with pytest.raises(MessageError, match="too long"):
        framer.feed(b"a")
    with pytest.raises(MessageError, match="too long"):
        StreamFramer(max_headers=1000).feed(b"a" * 1001 + b"\r\n\r\n")
    assert StreamFramer(max_headers=1000).feed(b"a" * 1000 + b"\r\n\r\n") == [b"a" * 1000 + b"\r\n\r\n"]


def test_what_came_before_the_fault_is_not_lost() -> None:
    framer = StreamFramer()
    assert framer.feed(EMPTY + PING + HEAD + b"l: x\r\n\r\n") == [EMPTY, PING]
    assert framer.error is not None
    with pytest.raises(MessageError):
        framer.feed(b"")


def test_an_ack_that_cannot_be_followed_is_not_answered() -> None:
    with pytest.raises(MessageError) as caught:
        StreamFramer().feed(HEAD.replace(b"OPTIONS", b"ACK") + b"l: x\r\n\r\n")
    assert caught.value.request is None


@given(st.lists(st.binary(max_size=20) | st.sampled_from([PING, PONG, EMPTY, FULL[:50], b"\r", b"l: 1\r\n\r\n"])))
def test_any_octets_in_any_pieces(pieces: list[bytes]) -> None:
    def run(parts: list[bytes]) -> tuple[list[bytes], str]:
        framer = StreamFramer(max_headers=100, max_body=100)
        items: list[bytes] = []
        try:
            for part in parts:
                items += framer.feed(part)
        except MessageError as error:
            return items, error.reason
        return items, framer.error.reason if framer.error else ""

    whole = run([b"".join(pieces)])
    assert run(pieces) == whole
    assert run([bytes([octet]) for octet in b"".join(pieces)]) == whole


def test_keep_alives() -> None:
    for datagram in (b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b" \r\n"):
        assert is_keep_alive(datagram)
    for datagram in (b"hello", EMPTY, b"\r\n" + EMPTY, b"\0" * 65):
        assert not is_keep_alive(datagram)


def test_headers_and_body_together_have_a_limit() -> None:
    message = HEAD + b"Content-Length: 900\r\n\r\n" + b"b" * 900
    assert StreamFramer(1000, 1000, len(message)).feed(message) == [message]
    with pytest.raises(MessageError) as refused:
        StreamFramer(1000, 1000, len(message) - 1).feed(message)
    assert refused.value.status == 513
    assert StreamFramer(1000, 1000).feed(message) == [message]
