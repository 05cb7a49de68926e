"""Where the session description of a message is (RFC 3261 §8.2.3, §20.11; RFC 5621)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.call.leg.bodies import UnsupportedBody, description_of
from pbx.errors import ParseError, ProtocolError
from pbx.sip.headers import Headers
from pbx.sip.message import Request
from tests.support.legs import body, sdp

SDP = body(4000)


def message(content, content_type="application/sdp", **extra):
    headers = Headers([(name.replace("_", "-"), value) for name, value in extra.items()])
    if content_type:
        headers.add("Content-Type", content_type)
    return Request("INVITE", "sip:a@b", headers, content)


def part(content, **headers):
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return head.encode() + b"\r\n" + content


def multipart(*parts, boundary="b", kind="mixed", end=True):
    lines = b"".join(b"--" + boundary.encode() + b"\r\n" + each + b"\r\n" for each in parts)
    return message(
        lines + (b"--" + boundary.encode() + b"--\r\n" if end else b""), f"multipart/{kind};boundary={boundary}"
    )


@pytest.mark.parametrize(
    "given",
    [
        message(SDP),
        message(SDP, "Application/SDP; charset=utf-8"),
        message(SDP, Content_Disposition="session"),
        message(SDP, Content_Disposition="Session;handling=required"),
        message(SDP, Content_Encoding="identity"),
        multipart(part(SDP, Content_Type="application/sdp")),
        multipart(part(b"x"), part(SDP, Content_Type="application/sdp")),
        multipart(part(b"x", Content_Type="image/png", Content_Disposition="icon"), part(SDP, c="application/sdp")),
        multipart(part(SDP, Content_Type="application/sdp"), kind="related"),
        multipart(
            part(
                b"--i\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--i--",
                Content_Type="multipart/alternative;boundary=i",
            )
        ),
        multipart(part(b"x\r\n--bc\r\n"), part(SDP, Content_Type="application/sdp")),
        multipart(part(SDP, Content_Type="application/sdp;\r\n charset=utf-8")),
    ],
)
def test_found(given):
    found = description_of(given)
    assert found == (SDP, sdp(4000))


@pytest.mark.parametrize(
    "given",
    [
        message(b"", ""),
        message(b"", "application/sdp"),
        message(b"x", "text/plain", Content_Disposition="render;handling=optional"),
        message(SDP, Content_Disposition="early-session;handling=optional"),
        message(SDP, Content_Encoding="gzip", Content_Disposition="session;handling=optional"),
        multipart(part(b"x", Content_Type="application/pidf+xml")),
        multipart(part(SDP, Content_Type="application/sdp", Content_Disposition="early-session")),
    ],
)
def test_none(given):
    assert description_of(given) is None


@pytest.mark.parametrize(
    ("given", "header"),
    [
        (message(SDP, ""), "Accept"),
        (message(b"x", "text/plain"), "Accept"),
        (message(SDP, Content_Disposition="early-session"), "Accept"),
        (message(SDP, Content_Encoding="gzip"), "Accept-Encoding"),
        (multipart(part(b"x", Content_Type="a/b", Content_Disposition="session;handling=required")), "Accept"),
    ],
)
def test_unsupported(given, header):
    with pytest.raises(UnsupportedBody) as caught:
        description_of(given)
    assert caught.value.status == 415
    assert caught.value.headers[0][0] == header


@pytest.mark.parametrize(
    "given",
    [
        message(b"nonsense"),
        message(SDP, "application"),
        message(SDP, "multipart/mixed"),
        message(SDP, "multipart/mixed;boundary=b"),
        multipart(part(b"x"), end=False),
        multipart(*[part(b"x")] * 40),
        multipart(part(b"x", **{"bad name": "y"})),
    ],
)
def test_malformed(given):
    with pytest.raises(ParseError):
        description_of(given)


def test_nesting_has_a_limit():
    inner = part(SDP, Content_Type="application/sdp")
    for level in range(6):
        edge = f"--b{level}".encode()
        content = edge + b"\r\n" + inner + b"\r\n" + edge + b"--\r\n"
        inner = part(content, Content_Type=f"multipart/mixed;boundary=b{level}")
    assert description_of(multipart(inner)) is None


@given(
    st.binary(max_size=300),
    st.sampled_from(("multipart/mixed;boundary=b", "application/sdp", "multipart/x;boundary=-")),
)
def test_any_bytes_give_an_answer_or_a_protocol_error(content, kind):
    with contextlib.suppress(ProtocolError):
        description_of(message(b"--b\r\n" + content, kind))
