"""The state machines of a leg, as data: in each state, what is done with each input, for either role.

``docs/leg.md`` is drawn from these tables, and one test walks every (state, input) pair.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["INBOUND", "OUTBOUND", "Action", "Input", "State", "Table"]


class State(StrEnum):
    """Where a leg stands."""

    NEW = "new"
    """Nothing was sent or received."""
    CALLING = "calling"
    """The INVITE is on its way and no dialog is known to both sides: no 1xx with a tag was received or sent."""
    EARLY = "early"
    """The callee rings or sends early media; there is at least one early dialog."""
    ANSWERING = "answering"
    """Inbound: the answer is given and waits until a reliable provisional response with a description is acknowledged
    (RFC 3262 §3)."""
    ANSWERED = "answered"
    """Inbound: the 2xx is sent and its ACK is awaited. Outbound: the 2xx brought an offer, whose answer our ACK
    awaits."""
    CONFIRMED = "confirmed"
    """The dialog is confirmed and both sides know it."""
    CANCELLING = "cancelling"
    """Outbound: given up before an answer; the INVITE's final response is awaited. Nothing more is told."""
    ENDING = "ending"
    """The end is decided and told; SIP has still something to finish."""
    ENDED = "ended"
    """Nothing is left."""


class Input(StrEnum):
    """What can reach a leg."""

    # Commands.
    DIAL = "Dial"
    RING = "Ring"
    PROGRESS = "Progress"
    ANSWER = "Answer"
    REJECT = "Reject"
    HANG_UP = "HangUp"
    OFFER = "Offer"
    ACCEPT_OFFER = "AcceptOffer"
    DECLINE_OFFER = "DeclineOffer"
    INFORM = "Inform"
    REFER = "Refer"
    ACCEPT_REFER = "AcceptRefer"
    DECLINE_REFER = "DeclineRefer"
    REPORT_REFER = "ReportRefer"
    # Requests of the peer in one of the leg's dialogs.
    INVITE = "INVITE"
    UPDATE = "UPDATE"
    PRACK = "PRACK"
    BYE = "BYE"
    INFO = "INFO"
    MESSAGE = "MESSAGE"
    OPTIONS = "OPTIONS"
    REFERRED = "REFER"
    NOTIFY = "NOTIFY"
    OTHER_REQUEST = "another request"
    ACK = "ACK"
    CANCEL = "CANCEL"
    # What becomes of our own INVITE, the one that opens an outbound leg.
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "3xx to 6xx"
    NO_RESPONSE = "no response"
    SILENCE = "silence"
    """Nobody has said anything for longer than the call wants to wait."""
    # Faults that the leg finds out by itself.
    INVITE_EXPIRED = "invitation expired"
    NO_ACK = "no ACK"
    NO_PRACK = "no PRACK"
    UNDELIVERED = "response undelivered"
    SESSION_EXPIRED = "session expired"
    PEER_GONE = "peer gone"
    PROTOCOL_FAULT = "protocol fault"


class Action(StrEnum):
    """What is done. The value names the method of the leg that does it."""

    DIAL = "dial"
    RING = "ring"
    PROGRESS = "progress"
    ANSWER = "answer"
    REJECT = "reject"
    CANCEL = "give_up"
    HANG_UP = "hang_up"
    OFFER = "make_offer"
    POSTPONE_OFFER = "postpone_offer"
    ACCEPT_OFFER = "accept_offer"
    DECLINE_OFFER = "decline_offer"
    INFORM = "inform"
    REFER = "refer"
    ACCEPT_REFER = "accept_refer"
    DECLINE_REFER = "decline_refer"
    REPORT_REFER = "report_refer"
    UNDELIVERABLE = "undeliverable"
    DROP = "drop"
    """A command that no longer fits: counted."""

    TAKE_INVITE = "take_invite"
    TAKE_UPDATE = "take_update"
    TAKE_PRACK = "take_prack"
    TAKE_BYE = "take_bye"
    TAKE_EARLY_BYE = "take_early_bye"
    TAKE_CROSSING_BYE = "take_crossing_bye"
    TAKE_INFORMATION = "take_information"
    TAKE_OPTIONS = "take_options"
    TAKE_REFER = "take_refer"
    TAKE_NOTIFY = "take_notify"
    TAKE_UNKNOWN = "take_unknown"
    TAKE_ACK = "take_ack"
    TAKE_CANCEL = "take_cancel"
    TAKE_REINVITE_CANCEL = "take_reinvite_cancel"
    REFUSE_OVERLAP = "refuse_overlap"
    """500 with Retry-After (RFC 3261 §14.2): an earlier INVITE of theirs is not answered yet."""
    REFUSE_GLARE = "refuse_glare"
    """491 (RFC 3261 §14.2): an INVITE of ours is not answered yet."""
    REFUSE_NO_DIALOG = "refuse_no_dialog"
    """481 (RFC 3261 §12.2.2)."""

    TAKE_PROVISIONAL = "take_provisional"
    TAKE_SUCCESS = "take_success"
    TAKE_EXTRA_SUCCESS = "take_extra_success"
    """A 2xx to an INVITE that has had its 2xx or was given up: acknowledged, and ended by BYE unless it is a
    retransmission."""
    TAKE_FAILURE = "take_failure"
    TAKE_CANCELLED = "take_cancelled"
    TAKE_NO_RESPONSE = "take_no_response"
    TAKE_SILENCE = "take_silence"

    TAKE_INVITE_EXPIRY = "take_invite_expiry"
    TAKE_NO_ACK = "take_no_ack"
    TAKE_NO_ACK_AT_END = "take_no_ack_at_end"
    TAKE_NO_PRACK = "take_no_prack"
    TAKE_UNDELIVERED = "take_undelivered"
    TAKE_EXPIRY = "take_expiry"
    TAKE_PEER_GONE = "take_peer_gone"
    TAKE_PROTOCOL_FAULT = "take_protocol_fault"
    IGNORE = "ignore"
    """Something late or strange that needs no reply: counted."""


