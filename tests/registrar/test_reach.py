"""How a registered phone is reached: NAT, Path, outbound, connections, restarts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from pbx.security.sources import source_of
from pbx.sip.stack import Flow

BOB = "sip:bob@biloxi.com"
LOCAL = ("192.0.2.201", 5060)
PUBLIC = Flow("udp", LOCAL, ("192.0.2.1", 5060))
NATTED = Flow("udp", LOCAL, ("203.0.113.9", 31337))
TCP = Flow("tcp", LOCAL, ("192.0.2.1", 40123), 11)
EDGE = (ip_network("203.0.113.9"),)
NATTED_TLS = Flow("tls", ("192.0.2.201", 5061), ("203.0.113.9", 40123), 12)
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'


def destination(rig: Any) -> Any:
    (binding,) = rig.location.reachable(BOB)
    return binding.destination()


def test_a_phone_at_the_address_it_says_is_reached_over_its_flow_or_else_its_contact(rig: Any) -> None:
    rig.phone(flow=PUBLIC).register("<sip:bob@192.0.2.1:5060>")
    found = destination(rig)
    assert (str(found.uri), found.flow, found.fallback) == ("sip:bob@192.0.2.1:5060", PUBLIC, True)
    assert rig.open_pinholes == []


def test_a_phone_that_listens_on_another_port_than_it_sends_from_is_reached_there(rig: Any) -> None:
    rig.phone(flow=replace(PUBLIC, remote=("192.0.2.1", 49000))).register("<sip:bob@192.0.2.1>")
    assert destination(rig).flow is None


def test_a_phone_behind_nat_is_reached_over_its_flow_alone_and_its_pinhole_kept_open(rig: Any) -> None:
    phone = rig.phone(flow=NATTED)
    phone.register("<sip:bob@10.0.0.7:5060>")
    found = destination(rig)
    assert (str(found.uri), found.flow, found.fallback) == ("sip:bob@10.0.0.7:5060", NATTED, False)
    assert rig.location.flows_to_keep_alive() == (NATTED,)
    assert rig.open_pinholes == [NATTED]
    # The NAT gives it another port: the next registration moves the binding and the keep-alives.
    phone.flow = moved = replace(NATTED, remote=("203.0.113.9", 31338))
    phone.register("<sip:bob@10.0.0.7:5060>")
    assert destination(rig).flow == moved
    assert rig.open_pinholes == [moved]
    phone.register("<sip:bob@10.0.0.7:5060>;expires=0")
    assert rig.open_pinholes == []
    assert not rig.location.has_flow(moved)


def test_ipv6_addresses_compare_by_value(rig: Any) -> None:
    flow = Flow("udp", ("2001:db8::1", 5060), ("2001:db8::9:1", 5060))
    rig.phone(flow=flow).register("<sip:bob@[2001:0DB8:0:0:0:0:9:1]>")
    assert destination(rig).fallback
    assert rig.open_pinholes == []


def test_a_browser_s_contact_leads_nowhere_but_over_its_connection(rig: Any) -> None:
    flow = Flow("wss", ("192.0.2.201", 443), ("192.0.2.1", 50000), 9)
    rig.phone(flow=flow).register("<sip:bob@df7jal23ls0d.invalid;transport=ws>")
    assert destination(rig).flow == flow
    assert not destination(rig).fallback
    rig.location.flow_closed(flow)
    assert rig.location.reachable(BOB) == ()


def test_path_becomes_the_route_and_is_given_back_to_who_understands_it(make_rig: Any) -> None:
    rig = make_rig(edge_proxies=EDGE)
    path = "Path: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>"
    phone = rig.phone(flow=NATTED)
    response = phone.register("<sip:bob@10.0.0.7>", headers=path + "\nSupported: path", vias=2)
    assert response.headers.all("Path") == ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]
    found = destination(rig)
    assert found.route == ("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>")
    assert found.flow is None
    assert rig.open_pinholes == []
    response = phone.register("<sip:bob@10.0.0.7>", headers=path, vias=2)
    assert response.status == 200
    assert "Path" not in response.headers


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("<sip:203.0.113.9;lr>", True),
        # What comes behind it the proxy has to find, and may name as it likes.
        ("<sip:edge@203.0.113.9:5070;lr>, <sip:10.0.0.1;lr>", True),
        ("<sip:10.0.0.1;lr>, <sip:203.0.113.9;lr>", False),
        ("<sip:203.0.113.10;lr>", False),
        ("<sip:203.0.113.9;maddr=10.0.0.1;lr>", False),
        ("<sip:edge.example.com;lr>", False),
        ("<tel:203>", False),
    ],
)
def test_a_path_leads_where_the_registration_came_from(rig: Any, path: str, taken: bool) -> None:
    """Whoever has a password may not have us send INVITEs to any host of ours, or of somebody else's."""
    phone = rig.phone(flow=NATTED)
    response = phone.register("<sip:bob@10.0.0.7>", headers=f"Path: {path}", vias=2)
    if taken:
        assert response.status == 200
        assert destination(rig).route == tuple(path.split(", "))
    else:
        assert (response.status, response.reason) == (403, "Path Names Another Host")
        assert rig.location.bindings(BOB) == ()


