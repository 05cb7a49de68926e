"""What a user writes of servers, users and targets, and what becomes of it."""

from __future__ import annotations

import pytest

from pbx.errors import ConfigurationError
from pbx.phone.line import Line, read_line
from pbx.sip.stack import Flow

FLOW = Flow("tcp", ("192.0.2.1", 40000), ("198.51.100.7", 5060), 1)


@pytest.mark.parametrize(
    ("given", "server", "hop", "transport"),
    [
        ({"server": "pbx.example.com"}, "sip:pbx.example.com", "sip:pbx.example.com;transport=udp", "udp"),
        ({"server": "192.0.2.5:5070"}, "sip:192.0.2.5:5070", "sip:192.0.2.5:5070;transport=udp", "udp"),
        ({"server": "2001:db8::1"}, "sip:[2001:db8::1]", "sip:[2001:db8::1];transport=udp", "udp"),
        ({"server": "[2001:db8::1]:5070"}, "sip:[2001:db8::1]:5070", "sip:[2001:db8::1]:5070;transport=udp", "udp"),
        ({"server": "sip:h;transport=tcp"}, "sip:h", "sip:h;transport=tcp", "tcp"),
        ({"server": "sips:h"}, "sip:h", "sip:h;transport=tls", "tls"),
        ({"server": "h", "transport": "tls"}, "sip:h", "sip:h;transport=tls", "tls"),
        ({"server": "sip:h;transport=tcp", "transport": "udp"}, "sip:h", "sip:h;transport=udp", "udp"),
        (
            {"server": "10.0.0.1", "user": "101@example.com"},
            "sip:example.com",
            "sip:10.0.0.1;transport=udp",
            "udp",
        ),
        ({"user": "sip:101@example.com"}, "sip:example.com", "sip:example.com;transport=udp", "udp"),
    ],
)
def test_servers(given: dict[str, str], server: str, hop: str, transport: str) -> None:
    line = read_line(**given)
    assert (str(line.server), str(line.server_hop), line.transport) == (server, hop, transport)
    assert line.user == ("101" if "user" in given else "")


def test_an_outbound_proxy_is_a_loose_route() -> None:
    line = read_line(server="example.com", user="101", proxy="sip:192.0.2.9:5080;transport=tcp;lr")
    assert line.route == ("<sip:192.0.2.9:5080;transport=tcp;lr>",)
    assert line.transport == "tcp"
    assert read_line(server="h", proxy="<sip:p>").route == ("<sip:p;lr>",)
    account = line.account(300)
    assert (str(account.registrar), str(account.aor)) == ("sip:example.com", "sip:101@example.com")
    assert (account.route, account.next_hop, account.contact_user, account.expires) == (line.route, None, "101", 300)


def test_an_address_of_record_has_no_port() -> None:
    account = read_line(server="192.0.2.5:5070", user="101", transport="tcp").account(60)
    assert str(account.aor) == "sip:101@192.0.2.5"
    assert str(account.registrar) == "sip:192.0.2.5:5070"
    assert str(account.next_hop) == "sip:192.0.2.5:5070;transport=tcp"


def test_a_password_is_not_shown() -> None:
    line = read_line(server="h", user="101", password="hunter2")
    assert line.password == "hunter2"
    assert "hunter2" not in repr(line)
    assert read_line(server="h").password is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"server": "a b"}, "--server a b"),
        ({"server": "h:99999"}, "--server h:99999"),
        ({"server": "sip:h;transport=sctp"}, "no transport sctp"),
        ({"server": "h", "transport": "ws"}, "--transport ws"),
        ({"server": "h", "proxy": "<sip:p"}, "--outbound-proxy <sip:p"),
        ({"user": "101@a b"}, "--user a b"),
    ],
)
def test_faults_name_the_option(given: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_line(**given)
    assert named in str(caught.value)


def test_all_faults_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_line(server="a b", proxy="c d", transport="x")
    assert len(caught.value.faults) == 3


LINE = read_line(server="pbx.example.com:5070", user="101")


@pytest.mark.parametrize(
    ("target", "uri", "hop"),
    [
        ("600", "sip:600@pbx.example.com:5070", "sip:pbx.example.com:5070;transport=udp"),
        ("+49 (30) 123-45", "sip:+493012345@pbx.example.com:5070", "sip:pbx.example.com:5070;transport=udp"),
        ("*98#", "sip:*98%23@pbx.example.com:5070", "sip:pbx.example.com:5070;transport=udp"),
        ("alice smith", "sip:alice%20smith@pbx.example.com:5070", "sip:pbx.example.com:5070;transport=udp"),
        ("tel:+49-30-123", "sip:+4930123@pbx.example.com:5070", "sip:pbx.example.com:5070;transport=udp"),
        ("bob@elsewhere.example", "sip:bob@elsewhere.example", "sip:bob@elsewhere.example"),
        ("sip:bob@192.0.2.1;transport=tcp", "sip:bob@192.0.2.1;transport=tcp", "sip:bob@192.0.2.1;transport=tcp"),
    ],
)
def test_targets(target: str, uri: str, hop: str) -> None:
    destination = LINE.destination(target, None)
    assert (str(destination.uri), str(destination.next_hop)) == (uri, hop)
    assert destination.flow is None


def test_a_connection_to_the_server_is_used_for_the_server_only() -> None:
    line = read_line(server="pbx.example.com", user="101", transport="tcp")
    assert line.destination("600", FLOW).flow == FLOW
    assert line.destination("600", FLOW).fallback
    elsewhere = line.destination("bob@elsewhere.example", FLOW)
    assert elsewhere.flow is None
    assert str(elsewhere.next_hop) == "sip:bob@elsewhere.example;transport=tcp"


def test_through_a_proxy_goes_everything() -> None:
    line = read_line(server="example.com", user="101", proxy="sip:192.0.2.9;lr")
    for target in ("600", "bob@elsewhere.example"):
        destination = line.destination(target, FLOW)
        assert (destination.route, destination.flow) == (("<sip:192.0.2.9;lr>",), FLOW)


@pytest.mark.parametrize("target", ["600", "tel:123", ""])
def test_a_number_needs_a_server(target: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--server|empty"):
        Line().destination(target, None)


@pytest.mark.parametrize("target", ["sip:", "bob@", "sip:bob@a b", "---"])
def test_what_cannot_be_called(target: str) -> None:
    with pytest.raises(ConfigurationError):
        LINE.destination(target, None)


def test_without_a_server_a_uri_can_be_called() -> None:
    assert str(Line().destination("sip:bob@192.0.2.1:5070", None).uri) == "sip:bob@192.0.2.1:5070"
    assert read_line(transport="tcp").way == "tcp"
    assert read_line(server="h:5070", proxy="sip:[::1]:5060").way == "udp [::1]:5060"
