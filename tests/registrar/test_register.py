"""RFC 3261 §10.3, step by step."""

from __future__ import annotations

from typing import Any

import pytest

from pbx.registrar.rules import Limits
from pbx.sip.stack import Flow

BOB = "sip:bob@biloxi.com"


def contacts(response: Any) -> list[str]:
    assert response.status == 200, response.reason
    return list(response.headers.raw("Contact"))


def listed(rig: Any, aor: str = BOB) -> list[str]:
    return [str(binding.contact) for binding in rig.location.bindings(aor)]


# Step 1 to 5: who, and for what


@pytest.mark.parametrize("target", ["sip:elsewhere.com", "sip:biloxi.com.evil.net"])
def test_another_domain_is_not_found(rig: Any, target: str) -> None:
    assert rig.phone(target=target).register("<sip:bob@192.0.2.1>").status == 404


@pytest.mark.parametrize("target", ["sip:biloxi.com", "sip:example.com", "sip:192.0.2.201", "sip:[2001:db8::10]:5070"])
def test_every_name_and_address_of_ours_is_the_same_registrar(rig: Any, target: str) -> None:
    phone = rig.phone(target=target, to=target.replace("sip:", "sip:bob@"))
    assert contacts(phone.register("<sip:bob@192.0.2.1>")) == ["<sip:bob@192.0.2.1>;expires=3600"]
    assert listed(rig) == ["sip:bob@192.0.2.1"]


def test_a_to_of_another_domain_is_not_found(rig: Any) -> None:
    assert rig.phone(to="sip:bob@elsewhere.com").register("<sip:bob@192.0.2.1>").status == 404


@pytest.mark.parametrize("to", ["isbn:2983792873", "tel:+4930123", "mailto:bob@biloxi.com", "sip:biloxi.com"])
def test_a_to_that_is_no_address_of_record_is_a_bad_request(rig: Any, to: str) -> None:
    assert rig.phone(to=to).register("<sip:bob@192.0.2.1>").status == 400


def test_an_extension_that_is_not_known_is_refused_and_named(rig: Any) -> None:
    response = rig.phone().register("<sip:bob@192.0.2.1>", headers="Require: path, gruu, foo")
    assert response.status == 420
    assert response.headers.get("Unsupported") == "gruu, foo"
    assert rig.phone().register("<sip:bob@192.0.2.1>", headers="Require: path").status == 200


@pytest.mark.parametrize("victim", ["102", "no-such-extension"])
def test_one_user_cannot_register_another_and_cannot_tell_whether_it_exists(rig: Any, victim: str) -> None:
    response = rig.phone("101", to=f"sip:{victim}@biloxi.com").register("<sip:evil@192.0.2.1>")
    assert (response.status, response.reason) == (403, "Forbidden")
    assert len(rig.location) == 0


def test_an_unknown_user_and_a_wrong_password_are_answered_alike(rig: Any) -> None:
    def answers(name: str, secret: str) -> list[Any]:
        phone = rig.phone(name, secret=secret, to="sip:bob@biloxi.com")
        response = phone.register("<sip:bob@192.0.2.1>")
        return [response.status, response.reason, [name for name, _ in response.headers]]

    assert answers("bob", "wrong") == answers("nobody", "wrong")


# Step 6 and 7: contacts


def test_several_contacts_with_their_preference(rig: Any) -> None:
    response = rig.phone().register(
        "<sip:bob@192.0.2.1>;q=0.25;expires=100", '"Bob\'s mobile" <sip:mobile@192.0.2.2>', "<sip:c@192.0.2.3>;q=1.000"
    )
    assert contacts(response) == [
        "<sip:bob@192.0.2.1>;q=0.25;expires=100",
        "<sip:mobile@192.0.2.2>;expires=3600",
        "<sip:c@192.0.2.3>;expires=3600",
    ]
    reachable = [str(binding.contact) for binding in rig.location.reachable(BOB)]
    assert reachable[-1] == "sip:bob@192.0.2.1"


@pytest.mark.parametrize("q", ["2", "-1", "0.5.5", "", ".", "a", "1.0,5", "0.12345x", "0.²"])
def test_a_q_that_is_none_is_a_bad_request(rig: Any, q: str) -> None:
    assert rig.phone().register(f"<sip:bob@192.0.2.1>;q={q}").status == 400
    assert len(rig.location) == 0


