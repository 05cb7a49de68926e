"""The four transaction machines as data (RFC 3261 §17, with RFC 6026 and RFC 4320): no code, only tables.

Each table says for a state and an input what is done and which state follows. `docs/transactions.md` is drawn from
them. A pair that is absent cannot happen; `Engine.step` raises UsageError for it. What a peer may send at any time is
present in every state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = [
    "INVITE_CLIENT",
    "INVITE_SERVER",
    "MACHINES",
    "NON_INVITE_CLIENT",
    "NON_INVITE_SERVER",
    "Action",
    "Input",
    "State",
    "Table",
]


class State(StrEnum):
    """Where a transaction stands."""

    INITIAL = "Initial"
    CALLING = "Calling"
    ABANDONED = "Abandoned"
    """Calling, and to be cancelled as soon as a provisional response comes (RFC 3261 §9.1)."""
    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    CANCELLING = "Cancelling"
    """Proceeding, with a CANCEL sent because the transaction user asked for it."""
    EXPIRING = "Expiring"
    """Proceeding, with a CANCEL sent because timer C fired."""
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    ACCEPTED = "Accepted"
    TERMINATED = "Terminated"


class Input(StrEnum):
    """What happens to a transaction."""

    BEGIN = "begin"
    # From the peer of a client transaction.
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    FINAL = "200-699"
    # From the peer of a server transaction.
    REQUEST = "request again"
    ACK = "ACK"
    CANCEL_REQUEST = "CANCEL"
    # From the transaction user.
    CANCEL = "TU cancels"
    SAY_PROVISIONAL = "TU says 1xx"
    SAY_SUCCESS = "TU says 2xx"
    SAY_FAILURE = "TU says 300-699"
    SAY_FINAL = "TU says 200-699"
    SAY_NOTHING = "TU says 408"
    """RFC 4320 §4.2: a 408 is never sent to a non-INVITE request."""
    # From below and from the clock.
    TRANSPORT_ERROR = "transport error"
    TIMER_A = "timer A"
    TIMER_B = "timer B"
    TIMER_C = "timer C"
    TIMER_D = "timer D"
    TIMER_E = "timer E"
    TIMER_F = "timer F"
    TIMER_G = "timer G"
    TIMER_H = "timer H"
    TIMER_I = "timer I"
    TIMER_J = "timer J"
    TIMER_K = "timer K"
    TIMER_L = "timer L"
    TIMER_M = "timer M"
    TIMER_TRYING = "200 ms over"
    TIMER_SLOW = "timer E at T2"
    TIMER_CANCEL = "64*T1 after CANCEL"
    TIMER_EXPIRY = "64*T1 over"


class Action(StrEnum):
    """What a transaction does on its way into the next state."""

    SEND = "send"
    """Send the message given, and keep its bytes for repetitions."""
    SEND_ONCE = "send, keep nothing"
    RESEND = "send again"
    SEND_ACK = "send ACK"
    SEND_CANCEL = "send CANCEL"
    SEND_TRYING = "send 100"
    STOP_TIMERS = "stop timers"
    START_A = "start A"
    START_B = "start B"
    START_C = "start C"
    START_D = "start D"
    START_E = "start E"
    START_F = "start F"
    START_G = "start G"
    START_H = "start H"
    START_I = "start I"
    START_J = "start J"
    START_K = "start K"
    START_L = "start L"
    START_M = "start M"
    DOUBLE_A = "A twice as long"
    DOUBLE_E = "E twice as long, T2 at most"
    DOUBLE_G = "G twice as long, T2 at most"
    SLOW_E = "E after T2"
    START_TRYING = "start 200 ms"
    START_SLOW = "start E at T2"
    START_CANCEL = "start 64*T1 (CANCEL)"
    START_EXPIRY = "start 64*T1"
    TELL_REQUEST = "TU gets request"
    TELL_RESPONSE = "TU gets response"
    TELL_ACK = "TU gets ACK"
    TELL_CANCEL = "TU gets CANCEL"
    TELL_TIMEOUT = "TU gets timeout"
    TELL_CANCELLED = "TU gets cancelled"
    TELL_TRANSPORT = "TU gets transport error"
    DROP = "count and drop"
    STRAY = "count as stray"


Table = Mapping[State, Mapping[Input, tuple[tuple[Action, ...], State]]]

_A = Action
_I = Input
_S = State

# The ways by which several states of the INVITE client end.
_ANSWERED = ((_A.STOP_TIMERS, _A.TELL_RESPONSE, _A.START_M), _S.ACCEPTED)
_REFUSED = ((_A.STOP_TIMERS, _A.SEND_ACK, _A.TELL_RESPONSE, _A.START_D), _S.COMPLETED)

INVITE_CLIENT: Final[Table] = {
    # RFC 3261 §17.1.1.2: "If an unreliable transport is being used, the client transaction MUST start timer A with a
    # value of T1. [...] For any transport, the client transaction MUST start timer B with a value of 64*T1 seconds".
    _S.INITIAL: {_I.BEGIN: ((_A.SEND, _A.START_A, _A.START_B), _S.CALLING)},
    _S.CALLING: {
        _I.PROVISIONAL: ((_A.STOP_TIMERS, _A.START_C, _A.TELL_RESPONSE), _S.PROCEEDING),
        _I.SUCCESS: _ANSWERED,
        _I.FAILURE: _REFUSED,
        _I.CANCEL: ((), _S.ABANDONED),
        _I.TIMER_A: ((_A.RESEND, _A.DOUBLE_A), _S.CALLING),
        _I.TIMER_B: ((_A.TELL_TIMEOUT,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.TERMINATED),
    },
    # RFC 3261 §9.1: "If no provisional response has been received, the CANCEL request MUST NOT be sent; rather, the
    # client MUST wait for the arrival of a provisional response before sending the request."
    _S.ABANDONED: {
        _I.PROVISIONAL: ((_A.STOP_TIMERS, _A.SEND_CANCEL, _A.START_CANCEL, _A.TELL_RESPONSE), _S.CANCELLING),
        _I.SUCCESS: _ANSWERED,
        _I.FAILURE: _REFUSED,
        _I.CANCEL: ((), _S.ABANDONED),
        _I.TIMER_A: ((_A.RESEND, _A.DOUBLE_A), _S.ABANDONED),
        _I.TIMER_B: ((_A.TELL_CANCELLED,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_CANCELLED,), _S.TERMINATED),
    },
    _S.PROCEEDING: {
        _I.PROVISIONAL: ((_A.STOP_TIMERS, _A.START_C, _A.TELL_RESPONSE), _S.PROCEEDING),
        _I.SUCCESS: _ANSWERED,
        _I.FAILURE: _REFUSED,
        _I.CANCEL: ((_A.STOP_TIMERS, _A.SEND_CANCEL, _A.START_CANCEL), _S.CANCELLING),
        _I.TIMER_C: ((_A.SEND_CANCEL, _A.START_CANCEL), _S.EXPIRING),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.TERMINATED),
    },
    # RFC 3261 §9.1: "If there is no final response for the original request in 64*T1 seconds [...], the client SHOULD
    # then consider the original transaction cancelled and SHOULD destroy the client transaction handling the original
    # request."
    _S.CANCELLING: {
        _I.PROVISIONAL: ((_A.TELL_RESPONSE,), _S.CANCELLING),
        _I.SUCCESS: _ANSWERED,
        _I.FAILURE: _REFUSED,
        _I.CANCEL: ((), _S.CANCELLING),
        _I.TIMER_CANCEL: ((_A.TELL_CANCELLED,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_CANCELLED,), _S.TERMINATED),
    },
    # Nobody above asked for this CANCEL, so the 487 that it brings is told as the timeout that it was.
    _S.EXPIRING: {
        _I.PROVISIONAL: ((_A.TELL_RESPONSE,), _S.EXPIRING),
        _I.SUCCESS: _ANSWERED,
        _I.FAILURE: ((_A.STOP_TIMERS, _A.SEND_ACK, _A.TELL_TIMEOUT, _A.START_D), _S.COMPLETED),
        _I.CANCEL: ((), _S.CANCELLING),
        _I.TIMER_CANCEL: ((_A.TELL_TIMEOUT,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.TERMINATED),
    },
    # RFC 3261 §17.1.1.2: "Any retransmissions of the final response that are received while in the Completed state MUST
    # cause the ACK to be re-passed to the transport layer for retransmission".
    _S.COMPLETED: {
        _I.PROVISIONAL: ((_A.DROP,), _S.COMPLETED),
        _I.SUCCESS: ((_A.STRAY,), _S.COMPLETED),
        _I.FAILURE: ((_A.RESEND,), _S.COMPLETED),
        _I.CANCEL: ((), _S.COMPLETED),
        _I.TIMER_D: ((), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((), _S.TERMINATED),
    },
    # RFC 6026 §7.2: a 2xx received in Accepted is passed to the transaction user, which acknowledges it.
    _S.ACCEPTED: {
        _I.PROVISIONAL: ((_A.DROP,), _S.ACCEPTED),
        _I.SUCCESS: ((_A.TELL_RESPONSE,), _S.ACCEPTED),
        _I.FAILURE: ((_A.STRAY,), _S.ACCEPTED),
        _I.CANCEL: ((), _S.ACCEPTED),
        _I.TIMER_M: ((), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((), _S.ACCEPTED),
    },
    _S.TERMINATED: {},
}

_FINISHED = ((_A.STOP_TIMERS, _A.TELL_RESPONSE, _A.START_K), _S.COMPLETED)

NON_INVITE_CLIENT: Final[Table] = {
    _S.INITIAL: {_I.BEGIN: ((_A.SEND, _A.START_E, _A.START_F), _S.TRYING)},
    _S.TRYING: {
        _I.PROVISIONAL: ((_A.TELL_RESPONSE,), _S.PROCEEDING),
        _I.FINAL: _FINISHED,
        _I.TIMER_E: ((_A.RESEND, _A.DOUBLE_E), _S.TRYING),
        _I.TIMER_F: ((_A.TELL_TIMEOUT,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.TERMINATED),
    },
    # RFC 3261 §17.1.2.2: "If Timer E fires while in the 'Proceeding' state, the request MUST be passed to the transport
    # layer for retransmission, and Timer E MUST be reset with a value of T2 seconds."
    _S.PROCEEDING: {
        _I.PROVISIONAL: ((_A.TELL_RESPONSE,), _S.PROCEEDING),
        _I.FINAL: _FINISHED,
        _I.TIMER_E: ((_A.RESEND, _A.SLOW_E), _S.PROCEEDING),
        _I.TIMER_F: ((_A.TELL_TIMEOUT,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.TERMINATED),
    },
    _S.COMPLETED: {
        _I.PROVISIONAL: ((_A.DROP,), _S.COMPLETED),
        _I.FINAL: ((_A.DROP,), _S.COMPLETED),
        _I.TIMER_K: ((), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((), _S.COMPLETED),
    },
    _S.TERMINATED: {},
}

# RFC 3261 §17.2.1: "Any other final responses passed by the TU to the server transaction MUST be discarded".
_SPOKEN_INVITE = dict.fromkeys((_I.SAY_PROVISIONAL, _I.SAY_SUCCESS, _I.SAY_FAILURE), _A.DROP)

INVITE_SERVER: Final[Table] = {
    # RFC 3261 §17.2.1: "The server transaction MUST generate a 100 (Trying) response unless it knows that the TU will
    # generate a provisional or final response within 200 ms".
    _S.INITIAL: {_I.BEGIN: ((_A.TELL_REQUEST, _A.START_TRYING), _S.PROCEEDING)},
    _S.PROCEEDING: {
        _I.REQUEST: ((_A.RESEND,), _S.PROCEEDING),
        _I.ACK: ((_A.DROP,), _S.PROCEEDING),
        _I.CANCEL_REQUEST: ((_A.TELL_CANCEL,), _S.PROCEEDING),
        _I.SAY_PROVISIONAL: ((_A.STOP_TIMERS, _A.SEND), _S.PROCEEDING),
        _I.SAY_SUCCESS: ((_A.STOP_TIMERS, _A.SEND_ONCE, _A.START_L), _S.ACCEPTED),
        _I.SAY_FAILURE: ((_A.STOP_TIMERS, _A.SEND, _A.START_G, _A.START_H), _S.COMPLETED),
        _I.TIMER_TRYING: ((_A.SEND_TRYING,), _S.PROCEEDING),
        # RFC 6026 replaces RFC 3261 §17.2.4: the transaction user is told that the response cannot be delivered, and
        # the transaction stays in its state, so that repetitions of the request are still absorbed.
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.PROCEEDING),
    },
    _S.COMPLETED: {
        _I.REQUEST: ((_A.RESEND,), _S.COMPLETED),
        _I.ACK: ((_A.STOP_TIMERS, _A.START_I), _S.CONFIRMED),
        _I.CANCEL_REQUEST: ((), _S.COMPLETED),
        **{given: ((drop,), _S.COMPLETED) for given, drop in _SPOKEN_INVITE.items()},
        _I.TIMER_G: ((_A.RESEND, _A.DOUBLE_G), _S.COMPLETED),
        _I.TIMER_H: ((_A.TELL_TIMEOUT,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.COMPLETED),
    },
    _S.CONFIRMED: {
        _I.REQUEST: ((_A.DROP,), _S.CONFIRMED),
        _I.ACK: ((_A.DROP,), _S.CONFIRMED),
        _I.CANCEL_REQUEST: ((), _S.CONFIRMED),
        **{given: ((drop,), _S.CONFIRMED) for given, drop in _SPOKEN_INVITE.items()},
        _I.TIMER_I: ((), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((), _S.CONFIRMED),
    },
    # RFC 6026 §7.1: repetitions of the INVITE are absorbed here, while the transaction user repeats its 2xx through
    # here until the ACK comes.
    _S.ACCEPTED: {
        _I.REQUEST: ((_A.DROP,), _S.ACCEPTED),
        _I.ACK: ((_A.TELL_ACK,), _S.ACCEPTED),
        _I.CANCEL_REQUEST: ((), _S.ACCEPTED),
        _I.SAY_PROVISIONAL: ((_A.DROP,), _S.ACCEPTED),
        _I.SAY_SUCCESS: ((_A.SEND_ONCE,), _S.ACCEPTED),
        _I.SAY_FAILURE: ((_A.DROP,), _S.ACCEPTED),
        _I.TIMER_L: ((), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.ACCEPTED),
    },
    _S.TERMINATED: {},
}

_ANSWERED_FINALLY = ((_A.STOP_TIMERS, _A.SEND, _A.START_J), _S.COMPLETED)
_ANSWERED_NEVER = ((_A.STOP_TIMERS, _A.START_J), _S.COMPLETED)

NON_INVITE_SERVER: Final[Table] = {
    # RFC 4320 §4.1: a 100 must be sent if nothing else was "after the amount of time it takes a client transaction's
    # Timer E to be reset to T2"; after 64*T1 nobody waits for a response any more.
    _S.INITIAL: {_I.BEGIN: ((_A.TELL_REQUEST, _A.START_SLOW, _A.START_EXPIRY), _S.TRYING)},
    _S.TRYING: {
        _I.REQUEST: ((_A.DROP,), _S.TRYING),
        _I.SAY_PROVISIONAL: ((_A.SEND,), _S.PROCEEDING),
        _I.SAY_FINAL: _ANSWERED_FINALLY,
        _I.SAY_NOTHING: _ANSWERED_NEVER,
        _I.TIMER_SLOW: ((_A.SEND_TRYING,), _S.PROCEEDING),
        _I.TIMER_EXPIRY: ((_A.TELL_TIMEOUT,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.TRYING),
    },
    _S.PROCEEDING: {
        _I.REQUEST: ((_A.RESEND,), _S.PROCEEDING),
        _I.SAY_PROVISIONAL: ((_A.SEND,), _S.PROCEEDING),
        _I.SAY_FINAL: _ANSWERED_FINALLY,
        _I.SAY_NOTHING: _ANSWERED_NEVER,
        _I.TIMER_SLOW: ((), _S.PROCEEDING),
        _I.TIMER_EXPIRY: ((_A.TELL_TIMEOUT,), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.PROCEEDING),
    },
    _S.COMPLETED: {
        _I.REQUEST: ((_A.RESEND,), _S.COMPLETED),
        _I.SAY_PROVISIONAL: ((_A.DROP,), _S.COMPLETED),
        _I.SAY_FINAL: ((_A.DROP,), _S.COMPLETED),
        _I.SAY_NOTHING: ((_A.DROP,), _S.COMPLETED),
        _I.TIMER_J: ((), _S.TERMINATED),
        _I.TRANSPORT_ERROR: ((_A.TELL_TRANSPORT,), _S.COMPLETED),
    },
    _S.TERMINATED: {},
}

MACHINES: Final[Mapping[str, Table]] = {
    "INVITE client": INVITE_CLIENT,
    "non-INVITE client": NON_INVITE_CLIENT,
    "INVITE server": INVITE_SERVER,
    "non-INVITE server": NON_INVITE_SERVER,
}