def test_an_ipv6_path_may_be_written_another_way(rig: Any) -> None:
    flow = Flow("udp", ("2001:db8::1", 5060), ("2001:db8::9", 5060))
    response = rig.phone(flow=flow).register("<sip:bob@10.0.0.7>", headers="Path: <sip:[2001:DB8:0::9];lr>", vias=2)
    assert response.status == 200


def test_only_proxies_that_are_named_may_send_us_elsewhere(make_rig: Any) -> None:
    rig = make_rig(edge_proxies=EDGE)
    path = "Path: <sip:10.0.0.1;lr>"
    assert rig.phone(flow=NATTED).register("<sip:bob@10.0.0.7>", headers=path).status == 200
    assert rig.phone("101", flow=TCP).register("<sip:101@10.0.0.7>", headers=path).status == 403


def test_a_malformed_path_is_refused(rig: Any) -> None:
    assert rig.phone(flow=NATTED).register("<sip:bob@10.0.0.7>", headers="Path: <sip:").status == 400


def test_a_contact_with_maddr_leads_nowhere_but_back(rig: Any) -> None:
    """RFC 3263 §4 would send to what maddr says."""
    rig.phone(flow=NATTED).register("<sip:bob@203.0.113.9;maddr=10.0.0.1>")
    assert (destination(rig).flow, destination(rig).fallback) == (NATTED, False)


# RFC 5626


def outbound(reg_id: int, extra: str = "") -> str:
    return f"<sip:bob@10.0.0.7;transport=tls>;{INSTANCE};reg-id={reg_id}{extra}"


def test_outbound_registers_a_flow_and_says_so(rig: Any) -> None:
    response = rig.phone(flow=NATTED_TLS).register(outbound(1), headers="Supported: path, outbound")
    assert response.status == 200
    assert response.headers.get("Require") == "outbound"
    assert response.headers.get("Flow-Timer") == "120"
    assert response.headers.raw("Contact") == [f"<sip:bob@10.0.0.7;transport=tls>;{INSTANCE};reg-id=1;expires=3600"]
    assert destination(rig).flow == NATTED_TLS
    assert not destination(rig).fallback


def test_the_same_flow_number_replaces_and_another_one_adds(rig: Any) -> None:
    phone = rig.phone(flow=NATTED_TLS)
    phone.register(outbound(1), headers="Supported: outbound")
    second = rig.phone(flow=replace(NATTED_TLS, connection=13), call_id="second")
    second.register(outbound(2), headers="Supported: outbound")
    assert len(rig.location.bindings(BOB)) == 2
    # Both lead to one phone, which must not ring twice.
    assert [binding.reg_id for binding in rig.location.reachable(BOB)] in ([1], [2])
    reconnected = rig.phone(flow=replace(NATTED_TLS, connection=14), call_id="third")
    reconnected.register(outbound(1).replace("10.0.0.7", "10.0.0.8"), headers="Supported: outbound")
    assert sorted((one.reg_id, one.flow.connection) for one in rig.location.bindings(BOB)) == [(1, 14), (2, 13)]
    rig.location.flow_closed(replace(NATTED_TLS, connection=14))
    (left,) = rig.location.reachable(BOB)
    assert (left.reg_id, left.flow.connection) == (2, 13)


