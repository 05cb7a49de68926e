from __future__ import annotations

import pytest

from pbx.errors import ConfigurationError, UsageError
from pbx.media.policy import MAXIMUM_FORMATS, LatchPolicy, MediaSettings, is_numeric, is_private
from pbx.sdp.codecs import PayloadFormat

EVENT = PayloadFormat(101, "telephone-event", 8000)


def names(codecs: tuple[PayloadFormat, ...]) -> list[str]:
    return [codec.name for codec in codecs]


@pytest.mark.parametrize(
    ("peer", "expected"),
    [("198.51.100.7", "203.0.113.5"), ("10.1.2.3", "192.168.1.2"), ("127.0.0.1", "192.168.1.2"), ("", "203.0.113.5")],
)
def test_what_a_peer_is_told_behind_a_one_to_one_nat(peer: str, expected: str) -> None:
    settings = MediaSettings(address="192.168.1.2", external_address="203.0.113.5")
    assert settings.advertised("192.168.1.2", peer, "") == expected


def test_what_a_peer_is_told_without_nat() -> None:
    assert MediaSettings(address="192.0.2.1").advertised("192.0.2.1", "198.51.100.7", "192.0.2.9") == "192.0.2.1"


def test_a_wildcard_is_never_told() -> None:
    settings = MediaSettings(address="0.0.0.0")
    assert settings.advertised("0.0.0.0", "198.51.100.7", "192.0.2.9") == "192.0.2.9"
    with pytest.raises(UsageError):
        settings.advertised("0.0.0.0", "198.51.100.7", "")
    with pytest.raises(UsageError):
        settings.advertised("0.0.0.0", "198.51.100.7", "2001:db8::1")
    external = MediaSettings(address="0.0.0.0", external_address="203.0.113.5")
    assert external.advertised("0.0.0.0", "10.0.0.1", "10.0.0.2") == "10.0.0.2"
    assert external.advertised("0.0.0.0", "10.0.0.1", "") == "203.0.113.5"


def test_ipv6_has_its_own_addresses() -> None:
    settings = MediaSettings(address="192.0.2.1", address6="2001:db8::1", external_address6="2001:db8::ee")
    assert settings.bind_address("2001:db8::5") == "2001:db8::1"
    assert settings.bind_address("198.51.100.1") == "192.0.2.1"
    assert settings.bind_address("") == "192.0.2.1"
    assert settings.advertised("2001:db8::1", "2001:db8::5", "") == "2001:db8::ee"
    assert settings.advertised("2001:db8::1", "fe80::5", "") == "2001:db8::1"
    assert MediaSettings(address="192.0.2.1").bind_address("2001:db8::5") == "192.0.2.1"


def test_codecs_that_may_pass() -> None:
    narrow = ((0, "PCMU"), (8, "PCMA"), (18, "G729"), (96, "RED"), (97, "rtx"), (13, "CN"))
    offered = (
        *[PayloadFormat(number, name, 8000) for number, name in narrow],
        EVENT,
        PayloadFormat(98, "L16", 44100, 2),
        PayloadFormat(99, "L16", 16000),
    )
    assert names(MediaSettings().permitted(offered, decodable_only=False)) == [
        "PCMU",
        "PCMA",
        "G729",
        "CN",
        "telephone-event",
        "L16",
        "L16",
    ]
    assert names(MediaSettings().permitted(offered, decodable_only=True)) == [
        "PCMU",
        "PCMA",
        "CN",
        "telephone-event",
        "L16",
    ]
    settings = MediaSettings(codecs=("pcma", "G729"))
    assert names(settings.permitted(offered, decodable_only=False)) == ["PCMA", "G729", "CN", "telephone-event"]
    assert names(settings.permitted(offered, decodable_only=True)) == ["PCMA", "CN", "telephone-event"]


def test_the_best_codec_of_a_list_comes_first() -> None:
    offered = (EVENT, *[PayloadFormat(number, name, 8000) for number, name in ((0, "PCMU"), (8, "PCMA"), (9, "G722"))])
    listed = MediaSettings(codecs=("G722", "pcma", "PCMU", "g722"))
    assert names(listed.permitted(offered, decodable_only=False)) == ["G722", "PCMA", "PCMU", "telephone-event"]
    assert names(listed.permitted(offered, False, ("PCMU", "G722"))) == ["PCMU", "G722", "telephone-event"]
    assert names(MediaSettings().permitted(offered, False, ("pcma",))) == ["PCMA", "telephone-event"]
    assert names(MediaSettings().permitted(offered, False)) == ["telephone-event", "PCMU", "PCMA", "G722"]
    assert names(listed.own_codecs(("PCMU",))) == ["PCMU", "telephone-event"]
    assert names(MediaSettings().own_codecs(("pcma", "opus")))[:2] == ["PCMA", "opus"]


