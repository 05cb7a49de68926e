"""Every case three ways: whole, octet by octet through the framer, and with more behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.sip.framing import StreamFramer
from pbx.sip.headers import MOST_VALUES
from pbx.sip.message import Message, Request, Response, make_response
from pbx.sip.parser import MessageError, parse_message, salvage, validate
from pbx.sip.reasons import REASON_PHRASES

OPTIONS = (
    b"OPTIONS sip:a@b SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
    b"From: <sip:c@d>;tag=1\r\n"
    b"To: <sip:a@b>\r\n"
    b"Call-ID: x\r\n"
    b"CSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)


def with_(old: bytes, new: bytes, message: bytes = OPTIONS) -> bytes:
    assert old in message
    return message.replace(old, new)


def three_ways(data: bytes) -> Message:
    """Parse and check a message with a Content-Length in each of the ways in which it may arrive."""
    whole = parse_message(data)
    framer = StreamFramer()
    framed = [item for octet in data for item in framer.feed(bytes([octet]))]
    assert framed == [data]
    trailed = parse_message(data + b"\r\nGARBAGE \0")
    for other in (parse_message(framed[0]), trailed):
        assert type(other) is type(whole)
        assert other.start_line() == whole.start_line()
        assert other.headers == whole.headers
        assert other.body == whole.body
    validate(whole)
    return whole


def refused(data: bytes) -> MessageError:
    def take(octets: bytes) -> MessageError:
        with pytest.raises(MessageError) as caught:
            validate(parse_message(octets))
        return caught.value

    whole = take(data)
    for other in (data + b"GARBAGE", data + b"\r\n\r\n"):
        assert take(other).reason == whole.reason
    assert by_octets(data).reason == whole.reason
    return whole


def by_octets(data: bytes) -> MessageError:
    framer = StreamFramer()
    try:
        for octet in data:
            for item in framer.feed(bytes([octet])):
                validate(parse_message(item))
    except MessageError as error:
        return error
    raise AssertionError("it was taken")


def test_request() -> None:
    request = three_ways(OPTIONS)
    assert isinstance(request, Request)
    assert (request.method, str(request.uri), request.body) == ("OPTIONS", "sip:a@b", b"")


def test_response() -> None:
    data = with_(b"OPTIONS sip:a@b SIP/2.0", b"SIP/2.0 404 Not Found")
    response = three_ways(data)
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (404, "Not Found")
    for line, reason in ((b"SIP/2.0 404 ", ""), (b"SIP/2.0 404", ""), (b"sip/2.0 404 Pas trouv\xc3\xa9", "Pas trouvé")):
        response = three_ways(with_(b"OPTIONS sip:a@b SIP/2.0", line))
        assert isinstance(response, Response)
        assert response.reason == reason


def test_body() -> None:
    body = bytes(range(256)) * 3
    request = three_ways(with_(b"Length: 0\r\n\r\n", b"Length: 768\r\n\r\n" + body))
    assert request.body == body


def test_without_content_length_the_datagram_is_the_body() -> None:
    assert parse_message(with_(b"Content-Length: 0\r\n\r\n", b"\r\nhello")).body == b"hello"


def test_folding() -> None:
    data = with_(b"From: <sip:c@d>;tag=1", b"From\t:\r\n  Cee\r\n\t<sip:c@d>\r\n ;tag=1")
    request = three_ways(with_(b"Content-Length: 0", b"l :\r\n 0", data))
    assert request.from_.display == "Cee"
    assert request.from_.tag == "1"


def test_line_breaks_before_the_start_line() -> None:
    for before in (b"\r\n", b"\r\n\r\n\r\n"):
        assert parse_message(before + OPTIONS).start_line() == "OPTIONS sip:a@b SIP/2.0"


def test_lower_case_version() -> None:
    assert three_ways(with_(b"SIP/2.0\r\nVia", b"sip/2.0\r\nVia")).start_line() == "OPTIONS sip:a@b SIP/2.0"


def test_latin_1_in_a_display_name() -> None:
    request = three_ways(with_(b"From: <", b'From: "J\xfcrg" <'))
    assert request.from_.display == "Jürg"


@pytest.mark.parametrize(
    ("old", "new", "status", "reason", "answerable"),
    [
        (b"OPTIONS sip:a@b SIP/2.0", b"OPTIONS  sip:a@b SIP/2.0", 400, "Malformed request line", True),
        (b"OPTIONS sip:a@b SIP/2.0", b"OPTIONS sip:a@b", 400, "Malformed request line", True),
        (b"OPTIONS sip:a@b SIP/2.0", b"OPTIONS sip:a@b HTTP/1.1", 400, "Malformed request line", True),
        (b"OPTIONS sip:a@b SIP/2.0", b"OPTIONS", 400, "Malformed request line", True),
        (b"OPTIONS sip:a@b SIP/2.0", b"OPT@ONS sip:a@b SIP/2.0", 400, "Malformed method", False),
        (b"OPTIONS sip:a@b SIP/2.0", b"OPTIONS sip:a@b SIP/3.0", 505, "SIP version not supported", True),
        (b"OPTIONS sip:a@b SIP/2.0", b"SIP/3.0 200 OK", 400, "SIP version not supported", False),
        (b"OPTIONS sip:a@b SIP/2.0", b"SIP/2.0 20 OK", 400, "Malformed status code", False),
        (b"OPTIONS sip:a@b SIP/2.0", b"SIP/2.0 099 OK", 400, "Malformed status code", False),
        (b"OPTIONS sip:a@b SIP/2.0", b"SIP/2.0 700 OK", 400, "Malformed status code", False),
        (b"OPTIONS sip:a@b SIP/2.0", b"OPTIONS sip:a@b? SIP/2.0 x", 400, "Malformed request line", True),
        (b"OPTIONS sip:a@b SIP", b"OPTIONS sip:a@b?x=y SIP", 400, "Headers in the Request-URI", True),
        (b"OPTIONS sip:a@b SIP", b"OPTIONS sip:a@b:x SIP", 400, "Malformed port", True),
        (b"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n", b"", 400, "Via is missing", False),
        (b"SIP/2.0/UDP h", b"SIP/2.0/UDP h:x", 400, "Malformed port", False),
        (b"From: <sip:c@d>;tag=1\r\n", b"", 400, "From is missing", True),
        (b"To: <sip:a@b>\r\n", b"", 400, "To is missing", True),
        (b"Call-ID: x\r\n", b"", 400, "Call-ID is missing", True),
        (b"Call-ID: x", b"Call-ID: x y", 400, "Malformed Call-ID", True),
        (b"CSeq: 1 OPTIONS\r\n", b"", 400, "CSeq is missing", True),
        (b"CSeq: 1 OPTIONS", b"CSeq: 1", 400, "Malformed CSeq", True),
        (b"CSeq: 1 OPTIONS", b"CSeq: 1 options", 400, "The method of CSeq is not that of the request", True),
        (b"CSeq: 1 OPTIONS", b"CSeq: 4294967296 OPTIONS", 400, "The CSeq number is too large", True),
        (b"To: <sip:a@b>", b"To: <sip:a@b>\r\nt: <sip:e@f>", 400, "To is given twice", True),
        (b"To: <sip:a@b>", b"To: <sip:a@b>\r\nMax-Forwards: 256", 400, "Max-Forwards is too large", True),
        (b"To: <sip:a@b>", b"To: <sip:a@b>\r\nContact: <sip:a", 400, "An angle bracket is not closed", True),
        (b"To: <sip:a@b>", b"To: <sip:a@b>\r\nRoute: x", 400, "A URI without a scheme", True),
        (b"To: <sip:a@b>", b"To: <sip:a@b>\r\nX-Y\r\nA: b", 400, "A header line without a colon", True),
        (b"To: <sip:a@b>", b"To: <sip:a@b>\r\n: x", 400, "A header line without a name", True),
        (b"Content-Length: 0", b"Content-Length: -1", 400, "Content-Length is not a number", True),
        (b"Content-Length: 0", b"Content-Length: 0\r\nl: 0", 400, "Content-Length is given twice", True),
        (b"Content-Length: 0", b"Content-Length: 99999999999", 400, "Content-Length is too large", True),
        (b"branch=z9hG4bK1", b"branch=z9hG4bK", 400, "The branch of the top Via is empty", True),
    ],
)
def test_refused(old: bytes, new: bytes, status: int, reason: str, answerable: bool) -> None:
    if reason == "Content-Length is too large":
        with pytest.raises(MessageError, match=reason):
            parse_message(with_(old, new))
        return
    error = refused(with_(old, new))
    assert (error.status, error.reason) == (status, reason)
    assert (error.request is not None) == answerable
    if error.request is not None:
        answer = make_response(error.request, error.status).to_bytes()
        assert b"Via: SIP/2.0/UDP h;branch=z9hG4bK" in answer


@pytest.mark.parametrize("new", [b"X: a\nb", b"X: a\rb", b"X: a\n b", b"X: a\r\r", b"X: a\n"])
def test_a_line_break_that_is_not_crlf(new: bytes) -> None:
    error = refused(with_(b"Call-ID: x", b"Call-ID: x\r\n" + new))
    assert error.reason == "A line break that is not CRLF"


def test_an_ack_is_never_answered() -> None:
    for broken in (b"CSeq: 1 OPTIONS", b"CSeq: x"):
        error = refused(with_(b"CSeq: 1 OPTIONS", broken, with_(b"OPTIONS sip", b"ACK sip")))
        assert error.request is None


def test_headers_that_do_not_end() -> None:
    for data in (OPTIONS[:-2], OPTIONS[:-4], OPTIONS[:40], b"", b"\r\n", b"\r\n\r\n", b"OPTIONS"):
        with pytest.raises(MessageError):
            parse_message(data)


def test_content_length_over_the_datagram() -> None:
    with pytest.raises(MessageError, match="larger than the message") as caught:
        parse_message(with_(b"Length: 0", b"Length: 1"))
    assert caught.value.request is not None
    assert caught.value.request.call_id == "x"


def test_a_broken_request_keeps_the_first_of_what_is_single() -> None:
    request = salvage(with_(b"Call-ID: x", b"Call-ID: x\r\nCall-ID: y\r\nVia: SIP/2.0/UDP two\r\nnonsense"))
    assert request is not None
    assert request.headers.raw("Call-ID") == ["x"]
    assert len(request.vias) == 2
    assert salvage(b"\xff\r") is None


def test_too_many_headers() -> None:
    error = refused(with_(b"Call-ID: x", b"Call-ID: x\r\n" + b"a:\r\n" * MOST_VALUES))
    assert (error.status, error.reason) == (513, "Too many headers")
    assert error.request is not None


def test_a_response_with_a_bad_contact_is_taken() -> None:
    data = with_(b"OPTIONS sip:a@b SIP/2.0", b"SIP/2.0 486 Busy Here\r\nContact: nonsense")
    assert three_ways(data)


def test_a_response_that_lacks_something_is_refused() -> None:
    response = with_(b"OPTIONS sip:a@b SIP/2.0", b"SIP/2.0 200 OK")
    assert refused(with_(b"To: <sip:a@b>\r\n", b"", response)).request is None


MUTATIONS = st.lists(
    st.tuples(st.integers(0, len(OPTIONS)), st.integers(0, 12), st.binary(max_size=6)), min_size=1, max_size=4
)


def check_answer(error: MessageError) -> None:
    assert error.status in REASON_PHRASES
    if error.request is not None:
        parse_message(make_response(error.request, error.status, to_tag="t").to_bytes())


def check(data: bytes) -> None:
    """Any octets give a message or a MessageError, and a message that was taken says the same after being written."""
    try:
        message = parse_message(data)
        validate(message)
    except MessageError as error:
        check_answer(error)
        return
    again = parse_message(message.to_bytes())
    validate(again)
    assert type(again) is type(message)
    assert again.start_line() == message.start_line()
    assert again.body == message.body
    assert list(again.headers)[:-1] == [header for header in message.headers if header[0] != "Content-Length"]
    if isinstance(message, Request):
        validate(parse_message(make_response(message, 200, to_tag="t").to_bytes()))


@given(st.binary(max_size=300))
def test_any_octets(data: bytes) -> None:
    check(data)


@given(MUTATIONS)
def test_any_damage(mutations: list[tuple[int, int, bytes]]) -> None:
    data = OPTIONS
    for position, removed, inserted in mutations:
        data = data[:position] + inserted + data[position + removed :]
    check(data)


LINE = st.from_regex(
    r"(?i)(via|v|from|to|t|call-id|cseq|contact|m|route|l|content-length|expires|x-y) ?: ?[ -~é]{0,40}", fullmatch=True
)


@given(st.lists(LINE, max_size=6), st.sampled_from(["INVITE sip:a@b SIP/2.0", "SIP/2.0 200 OK"]), st.binary(max_size=9))
def test_any_headers(lines: list[str], start: str, body: bytes) -> None:
    check("\r\n".join([start, *lines, "", ""]).encode() + body)
    check(OPTIONS.replace(b"Call-ID: x", "\r\n".join(["Call-ID: x", *lines]).encode()) + body)