def test_without_support_for_outbound_a_reg_id_is_ignored(rig: Any) -> None:
    response = rig.phone(flow=TCP).register(outbound(1))
    assert "Require" not in response.headers
    assert not rig.location.bindings(BOB)[0].outbound


def test_a_phone_that_turns_to_outbound_has_one_binding(rig: Any) -> None:
    phone = rig.phone(flow=NATTED_TLS)
    phone.register(outbound(1))
    phone.register(outbound(1), headers="Supported: outbound")
    assert [binding.outbound for binding in rig.location.bindings(BOB)] == [True]
    phone.register(outbound(1))
    assert [binding.outbound for binding in rig.location.bindings(BOB)] == [False]


def test_a_proxy_on_the_way_must_keep_flows_itself(make_rig: Any) -> None:
    rig = make_rig(edge_proxies=EDGE)
    phone = rig.phone(flow=NATTED_TLS)
    response = phone.register(outbound(1), headers="Supported: outbound", vias=2)
    assert (response.status, response.reason) == (439, "First Hop Lacks Outbound Support")
    response = phone.register(outbound(1), headers="Supported: outbound\nPath: <sip:p.example.com;lr>", vias=2)
    assert response.status == 439
    response = phone.register(outbound(1), headers="Supported: outbound\nPath: <sip:x@p.example.com;lr;ob>", vias=2)
    assert response.status == 200
    assert "Flow-Timer" not in response.headers
    assert destination(rig).route == ("<sip:x@p.example.com;lr;ob>",)


def test_one_request_registers_one_flow(rig: Any) -> None:
    phone = rig.phone(flow=NATTED_TLS)
    assert phone.register(outbound(1), outbound(2), headers="Supported: outbound").status == 400
    assert phone.register(outbound(1), outbound(2, ";expires=0"), headers="Supported: outbound").status == 200


@pytest.mark.parametrize("reg_id", ["0", "-1", "x", "2147483648", "99999999999"])
def test_a_reg_id_that_is_none_is_a_bad_request(rig: Any, reg_id: str) -> None:
    response = rig.phone().register(f"<sip:bob@10.0.0.7>;{INSTANCE};reg-id={reg_id}", headers="Supported: outbound")
    assert response.status == 400


# Connections and restarts


def test_a_connection_that_closes_takes_what_only_it_led_to(rig: Any) -> None:
    rig.phone("101", flow=NATTED_TLS).register("<sip:101@10.0.0.7;transport=tls>")
    rig.phone("102", flow=TCP).register("<sip:102@192.0.2.1;transport=tcp>")
    assert rig.open_pinholes == [NATTED_TLS]
    rig.location.flow_closed(NATTED_TLS)
    rig.location.flow_closed(TCP)
    rig.location.flow_closed(TCP)
    assert rig.location.bindings("sip:101@biloxi.com") == ()
    (binding,) = rig.location.reachable("sip:102@biloxi.com")
    assert binding.destination().flow is None
    assert rig.open_pinholes == []
    assert [event.change.value for event in rig.changes[-2:]] == ["flow-lost", "flow-lost"]
    # It connects again, and is reached over that.
    again = replace(TCP, connection=99)
    rig.phone("102", flow=again, call_id="b").register("<sip:102@192.0.2.1;transport=tcp>")
    (binding,) = rig.location.reachable("sip:102@biloxi.com")
    assert binding.destination().flow == again


