"""The state machine of a call, as data: in each state, what is done with each input.

``docs/call.md`` is drawn from this table, and one test walks every pair.
"""

from __future__ import annotations

from pbx.values import Enum

__all__ = ["TABLE", "Action", "Input", "State"]


class State(Enum):
    """Where a call stands."""

    SETTING_UP = "setting-up"
    """A step of the route is running and the caller has not been answered."""
    SERVING = "serving"
    """The caller was answered by the server itself: a prompt, an echo, or a dial behind an answer."""
    TALKING = "talking"
    """Caller and callee are connected."""
    ENDING = "ending"
    """The end is decided; legs, streams and files are being closed."""
    ENDED = "ended"
    """Nothing is left."""


class Input(Enum):
    """What can happen to a call. *Caller* is the leg that the call began with, *callee* any other."""

    START = "start"
    CALLER_ANSWERED = "caller answered"
    """It has before: whom a call is originated for is its caller from the answer on."""
    CALLER_GONE = "caller gone"
    CALLEE_RINGING = "callee ringing"
    CALLEE_PROGRESSING = "callee progressing"
    CALLEE_ANSWERED = "callee answered"
    CALLEE_GONE = "callee gone"
    CALLER_OFFERED = "caller offered"
    CALLEE_OFFERED = "callee offered"
    OFFER_ANSWERED = "offer answered"
    OFFER_DECLINED = "offer declined"
    OFFER_WITHDRAWN = "offer withdrawn"
    INFORMED = "informed"
    REFER_REQUESTED = "refer requested"
    REFER_PROGRESS = "refer progress"
    DELIVERED = "delivered"
    STREAM_READY = "stream ready"
    STREAM_FAILED = "stream failed"
    STREAM_CLOSED = "stream closed"
    DIGIT = "digit"
    PLAY_ENDED = "play ended"
    RECORDING_ENDED = "recording ended"
    RECORDING_FAILED = "recording failed"
    RECORDING_BEHIND = "recording behind"
    RECORDING_FINISHING = "recording finishing"
    RECORDING_WANTED = "recording wanted"
    NO_MEDIA = "no media"
    TIMER = "timer"
    VERDICT_DUE = "verdict due"
    STATISTICS = "statistics"
    HANG_UP = "hang up"
    WISH = "wish"
    """Of an operator, or of another call."""


class Action(Enum):
    """What is done. Each has one function in `pbx.call.actions`."""

    START = "run the first step"
    STEP = "hand it to the running step"
    TAKE_ANSWER = "take the caller's answer to our offer, and tell the running step"
    TAKE_REFUSAL = "go on with what the caller agreed to before, and tell the running step"
    BRIDGE = "relay it to the other leg; what is of a supervisor's leg belongs to the supervision"
    ANSWER_OURSELVES = "answer the offer ourselves"
    DECLINE = "decline the offer for now (491)"
    TRANSFER = "transfer the other party, as policy says"
    DECLINE_REFER = "decline the transfer"
    REFER_PASSED = "tell whoever asked for the transfer how it stands"
    END = "end the call"
    LEG_GONE = "strike the leg off, and end the call if it was the one talking"
    LEFT = "strike the leg off"
    FINISH = "strike it off the list of what must be gone before the end"
    NOTE = "write it into the summary"
    RECORDING_LOST = "write it down, and end the call if policy says so"
    TAPE = "hand it to the recording"
    AWAIT = "wait on for what is still to come"
    SILENCE = "end the call if policy says so"
    PERFORM = "do what is wanted"
    ASK_AUDIO = "ask the engine how the audio does"
    JUDGE = "judge the audio, once all counts have come"
    IGNORE = "nothing: it came too late to matter"


