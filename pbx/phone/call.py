"""One call of a phone: a leg, and what the plan says to do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from pbx.call import commands, events
from pbx.call.leg import InboundLeg, Leg, OutboundLeg
from pbx.cause import EndCause, cause_named
from pbx.errors import NegotiationError
from pbx.phone import notices
from pbx.phone.keys import KEY_SECONDS, split_keys
from pbx.phone.voice import Agreed, Voice
from pbx.sip.ext.key_info import INFO_TYPE, info_body, key_in

if TYPE_CHECKING:
    from pbx.media.events import Event as MediaEvent
    from pbx.phone.plan import Plan
    from pbx.phone.ports import Beneath
    from pbx.sdp.model import SessionDescription
    from pbx.sip.stack import Destination, Timer

__all__ = ["PhoneCall"]

_CREDENTIALS: Final = "line"
"""What Dial calls the phone's own password."""
_BEFORE_KEYS: Final = 0.5
"""Seconds between the answer and the first key: the far end's ears open a little later than its mouth."""
_MEDIA_GRACE: Final = 4.0
"""Seconds that the end waits for the engine's last counts and files."""
_WELL: Final = frozenset(("answered-caller-hung-up", "answered-callee-hung-up", "completed"))
_PEER: Final = _WELL | {"cancelled", "answered-elsewhere"}


