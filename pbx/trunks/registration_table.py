"""The state machine of a registration, as data: in each state, what is done with each input, and where it leads."""

from __future__ import annotations

from enum import Enum

__all__ = ["TABLE", "Action", "Input", "State"]


class State(Enum):
    """Where a registration stands. `bound` tells in which states the registrar sends us calls."""

    IDLE = "idle"
    """Not begun."""
    REGISTERING = "registering"
    """A REGISTER is on its way and there is no binding."""
    REGISTERED = "registered"
    """The binding holds."""
    REFRESHING = "refreshing"
    """The binding holds, and a REGISTER that renews it is on its way."""
    OVERDUE = "overdue"
    """The binding still holds, but could not be renewed; it is tried again soon."""
    WAITING = "waiting"
    """There is no binding; it is tried again later."""
    STOPPING = "stopping"
    """It shall end, but a REGISTER is on its way: RFC 3261 §10.2 has us await its outcome before the next."""
    REMOVING = "removing"
    """The REGISTER that removes the binding is on its way."""
    ENDED = "ended"
    """Nothing is left."""

    @property
    def bound(self) -> bool:
        """True while the registrar has a binding of ours, as far as we know."""
        return self in (State.REGISTERED, State.REFRESHING, State.OVERDUE)


class Input(Enum):
    """What can happen to it."""

    START = "start"
    """It shall be registered now, or renewed now."""
    ACCEPTED = "accepted"
    """2xx."""
    REFUSED = "refused"
    """A final response that the same request would get again: wrong credentials, forbidden, unknown."""
    FAILED = "failed"
    """No response, or one that says to try later."""
    DUE = "due"
    """It is time to renew it, or to try again."""
    EXPIRED = "expired"
    """The binding's time has run out."""
    FLOW_LOST = "flow lost"
    """The connection that it was registered over is gone, and the registrar cannot reach us."""
    STOP = "stop"
    """It shall be removed."""
    ABANDON = "abandon"
    """It shall be left as it is, at once."""


class Action(Enum):
    """What is done. The value names the method that does it."""

    SEND = "_send"
    HOLD = "_hold"
    """Take the binding and set the time of its renewal."""
    RETRY = "_retry"
    """Set the time of the next attempt."""
    LOSE = "_lose"
    """Take that there is no binding any more; whatever is under way or due goes on."""
    LOSE_AND_RETRY = "_lose_and_retry"
    LOSE_AND_SEND = "_lose_and_send"
    REMOVE = "_remove"
    FINISH = "_finish"
    NOTHING = "_nothing"


_STAY = (Action.NOTHING, None)
_END = (Action.FINISH, State.ENDED)

TABLE: dict[State, dict[Input, tuple[Action, State | None]]] = {
    # None: the state stays, and nobody is told.
    State.IDLE: {
        Input.START: (Action.SEND, State.REGISTERING),
        Input.ACCEPTED: _STAY,
        Input.REFUSED: _STAY,
        Input.FAILED: _STAY,
        Input.DUE: _STAY,
        Input.EXPIRED: _STAY,
        Input.FLOW_LOST: _STAY,
        Input.STOP: _END,
        Input.ABANDON: _END,
    },
    State.REGISTERING: {
        Input.START: _STAY,
        Input.ACCEPTED: (Action.HOLD, State.REGISTERED),
        Input.REFUSED: (Action.RETRY, State.WAITING),
        Input.FAILED: (Action.RETRY, State.WAITING),
        Input.DUE: _STAY,
        Input.EXPIRED: _STAY,
        # The transaction over that connection fails by itself.
        Input.FLOW_LOST: _STAY,
        Input.STOP: (Action.NOTHING, State.STOPPING),
        Input.ABANDON: _END,
    },
    State.REGISTERED: {
        Input.START: (Action.SEND, State.REFRESHING),
        Input.ACCEPTED: _STAY,
        Input.REFUSED: _STAY,
        Input.FAILED: _STAY,
        Input.DUE: (Action.SEND, State.REFRESHING),
        # It is renewed long before; only a machine that slept gets here.
        Input.EXPIRED: (Action.LOSE_AND_SEND, State.REGISTERING),
        Input.FLOW_LOST: (Action.SEND, State.REFRESHING),
        Input.STOP: (Action.REMOVE, State.REMOVING),
        Input.ABANDON: _END,
    },
    State.REFRESHING: {
        Input.START: _STAY,
        Input.ACCEPTED: (Action.HOLD, State.REGISTERED),
        # The registrar may well keep the binding until it expires, but does not mean to.
        Input.REFUSED: (Action.LOSE_AND_RETRY, State.WAITING),
        Input.FAILED: (Action.RETRY, State.OVERDUE),
        Input.DUE: _STAY,
        Input.EXPIRED: (Action.LOSE, State.REGISTERING),
        Input.FLOW_LOST: _STAY,
        Input.STOP: (Action.NOTHING, State.STOPPING),
        Input.ABANDON: _END,
    },
    State.OVERDUE: {
        Input.START: (Action.SEND, State.REFRESHING),
        Input.ACCEPTED: _STAY,
        Input.REFUSED: _STAY,
        Input.FAILED: _STAY,
        Input.DUE: (Action.SEND, State.REFRESHING),
        Input.EXPIRED: (Action.LOSE, State.WAITING),
        Input.FLOW_LOST: (Action.SEND, State.REFRESHING),
        Input.STOP: (Action.REMOVE, State.REMOVING),
        Input.ABANDON: _END,
    },
    State.WAITING: {
        Input.START: (Action.SEND, State.REGISTERING),
        Input.ACCEPTED: _STAY,
        Input.REFUSED: _STAY,
        Input.FAILED: _STAY,
        Input.DUE: (Action.SEND, State.REGISTERING),
        Input.EXPIRED: _STAY,
        Input.FLOW_LOST: _STAY,
        Input.STOP: _END,
        Input.ABANDON: _END,
    },
    State.STOPPING: {
        Input.START: _STAY,
        Input.ACCEPTED: (Action.REMOVE, State.REMOVING),
        Input.REFUSED: _END,
        Input.FAILED: _END,
        Input.DUE: _STAY,
        Input.EXPIRED: _STAY,
        Input.FLOW_LOST: _STAY,
        Input.STOP: _STAY,
        Input.ABANDON: _END,
    },
    State.REMOVING: {
        Input.START: _STAY,
        Input.ACCEPTED: _END,
        Input.REFUSED: _END,
        Input.FAILED: _END,
        Input.DUE: _STAY,
        Input.EXPIRED: _STAY,
        Input.FLOW_LOST: _STAY,
        Input.STOP: _STAY,
        Input.ABANDON: _END,
    },
    State.ENDED: dict.fromkeys(Input, _STAY),
}
