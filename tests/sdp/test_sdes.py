"""Keys in a=crypto lines."""

from __future__ import annotations

import base64

import pytest

from pbx.errors import NegotiationError
from pbx.sdp.model import MediaDescription
from pbx.sdp.sdes import (
    SUITES,
    MasterKey,
    PeerKey,
    Protection,
    Srtp,
    answered_key,
    crypto_attribute,
    fresh_key,
    offered_key,
    read_key,
)
from pbx.sdp.transport import crypto_of

CM = "AES_CM_128_HMAC_SHA1_80"
RFC = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
"""The key of RFC 4568's examples."""


def section(*lines: str, protocol: str = "RTP/SAVP") -> MediaDescription:
    return MediaDescription("audio", 4000, protocol, ("0",), attributes=tuple(("crypto", line) for line in lines))


def key(line: str) -> MasterKey:
    (crypto,) = crypto_of(section(line))
    return read_key(crypto)


@pytest.mark.parametrize(
    ("line", "mki"),
    [
        (f"1 {CM} inline:{RFC}", b""),
        (f"1 {CM} inline:{RFC}|2^20|1:4", b"\0\0\0\1"),
        (f"1 {CM} inline:{RFC}|1048576", b""),
        (f"1 {CM} inline:{RFC}|5:1", b"\5"),
        (f"1 {CM} inline:{RFC}|2^48 WSH=128", b""),
        (f"1 {CM} inline:{RFC} -X-UNKNOWN=1", b""),
        (f"999999999 {CM.lower()} INLINE:{RFC}", b""),
    ],
)
def test_lines_that_are_taken(line: str, mki: bytes) -> None:
    assert key(line) == MasterKey(CM, base64.b64decode(RFC), mki)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"1 F8_128_HMAC_SHA1_80 inline:{RFC}", "F8_128_HMAC_SHA1_80 is not known"),
        (f"x {CM} inline:{RFC}", "tag"),
        (f"1234567890 {CM} inline:{RFC}", "tag"),
        (f"1 {CM} outline:{RFC}", "not inline"),
        (f"1 {CM} inline:{RFC[:-4]}", "27 octets, where"),
        (f"1 {CM} inline:{RFC}AAAA", "33 octets, where"),
        (f"1 {CM} inline:{RFC[:-1]}*", "base64"),
        (f"1 {CM} inline:{RFC}|2^20|1:4;inline:{RFC}|2^20|2:4", "several"),
        (f"1 {CM} inline:{RFC}|2^49", "2^48"),
        (f"1 {CM} inline:{RFC}|3^2", "lifetime"),
        (f"1 {CM} inline:{RFC}|never", "lifetime"),
        (f"1 {CM} inline:{RFC}|{'9' * 400}", "lifetime"),
        (f"1 {CM} inline:{RFC}|1:0", "MKI"),
        (f"1 {CM} inline:{RFC}|1:129", "MKI"),
        (f"1 {CM} inline:{RFC}|256:1", "longer"),
        (f"1 {CM} inline:{RFC}|{'9' * 400}:1", "longer"),
        (f"1 {CM} inline:{RFC}|-1:1", "MKI"),
        (f"1 {CM} inline:{RFC} UNENCRYPTED_SRTP", "UNENCRYPTED_SRTP is not accepted"),
        (f"1 {CM} inline:{RFC} UNENCRYPTED_SRTCP", "UNENCRYPTED_SRTCP"),
        (f"1 {CM} inline:{RFC} UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP"),
        (f"1 {CM} inline:{RFC} KDR=1", "KDR"),
        (f"1 {CM} inline:{RFC} FEC_KEY=inline:{RFC}", "FEC_KEY is not accepted"),
        (f"1 {CM} inline:{RFC} WSH=many", "WSH"),
        (f"1 {CM} inline:{RFC} X=1", "X is not accepted"),
    ],
)
def test_lines_that_are_refused(line: str, why: str) -> None:
    with pytest.raises(NegotiationError) as caught:
        key(line)
    assert why in caught.value.reason
    assert RFC[:10] not in caught.value.reason


def test_a_key_is_not_shown() -> None:
    assert "YSpuhu" not in repr(MasterKey(CM, b"YSpuhu" * 5, b"YSpuhu"))


@pytest.mark.parametrize("suite", SUITES)
def test_a_key_of_ours_is_read_as_it_was(suite: str) -> None:
    made = fresh_key(suite, lambda count: bytes(range(count)))
    name, value = crypto_attribute("7", suite, made)
    assert (name, key(value or "")) == ("crypto", made)