_SHARED = {
    Input.CALLER_ANSWERED: Action.IGNORE,
    Input.CALLER_GONE: Action.END,
    Input.HANG_UP: Action.END,
    Input.DELIVERED: Action.IGNORE,
    Input.REFER_REQUESTED: Action.DECLINE_REFER,
    Input.REFER_PROGRESS: Action.IGNORE,
    Input.STREAM_CLOSED: Action.NOTE,
    Input.RECORDING_FAILED: Action.RECORDING_LOST,
    Input.RECORDING_BEHIND: Action.RECORDING_LOST,
    Input.RECORDING_FINISHING: Action.IGNORE,
    Input.RECORDING_WANTED: Action.IGNORE,
    Input.TIMER: Action.STEP,
    Input.WISH: Action.PERFORM,
    Input.VERDICT_DUE: Action.ASK_AUDIO,
    Input.STATISTICS: Action.JUDGE,
}

_STEPPING = {
    **_SHARED,
    Input.CALLEE_RINGING: Action.STEP,
    Input.CALLEE_PROGRESSING: Action.STEP,
    Input.CALLEE_ANSWERED: Action.STEP,
    Input.CALLEE_GONE: Action.STEP,
    Input.CALLEE_OFFERED: Action.DECLINE,
    Input.OFFER_ANSWERED: Action.TAKE_ANSWER,
    Input.OFFER_DECLINED: Action.TAKE_REFUSAL,
    Input.OFFER_WITHDRAWN: Action.IGNORE,
    Input.INFORMED: Action.IGNORE,
    Input.STREAM_READY: Action.STEP,
    Input.STREAM_FAILED: Action.STEP,
    Input.DIGIT: Action.STEP,
    Input.PLAY_ENDED: Action.STEP,
    Input.RECORDING_ENDED: Action.STEP,
    Input.NO_MEDIA: Action.IGNORE,
}

_OVER = {
    **dict.fromkeys(Input, Action.IGNORE),
    Input.CALLER_GONE: Action.LEFT,
    Input.CALLEE_GONE: Action.LEFT,
}

TABLE: dict[State, dict[Input, Action]] = {
    State.SETTING_UP: {**_STEPPING, Input.START: Action.START, Input.CALLER_OFFERED: Action.DECLINE},
    State.SERVING: {
        **_STEPPING,
        Input.START: Action.IGNORE,
        Input.CALLER_OFFERED: Action.ANSWER_OURSELVES,
        Input.NO_MEDIA: Action.SILENCE,
    },
    State.TALKING: {
        **_SHARED,
        Input.START: Action.IGNORE,
        Input.CALLEE_RINGING: Action.IGNORE,
        Input.CALLEE_PROGRESSING: Action.IGNORE,
        Input.CALLEE_ANSWERED: Action.BRIDGE,
        Input.CALLEE_GONE: Action.LEG_GONE,
        Input.CALLER_OFFERED: Action.BRIDGE,
        Input.CALLEE_OFFERED: Action.BRIDGE,
        Input.OFFER_ANSWERED: Action.BRIDGE,
        Input.OFFER_DECLINED: Action.BRIDGE,
        Input.OFFER_WITHDRAWN: Action.BRIDGE,
        Input.INFORMED: Action.BRIDGE,
        Input.REFER_REQUESTED: Action.TRANSFER,
        Input.REFER_PROGRESS: Action.REFER_PASSED,
        Input.STREAM_READY: Action.BRIDGE,
        Input.STREAM_FAILED: Action.END,
        Input.DIGIT: Action.TAPE,
        Input.PLAY_ENDED: Action.TAPE,
        Input.RECORDING_ENDED: Action.TAPE,
        Input.RECORDING_WANTED: Action.TAPE,
        Input.TIMER: Action.TAPE,
        Input.NO_MEDIA: Action.SILENCE,
    },
    State.ENDING: {
        **_OVER,
        Input.STREAM_CLOSED: Action.FINISH,
        Input.STREAM_FAILED: Action.FINISH,
        Input.RECORDING_ENDED: Action.FINISH,
        Input.RECORDING_FAILED: Action.FINISH,
        Input.RECORDING_FINISHING: Action.AWAIT,
        Input.TIMER: Action.FINISH,
        Input.CALLER_OFFERED: Action.DECLINE,
        Input.CALLEE_OFFERED: Action.DECLINE,
        Input.REFER_REQUESTED: Action.DECLINE_REFER,
    },
    State.ENDED: _OVER,
}
