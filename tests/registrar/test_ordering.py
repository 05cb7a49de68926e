"""Whatever order requests come in: the registrar does what a plain reading of RFC 3261 §10.3 says."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pbx.errors import ProtocolError
from pbx.registrar.binding import Binding
from pbx.registrar.location import Location
from pbx.registrar.rules import Registration, WantedContact, plan_changes, plan_removal_of_all
from pbx.sip.stack import Flow
from pbx.sip.uri import Uri

FLOW = Flow("udp", ("192.0.2.201", 5060), ("192.0.2.1", 5060))
CONTACTS = [Uri.parse(f"sip:bob@192.0.2.{number}") for number in range(4)]

wanted = st.lists(
    st.builds(WantedContact, st.sampled_from(CONTACTS), st.sampled_from([0, 60, 3600])), min_size=1, max_size=4
)
requests = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 6), st.one_of(wanted, st.just("*")), st.floats(0, 100)),
    max_size=25,
)


class Keeper:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}

    def put(self, aor: str, slot: str, binding: Any) -> None:
        self.kept[aor, slot] = binding

    def delete(self, aor: str, slot: str) -> None:
        del self.kept[aor, slot]


def reference(state: dict[Uri, tuple[str, int, float]], call_id: str, cseq: int, contacts: Any, now: float) -> bool:
    """Do what the RFC says, with no thought of speed; return whether the request succeeds."""
    named = list(state) if contacts == "*" else [contact.contact for contact in contacts]
    for uri in named:
        if uri in state and state[uri][0] == call_id and cseq <= state[uri][1]:
            return False
    for contact in contacts if contacts != "*" else [WantedContact(uri, 0) for uri in named]:
        state.pop(contact.contact, None) if not contact.expires else None
        if contact.expires:
            state[contact.contact] = (call_id, cseq, now + contact.expires)
    return True


@settings(max_examples=300)
@given(requests)
def test_bindings_are_what_the_rfc_says(history: list[tuple[str, int, Any, float]]) -> None:
    time = 0.0
    keeper = Keeper()
    location = Location(keeper, lambda: time, lambda: 1e9 + time)
    state: dict[Uri, tuple[str, int, float]] = {}
    for call_id, cseq, contacts, pause in history:
        time += pause
        state = {uri: kept for uri, kept in state.items() if kept[2] > time}
        registration = Registration("sip:bob@biloxi.com", call_id, cseq, FLOW, time)
        known = location.bindings(registration.aor)
        try:
            if contacts == "*":
                plan = plan_removal_of_all(known, registration)
            else:
                plan = plan_changes(known, contacts, registration, 10)
        except ProtocolError:
            assert not reference(dict(state), call_id, cseq, contacts, time)
        else:
            assert reference(state, call_id, cseq, contacts, time)
            for binding in plan.remove:
                location.remove(binding)
            for binding in plan.put:
                location.put(binding)
        found = {one.contact: (one.call_id, one.cseq, one.expires) for one in location.bindings(registration.aor)}
        assert found == state
        location.sweep()
        check_consistent(location, keeper)
    time += 4000
    location.sweep()
    assert len(location) == 0
    assert location._expiries == []
    check_consistent(location, keeper)


def check_consistent(location: Location, keeper: Keeper) -> None:
    everything: list[Binding] = list(location)
    assert {(one.aor, one.slot) for one in everything} == set(keeper.kept)
    assert len(location) == len(everything)
    assert location.has_flow(FLOW) == bool(everything)
