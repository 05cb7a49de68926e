from __future__ import annotations

import pytest

from pbx.codecs import parse_codec
from pbx.config.kinds import (
    parse_address,
    parse_host_port,
    parse_identity,
    parse_listen_uri,
    parse_network,
    parse_port_range,
    parse_sip_uri,
)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("udp://0.0.0.0:5060", ("udp", "0.0.0.0", 5060)),
        ("tls://[::]:5061", ("tls", "::", 5061)),
        ("tcp://192.0.2.1", ("tcp", "192.0.2.1", 5060)),
        ("tls://[2001:DB8::0:1]", ("tls", "2001:db8::1", 5061)),
        ("udp://127.0.0.1:0", ("udp", "127.0.0.1", 0)),
    ],
)
def test_listen_uris(text: str, read: tuple[str, str, int]) -> None:
    uri = parse_listen_uri(text)
    assert uri == read
    assert parse_listen_uri(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.0.0.0:5060", "not where to listen"),
        ("upd://0.0.0.0", "did you mean `udp`"),
        ("udp://localhost", "for `localhost` write 127.0.0.1"),
        ("udp://*:5060", "for `*` write 0.0.0.0 and"),
        ("udp://::1:5060", "not an address and port"),
        ("udp://1.2.3.4:70000", "ports end at 65535"),
        ("udp://", "not an address and port"),
    ],
)
def test_what_is_no_listen_uri(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("*", r"\*")):
        parse_listen_uri(text)


def test_addresses_and_ports() -> None:
    assert parse_host_port("[::1]:80") == ("::1", 80)
    assert str(parse_host_port("[::1]:80")) == "[::1]:80"
    assert parse_address("[2001:db8::1]") == "2001:db8::1"
    assert str(parse_network("10.0.0.1/8")) == "10.0.0.0/8"
    for text in ("127.0.0.1", "x:80", ":80"):
        with pytest.raises(ValueError, match="address"):
            parse_host_port(text)
    with pytest.raises(ValueError, match="numeric address"):
        parse_address("host")
    with pytest.raises(ValueError, match="not a network"):
        parse_network("10.0.0.0/33")


@pytest.mark.parametrize(
    ("text", "network", "port"),
    [
        ("192.0.2.1", "192.0.2.1/32", None),
        ("192.0.2.1:5060", "192.0.2.1/32", 5060),
        ("192.0.2.7/24", "192.0.2.0/24", None),
        ("192.0.2.0/24:5080", "192.0.2.0/24", 5080),
        ("2001:db8::/32", "2001:db8::/32", None),
        ("[2001:db8::1]", "2001:db8::1/128", None),
        ("[2001:db8::1]:5060", "2001:db8::1/128", 5060),
    ],
)
def test_identities(text: str, network: str, port: int | None) -> None:
    identity = parse_identity(text)
    assert (str(identity.network), identity.port) == (network, port)
    assert parse_identity(str(identity)) == identity


@pytest.mark.parametrize("text", ["", "host", "300.1.1.1", "1.2.3.4:0", "1.2.3.4:99999", "1.2.3.4/40", "host:5060"])
def test_what_is_no_identity(text: str) -> None:
    with pytest.raises(ValueError, match="no address or network"):
        parse_identity(text)


def test_port_ranges() -> None:
    assert parse_port_range("20000-29999") == (20000, 29999)
    for text in ("20000", "1-2", "30000-20000", "1000-2000", "60000-70000", "20000-20002", "a-b"):
        with pytest.raises(ValueError, match=r"no range of ports|must run"):
            parse_port_range(text)


@pytest.mark.parametrize(
    "text", ["sip:host", "sips:u@host:5061", "sip:[2001:db8::1]:5060;transport=TCP;lr", "sip:1.2.3.4:5060", "sip:a;lr"]
)
def test_sip_uris(text: str) -> None:
    assert parse_sip_uri(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("host", "did you mean `sip:host`"),
        ("sip:", "not a SIP URI"),
        ("sip:a b", "not a SIP URI"),
        ("sip:host:99999", "does not exist"),
        ("sip:host;transport=ws", "known are udp, tcp and tls"),
        ("sip:u:hunter2@host", "a password does not belong"),
    ],
)
def test_what_is_no_sip_uri(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_sip_uri(text)
    assert "hunter2" not in str(caught.value)


def test_codecs() -> None:
    assert parse_codec("pcma") == "PCMA"
    assert parse_codec("OPUS") == "opus"
    with pytest.raises(ValueError, match="did you mean `opus`"):
        parse_codec("opsu")
