from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.errors import ParseError
from pbx.rtp.packet import Kind, kind_of
from pbx.rtp.stun import (
    BINDING,
    Attribute,
    MessageClass,
    StunMessage,
    decode_address,
    encode_address,
    long_term_key,
)
from tests.support.vectors import vectors

FOLDER = Path(__file__).parents[1] / "vectors" / "stun"
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"


def rfc5769(name: str) -> bytes:
    return (FOLDER / f"{name}.bin").read_bytes()


def test_request_with_short_term_credential() -> None:
    message = StunMessage.parse(rfc5769("reqstc"))
    assert (message.message_class, message.method) == (MessageClass.REQUEST, BINDING)
    assert message.value(Attribute.SOFTWARE) == b"STUN test client"
    assert message.value(Attribute.USERNAME) == b"evtj:h6vY"
    assert message.integrity_valid(PASSWORD)
    assert not message.integrity_valid(b"another")
    assert message.fingerprint_valid()


@pytest.mark.parametrize(
    ("name", "host"), [("respv4", "192.0.2.1"), ("respv6", "2001:db8:1234:5678:11:2233:4455:6677")]
)
def test_responses(name: str, host: str) -> None:
    message = StunMessage.parse(rfc5769(name))
    assert message.message_class is MessageClass.SUCCESS
    value = message.value(Attribute.XOR_MAPPED_ADDRESS)
    assert value is not None
    assert decode_address(value, message.transaction) == (host, 32853)
    assert encode_address(host, 32853, message.transaction) == value
    assert message.integrity_valid(PASSWORD)
    assert message.fingerprint_valid()


def test_request_with_long_term_credential() -> None:
    message = StunMessage.parse(rfc5769("reqltc"))
    assert message.integrity_valid(long_term_key("マトリックス", "example.org", "TheMatrIX"))
    assert not message.fingerprint_valid()


def test_changed_message_is_not_valid() -> None:
    data = bytearray(rfc5769("reqstc"))
    data[30] ^= 1
    message = StunMessage.parse(bytes(data))
    assert not message.integrity_valid(PASSWORD)
    assert not message.fingerprint_valid()


@pytest.mark.parametrize(
    "name",
    ["binding_request_ice_controlled.bin", "binding_request_ice_controlling.bin"],
)
def test_checks_of_ice_peers(name: str) -> None:
    message = StunMessage.parse((vectors("stun/aioice") / name).read_bytes())
    assert message.value(Attribute.PRIORITY) is not None
    assert message.fingerprint_valid()


def test_browser() -> None:
    data = (vectors("stun/pion") / "ex1_chrome.stun").read_bytes()
    assert kind_of(data) is Kind.STUN
    assert StunMessage.parse(data).transaction == b"dtIhi6vBo93f"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(19),
        bytes(20),  # no magic cookie
        b"\xc0\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
        b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12),  # says more than there is
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(16),  # says less
        b"\x00\x01\x00\x02\x21\x12\xa4\x42" + bytes(14),  # not a multiple of four
        b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12) + b"\x00\x06\x00\x01",  # attribute over the end
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(ParseError):
        StunMessage.parse(data)


@pytest.mark.parametrize("value", [b"", b"\x00\x02" + bytes(6), b"\x00\x01" + bytes(18), bytes(8)])
def test_what_is_no_address(value: bytes) -> None:
    with pytest.raises(ParseError):
        decode_address(value, bytes(12))


messages = st.builds(
    StunMessage,
    st.sampled_from(MessageClass),
    st.integers(0, 0xFFF),
    st.binary(min_size=12, max_size=12),
    st.lists(
        st.tuples(st.integers(0, 0xFFFF).filter(lambda kind: kind not in (8, 0x8028)), st.binary(max_size=20)),
        max_size=4,
    ).map(tuple),
)


@given(messages, st.binary(min_size=1, max_size=8), st.booleans())
def test_what_is_written_is_read_and_valid(message: StunMessage, key: bytes, fingerprint: bool) -> None:
    read = StunMessage.parse(message.to_bytes(key, fingerprint))
    assert (read.message_class, read.method, read.transaction) == (
        message.message_class,
        message.method,
        message.transaction,
    )
    assert read.attributes[: len(message.attributes)] == message.attributes
    assert read.integrity_valid(key)
    assert not read.integrity_valid(key + b"x")
    assert read.fingerprint_valid() is fingerprint


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_give_a_message_or_a_parse_error(data: bytes, headed: bool) -> None:
    if headed:
        data = b"\x00\x01" + len(data).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + data
    try:
        message = StunMessage.parse(data)
    except ParseError:
        return
    assert not message.integrity_valid(b"key")
