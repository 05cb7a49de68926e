"""The keys that the legs of one call press: heard whichever way they come, once each, and sent the other's way.

Telephone-events that both sides have are relayed by the engine, packet by packet, and told of here all the same. What
comes by INFO becomes a `Digit` like any other, so that whoever listens for keys need not know how they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.call.commands import Inform
from pbx.call.events import Informed
from pbx.call.items import Item, TimerDue
from pbx.call.key_filter import KeyFilter, Way
from pbx.media import events as media
from pbx.media.commands import Clamp
from pbx.media.keys import KEY_MILLISECONDS, DtmfMode
from pbx.sip.ext.key_info import INFO_TYPE, info_body, key_in
from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.call.call import Call

__all__ = ["Keys"]

_TIMER = "keys"
_WINDOW = 0.1


@dataclass(frozen=True, slots=True)
class _Held:
    leg: str
    digit: str
    milliseconds: int
    due: float


class Keys:
    """Those of one call."""

    __slots__ = ("_filter", "_held")

    def __init__(self) -> None:
        self._filter = KeyFilter(_WINDOW)
        self._held: list[_Held] = []
        """Keys by INFO of legs that also have telephone-events, until it is plain that none of these tells the same:
        what has been relayed cannot be taken back."""

    def take(self, call: Call, item: Item) -> Item | None:
        """Take whatever happens to the call; return what is to be made of it: mostly `item` itself, a Digit for a key
        that came by INFO, and None for what has been told before."""
        if isinstance(item, media.Digit):
            return self._digit(call, item)
        if isinstance(item, Informed):
            return self._informed(call, item)
        if isinstance(item, TimerDue) and item.name == _TIMER:
            self._due(call)
            return None
        return item

    def connect(self, call: Call) -> None:
        """Take that caller and callee talk from now on. A key that the one presses as a tone, and the other is told
        another way, is not heard there as well."""
        session = call.session
        for leg in (call.caller, call.bridge.callee):
            if session.carries_tones(leg):
                session.clamp_keys(leg, _clamp(call, call.bridge.other_than(leg)))

    def _digit(self, call: Call, item: media.Digit) -> Item | None:
        leg, now = call.session.leg_of(item.stream), call.services.now()
        if leg is None:
            return item
        began = now - item.duration / 1000
        if self._filter.is_repeat(leg, Way.MEDIA, item.digit, began, now) and not self._release(leg, item.digit):
            return None
        self._pass_on(call, leg, item, spoken=call.session.carries_tones(leg))
        return item

    def _release(self, leg: str, digit: str) -> bool:
        """Let go what is held of a key that has come in the media too; return whether it was held."""
        for held in self._held:
            if held.leg == leg and held.digit == digit:
                self._held.remove(held)
                return True
        return False

    def _informed(self, call: Call, item: Informed) -> Item | None:
        key = key_in(item.content_type, item.body) if item.method == "INFO" else None
        if key is None or not call.session.has_stream(item.leg):
            return item
        digit, milliseconds = key
        now = call.services.now()
        if self._filter.is_repeat(item.leg, Way.INFO, digit, now, now):
            return None
        if not call.session.has_events(item.leg):
            return self._pressed(call, item.leg, digit, milliseconds)
        wait = min(milliseconds, KEY_MILLISECONDS[1]) / 1000 + _WINDOW
        self._held.append(_Held(item.leg, digit, milliseconds, now + wait))
        self._set_timer(call)
        return None

    def _due(self, call: Call) -> None:
        now = call.services.now()
        # In the order in which they were pressed, whatever each says of its duration.
        while self._held and self._held[0].due <= now + 0.001:
            held = self._held.pop(0)
            if call.session.has_stream(held.leg):
                call.take_key(self._pressed(call, held.leg, held.digit, held.milliseconds))
        self._set_timer(call)

    def _set_timer(self, call: Call) -> None:
        if self._held:
            call.set_timer(_TIMER, max(0.0, self._held[0].due - call.services.now()))

    def _pressed(self, call: Call, leg: str, digit: str, milliseconds: int) -> media.Digit:
        """Let a key that came by INFO do what one in the media does."""
        call.session.take_digit(leg, digit)
        item = media.Digit(call.session.stream_of(leg), digit, milliseconds)
        self._pass_on(call, leg, item, spoken=False)
        return item

    def _pass_on(self, call: Call, leg: str, item: media.Digit, spoken: bool) -> None:
        """Send a key to whom its leg talks to; `spoken`: it is a tone in what that one hears anyhow."""
        if item.relayed or not call.connected or leg not in (call.caller, call.bridge.callee):
            return
        other, session = call.bridge.other_than(leg), call.session
        shortest, longest = KEY_MILLISECONDS
        duration = min(max(item.duration, shortest), longest)
        events = session.has_events(other)
        if session.dtmf_of(other) is DtmfMode.INFO or (not events and _takes_info(call, other)):
            call.command(Inform(other, "INFO", INFO_TYPE, info_body(item.digit, duration)))
        elif events or not spoken:
            session.send_digits(other, item.digit, duration)


def _takes_info(call: Call, leg: str) -> bool:
    """Return whether a leg is told keys by INFO, unless it has telephone-events."""
    mode = call.session.dtmf_of(leg)
    return mode is DtmfMode.INFO or (mode is not DtmfMode.INBAND and call.legs.takes_info(leg))


def _clamp(call: Call, told: str) -> Clamp:
    """Return when the tones of keys are kept from a leg that is told these keys."""
    if call.session.dtmf_of(told) is DtmfMode.INBAND:
        return "never"
    return "always" if _takes_info(call, told) else "events"
