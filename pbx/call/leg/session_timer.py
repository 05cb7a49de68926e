"""Session timers (RFC 4028): how long the session lives unless it is refreshed, who refreshes it, and when to give
up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pbx.errors import ParseError
from pbx.sip.ext.options import TIMER, supports
from pbx.sip.ext.session_timer import SMALLEST_INTERVAL, min_se_of, session_expires_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pbx.call.leg.context import LegSettings
    from pbx.sip.message import Request, Response
    from pbx.sip.stack import Stack, Timer

__all__ = ["Refreshable", "SessionTimer"]

_RETRY = 30.0
"""The longest wait, in seconds, between attempts to refresh that fail for a reason that may pass."""


class Refreshable(Protocol):
    """Whose session is timed."""

    def refresh_session(self) -> None:
        """Send a session refresh request."""

    def session_expired(self) -> None:
        """End the session: nobody refreshed it."""


class SessionTimer:
    """The timer of one dialog.

    Where the choice is ours we refresh, whatever the peer supports: a phone that promises to and does not must not cost
    a healthy call.
    """

    __slots__ = ("_deadline", "_min_se", "_owner", "_settings", "_stack", "_timer", "interval", "ours")

    def __init__(self, stack: Stack, settings: LegSettings, owner: Refreshable) -> None:
        self._stack = stack
        self._settings = settings
        self._owner: Refreshable | None = owner
        self._min_se = max(SMALLEST_INTERVAL, settings.min_se)
        self._deadline = 0.0
        self._timer: Timer | None = None
        self.interval = 0
        """Seconds; 0 while the session has no limit."""
        self.ours = False
        """Whether we refresh."""

    @property
    def running(self) -> bool:
        """True while something is due."""
        return self._timer is not None

    # -- as the client of a session refresh request

    def ask(self) -> tuple[tuple[str, str], ...]:
        """Return the headers of a request of ours that starts or refreshes the session."""
        if self.interval:
            # RFC 4028 §7.4: a refresh carries the current interval and keeps the current refresher; "uac" and "uas" are
            # the roles in this very transaction, whoever called whom.
            headers = [("Session-Expires", f"{self.interval};refresher={'uac' if self.ours else 'uas'}")]
        elif self._settings.session_expires:
            # RFC 4028 §7.1: without a refresher parameter the UAS chooses.
            headers = [("Session-Expires", str(max(self._settings.session_expires, self._min_se)))]
        else:
            return ()
        if self._min_se > SMALLEST_INTERVAL:
            headers.append(("Min-SE", str(self._min_se)))
        return tuple(headers)

    def raise_minimum(self, response: Response) -> bool:
        """Take a 422; True if the request is worth sending again with what `ask` then returns. Raises ParseError.

        RFC 4028 §7.3: the UAC may retry with Min-SE set to the largest one it was told, and a Session-Expires no
        smaller.
        """
        needed = min_se_of(response)
        if needed <= self._min_se:
            return False
        self._min_se = needed
        self.interval = max(self.interval, needed) if self.interval else 0
        return True

    def granted(self, response: Response) -> None:
        """Take the 2xx to a request that had the headers of `ask`, and start or stop the timer.

        A malformed Session-Expires counts as none: an answered call is not ended for it.
        """
        try:
            granted = session_expires_of(response)
        except ParseError:
            granted = None
        if granted is None or not self._settings.session_timers:
            # RFC 4028 §7.2: if the 2xx response did not contain a Session-Expires header field, there is no session
            # expiration.
            self.stop()
            self.interval = 0
            return
        # RFC 4028 §4: 90 seconds is the shortest interval there is; what is shorter would have us refresh all the time.
        self._start(max(granted.interval, SMALLEST_INTERVAL), granted.refresher != "uas")

    # -- as the server of one

    def too_small(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Return the headers of a 422 if the request asks for too short an interval, else nothing. Raises ParseError.

        RFC 4028 §9: only a UAC that supports timers may be refused so; a proxy on the way may have put the header
        there. After this `grant` raises no more.
        """
        if not self._settings.session_timers:
            return ()
        asked = session_expires_of(request)
        min_se_of(request)
        minimum = max(SMALLEST_INTERVAL, self._settings.min_se)
        if asked is None or asked.interval >= minimum or not supports(request, TIMER):
            return ()
        return (("Min-SE", str(minimum)),)

    def grant(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Return the headers of our 2xx to a request that starts or refreshes the session, and start or stop the timer.

        Raises ParseError, unless `too_small` has read the request before.
        """
        if not self._settings.session_timers:
            return ()
        asked = session_expires_of(request)
        longest = self._settings.session_expires
        able = supports(request, TIMER)
        if asked is None:
            if not longest:
                self.stop()
                self.interval = 0
                return ()
            seconds, refresher = max(longest, min_se_of(request)), None
        else:
            # RFC 4028 §9: the UAS MAY reduce its value, but it MUST NOT set it to a duration lower than the value in
            # the Min-SE header field in the request, if it is present; otherwise the UAS MUST NOT set it to less than
            # 90 seconds.
            seconds, refresher = max(asked.interval, SMALLEST_INTERVAL), asked.refresher
            if longest:
                seconds = min(seconds, max(longest, min_se_of(request)))
        # RFC 4028 §9, table 2: a UAC without support never refreshes; a refresher named by the UAC stands.
        theirs = able and refresher == "uac"
        self._start(seconds, not theirs)
        # RFC 4028 §9: if the refresher parameter is "uac", the UAS MUST place a Require header field into the response
        # with the value "timer".
        if theirs:
            return (("Session-Expires", f"{seconds};refresher=uac"), ("Require", "timer"))
        return (("Session-Expires", f"{seconds};refresher=uas"),)

    # -- time

    def stop(self) -> None:
        """Forget everything that is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def release(self) -> None:
        """Forget the owner too: it is over."""
        self.stop()
        self._owner = None

    def refresh_failed(self) -> None:
        """Take that a refresh failed for a reason that may pass; it is tried again while there is time."""
        if not self.interval or not self.ours:
            return
        left = self._deadline - self._stack.now()
        if left > _RETRY:
            self._arm(_RETRY, self._refresh_due)

    def _start(self, seconds: int, ours: bool) -> None:
        self.interval, self.ours = seconds, ours
        # RFC 4028 §10: the BYE is to be sent the minimum of 32 seconds and one third of the session interval before the
        # expiration.
        allowed = seconds - min(32.0, seconds / 3)
        self._deadline = self._stack.now() + allowed
        if ours:
            # RFC 4028 §7.4: it is RECOMMENDED that this refresh be sent once half the session interval has elapsed.
            self._arm(seconds / 2, self._refresh_due)
        else:
            self._arm(allowed, self._expired)

    def _arm(self, delay: float, call: Callable[[], None]) -> None:
        self.stop()
        self._timer = self._stack.later(delay, call)

    def _refresh_due(self) -> None:
        self._arm(max(0.0, self._deadline - self._stack.now()), self._expired)
        if self._owner is not None:
            self._owner.refresh_session()

    def _expired(self) -> None:
        self._timer = None
        if self._owner is not None:
            self._owner.session_expired()