Table = dict[State, dict[Input, Action]]
"""Every state that a role can be in, with every input."""

_COMMANDS = (
    Input.DIAL,
    Input.RING,
    Input.PROGRESS,
    Input.ANSWER,
    Input.REJECT,
    Input.HANG_UP,
    Input.OFFER,
    Input.ACCEPT_OFFER,
    Input.DECLINE_OFFER,
    Input.INFORM,
    Input.REFER,
    Input.ACCEPT_REFER,
    Input.DECLINE_REFER,
    Input.REPORT_REFER,
)
_REQUESTS = (
    Input.INVITE,
    Input.UPDATE,
    Input.PRACK,
    Input.BYE,
    Input.INFO,
    Input.MESSAGE,
    Input.OPTIONS,
    Input.REFERRED,
    Input.NOTIFY,
    Input.OTHER_REQUEST,
)

# What holds unless a state says otherwise: a command is dropped, a request knows no dialog, the rest comes too late.
_OTHERWISE: dict[Input, Action] = {
    **dict.fromkeys(Input, Action.IGNORE),
    **dict.fromkeys(_COMMANDS, Action.DROP),
    **dict.fromkeys(_REQUESTS, Action.REFUSE_NO_DIALOG),
}

# What any dialog takes, early or confirmed.
_IN_DIALOG = {
    Input.ACCEPT_OFFER: Action.ACCEPT_OFFER,
    Input.DECLINE_OFFER: Action.DECLINE_OFFER,
    Input.INFORM: Action.INFORM,
    Input.UPDATE: Action.TAKE_UPDATE,
    Input.PRACK: Action.TAKE_PRACK,
    Input.INFO: Action.TAKE_INFORMATION,
    Input.MESSAGE: Action.TAKE_INFORMATION,
    Input.OPTIONS: Action.TAKE_OPTIONS,
    Input.REFERRED: Action.TAKE_UNKNOWN,
    Input.NOTIFY: Action.TAKE_UNKNOWN,
    Input.OTHER_REQUEST: Action.TAKE_UNKNOWN,
}

_CONFIRMED = {
    **_OTHERWISE,
    **_IN_DIALOG,
    Input.HANG_UP: Action.HANG_UP,
    Input.OFFER: Action.OFFER,
    Input.INVITE: Action.TAKE_INVITE,
    Input.REFER: Action.REFER,
    Input.ACCEPT_REFER: Action.ACCEPT_REFER,
    Input.DECLINE_REFER: Action.DECLINE_REFER,
    Input.REPORT_REFER: Action.REPORT_REFER,
    Input.REFERRED: Action.TAKE_REFER,
    Input.NOTIFY: Action.TAKE_NOTIFY,
    Input.BYE: Action.TAKE_BYE,
    Input.ACK: Action.TAKE_ACK,
    Input.CANCEL: Action.TAKE_REINVITE_CANCEL,
    Input.NO_ACK: Action.TAKE_NO_ACK,
    Input.SESSION_EXPIRED: Action.TAKE_EXPIRY,
    Input.PEER_GONE: Action.TAKE_PEER_GONE,
    Input.PROTOCOL_FAULT: Action.TAKE_PROTOCOL_FAULT,
}

