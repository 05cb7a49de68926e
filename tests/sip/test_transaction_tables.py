"""Every pair of state and input of the transaction tables: either it does what the table says, or it cannot happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx.errors import UsageError
from pbx.ids import Ids
from pbx.sip.client import CancelTransaction, ClientTransaction, InviteClientTransaction
from pbx.sip.diagram import document
from pbx.sip.effects import (
    AckArrived,
    Cancelled,
    ClientFailed,
    Dropped,
    RequestArrived,
    ResponseArrived,
    Send,
    ServerFailed,
    StrayResponse,
)
from pbx.sip.layer import TransactionLayer
from pbx.sip.machine import Context, LayerSettings, Machine, step
from pbx.sip.message import Request, make_response
from pbx.sip.server import CancelServerMachine, InviteServerMachine, ServerMachine, ServerTransaction
from pbx.sip.stack import Flow
from pbx.sip.transaction import (
    INVITE_CLIENT,
    INVITE_SERVER,
    MACHINES,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    Action,
    Input,
    State,
    Table,
)
from tests.support.sip import request

UDP = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))
TCP = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.2", 5060), 1)

TABLES: dict[type[Machine], Table] = {
    InviteClientTransaction: INVITE_CLIENT,
    ClientTransaction: NON_INVITE_CLIENT,
    CancelTransaction: NON_INVITE_CLIENT,
    InviteServerMachine: INVITE_SERVER,
    ServerMachine: NON_INVITE_SERVER,
    CancelServerMachine: NON_INVITE_SERVER,
}

STARTS = {
    Action.START_A: Input.TIMER_A,
    Action.DOUBLE_A: Input.TIMER_A,
    Action.START_B: Input.TIMER_B,
    Action.START_C: Input.TIMER_C,
    Action.START_D: Input.TIMER_D,
    Action.START_E: Input.TIMER_E,
    Action.DOUBLE_E: Input.TIMER_E,
    Action.SLOW_E: Input.TIMER_E,
    Action.START_F: Input.TIMER_F,
    Action.START_G: Input.TIMER_G,
    Action.DOUBLE_G: Input.TIMER_G,
    Action.START_H: Input.TIMER_H,
    Action.START_I: Input.TIMER_I,
    Action.START_J: Input.TIMER_J,
    Action.START_K: Input.TIMER_K,
    Action.START_L: Input.TIMER_L,
    Action.START_M: Input.TIMER_M,
    Action.START_TRYING: Input.TIMER_TRYING,
    Action.START_SLOW: Input.TIMER_SLOW,
    Action.START_CANCEL: Input.TIMER_CANCEL,
    Action.START_EXPIRY: Input.TIMER_EXPIRY,
}
TIMERS = set(STARTS.values())
REPEATING = {Input.TIMER_A, Input.TIMER_E, Input.TIMER_G, Input.TIMER_TRYING, Input.TIMER_SLOW}
ABSENT_ON_RELIABLE = {Input.TIMER_A, Input.TIMER_E, Input.TIMER_G}
ZERO_ON_RELIABLE = {Input.TIMER_D, Input.TIMER_I, Input.TIMER_J, Input.TIMER_K}

# What a peer, the transaction user or the network may bring about at any time, by machine.
ALWAYS = {
    "INVITE client": {Input.PROVISIONAL, Input.SUCCESS, Input.FAILURE, Input.CANCEL, Input.TRANSPORT_ERROR},
    "non-INVITE client": {Input.PROVISIONAL, Input.FINAL, Input.TRANSPORT_ERROR},
    "INVITE server": {
        Input.REQUEST,
        Input.ACK,
        Input.CANCEL_REQUEST,
        Input.SAY_PROVISIONAL,
        Input.SAY_SUCCESS,
        Input.SAY_FAILURE,
        Input.TRANSPORT_ERROR,
    },
    "non-INVITE server": {
        Input.REQUEST,
        Input.SAY_PROVISIONAL,
        Input.SAY_FINAL,
        Input.SAY_NOTHING,
        Input.TRANSPORT_ERROR,
    },
}
EFFECT_OF = {
    Action.SEND: Send,
    Action.SEND_ONCE: Send,
    Action.RESEND: Send,
    Action.SEND_ACK: Send,
    Action.SEND_CANCEL: Send,
    Action.SEND_TRYING: Send,
    Action.TELL_REQUEST: RequestArrived,
    Action.TELL_RESPONSE: ResponseArrived,
    Action.TELL_ACK: AckArrived,
    Action.TELL_CANCEL: Cancelled,
    Action.STRAY: StrayResponse,
}
FAILURE_OF = {Action.TELL_TIMEOUT: "timeout", Action.TELL_CANCELLED: "cancelled", Action.TELL_TRANSPORT: "transport"}


def machine_in(context: Context, kind: type[Machine], state: State, flow: Flow) -> Machine:
    """Make a machine of that kind and put it into that state, without the way there."""
    method = "INVITE" if kind in (InviteClientTransaction, InviteServerMachine) else "OPTIONS"
    message = request(method)
    machine: Machine
    if issubclass(kind, ClientTransaction):
        machine = kind("z9hG4bKbranch " + method, flow, message, "user")
    else:
        assert issubclass(kind, ServerMachine)
        machine = kind("z9hG4bKbranch 192.0.2.2:5060 " + method, flow)
        machine.transaction = context.transaction = ServerTransaction(message, flow, machine)
        machine.transaction.final_sent = state in (State.COMPLETED, State.ACCEPTED, State.CONFIRMED)
    machine.data = b"sent before"
    machine.enter(context)
    machine.state = state
    return machine


def message_for(given: Input) -> Request | object:
    """Return what comes with an input."""
    statuses = {
        Input.PROVISIONAL: 180,
        Input.SUCCESS: 200,
        Input.FAILURE: 486,
        Input.FINAL: 200,
        Input.SAY_PROVISIONAL: 180,
        Input.SAY_SUCCESS: 200,
        Input.SAY_FAILURE: 486,
        Input.SAY_FINAL: 200,
        Input.SAY_NOTHING: 408,
    }
    if given in statuses:
        return make_response(request("INVITE"), statuses[given], to_tag="theirs")
    return request("CANCEL" if given is Input.CANCEL_REQUEST else "ACK" if given is Input.ACK else "INVITE")


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_every_pair_of_state_and_input(kind: type[Machine], flow: Flow):
    table = TABLES[kind]
    for state in State:
        for given in Input:
            context = Context(LayerSettings())
            context.flow = flow
            machine = machine_in(context, kind, state, flow)
            edge = table.get(state, {}).get(given)
            if edge is None:
                with pytest.raises((UsageError, KeyError)):
                    step(context, machine, given)
                assert machine.state is state
                assert context.effects == []
                continue
            actions, following = edge
            step(context, machine, given, message_for(given))
            immediate = flow.reliable and any(STARTS.get(action) in ZERO_ON_RELIABLE for action in actions)
            assert machine.state is (State.TERMINATED if immediate else following), (state, given)
            check_effects(context, kind, actions)
            if machine.state is State.TERMINATED:
                assert not context.servers
                assert not [key for key in context.clients if "CANCEL" not in key or kind is CancelTransaction]
                assert machine.retry is None
                assert machine.limit is None


def check_effects(context: Context, kind: type[Machine], actions: tuple[Action, ...]) -> None:
    quiet = kind in (CancelTransaction, CancelServerMachine)
    expected = [EFFECT_OF[action] for action in actions if action in EFFECT_OF]
    found = [type(effect) for effect in context.effects]
    failures = [effect.failure.kind for effect in context.effects if isinstance(effect, ClientFailed | ServerFailed)]
    if quiet:
        assert set(found) <= {Send, Dropped}, actions
        return
    for effect in expected:
        assert effect in found, actions
    assert failures == [FAILURE_OF[action] for action in actions if action in FAILURE_OF]


@pytest.mark.parametrize("name", MACHINES)
def test_what_may_come_at_any_time_is_foreseen_in_every_state(name: str):
    for state, edges in MACHINES[name].items():
        if state not in (State.INITIAL, State.TERMINATED):
            assert set(edges) >= ALWAYS[name], state


@pytest.mark.parametrize("reliable", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("name", MACHINES)
def test_every_timer_that_can_run_is_foreseen_and_every_state_ends(name: str, reliable: bool):
    """Explore every reachable pair of a state and the timers running in it."""
    table = MACHINES[name]
    follows: dict[tuple[State, frozenset[Input]], set[tuple[State, frozenset[Input]]]] = {}
    todo = [(State.INITIAL, frozenset[Input]())]
    while todo:
        node = todo.pop()
        if node in follows:
            continue
        state, running = node
        assert len(running & REPEATING) <= 1, node
        assert len(running - REPEATING) <= 1, node
        follows[node] = set()
        for timer in running:
            assert timer in table[state], f"{timer} can fire in {state}"
        for given, (actions, following) in table[state].items():
            if given in TIMERS and given not in running:
                continue
            timers = set(running) - {given}
            target = following
            for action in actions:
                if action is Action.STOP_TIMERS:
                    timers.clear()
                started = STARTS.get(action)
                if started is None or (reliable and started in ABSENT_ON_RELIABLE):
                    continue
                if reliable and started in ZERO_ON_RELIABLE:
                    target = State.TERMINATED
                timers.add(started)
            if target is State.TERMINATED:
                timers.clear()
            follows[node].add((target, frozenset(timers)))
        todo += follows[node]
    reached = {state for state, _ in follows}
    skipped = {State.CONFIRMED} if reliable else set()
    if reliable:
        skipped |= {State.COMPLETED}
    assert reached | skipped >= set(table), "a state that nothing leads to"
    for state, running in follows:
        # Only an INVITE that the transaction user has not answered may wait for ever: it is the user's to end it.
        unanswered = name == "INVITE server" and state is State.PROCEEDING
        if state not in (State.INITIAL, State.TERMINATED) and not unanswered:
            assert running, f"{state} may last for ever"


def test_the_documentation_is_drawn_from_the_tables():
    path = Path(__file__).parents[2] / "docs" / "transactions.md"
    assert path.read_text(encoding="utf-8") == document(), "python -m pbx.sip.diagram > docs/transactions.md"


def test_counters_are_all_there_from_the_start():
    layer = TransactionLayer(Ids())
    assert set(layer.counters.values()) == {0}
    assert "responses_stray" in layer.counters
