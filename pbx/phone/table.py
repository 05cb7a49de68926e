"""The states of a phone's life, as data: in each state, what is done with each input, and where it leads."""

from __future__ import annotations

from enum import Enum

__all__ = ["TABLE", "Action", "Input", "State"]


class State(Enum):
    """Where a phone stands."""

    NEW = "new"
    REGISTERING = "registering"
    """The first registration is on its way."""
    IDLE = "idle"
    """Registered, or without need to be; no call."""
    BUSY = "busy"
    """In a call, or calling."""
    HANGING_UP = "hanging up"
    """Told to end; the call is being ended first."""
    LEAVING = "leaving"
    """No call; SIP finishes what is open, and the registration is removed."""
    GONE = "gone"
    """Nothing is left."""


class Input(Enum):
    """What can happen to it."""

    START = "start"
    READY = "ready"
    """It is registered, or need not be."""
    TROUBLE = "trouble"
    """It cannot be registered, or not be set up."""
    CALL = "call"
    """A call begins, either way."""
    CALL_OVER = "call over"
    ENOUGH = "enough"
    """There is nothing more to do."""
    INTERRUPT = "interrupt"
    """The user wants it to end."""
    AT_REST = "at rest"
    """Nothing of SIP is open any more."""
    LATE = "late"
    """The end takes too long."""


class Action(Enum):
    """What is done. The value names the method that does it."""

    REGISTER = "_register"
    PROCEED = "_proceed"
    HANG_UP = "_hang_up"
    LEAVE = "_leave"
    QUIT = "_quit"
    NOTHING = "_nothing"


_STAY = (Action.NOTHING, None)
_LEAVE = (Action.LEAVE, State.LEAVING)
_QUIT = (Action.QUIT, State.GONE)

TABLE: dict[State, dict[Input, tuple[Action, State | None]]] = {
    # None: the state stays, and nothing is done.
    State.NEW: {
        **dict.fromkeys(Input, _STAY),
        Input.START: (Action.REGISTER, State.REGISTERING),
        Input.INTERRUPT: _QUIT,
    },
    State.REGISTERING: {
        **dict.fromkeys(Input, _STAY),
        Input.READY: (Action.PROCEED, State.IDLE),
        Input.TROUBLE: _LEAVE,
        Input.LATE: _LEAVE,
        Input.INTERRUPT: _LEAVE,
        # It rings already: somebody has waited for us.
        Input.CALL: (Action.NOTHING, State.BUSY),
    },
    State.IDLE: {
        **dict.fromkeys(Input, _STAY),
        Input.CALL: (Action.NOTHING, State.BUSY),
        Input.TROUBLE: _LEAVE,
        Input.ENOUGH: _LEAVE,
        Input.INTERRUPT: _LEAVE,
    },
    State.BUSY: {
        **dict.fromkeys(Input, _STAY),
        Input.CALL_OVER: _LEAVE,
        Input.INTERRUPT: (Action.HANG_UP, State.HANGING_UP),
    },
    State.HANGING_UP: {
        **dict.fromkeys(Input, _STAY),
        Input.CALL_OVER: _LEAVE,
        Input.LATE: _LEAVE,
        # Told twice: now.
        Input.INTERRUPT: _QUIT,
    },
    State.LEAVING: {
        **dict.fromkeys(Input, _STAY),
        Input.AT_REST: _QUIT,
        Input.LATE: _QUIT,
        Input.INTERRUPT: _QUIT,
    },
    State.GONE: dict.fromkeys(Input, _STAY),
}