def test_the_address_of_the_signalling() -> None:
    settings = MediaSettings(address="192.0.2.1", address6="2001:db8::1", follow_signalling=True)
    assert settings.bind_address("198.51.100.7", "10.0.0.1") == "10.0.0.1"
    assert settings.bind_address("", "10.0.0.1") == "10.0.0.1"
    assert settings.bind_address("2001:db8::7", "10.0.0.1") == "2001:db8::1"
    assert settings.bind_address("198.51.100.7", "fd00::1") == "192.0.2.1"
    assert settings.bind_address("198.51.100.7", "") == "192.0.2.1"
    assert settings.bind_address("fe80::7", "fe80::1") == "::"
    assert MediaSettings(address="192.0.2.1").bind_address("198.51.100.7", "10.0.0.1") == "192.0.2.1"


def test_no_more_formats_than_a_stream_may_have() -> None:
    offered = (*[PayloadFormat(96 + number, f"x{number}", 8000) for number in range(20)], EVENT)
    passed = MediaSettings().permitted(offered, decodable_only=False)
    assert len(passed) == MAXIMUM_FORMATS
    assert passed[0].name == "x0"
    assert passed[-1] is EVENT
    events = tuple(PayloadFormat(96 + number, "telephone-event", 8000 + number) for number in range(20))
    assert len(MediaSettings().permitted(events, decodable_only=False)) == MAXIMUM_FORMATS


def test_what_we_offer_ourselves() -> None:
    assert names(MediaSettings().own_codecs()) == ["opus", "G722", "PCMA", "PCMU", "telephone-event", "telephone-event"]
    numbers = [codec.payload_type for codec in MediaSettings().own_codecs()]
    assert len(set(numbers)) == len(numbers)
    assert names(MediaSettings(codecs=("PCMU", "G729", "pcma")).own_codecs()) == ["PCMU", "PCMA", "telephone-event"]
    opus = MediaSettings(codecs=("opus",)).own_codecs()
    assert [(codec.name, codec.rate) for codec in opus] == [("opus", 48000), ("telephone-event", 48000)]
    assert MediaSettings(codecs=("G729",)).own_codecs() == ()


def test_faulty_settings_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        MediaSettings(address="media.example.com", external_address="x", local_networks=("10.0.0.0/8", "here"))
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    ("policy", "leg", "said", "peer", "expected"),
    [
        (LatchPolicy.AUTOMATIC, True, "192.0.2.1", "192.0.2.1", True),
        (LatchPolicy.AUTOMATIC, False, "192.0.2.1", "192.0.2.1", False),
        (LatchPolicy.AUTOMATIC, False, "10.0.0.1", "192.0.2.1", True),
        (LatchPolicy.AUTOMATIC, False, "10.0.0.1", "10.0.0.2", False),
        (LatchPolicy.AUTOMATIC, False, "10.0.0.1", "", False),
        (LatchPolicy.ALWAYS, False, "192.0.2.1", "192.0.2.1", True),
        (LatchPolicy.NEVER, True, "10.0.0.1", "192.0.2.1", False),
        (LatchPolicy.ASKED, True, "192.0.2.1", "192.0.2.1", True),
        (LatchPolicy.ASKED, False, "10.0.0.1", "192.0.2.1", False),
    ],
)
def test_latching(policy: LatchPolicy, leg: bool, said: str, peer: str, expected: bool) -> None:
    assert MediaSettings(latch=policy).latches(leg, said, peer) is expected


@pytest.mark.parametrize(
    ("address", "numeric", "private"),
    [
        ("10.0.0.1", True, True),
        ("100.64.0.1", True, True),
        ("169.254.1.1", True, True),
        ("192.0.2.1", True, False),
        ("fd00::1", True, True),
        ("2001:db8::1", True, False),
        ("host.example.com", False, False),
        ("999.1.1.1", False, False),
        ("X.X.X.X", False, False),
        ("", False, False),
        ("1.2.3.4\0", False, False),
        ("fe80::1%eth0", False, True),
    ],
)
def test_addresses(address: str, numeric: bool, private: bool) -> None:
    assert is_numeric(address) is numeric
    assert is_private(address) is private
