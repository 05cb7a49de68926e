"""Why a call ended: one `EndCause` feeds the response, the call record, the metric label and the log line."""

from __future__ import annotations

from dataclasses import replace

from pbx.values import Enum, dataclass

__all__ = ["Blame", "EndCause", "cause_named", "cause_of_status", "causes"]


class Blame(Enum):
    """Who ended the call or made it fail."""

    CALLER = "caller"
    CALLEE = "callee"
    NETWORK = "network"
    POLICY = "policy"
    TANDEM = "tandem"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class EndCause:
    """One way for a call to end.

    `slug` is stable and names the metric label; `sip_status` is the final response a caller gets when the call was
    never answered; `q850` the Q.850 cause value of the Reason header (RFC 3326); `text` one plain sentence; `detail`
    what this very call adds (a peer's reason phrase, a host name), never part of a metric label.
    """

    slug: str
    sip_status: int
    q850: int
    blame: Blame
    text: str
    detail: str = ""

    def with_detail(self, detail: str) -> EndCause:
        """Return this cause with what this very call adds."""
        return replace(self, detail=detail)


_TABLE = (
    # slug, status, Q.850, blame, text
    EndCause("answered-caller-hung-up", 200, 16, Blame.CALLER, "The caller hung up."),
    EndCause("answered-callee-hung-up", 200, 16, Blame.CALLEE, "The callee hung up."),
    EndCause("completed", 200, 16, Blame.TANDEM, "The route's steps were done."),
    EndCause("transferred", 200, 16, Blame.CALLER, "A party transferred the other one to somebody else."),
    EndCause("cancelled", 487, 16, Blame.CALLER, "The caller gave up before an answer."),
    EndCause("answered-elsewhere", 487, 26, Blame.CALLEE, "Another phone answered."),
    EndCause("busy", 486, 17, Blame.CALLEE, "The callee is busy."),
    EndCause("declined", 603, 21, Blame.CALLEE, "The callee declined."),
    EndCause("no-answer", 480, 19, Blame.CALLEE, "Nobody answered in time."),
    EndCause("unavailable", 480, 20, Blame.CALLEE, "The callee has no phone registered, or none that can take calls."),
    EndCause("number-unknown", 404, 1, Blame.CALLER, "No such number."),
    EndCause("number-gone", 410, 22, Blame.CALLER, "The number has changed."),
    EndCause("number-incomplete", 484, 28, Blame.CALLER, "The number is incomplete."),
    EndCause("no-route", 404, 3, Blame.POLICY, "No route of the dialplan takes this number from this source."),
    EndCause("forbidden", 403, 21, Blame.POLICY, "Policy forbids this call."),
    EndCause("budget-exceeded", 403, 21, Blame.POLICY, "A budget for calls of this kind is spent."),
    EndCause("caller-unverified", 438, 21, Blame.CALLER, "The call must be signed, and no signature of it holds."),
    EndCause("unauthenticated", 401, 21, Blame.CALLER, "The caller did not prove who it is."),
    EndCause("bad-request", 400, 95, Blame.CALLER, "The caller's request was malformed."),
    EndCause("unsupported", 420, 29, Blame.CALLER, "The caller requires an extension that is not supported."),
    EndCause("media-unacceptable", 488, 88, Blame.CALLER, "The two sides share no media."),
    EndCause("srtp-required", 488, 88, Blame.POLICY, "Encrypted audio (SRTP) is required here, and none was offered."),
    EndCause("media-refused", 488, 88, Blame.CALLEE, "The callee cannot take the media offered."),
    EndCause("replaced-gone", 481, 31, Blame.CALLER, "The call that was to be taken over is there no more."),
    EndCause("too-many-hops", 483, 25, Blame.NETWORK, "The request went through too many hops."),
    EndCause("loop", 482, 25, Blame.NETWORK, "The call came back to where it had been."),
    EndCause("unreachable", 503, 38, Blame.NETWORK, "The next hop could not be reached."),
    EndCause("callee-timeout", 408, 18, Blame.NETWORK, "The next hop never replied."),
    EndCause("callee-failed", 500, 41, Blame.CALLEE, "The next hop reported a failure."),
    EndCause("callee-overloaded", 503, 42, Blame.CALLEE, "The next hop is overloaded or out of service."),
    EndCause("callee-refused", 403, 21, Blame.CALLEE, "The next hop refused the call."),
    EndCause("protocol-error", 500, 111, Blame.CALLEE, "A peer broke the protocol."),
    EndCause("ack-missing", 408, 102, Blame.CALLER, "The caller never acknowledged the answer."),
    EndCause("caller-gone", 408, 102, Blame.CALLER, "The caller's phone stopped responding."),
    EndCause("callee-gone", 408, 102, Blame.CALLEE, "The callee's phone stopped responding."),
    EndCause("session-expired", 408, 102, Blame.NETWORK, "The session was not refreshed in time (RFC 4028)."),
    EndCause("no-media", 480, 102, Blame.NETWORK, "No audio arrived for too long."),
    EndCause("maximum-duration", 200, 102, Blame.POLICY, "The longest allowed duration was reached."),
    EndCause("too-many-calls", 503, 42, Blame.POLICY, "A limit on calls was reached."),
    EndCause("overloaded", 503, 42, Blame.TANDEM, "The server had more calls than it can carry."),
    EndCause("shutting-down", 503, 38, Blame.OPERATOR, "The server is shutting down."),
    EndCause("operator", 200, 16, Blame.OPERATOR, "An operator ended the call."),
    EndCause("no-ports", 503, 34, Blame.TANDEM, "No media port was free."),
    EndCause("media-failed", 500, 38, Blame.TANDEM, "The media engine failed."),
    EndCause("prompt-missing", 500, 38, Blame.TANDEM, "A sound file could not be played."),
    EndCause("recording-impossible", 503, 38, Blame.TANDEM, "The call must be recorded and could not be."),
    EndCause("not-available", 480, 69, Blame.POLICY, "The route asks for a feature that this server does not have."),
    EndCause("server-crashed", 500, 41, Blame.TANDEM, "The server ended without closing the call."),
    EndCause("internal-error", 500, 41, Blame.TANDEM, "A fault in this server ended the call."),
)

