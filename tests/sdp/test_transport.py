from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.sdp.model import Attribute, Connection, MediaDescription, Origin, SessionDescription
from pbx.sdp.parser import parse
from pbx.sdp.transport import (
    Candidate,
    Crypto,
    Transport,
    crypto_of,
    fingerprint_of,
    ice_of,
    rtcp_of,
    transport_of,
)
from tests.support.vectors import vectors


def session(
    protocol: str, *attributes: Attribute, port: int = 4000, address: str = "192.0.2.1"
) -> tuple[SessionDescription, MediaDescription]:
    media = MediaDescription("audio", port, protocol, ("0",), attributes=attributes)
    origin = Origin("-", "1", "1", "192.0.2.1")
    return SessionDescription(origin, connection=Connection(address), media=(media,)), media


FINGERPRINT = ("fingerprint", "SHA-256 12:ab")
UFRAG = ("ice-ufrag", "abcd")


@pytest.mark.parametrize(
    ("protocol", "attributes", "expected"),
    [
        ("RTP/AVP", (), Transport.PLAIN),
        ("rtp/avp", (), Transport.PLAIN),
        ("RTP/AVPF", (), Transport.PLAIN),
        ("RTP/AVP", (("crypto", "1 AES_CM_128_HMAC_SHA1_80 inline:x"),), Transport.PLAIN),
        ("RTP/AVP", (UFRAG,), Transport.PLAIN),
        ("RTP/SAVP", (("crypto", "1 AES_CM_128_HMAC_SHA1_80 inline:x"),), Transport.SDES),
        ("RTP/SAVPF", (FINGERPRINT,), Transport.DTLS),
        ("RTP/SAVPF", (FINGERPRINT, ("crypto", "1 a b")), Transport.SDES),
        ("UDP/TLS/RTP/SAVPF", (FINGERPRINT,), Transport.DTLS),
        ("UDP/TLS/RTP/SAVP", (), Transport.DTLS),
        ("udptl", (), Transport.OTHER),
        ("TCP", (), Transport.OTHER),
        ("UDP/DTLS/SCTP", (), Transport.OTHER),
    ],
)
def test_kinds(protocol: str, attributes: tuple[Attribute, ...], expected: Transport) -> None:
    assert transport_of(*session(protocol, *attributes)) is expected


def test_ice_that_has_no_address_yet() -> None:
    assert transport_of(*session("RTP/AVP", UFRAG, port=9, address="0.0.0.0")) is Transport.ICE_ONLY
    assert transport_of(*session("RTP/AVP", port=9, address="0.0.0.0")) is Transport.PLAIN


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ((), ("192.0.2.1", 4001, False)),
        ((("rtcp", "5000"),), ("192.0.2.1", 5000, False)),
        ((("rtcp", "5000 IN IP4 192.0.2.9"),), ("192.0.2.9", 5000, False)),
        ((("rtcp", "5000 IN IP6 2001:db8::9"), ("rtcp-mux", None)), ("2001:db8::9", 5000, True)),
        ((("rtcp", "1 IN IP7 X"),), ("192.0.2.1", 1, False)),
        ((("rtcp", "x"),), ("192.0.2.1", 4001, False)),
        ((("rtcp", "70000"),), ("192.0.2.1", 4001, False)),
        ((("rtcp", None),), ("192.0.2.1", 4001, False)),
    ],
)
def test_where_rtcp_goes(attributes: tuple[Attribute, ...], expected: tuple[str, int, bool]) -> None:
    connection, port, mux = rtcp_of(*session("RTP/AVP", *attributes))
    assert connection is not None
    assert (connection.address, port, mux) == expected


def test_rtcp_port_at_the_ends() -> None:
    assert rtcp_of(*session("RTP/AVP", port=65535))[1] == 0
    assert rtcp_of(*session("RTP/AVP", port=0))[1] == 0


def test_a_browser() -> None:
    description = parse((vectors("sdp/sdp-transform") / "jssip.sdp").read_bytes())
    media = description.media[0]
    ice = ice_of(description, media)
    assert ice is not None
    assert (ice.ufrag, ice.options, ice.lite) == ("5I2uVefP13X1wzOY", ("google-ice",), False)
    assert len(ice.candidates) == 6
    assert ice.candidates[2] == Candidate(
        "3289912957",
        1,
        "udp",
        1845501695,
        "193.84.77.194",
        60017,
        "srflx",
        "raddr 192.168.34.75 rport 60017 generation 0",
    )
    assert crypto_of(media)[0] == Crypto(
        "0", "AES_CM_128_HMAC_SHA1_32", "inline:6JYKxLF+o2nhouDHr5J0oNb3CEGK3I/HHv9idGTY"
    )
    fingerprint = fingerprint_of(description, media)
    assert fingerprint is not None
    assert (fingerprint.algorithm, fingerprint.setup) == ("sha-256", "actpass")
    assert fingerprint.value.startswith("79:14:AB")


def test_values_of_the_session_are_inherited() -> None:
    description = parse((vectors("sdp/sdp-transform") / "normal.sdp").read_bytes())
    for media in description.media:
        ice, fingerprint = ice_of(description, media), fingerprint_of(description, media)
        assert ice is not None
        assert ice.ufrag == "F7gI"
        assert fingerprint is not None
        assert fingerprint.algorithm == "sha-1"


def test_ice_lite() -> None:
    description = parse((vectors("sdp/sdp-transform") / "icelite.sdp").read_bytes())
    ice = ice_of(description, description.media[0])
    assert ice is not None
    assert ice.lite


def test_crypto_with_session_parameters() -> None:
    _, media = session(
        "RTP/SAVP", ("crypto", "1 F8_128_HMAC_SHA1_80 inline:x|2^20|1:4 UNENCRYPTED_SRTP KDR=1"), ("crypto", "2 x")
    )
    assert crypto_of(media) == (Crypto("1", "F8_128_HMAC_SHA1_80", "inline:x|2^20|1:4", "UNENCRYPTED_SRTP KDR=1"),)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["rtcp", "crypto", "fingerprint", "setup", "candidate", "ice-ufrag", "ice-pwd", "ice-options"]
            ),
            st.none() | st.text(max_size=30),
        ),
        max_size=8,
    )
)
def test_no_attribute_upsets_it(attributes: list[Attribute]) -> None:
    description, media = session("RTP/SAVPF", *attributes)
    transport_of(description, media)
    crypto_of(media)
    ice_of(description, media)
    fingerprint_of(description, media)
    _, port, _ = rtcp_of(description, media)
    assert 0 <= port <= 65535


@pytest.mark.parametrize(
    "value",
    [
        "1 1 udp 1 192.0.2.1 1 host",
        "1 1 udp 1 192.0.2.1 1 typ",
        "1 x udp 1 192.0.2.1 1 typ host",
        "1 1 udp 99999999999 192.0.2.1 1 typ host",
        "",
    ],
)
def test_malformed_candidates_are_left_out(value: str) -> None:
    ice = ice_of(*session("RTP/AVP", UFRAG, ("ice-pwd", "x"), ("candidate", value)))
    assert ice is not None
    assert ice.candidates == ()