@pytest.mark.parametrize(
    ("parameter", "header", "granted"),
    [
        (None, None, 3600),
        (None, 120, 120),
        (300, 120, 300),
        (99999, None, 3600),
        ("junk", None, 3600),
        ("99999999999999", None, 3600),
        (None, 4294967296, 3600),
        (60, None, 60),
    ],
)
def test_how_long_a_binding_lives(rig: Any, parameter: Any, header: Any, granted: int) -> None:
    contact = "<sip:bob@192.0.2.1>" + ("" if parameter is None else f";expires={parameter}")
    assert contacts(rig.phone().register(contact, expires=header)) == [f"<sip:bob@192.0.2.1>;expires={granted}"]
    rig.stack.advance(granted - 0.5)
    assert listed(rig)
    rig.stack.advance(1)
    assert not listed(rig)


def test_too_brief_an_interval_is_refused_with_the_least_one(rig: Any) -> None:
    response = rig.phone().register("<sip:bob@192.0.2.1>", "<sip:bob@192.0.2.2>;expires=59")
    assert (response.status, response.headers.get("Min-Expires")) == (423, "60")
    assert len(rig.location) == 0


def test_an_hour_is_never_too_brief(make_rig: Any) -> None:
    rig = make_rig(Limits(shortest=7200, longest=86400))
    assert rig.phone().register("<sip:bob@192.0.2.1>", expires=3600).status == 200
    assert rig.phone("101").register("<sip:bob@192.0.2.1>", expires=3599).status == 423


@pytest.mark.parametrize(
    "same",
    [
        "<sip:bob@192.0.2.1>",
        "sip:bob@192.0.2.1",
        "<SIP:%62ob@192.0.2.1>",
        "<sip:bob@192.0.2.1;unknown=x>",
    ],
)
def test_contacts_are_the_same_by_comparison_of_uris(rig: Any, same: str) -> None:
    phone = rig.phone()
    phone.register("<sip:bob@192.0.2.1>")
    response = phone.register(same)
    assert len(contacts(response)) == 1
    assert contacts(phone.register(same, expires=0)) == []


@pytest.mark.parametrize(
    "other",
    ["<sip:Bob@192.0.2.1>", "<sip:bob@192.0.2.1:5060>", "<sip:bob@192.0.2.1;transport=udp>", "<sips:bob@192.0.2.1>"],
)
def test_contacts_that_are_not_the_same(rig: Any, other: str) -> None:
    phone = rig.phone()
    phone.register("<sip:bob@192.0.2.1>")
    assert len(contacts(phone.register(other))) == 2


def test_one_contact_twice_in_a_request_is_one_binding_and_the_later_one_counts(rig: Any) -> None:
    phone = rig.phone()
    response = phone.register("<sip:bob@192.0.2.1>;expires=100", "<sip:bob@192.0.2.1;x=1>;expires=200")
    assert contacts(response) == ["<sip:bob@192.0.2.1;x=1>;expires=200"]
    response = phone.register("<sip:bob@192.0.2.1>;expires=0", "<sip:bob@192.0.2.1>;expires=300")
    assert contacts(response) == ["<sip:bob@192.0.2.1>;expires=300"]


@pytest.mark.parametrize(
    ("sent", "expires"),
    [(("*",), None), (("*",), 1), (("*", "<sip:bob@192.0.2.1>"), 0), (("*, <sip:bob@192.0.2.1>",), 0), (("*;q=1",), 0)],
)
def test_a_wildcard_stands_alone_and_with_expires_0(rig: Any, sent: tuple[str, ...], expires: int | None) -> None:
    phone = rig.phone()
    phone.register("<sip:bob@192.0.2.1>")
    assert phone.register(*sent, expires=expires).status == 400
    assert len(rig.location) == 1


def test_a_request_that_is_not_newer_changes_nothing_at_all(rig: Any) -> None:
    phone = rig.phone()
    phone.register("<sip:a@192.0.2.1>")
    phone.register("<sip:b@192.0.2.1>")
    # As new as the second contact, newer than the first: RFC 3261 §10.3 step 7 wants all or nothing.
    phone.cseq -= 1
    response = phone.register("<sip:a@192.0.2.1>;expires=0", "<sip:b@192.0.2.1>;expires=0")
    assert response.status == 500
    assert listed(rig) == ["sip:a@192.0.2.1", "sip:b@192.0.2.1"]
    phone.cseq -= 1
    assert phone.register("*", expires=0).status == 500
    assert len(rig.location) == 2


