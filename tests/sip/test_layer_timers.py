"""Every transaction timer at its exact time (RFC 3261 §17, appendix A; RFC 6026; RFC 4320)."""

from __future__ import annotations

import pytest

from pbx.sip.layer import LayerSettings
from pbx.sip.machine import Machine
from pbx.sip.message import Response, make_response
from pbx.sip.parser import parse_message
from pbx.sip.server import ServerMachine
from pbx.sip.stack import Flow
from pbx.sip.timers import TimerQueue, TimerSettings
from pbx.sip.transaction import Input
from tests.support.sip import Ear, request

UDP = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))
TCP = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.2", 5060), 7)

DOUBLING = [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
CAPPED = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def started(method: str, flow: Flow, settings: LayerSettings | None = None) -> Ear:
    ear = Ear(settings)
    _, effects = ear.layer.request(request(method), flow, "192.0.2.1:5060", "user", 0.0)
    ear.take(effects)
    return ear


def answer(ear: Ear, status: int, flow: Flow = UDP, of: bytes | None = None) -> None:
    """Answer what was sent first (or `of`) as its peer does."""
    asked = parse_message(ear.sent[0][1] if of is None else of)
    assert not isinstance(asked, Response)
    ear.take(ear.layer.receive(make_response(asked, status, to_tag="theirs").to_bytes(), flow, ear.now))


def received(method: str, flow: Flow, settings: LayerSettings | None = None) -> Ear:
    ear = Ear(settings)
    ear.take(ear.layer.receive(request(method).to_bytes(), flow, 0.0))
    assert len(ear.requests) == 1
    return ear


def say(ear: Ear, status: int) -> None:
    transaction = ear.requests[0].transaction
    response = make_response(transaction.request, status, to_tag="mine")
    ear.take(ear.layer.respond(transaction, response, ear.now))


# -- clients


def test_timers_a_and_b_of_an_invite_over_udp():
    ear = started("INVITE", UDP)
    ear.until(31.999)
    assert ear.moments() == DOUBLING
    assert len({data for _, data, _ in ear.sent}) == 1
    assert not ear.failures
    ear.until(100)
    assert ear.moments() == DOUBLING
    assert [failure.failure.kind for failure in ear.failures] == ["timeout"]
    assert ear.failed_at == [32.0]
    assert ear.layer.leftovers() == []
    assert ear.layer.next_timer() is None


def test_timer_b_of_an_invite_over_tcp():
    ear = started("INVITE", TCP)
    ear.until(100)
    assert ear.moments() == [0]
    assert ear.failed_at == [32.0]
    assert ear.layer.leftovers() == []


def test_timers_e_and_f_over_udp():
    ear = started("OPTIONS", UDP)
    ear.until(100)
    assert ear.moments() == CAPPED
    assert ear.failed_at == [32.0]
    assert ear.layer.leftovers() == []


def test_timer_f_over_tcp():
    ear = started("OPTIONS", TCP)
    ear.until(100)
    assert ear.moments() == [0]
    assert ear.failed_at == [32.0]


def test_timer_e_goes_on_every_t2_after_a_provisional_response():
    ear = started("OPTIONS", UDP)
    ear.until(0.6)
    answer(ear, 100)
    ear.until(100)
    assert ear.moments() == [0, 0.5, 1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]
    assert ear.failed_at == [32.0]
    assert ear.layer.leftovers() == []


def test_timer_d_keeps_the_ack_ready_for_32_seconds_over_udp():
    ear = started("INVITE", UDP)
    ear.until(1)
    answer(ear, 486)
    assert ear.moments(b"ACK sip:") == [1]
    ear.until(32.999)
    answer(ear, 486)
    assert ear.moments(b"ACK sip:") == [1, 32.999]
    assert len(ear.responses) == 1
    ear.until(33)
    assert ear.layer.leftovers() == []
    answer(ear, 486)
    assert len(ear.moments(b"ACK sip:")) == 2
    assert len(ear.strays) == 1


def test_timer_d_is_zero_over_tcp():
    ear = started("INVITE", TCP)
    answer(ear, 486, TCP)
    assert ear.moments(b"ACK sip:") == [0]
    assert len(ear.responses) == 1
    assert ear.layer.leftovers() == []


def test_timer_k_absorbs_repetitions_for_t4_over_udp():
    ear = started("OPTIONS", UDP)
    ear.until(1)
    answer(ear, 200)
    answer(ear, 200)
    ear.until(5.999)
    answer(ear, 200)
    assert len(ear.responses) == 1
    assert ear.dropped == ["responses_repeated"] * 2
    ear.until(6)
    assert ear.layer.leftovers() == []


def test_timer_k_is_zero_over_tcp():
    ear = started("OPTIONS", TCP)
    answer(ear, 200, TCP)
    assert ear.layer.leftovers() == []


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_timer_m_gives_every_2xx_to_the_user_for_32_seconds(flow: Flow):
    ear = started("INVITE", flow)
    ear.until(1)
    for _ in range(2):
        answer(ear, 200, flow)
    ear.until(32.999)
    answer(ear, 200, flow)
    assert len(ear.responses) == 3
    assert ear.moments(b"ACK") == [], "the ACK of a 2xx is the transaction user's"
    ear.until(33)
    assert ear.layer.leftovers() == []
    answer(ear, 200, flow)
    assert len(ear.responses) == 3
    assert len(ear.strays) == 1


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_timer_c_cancels_an_invite_that_nothing_is_heard_of(flow: Flow):
    ear = started("INVITE", flow)
    ear.until(0.25)
    answer(ear, 180, flow)
    ear.until(100)
    answer(ear, 180, flow)
    ear.until(284.999)
    assert ear.moments(b"CANCEL sip:") == []
    ear.until(400)
    assert ear.moments(b"CANCEL sip:")[0] == 285
    assert [failure.failure.kind for failure in ear.failures] == ["timeout"]
    assert ear.failed_at == [317]
    assert ear.layer.leftovers() == []


def test_the_487_that_timer_c_brings_is_told_as_a_timeout():
    ear = started("INVITE", UDP)
    answer(ear, 180)
    ear.until(185)
    answer(ear, 487)
    assert [failure.failure.kind for failure in ear.failures] == ["timeout"]
    assert [effect.response.status for effect in ear.responses] == [180]
    assert len(ear.moments(b"ACK sip:")) == 1
    ear.until(400)
    assert ear.layer.leftovers() == []


# -- servers


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_100_after_200_milliseconds(flow: Flow):
    ear = received("INVITE", flow)
    ear.until(0.199)
    assert ear.sent == []
    ear.until(0.3)
    assert ear.moments(b"SIP/2.0 100 ") == [0.2]
    ear.until(10)
    assert len(ear.sent) == 1


def test_no_100_if_the_user_was_faster():
    ear = received("INVITE", UDP)
    ear.until(0.1)
    say(ear, 180)
    ear.until(10)
    assert ear.moments() == [0.1]


def test_timers_g_and_h_over_udp():
    ear = received("INVITE", UDP)
    say(ear, 486)
    ear.until(100)
    assert ear.moments() == CAPPED
    assert ear.failed_at == [32.0]
    assert [effect.failure.kind for effect in ear.server_failures] == ["timeout"]
    assert ear.server_failures[0].transaction is ear.requests[0].transaction
    assert ear.layer.leftovers() == []


def test_timer_h_over_tcp():
    ear = received("INVITE", TCP)
    say(ear, 486)
    ear.until(100)
    assert ear.moments() == [0]
    assert ear.failed_at == [32.0]
    assert ear.layer.leftovers() == []


def test_timer_i_absorbs_acks_for_t4_over_udp():
    ear = received("INVITE", UDP)
    say(ear, 486)
    ear.until(1)
    ack = request("ACK", to_tag="mine").to_bytes()
    for moment in (1, 2, 5.999):
        ear.until(moment)
        ear.take(ear.layer.receive(ack, UDP, ear.now))
    assert ear.acks == []
    assert ear.moments() == [0, 0.5]
    ear.until(6)
    assert ear.layer.leftovers() == []
    assert ear.server_failures == []


def test_timer_i_is_zero_over_tcp():
    ear = received("INVITE", TCP)
    say(ear, 486)
    ear.take(ear.layer.receive(request("ACK", to_tag="mine").to_bytes(), TCP, 0.0))
    assert ear.acks == []
    assert ear.layer.leftovers() == []


def test_timer_j_repeats_the_response_for_32_seconds_over_udp():
    ear = received("OPTIONS", UDP)
    ear.until(1)
    say(ear, 200)
    ear.until(32.999)
    ear.take(ear.layer.receive(request("OPTIONS").to_bytes(), UDP, ear.now))
    assert ear.moments(b"SIP/2.0 200") == [1, 32.999]
    assert len(ear.requests) == 1
    ear.until(33)
    assert ear.layer.leftovers() == []
    ear.take(ear.layer.receive(request("OPTIONS").to_bytes(), UDP, ear.now))
    assert len(ear.requests) == 2


def test_timer_j_is_zero_over_tcp():
    ear = received("OPTIONS", TCP)
    say(ear, 200)
    assert ear.layer.leftovers() == []


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_timer_l_absorbs_the_invite_for_32_seconds(flow: Flow):
    ear = received("INVITE", flow)
    ear.until(1)
    say(ear, 200)
    ear.until(2)
    say(ear, 200)
    ear.until(32.999)
    ear.take(ear.layer.receive(request("INVITE").to_bytes(), flow, ear.now))
    assert ear.moments(b"SIP/2.0 200") == [1, 2], "only the transaction user repeats a 2xx"
    assert len(ear.requests) == 1
    ear.until(33)
    assert ear.layer.leftovers() == []


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_a_slow_answer_to_a_non_invite_request_gets_100_after_3_5_seconds(flow: Flow):
    ear = received("OPTIONS", flow)
    ear.until(2)
    ear.take(ear.layer.receive(request("OPTIONS").to_bytes(), flow, ear.now))
    ear.until(5)
    ear.take(ear.layer.receive(request("OPTIONS").to_bytes(), flow, ear.now))
    assert ear.moments(b"SIP/2.0 100") == [3.5, 5]
    ear.until(31)
    say(ear, 200)
    assert ear.moments(b"SIP/2.0 200") == [31]


def test_a_request_that_is_never_answered_is_forgotten_after_32_seconds():
    ear = received("OPTIONS", UDP)
    ear.until(100)
    assert ear.moments(b"SIP/2.0 4") == []
    assert ear.failed_at == [32.0]
    assert [effect.failure.kind for effect in ear.server_failures] == ["timeout"]
    assert ear.layer.leftovers() == []
    say(ear, 200)
    assert ear.dropped == ["answers_late"]


def test_an_unanswered_invite_stays():
    ear = received("INVITE", UDP)
    ear.until(3600)
    assert ear.layer.servers == 1
    say(ear, 480)
    ear.until(4000)
    assert ear.layer.leftovers() == []


# -- the settings and the queue


def test_other_lengths():
    ear = started("INVITE", UDP, LayerSettings(TimerSettings(t1=0.1)))
    ear.until(100)
    assert ear.moments() == pytest.approx([0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3])
    assert ear.failed_at == pytest.approx([6.4])
    assert TimerSettings().slow == 3.5
    assert TimerSettings(t1=4.0).slow == 0


def test_a_timer_run_late_counts_from_when_it_ran():
    ear = started("OPTIONS", UDP)
    ear.now = 0.75
    ear.take(ear.layer.timers_due(0.75))
    ear.until(3)
    assert ear.moments() == [0, 0.75, 1.75]


def owner() -> Machine:
    return ServerMachine("key", UDP)


def test_timers_come_in_the_order_of_their_moments_and_then_of_their_starts():
    queue: TimerQueue[Machine] = TimerQueue()
    queue.start(2.0, owner(), Input.TIMER_A, 0.0)
    queue.start(1.0, owner(), Input.TIMER_B, 0.0)
    queue.start(1.0, owner(), Input.TIMER_C, 1.0)
    queue.start(0.5, owner(), Input.TIMER_D, 1.5)
    order = []
    while (due := queue.pop_due(2.0)) is not None:
        order.append(due[1])
    assert order == [Input.TIMER_B, Input.TIMER_A, Input.TIMER_C, Input.TIMER_D]
    assert queue.next_due() is None


def test_the_soonest_timer_started_since_it_was_last_asked_for():
    queue: TimerQueue[Machine] = TimerQueue()
    assert queue.soonest_started() == float("inf")
    queue.start(2.0, owner(), Input.TIMER_A, 0.0)
    queue.start(1.0, owner(), Input.TIMER_B, 0.5).cancel()
    queue.start(32.0, owner(), Input.TIMER_B, 0.5)
    assert queue.soonest_started() == 1.5
    assert queue.soonest_started() == float("inf")
    queue.start(32.0, owner(), Input.TIMER_B, 1.0)
    assert queue.soonest_started() == 33.0


def test_a_clock_that_goes_back_does_not_disturb_the_order():
    queue: TimerQueue[Machine] = TimerQueue()
    queue.start(1.0, owner(), Input.TIMER_A, 10.0)
    queue.start(1.0, owner(), Input.TIMER_B, 9.0)
    assert queue.next_due() == 11.0
    assert [timer.due for timer in queue.pending()] == [11.0, 11.0]


def test_cancelled_timers_take_no_lasting_room():
    queue: TimerQueue[Machine] = TimerQueue()
    first = queue.start(32.0, owner(), Input.TIMER_B, 0.0)
    for number in range(10_000):
        queue.start(32.0, owner(), Input.TIMER_B, number / 1000).cancel()
    assert len(queue) == 1
    assert queue.husks() < 600
    assert queue.next_due() == 32.0
    first.cancel()
    first.cancel()
    assert queue.next_due() is None
    assert queue.pop_due(100.0) is None
    assert queue.husks() == 0