class TestOffers:
    """Which line of an offer is taken."""

    def test_the_first_that_can_be(self) -> None:
        media = section(f"1 F8 inline:{RFC}", f"4 {CM} inline:{RFC} KDR=3", f"5 {CM} inline:{RFC}")
        found = offered_key(media, Protection(Srtp.ACCEPT))
        assert found == PeerKey("5", CM, MasterKey(CM, base64.b64decode(RFC)))

    def test_what_the_engine_lacks_is_passed_over(self) -> None:
        long = base64.b64encode(bytes(44)).decode()
        media = section(f"1 AEAD_AES_256_GCM inline:{long}", f"2 {CM} inline:{RFC}")
        found = offered_key(media, Protection(Srtp.ACCEPT, {CM}))
        assert found is not None
        assert found.tag == "2"
        with pytest.raises(NegotiationError, match="AEAD_AES_256_GCM is not supported here"):
            offered_key(section(f"1 AEAD_AES_256_GCM inline:{long}"), Protection(Srtp.ACCEPT, {CM}))

    def test_an_older_name_is_said_back(self) -> None:
        media = section(f"1 AES_CM_256_HMAC_SHA1_80 inline:{base64.b64encode(bytes(46)).decode()}")
        found = offered_key(media, Protection(Srtp.ACCEPT))
        assert found is not None
        assert (found.suite, found.key.suite) == ("AES_CM_256_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80")

    @pytest.mark.parametrize(
        ("policy", "protocol", "keyed", "outcome"),
        [
            (Srtp.OFF, "RTP/AVP", False, "plain"),
            (Srtp.OFF, "RTP/AVP", True, "plain"),
            (Srtp.OFF, "RTP/SAVP", True, "SRTP is turned off here"),
            (Srtp.ACCEPT, "RTP/AVP", False, "plain"),
            (Srtp.ACCEPT, "RTP/AVP", True, "secure"),
            (Srtp.ACCEPT, "RTP/SAVP", True, "secure"),
            (Srtp.ACCEPT, "RTP/SAVPF", True, "secure"),
            (Srtp.ACCEPT, "RTP/SAVP", False, "SRTP without a usable key: no a=crypto"),
            (Srtp.PREFER, "RTP/AVP", False, "plain"),
            (Srtp.PREFER, "RTP/AVPF", True, "secure"),
            (Srtp.REQUIRE, "RTP/AVP", False, "SRTP is required, and the offer has none"),
            (Srtp.REQUIRE, "RTP/AVP", True, "secure"),
            (Srtp.REQUIRE, "RTP/SAVP", True, "secure"),
        ],
    )
    def test_by_policy(self, policy: Srtp, protocol: str, keyed: bool, outcome: str) -> None:
        media = section(*[f"1 {CM} inline:{RFC}"] * keyed, protocol=protocol)
        if outcome in ("plain", "secure"):
            assert (offered_key(media, Protection(policy)) is not None) == (outcome == "secure")
        else:
            with pytest.raises(NegotiationError) as caught:
                offered_key(media, Protection(policy))
            assert (caught.value.reason, caught.value.status) == (outcome, 488)


OFFERED = {"1": MasterKey("AEAD_AES_256_GCM", bytes(44)), "2": MasterKey(CM, bytes(30))}


class TestAnswers:
    """RFC 4568 §5.1.3."""

    def test_the_chosen_line(self) -> None:
        found = answered_key(section(f"2 {CM} inline:{RFC}"), OFFERED)
        assert found is not None
        assert (found.tag, found.key.key) == ("2", base64.b64decode(RFC))

    def test_none(self) -> None:
        assert answered_key(section(protocol="RTP/AVP"), OFFERED) is None
        assert answered_key(section(f"2 {CM} inline:{RFC}"), {}) is None

    @pytest.mark.parametrize(
        ("lines", "why"),
        [
            ([f"3 {CM} inline:{RFC}"], "other keys than those offered"),
            ([f"1 {CM} inline:{RFC}"], f"{CM} in answer to AEAD_AES_256_GCM"),
            ([f"2 {CM} inline:{RFC}"] * 2, "other keys"),
            ([f"2 {CM} inline:{RFC} UNENCRYPTED_SRTP"], "UNENCRYPTED_SRTP"),
        ],
    )
    def test_others_are_none(self, lines: list[str], why: str) -> None:
        with pytest.raises(NegotiationError, match=why):
            answered_key(section(*lines), OFFERED)