def test_who_comes_back_by_another_way_is_told_with_the_way_that_he_left(rig: Any) -> None:
    def last() -> Any:
        return rig.changes[-1].left

    phone = rig.phone(flow=NATTED)
    phone.register("<sip:bob@10.0.0.7>")
    assert last() is None
    phone.register("<sip:bob@10.0.0.7>")
    assert last() is None
    phone.flow = replace(NATTED, remote=("203.0.113.9", 31338))
    phone.register("<sip:bob@10.0.0.7>")
    assert last() == NATTED
    # Over a connection, whose end removes the binding.
    other = rig.phone("101", flow=NATTED_TLS)
    other.register("<sip:101@10.0.0.7;transport=tls>")
    rig.location.flow_closed(NATTED_TLS)
    other.flow = replace(NATTED_TLS, connection=99)
    other.register("<sip:101@10.0.0.7;transport=tls>")
    assert last() == NATTED_TLS
    other.register("<sip:101@10.0.0.7;transport=tls>")
    assert last() is None


@pytest.mark.parametrize(
    ("contact", "again", "remote", "known"),
    [
        ("<sip:101@10.0.0.7:40001;transport=tls>", "<sip:101@10.0.0.7:40002;transport=tls>", "203.0.113.9", True),
        ("<sip:101@10.0.0.7:40001;transport=tls>", "<sip:x@10.0.0.7:40002;transport=tls>", "203.0.113.9", False),
        ("<sip:101@10.0.0.7:40001;transport=tls>", "<sip:101@10.0.0.7:40002;transport=tls>", "203.0.113.8", False),
        (f"<sip:101@10.0.0.7:4001;transport=tls>;{INSTANCE}", f"<sip:x@10.0.0.8>;{INSTANCE}", "203.0.113.8", True),
        (f"<sip:101@10.0.0.7:4001;transport=tls>;{INSTANCE}", "<sip:101@10.0.0.7:4002>", "203.0.113.9", False),
    ],
)
@pytest.mark.parametrize("ends", ["connection", "registration", "public connection"])
def test_who_comes_back_is_known_by_its_instance_or_its_name_and_address(
    rig: Any, contact: str, again: str, remote: str, known: bool, ends: str
) -> None:
    """Phones whose contacts name the connection have another one each time."""
    if ends == "public connection":
        contact, again = (one.replace("10.0.0.7", "203.0.113.9") for one in (contact, again))
    phone = rig.phone("101", flow=NATTED_TLS)
    phone.register(contact)
    if ends == "registration":
        phone.register(f"{contact};expires=0")
    else:
        rig.location.flow_closed(NATTED_TLS)
    phone.flow = replace(NATTED_TLS, remote=(remote, 40124), connection=99)
    phone.register(again)
    assert rig.changes[-1].left == (NATTED_TLS if known else None)


def test_after_a_restart_phones_are_where_they_were(make_rig: Any) -> None:
    rig = make_rig(edge_proxies=EDGE)
    rig.phone("bob", flow=NATTED).register("<sip:bob@10.0.0.7>;q=0.5;x=1", headers="Path: <sip:p.example.com;lr>")
    rig.phone("101", flow=NATTED).register("<sip:101@10.0.0.7>")
    rig.phone("102", flow=TCP).register("<sip:102@192.0.2.1;transport=tcp>")
    rig.phone("103", flow=NATTED_TLS).register(outbound(1).replace("bob@", "103@"), headers="Supported: outbound")
    before = {binding.aor: binding for binding in rig.location}
    rows = rig.keeper.rows()
    # The clock that never goes back starts anew with the machine, the wall clock goes on.
    again = make_rig(keeper=rig.keeper)
    again.stack.time = 5.0
    again.wall_shift = rig.stack.time - 5.0 + 10.0
    assert again.location.restore(rows) == 4
    after = {binding.aor: binding for binding in again.location}
    assert {aor: str(binding.contact) for aor, binding in after.items()} == {
        aor: str(binding.contact) for aor, binding in before.items()
    }
    assert all(binding.expires == pytest.approx(3600 - 10 + 5.0) for binding in after.values())
    assert after[BOB].q == 500
    assert after[BOB].parameters == {"x": "1"}
    assert after[BOB].path == ("<sip:p.example.com;lr>",)
    assert again.location.reachable("sip:101@biloxi.com")[0].destination().flow == NATTED
    assert again.location.reachable("sip:102@biloxi.com")[0].destination().flow is None
    assert again.location.reachable("sip:103@biloxi.com") == ()
    assert again.open_pinholes == [NATTED]
    # The order of requests is kept too.
    old = again.phone("101", flow=NATTED)
    old.cseq = 0
    assert old.register("<sip:101@10.0.0.7>").status == 500


