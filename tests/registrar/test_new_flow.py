"""A phone that comes by a new flow and names its old contact to be forgotten, as pjsua does: both have the reg-id."""

from __future__ import annotations

from typing import Any

import pytest

from pbx.sip.stack import Flow

BOB = "sip:bob@biloxi.com"
LOCAL = ("192.0.2.201", 5061)
OLD, NEW = Flow("tls", LOCAL, ("203.0.113.9", 40123), 12), Flow("tls", LOCAL, ("203.0.113.9", 40124), 13)
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'


def contact(host: str, extra: str = "") -> str:
    return f"<sip:bob@{host};transport=tls>;{INSTANCE};reg-id=1{extra}"


@pytest.mark.parametrize("new_first", [True, False])
def test_it_is_reached_by_the_new_flow(rig: Any, new_first: bool) -> None:
    rig.phone(flow=OLD).register(contact("10.0.0.7"), headers="Supported: outbound")
    contacts = [contact("10.0.0.8"), contact("10.0.0.7", ";expires=0")]
    if not new_first:
        contacts.reverse()
    assert rig.phone(flow=NEW, call_id="second").register(*contacts, headers="Supported: outbound").status == 200
    (binding,) = rig.location.reachable(BOB)
    assert (binding.contact.host, binding.flow) == ("10.0.0.8", NEW)


def test_what_is_registered_and_given_up_in_turn_is_gone(rig: Any) -> None:
    # RFC 3261 §10.3 step 7: the registrar processes each contact address in turn.
    contacts = contact("10.0.0.7"), contact("10.0.0.7", ";expires=0")
    rig.phone(flow=OLD).register(*contacts, headers="Supported: outbound")
    assert not rig.location.bindings(BOB)
