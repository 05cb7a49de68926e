"""What is remembered of where names lead."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pbx.net.whereabouts import Whereabouts
from pbx.sip.targets import Target
from pbx.sip.uri import Uri
from tests.support.clock import SteppedClock

CARRIER, PROXY = Uri.parse("sip:carrier.example.com"), Uri.parse("sip:192.0.2.7:5070")


class Names:
    """A resolver whose answers a test sets; it answers when told to."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked: list[tuple[str, Callable[[Sequence[Target], str], None]]] = []

    def resolve(self, uri: Uri, hint: str, callback: Callable[[Sequence[Target], str], None]) -> None:
        self.asked.append((uri.host, callback))

    def answer(self) -> list[str]:
        asked, self.asked = self.asked, []
        for host, callback in asked:
            found = self.known.get(host)
            callback([Target("udp", found, 5060)] if found else (), "" if found else "no such name")
        return [host for host, _ in asked]


def test_a_name_is_looked_up_before_it_is_needed_and_again() -> None:
    names, clock = Names(), SteppedClock()
    places = Whereabouts(names, clock, interval=30)
    places.watch([CARRIER, PROXY])
    assert places.host(PROXY) == "192.0.2.7"
    assert places.host(CARRIER) == ""
    names.known["carrier.example.com"] = "2001:db8::5"
    assert names.answer() == ["carrier.example.com"]
    assert places.host(CARRIER) == "2001:db8::5"
    names.known.clear()
    clock.advance(30)
    assert names.answer() == ["carrier.example.com"]
    assert places.host(CARRIER) == "2001:db8::5"  # DNS says nothing: the last word stands
    names.known["carrier.example.com"] = "2001:db8::6"
    clock.advance(30)
    names.answer()
    assert places.host(CARRIER) == "2001:db8::6"
    places.stop()
    clock.advance(300)
    assert names.asked == []
    assert not clock.getDelayedCalls()


def test_what_is_watched_no_more_is_forgotten() -> None:
    names, clock = Names(), SteppedClock()
    places = Whereabouts(names, clock)
    names.known["carrier.example.com"] = "192.0.2.1"
    places.watch([CARRIER])
    places.watch([])
    names.answer()
    assert places.host(CARRIER) == ""
    assert not clock.getDelayedCalls()