def test_another_call_id_is_always_newer(rig: Any) -> None:
    phone = rig.phone()
    phone.cseq = 1000
    phone.register("<sip:a@192.0.2.1>")
    rebooted = rig.phone(call_id="another")
    assert contacts(rebooted.register("<sip:a@192.0.2.1>;expires=100")) == ["<sip:a@192.0.2.1>;expires=100"]
    assert contacts(rebooted.register("*", expires=0)) == []


def test_too_many_contacts_are_refused_but_dead_ones_make_room(make_rig: Any) -> None:
    rig = make_rig(contacts=2)
    phone = rig.phone(flow=Flow("tcp", ("192.0.2.201", 5060), ("198.51.100.1", 4711), 3))
    phone.register("<sip:a@192.0.2.1;transport=tcp>", "<sip:b@192.0.2.1;transport=tcp>")
    assert phone.register("<sip:c@192.0.2.1;transport=tcp>").status == 403
    assert phone.register("<sip:a@192.0.2.1;transport=tcp>").status == 200
    assert phone.register("<sip:a@192.0.2.1;transport=tcp>;expires=0", "<sip:c@192.0.2.1;transport=tcp>").status == 200
    # After a restart the connection is gone, and with it the only way to these contacts.
    again = make_rig(contacts=2, keeper=rig.keeper, stack=rig.stack)
    assert again.location.restore(rig.keeper.rows()) == 2
    phone.rig = again
    assert contacts(phone.register("<sip:d@192.0.2.1;transport=tcp>")) == [
        "<sip:d@192.0.2.1;transport=tcp>;expires=3600"
    ]


def test_a_phone_that_restarted_leaves_no_contact_behind(rig: Any) -> None:
    instance = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
    before = rig.phone(call_id="before")
    before.register(f"<sip:bob@192.0.2.1:40001>{instance}", "<sip:other@192.0.2.1>")
    after = rig.phone(call_id="after")
    assert contacts(after.register(f"<sip:bob@192.0.2.1:40002>{instance.lower()}")) == [
        "<sip:other@192.0.2.1>;expires=3600",
        f"<sip:bob@192.0.2.1:40002>{instance.lower()};expires=3600",
    ]
    # The same boot may have two contacts.
    assert len(contacts(after.register(f"<sip:bob@192.0.2.1:40003>{instance}"))) == 3


def test_parameters_of_contact_and_of_uri_are_kept_apart_and_given_back(rig: Any) -> None:
    phone = rig.phone()
    assert contacts(phone.register("sip:+19725552222@gw1.example.net;unknownparam")) == [
        "<sip:+19725552222@gw1.example.net>;unknownparam;expires=3600"
    ]
    phone = rig.phone("101")
    sent = "<sip:+19725552222@gw1.example.net;unknownparam>"
    assert contacts(phone.register(sent)) == [f"{sent};expires=3600"]
    phone = rig.phone("102")
    sent = "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"
    assert contacts(phone.register(sent)) == [f"{sent};expires=3600"]


def test_escaped_nulls_are_part_of_a_name(rig: Any) -> None:
    phone = rig.phone("101", to="sip:null-%00-null@example.com")
    assert contacts(phone.register("<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>")) == [
        "<sip:%00@host5.example.com>;expires=3600",
        "<sip:%00%00@host5.example.com>;expires=3600",
    ]
    assert len(rig.location.bindings(rig.service.aor_of("null-\0-null"))) == 2
    assert rig.phone("bob", to="sip:null-@example.com").register().status == 403


def test_listeners_hear_of_everything_and_the_counters_count_it(rig: Any) -> None:
    rig.service.start()
    phone = rig.phone()
    phone.register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>;expires=60")
    phone.register("<sip:a@192.0.2.1>")
    phone.register("<sip:a@192.0.2.1>;expires=0")
    rig.stack.advance(66)
    assert [(event.change.value, str(event.binding.contact)) for event in rig.changes] == [
        ("registered", "sip:a@192.0.2.1"),
        ("registered", "sip:b@192.0.2.1"),
        ("refreshed", "sip:a@192.0.2.1"),
        ("removed", "sip:a@192.0.2.1"),
        ("expired", "sip:b@192.0.2.1"),
    ]
    assert rig.keeper.kept == {}
    assert {change.value: count for change, count in rig.service.changes.items() if count} == {
        "registered": 2,
        "refreshed": 1,
        "removed": 1,
        "expired": 1,
    }
    rig.service.stop()
    rig.stack.advance(100)
    assert not [call for _, _, call in rig.stack.calls if call is not None]