_ENDING = {
    **_OTHERWISE,
    Input.BYE: Action.TAKE_CROSSING_BYE,
    Input.ACK: Action.TAKE_ACK,
    Input.NO_ACK: Action.TAKE_NO_ACK_AT_END,
}

_INBOUND_EARLY = {
    **_OTHERWISE,
    **_IN_DIALOG,
    Input.RING: Action.RING,
    Input.PROGRESS: Action.PROGRESS,
    Input.ANSWER: Action.ANSWER,
    Input.REJECT: Action.REJECT,
    Input.HANG_UP: Action.REJECT,
    Input.OFFER: Action.OFFER,
    Input.INVITE: Action.REFUSE_OVERLAP,
    Input.BYE: Action.TAKE_EARLY_BYE,
    Input.CANCEL: Action.TAKE_CANCEL,
    Input.INVITE_EXPIRED: Action.TAKE_INVITE_EXPIRY,
    Input.NO_PRACK: Action.TAKE_NO_PRACK,
    Input.UNDELIVERED: Action.TAKE_UNDELIVERED,
}

INBOUND: Table = {
    State.NEW: _OTHERWISE,
    State.CALLING: {
        **_OTHERWISE,
        Input.RING: Action.RING,
        Input.PROGRESS: Action.PROGRESS,
        Input.ANSWER: Action.ANSWER,
        Input.REJECT: Action.REJECT,
        Input.HANG_UP: Action.REJECT,
        Input.OFFER: Action.POSTPONE_OFFER,
        Input.INFORM: Action.UNDELIVERABLE,
        Input.CANCEL: Action.TAKE_CANCEL,
        Input.INVITE_EXPIRED: Action.TAKE_INVITE_EXPIRY,
        Input.UNDELIVERED: Action.TAKE_UNDELIVERED,
    },
    State.EARLY: _INBOUND_EARLY,
    State.ANSWERING: {
        **_INBOUND_EARLY,
        Input.RING: Action.DROP,
        Input.PROGRESS: Action.DROP,
        Input.ANSWER: Action.DROP,
        Input.OFFER: Action.POSTPONE_OFFER,
    },
    State.ANSWERED: {
        **_CONFIRMED,
        Input.OFFER: Action.POSTPONE_OFFER,
        Input.UNDELIVERED: Action.TAKE_UNDELIVERED,
    },
    State.CONFIRMED: _CONFIRMED,
    State.ENDING: _ENDING,
    State.ENDED: _OTHERWISE,
}

_LATE_SUCCESS = {Input.SUCCESS: Action.TAKE_EXTRA_SUCCESS}

_OUTBOUND_CALLING = {
    **_OTHERWISE,
    Input.HANG_UP: Action.CANCEL,
    Input.OFFER: Action.POSTPONE_OFFER,
    Input.INFORM: Action.UNDELIVERABLE,
    Input.PROVISIONAL: Action.TAKE_PROVISIONAL,
    Input.SUCCESS: Action.TAKE_SUCCESS,
    Input.FAILURE: Action.TAKE_FAILURE,
    Input.NO_RESPONSE: Action.TAKE_NO_RESPONSE,
}

OUTBOUND: Table = {
    State.NEW: {**_OTHERWISE, Input.DIAL: Action.DIAL, Input.HANG_UP: Action.CANCEL},
    State.CALLING: {**_OUTBOUND_CALLING, Input.SILENCE: Action.TAKE_SILENCE},
    State.EARLY: {
        **_OUTBOUND_CALLING,
        **_IN_DIALOG,
        Input.OFFER: Action.OFFER,
        Input.INVITE: Action.REFUSE_GLARE,
        Input.BYE: Action.TAKE_EARLY_BYE,
    },
    State.ANSWERED: {
        **_CONFIRMED,
        **_LATE_SUCCESS,
        Input.OFFER: Action.POSTPONE_OFFER,
        Input.INVITE: Action.REFUSE_GLARE,
    },
    State.CONFIRMED: {**_CONFIRMED, **_LATE_SUCCESS},
    State.CANCELLING: {
        **_OTHERWISE,
        **_LATE_SUCCESS,
        Input.BYE: Action.TAKE_CROSSING_BYE,
        Input.FAILURE: Action.TAKE_CANCELLED,
        Input.NO_RESPONSE: Action.TAKE_CANCELLED,
    },
    State.ENDING: {**_ENDING, **_LATE_SUCCESS},
    State.ENDED: {**_OTHERWISE, **_LATE_SUCCESS},
}