class PhoneCall:
    """Begins by `dial` or `take`; `way` is our own numeric address and the peer's.

    `over(well)` is called once, when nothing of its media is left. The leg may still have a BYE to finish then.
    """

    def __init__(
        self,
        beneath: Beneath,
        plan: Plan,
        way: tuple[str, str],
        tell: Callable[[notices.Notice], None],
        over: Callable[[bool], None],
    ) -> None:
        self._beneath = beneath
        self._plan = plan
        self._tell = tell
        self._over: Callable[[bool], None] | None = over
        self.id = beneath.context.ids.token(6)
        self._voice = Voice(self.id, beneath, plan, way, tell, self._opened, self._fail)
        self._leg: Leg
        self._when_open: Callable[[], None] = lambda: None
        self._timers: list[Timer] = []
        self._answered: float | None = None
        """When, on the stack's clock."""
        self._well = False
        """Whether it was answered and ended as calls do."""
        self._answer_due = self._rang = self._early = self._held = self._ours = self._ended = False

    # -- beginnings

    def dial(self, destination: Destination, caller: commands.Party, called: commands.Party) -> None:
        """Call."""
        leg = self._leg = OutboundLeg(self.id, self._beneath.context, self.on_leg)

        def invite() -> None:
            leg.handle(
                commands.Dial(leg.id, destination, caller, called, self._voice.offer(), credentials=_CREDENTIALS)
            )

        self._when_open = invite
        self._limit()
        self._voice.open()

    def take(self, leg: InboundLeg) -> None:
        """Take a leg that has started and tells `on_leg`: ring, and answer when the plan says."""
        self._leg = leg
        self._limit()
        try:
            if leg.offer is not None:
                self._voice.take_offer(leg.offer)
        except NegotiationError as error:
            self._refuse(leg, error)
            return
        leg.handle(commands.Ring(leg.id))
        self._tell(notices.Ringing(here=True))
        self._when_open = lambda: self._answer(leg)
        self._voice.open()
        self._later(self._plan.answer_after, lambda: self._answer_now(leg))

    def hang_up(self) -> None:
        """End it, in whatever state it is."""
        self._ours = True
        if isinstance(self._leg, OutboundLeg):
            slug = "cancelled" if self._answered is None else "answered-caller-hung-up"
        else:
            slug = "declined" if self._answered is None else "answered-callee-hung-up"
        self._finish_leg(cause_named(slug))

    def _finish_leg(self, cause: EndCause) -> None:
        self._leg.handle(commands.HangUp(self._leg.id, cause))
        # A leg that was not even dialled, since its ports are still being opened, tells nothing.
        self._end(cause, 0)

    def _limit(self) -> None:
        if self._plan.hang_up_after is not None:
            self._later(self._plan.hang_up_after, self.hang_up)

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        self._timers.append(self._beneath.context.stack.later(delay, call))

    # -- answering

    def _answer_now(self, leg: InboundLeg) -> None:
        self._answer_due = True
        self._answer(leg)

    def _answer(self, leg: InboundLeg) -> None:
        if not self._answer_due or self._ended or not self._voice.ready:
            return
        try:
            sdp = self._voice.offer() if leg.offer is None else self._voice.answer()
        except NegotiationError as error:
            self._refuse(leg, error)
            return
        leg.handle(commands.Answer(leg.id, sdp))
        if leg.offer is not None:
            self._voice.agreed = Agreed.of(leg.offer)
            self._up()

    def _refuse(self, leg: InboundLeg, error: NegotiationError) -> None:
        leg.handle(commands.Reject(leg.id, cause_named("media-unacceptable", error.reason)))

    # -- what the leg tells

    def on_leg(self, event: events.Event) -> None:
        """Take what the leg tells."""
        if self._ended:
            return
        match event:
            case events.Ringing():
                self._on_ringing()
            case events.Progressing():
                self._on_progressing(event)
            case events.Answered():
                self._on_answered(event.sdp)
            case events.Offered():
                self._on_offered(event.sdp)
            case events.OfferAnswered():
                self._on_offer_answered(event.sdp)
            case events.OfferWithdrawn() | events.OfferDeclined():
                self._voice.rollback()
            case events.Informed():
                self._on_informed(event)
            case events.Delivered():
                self._on_delivered(event)
            case events.ReferRequested():
                self._leg.handle(commands.DeclineRefer(self._leg.id))
            case events.Rejected():
                self._on_rejected(event)
            case events.HungUp():
                self._end(event.cause, 0)
            case events.Incoming() | events.ReferProgress():
                pass
        self._voice.flush()

    def _on_ringing(self) -> None:
        if not self._rang:
            self._rang = True
            self._tell(notices.Ringing())

    def _on_progressing(self, event: events.Progressing) -> None:
        if event.ringing:
            self._on_ringing()
        if self._take_answer(event.sdp) and not self._early and self._voice.agreed is not None:
            self._early = True
            self._tell(notices.EarlyMedia(self._voice.codec, self._voice.agreed.address))
            self._voice.early()

    def _on_answered(self, sdp: SessionDescription) -> None:
        if self._take_answer(sdp):
            self._up()

    def _on_offer_answered(self, sdp: SessionDescription) -> None:
        """Take the answer to an offer that the peer had asked for; one to a late offer brings the call up."""
        if self._take_answer(sdp) and self._answered is None and isinstance(self._leg, InboundLeg):
            self._up()

    def _on_rejected(self, event: events.Rejected) -> None:
        to = f" to {', '.join(event.redirected_to)}" if event.redirected_to else ""
        self._end(event.cause.with_detail(event.cause.detail + to), event.status)

    def _on_offered(self, sdp: SessionDescription | None) -> None:
        """Answer a re-INVITE or UPDATE: hold, another address, another codec."""
        voice, leg = self._voice, self._leg
        try:
            if sdp is None:
                leg.handle(commands.AcceptOffer(leg.id, voice.offer()))
                return
            voice.take_offer(sdp)
        except NegotiationError as error:
            leg.handle(commands.DeclineOffer(leg.id, error.status))
            return
        try:
            answer = voice.answer()
        except NegotiationError as error:
            voice.rollback()
            leg.handle(commands.DeclineOffer(leg.id, error.status))
            return
        leg.handle(commands.AcceptOffer(leg.id, answer))
        self._note(Agreed.of(sdp))

    def _on_informed(self, event: events.Informed) -> None:
        pressed = key_in(event.content_type, event.body)
        if pressed is not None:
            self._tell(notices.KeyHeard(*pressed, "info"))
        elif event.content_type.lower().startswith("text/"):
            self._tell(notices.TextHeard(event.body.decode("utf-8", "replace")))

    def _on_delivered(self, event: events.Delivered) -> None:
        if event.status >= 300:
            self._voice.well = False
            self._tell(notices.KeysSent("", "info", f"the peer answers {event.status}"))

    # -- media

    def _take_answer(self, sdp: SessionDescription) -> bool:
        """Take the peer's answer; False if it cannot be met, which ends the call."""
        try:
            self._voice.take_answer(sdp)
            agreed = Agreed.of(sdp)
        except NegotiationError as error:
            self._finish_leg(cause_named("media-refused", error.reason))
            return False
        if self._answered is None:
            self._voice.agreed = agreed
        else:
            self._note(agreed)
        return True

    def _note(self, agreed: Agreed) -> None:
        """Tell what has changed in mid-call."""
        before, self._voice.agreed = self._voice.agreed, agreed
        self._note_hold(agreed)
        if before is not None and before.address != agreed.address and agreed.reachable and before.reachable:
            self._tell(notices.MediaChanged(self._voice.codec, agreed.address))

    def _note_hold(self, agreed: Agreed) -> None:
        held = not agreed.direction.receives
        if held != self._held:
            self._held = held
            self._tell(notices.Held(agreed.direction.sends) if held else notices.Resumed())

    def _up(self) -> None:
        """The call is answered."""
        agreed, plan = self._voice.agreed, self._plan
        assert agreed is not None, "an answer was taken"
        self._answered = self._beneath.context.stack.now()
        here = isinstance(self._leg, InboundLeg)
        self._tell(notices.Answered(self._voice.codec, agreed.address, here))
        self._note_hold(agreed)
        self._voice.talk()
        if plan.duration is not None:
            self._later(plan.duration, self.hang_up)
        for at, keys in split_keys(plan.keys):
            self._later(_BEFORE_KEYS + at, lambda keys=keys: self._press(keys))  # type: ignore[misc]

    def _press(self, keys: str) -> None:
        agreed = self._voice.agreed
        if agreed is not None and agreed.takes_keys:
            self._voice.press(keys)
            self._tell(notices.KeysSent(keys, "rtp"))
            return
        for place, key in enumerate(keys):
            inform = commands.Inform(self._leg.id, "INFO", INFO_TYPE, info_body(key))
            self._later(place * KEY_SECONDS, lambda inform=inform: self._leg.handle(inform))  # type: ignore[misc]
        self._tell(notices.KeysSent(keys, "info"))

    # -- what the engine tells

    def on_media(self, told: Iterable[MediaEvent]) -> None:
        """Take what the engine tells; all of it is of this call."""
        self._voice.hear(told)
        self._finish_if_done()

    def _opened(self) -> None:
        if not self._ended:
            self._when_open()

    def _fail(self, text: str) -> None:
        if text:
            self._tell(notices.Fault(text))
        self._voice.well = False
        if not self._ended:
            self._ours = True
            self._finish_leg(cause_named("media-failed"))

    # -- the end

    def _end(self, cause: EndCause, status: int) -> None:
        """The call is over; its media is ended now."""
        if self._ended:
            return
        self._ended = True
        self._stop_timers()
        answered = self._answered is not None
        seconds = 0.0 if self._answered is None else self._beneath.context.stack.now() - self._answered
        self._well = answered and cause.slug in _WELL
        text = cause.text
        if status in (401, 407):
            text = "The server does not accept this user name and password for a call."
        who = self._who(cause, status)
        self._tell(notices.HungUp(who, cause.slug, text, cause.detail, answered, seconds, status))
        self._voice.close()
        self._later(_MEDIA_GRACE, self._finish)
        self._finish_if_done()

    def _who(self, cause: EndCause, status: int) -> notices.Who:
        if self._ours:
            return notices.Who.US
        return notices.Who.PEER if status >= 300 or cause.slug in _PEER else notices.Who.NETWORK

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _finish_if_done(self) -> None:
        if self._ended and self._voice.over:
            self._finish()

    def _finish(self) -> None:
        over, self._over = self._over, None
        if over is None:
            return
        self._stop_timers()
        self._voice.tell_quality()
        over(self._well and self._voice.well)