def test_what_expired_meanwhile_or_cannot_be_read_is_dropped(rig: Any, make_rig: Any) -> None:
    rig.phone("101").register("<sip:101@192.0.2.1>;expires=60")
    rig.phone("102").register("<sip:102@192.0.2.1>")
    rig.phone("103").register("<sip:103@192.0.2.1>")
    rows = rig.keeper.rows()
    for row in rows:
        if row["aor"].startswith("sip:103"):
            row["contact"] = "not a uri"
    again = make_rig(keeper=rig.keeper, stack=rig.stack)
    again.wall_shift = 61.0
    assert again.location.restore(rows) == 1
    assert [binding.aor for binding in again.location] == ["sip:102@biloxi.com"]
    assert {aor for aor, _ in rig.keeper.kept} == {"sip:102@biloxi.com"}


def test_a_path_that_would_be_refused_now_is_not_taken_over_by_a_restart(make_rig: Any) -> None:
    """An earlier version believed every Path, and a proxy may have been taken from the configuration since."""
    rig = make_rig(edge_proxies=EDGE)
    rig.phone("bob", flow=NATTED).register("<sip:bob@10.0.0.7>", headers="Path: <sip:p.example.com;lr>")
    rig.phone("101", flow=NATTED).register(
        "<sip:101@10.0.0.7>", headers="Path: <sip:203.0.113.9;lr>, <sip:10.0.0.1;lr>"
    )
    rig.phone("102", flow=NATTED).register("<sip:102@10.0.0.7>")
    rig.phone("103", flow=NATTED).register("<sip:103@10.0.0.7>", headers="Path: <sip:10.0.0.1;lr>")
    rows = rig.keeper.rows()
    rows[-1]["path"] = ["no path"]
    again = make_rig(keeper=rig.keeper, stack=rig.stack)
    assert again.location.restore(rows, again.service.believes) == 2
    assert {aor for aor, _ in rig.keeper.kept} == {"sip:101@biloxi.com", "sip:102@biloxi.com"}
    assert again.location.reachable(BOB) == ()
    same = make_rig(stack=rig.stack, edge_proxies=EDGE)
    assert same.location.restore(rows, same.service.believes) == 4


def test_where_registrations_came_from_is_known_while_they_hold(rig: Any, make_rig: Any) -> None:
    """Asked for each address that is banned: going through all bindings would stop a large server in a flood."""
    at = rig.location.is_source
    bob, other = rig.phone(flow=NATTED), rig.phone("101", flow=replace(NATTED, remote=("203.0.113.9", 4000)))
    bob.register("<sip:bob@10.0.0.7:5060>")
    other.register("<sip:101@10.0.0.8:5060>")
    assert at("203.0.113.9")
    bob.flow = replace(NATTED, remote=("203.0.113.77", 31337))
    bob.register("<sip:bob@10.0.0.7:5060>")
    assert at("203.0.113.9")
    assert at("203.0.113.77")
    other.register("<sip:101@10.0.0.8:5060>;expires=0")
    assert not at("203.0.113.9")
    bob.flow = Flow("udp", ("2001:db8::1", 5060), ("2001:db8::9:1", 5060))
    bob.register("<sip:bob@10.0.0.7:5060>")
    assert at(source_of("2001:db8::ffff"))
    assert not at("203.0.113.77")
    again = make_rig(keeper=rig.keeper, stack=rig.stack)
    again.location.restore(rig.keeper.rows())
    assert again.location.is_source(source_of("2001:db8::ffff"))
    rig.stack.time += 10_000
    rig.location.sweep()
    assert not at(source_of("2001:db8::ffff"))