_BY_SLUG = {cause.slug: cause for cause in _TABLE}

_SLUG_OF_STATUS = {
    400: "protocol-error",
    401: "callee-refused",
    402: "callee-refused",
    403: "callee-refused",
    404: "number-unknown",
    407: "callee-refused",
    408: "callee-timeout",
    410: "number-gone",
    415: "media-refused",
    480: "unavailable",
    481: "protocol-error",
    482: "loop",
    483: "too-many-hops",
    484: "number-incomplete",
    486: "busy",
    487: "cancelled",
    488: "media-refused",
    502: "callee-failed",
    503: "callee-overloaded",
    504: "callee-timeout",
    600: "busy",
    603: "declined",
    604: "number-unknown",
    606: "media-refused",
    607: "declined",
    608: "declined",
}


def causes() -> tuple[EndCause, ...]:
    """Return every cause there is, for documentation and metrics."""
    return _TABLE


def cause_named(slug: str, detail: str = "") -> EndCause:
    """Return the cause called `slug`; KeyError if there is none."""
    cause = _BY_SLUG[slug]
    return cause.with_detail(detail) if detail else cause


def cause_of_status(status: int, reason: str = "") -> EndCause:
    """Return the cause that a peer's final response of 300 to 699 stands for, keeping that status.

    The mapping to Q.850 follows RFC 3398 §8.2.6.1.
    """
    slug = _SLUG_OF_STATUS.get(status) or ("callee-failed" if status >= 500 else "callee-refused")
    return replace(_BY_SLUG[slug], sip_status=status, detail=f"{status} {reason}".rstrip())
