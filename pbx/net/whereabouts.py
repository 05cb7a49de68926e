"""Where names lead that calls will go to: looked up before a call wants to know.

A leg opens its media, and says in its offer where it is, before its INVITE is resolved. What is remembered here tells
it which of our addresses, and which family, a peer with a name is reached from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pbx.net.hosts import is_numeric

if TYPE_CHECKING:
    from pbx.net.clock import Clock
    from pbx.net.outgoing import Resolving
    from pbx.sip.stack import Timer
    from pbx.sip.targets import Target
    from pbx.sip.uri import Uri

__all__ = ["Whereabouts"]


class Whereabouts:
    """The first address behind each of some URIs, asked anew every `interval` seconds.

    That costs nothing while the resolver remembers. A name that cannot be resolved now keeps the address that it had.
    """

    def __init__(self, resolver: Resolving, clock: Clock, interval: float = 30.0) -> None:
        self._resolver = resolver
        self._clock = clock
        self._interval = interval
        self._uris: frozenset[Uri] = frozenset()
        self._hosts: dict[Uri, str] = {}
        self._timer: Timer | None = None

    def watch(self, uris: Iterable[Uri]) -> None:
        """Know these URIs from now on, and no others."""
        self.stop()
        self._uris = frozenset(uri for uri in uris if not is_numeric(uri.host))
        self._hosts = {uri: host for uri, host in self._hosts.items() if uri in self._uris}
        if self._uris:
            self._ask()

    def host(self, uri: Uri) -> str:
        """Return the numeric address that requests to `uri` go to; empty while it is not known."""
        return uri.host if is_numeric(uri.host) else self._hosts.get(uri, "")

    def stop(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self) -> None:
        self._timer = self._clock.later(self._interval, self._ask)
        for uri in self._uris:
            self._resolver.resolve(uri, "", partial(self._told, uri))

    def _told(self, uri: Uri, targets: Sequence[Target], _why: str) -> None:
        if targets and uri in self._uris:
            self._hosts[uri] = targets[0].host
