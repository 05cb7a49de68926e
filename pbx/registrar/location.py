"""The location service: which contacts each address-of-record has now (RFC 3261 §10.3).

Memory is the authority; what changes is written behind, by whoever is given as `Keeper`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

import structlog

from pbx.errors import ParseError
from pbx.registrar.binding import Binding, StoredBinding
from pbx.sip.stack import Flow
from pbx.store.schema import Row

__all__ = ["BindingChange", "Change", "Keeper", "Location"]

_log = structlog.get_logger("pbx.registrar.location")


class Change(Enum):
    """What happened to a binding."""

    REGISTERED = "registered"
    REFRESHED = "refreshed"
    REMOVED = "removed"
    """By the phone, or by another contact that took its place."""
    EXPIRED = "expired"
    FLOW_LOST = "flow-lost"
    """Its connection is gone. The binding is gone too if nothing else leads to the phone."""


@dataclass(frozen=True, slots=True)
class BindingChange:
    """Told to every listener, after the fact. `binding` is the new state, or the last one of a binding that is gone."""

    change: Change
    binding: Binding
    left: Flow | None = None
    """The way that led to the phone until it registered by another one: a NAT has moved it, or it connected anew."""


class Keeper(Protocol):
    """Where bindings are kept: `pbx.store.bindings.BindingTable`."""

    def put(self, aor: str, slot: str, binding: StoredBinding) -> None:
        """Keep a binding. Returns at once."""

    def delete(self, aor: str, slot: str) -> None:
        """Forget a binding. Returns at once."""


_MOST_GONE, _MOST_GONE_OF_ONE = 10_000, 10
"""Addresses-of-record, and bindings of one, that are remembered after their end, until the phone comes back."""

Listener = Callable[[BindingChange], None]
KeepAlive = Callable[[Flow], Callable[[], None]]


def _itself(host: str) -> str:
    return host


def _all(binding: Binding) -> bool:
    return True


class Location:
    """All bindings there are. Belongs to the reactor's thread; nothing here waits.

    `wall` gives seconds since the epoch, `now` those of the clock that never goes back. `keep_alive(flow)` starts to
    keep a pin-hole open and returns what stops it. `source_of` says what a numeric address counts as: several may be
    one source.
    """

    def __init__(
        self,
        keeper: Keeper,
        now: Callable[[], float],
        wall: Callable[[], float],
        keep_alive: KeepAlive | None = None,
        source_of: Callable[[str], str] = _itself,
    ) -> None:
        self._keeper = keeper
        self._now = now
        self._wall = wall
        self._keep_alive = keep_alive
        self._source_of = source_of
        self._by_aor: dict[str, dict[str, Binding]] = {}
        self._by_flow: dict[Flow, set[tuple[str, str]]] = {}
        self._kept_alive: dict[Flow, int] = {}
        self._stop_keeping: dict[Flow, Callable[[], None]] = {}
        self._expiries: list[tuple[float, str, str]] = []
        self._listeners: list[Listener] = []
        self._gone: dict[str, dict[str, Binding]] = {}
        self._count = 0
        self._sources: Counter[str] = Counter()
        """How many bindings came from a source."""

    # Reading

    def __len__(self) -> int:
        """Return how many bindings there are, those included that expired since the last sweep."""
        return self._count

    def __iter__(self) -> Iterator[Binding]:
        """Give every binding that has not expired."""
        now = self._now()
        return (found for slots in self._by_aor.values() for found in slots.values() if found.expires > now)

    @property
    def registered_aors(self) -> int:
        """How many addresses-of-record have a binding."""
        return len(self._by_aor)

    def bindings(self, aor: str) -> tuple[Binding, ...]:
        """Return the bindings of an address-of-record that have not expired, in the order that they were made."""
        slots = self._by_aor.get(aor)
        if not slots:
            return ()
        now = self._now()
        return tuple([binding for binding in slots.values() if binding.expires > now])

    def reachable(self, aor: str) -> tuple[Binding, ...]:
        """Return the bindings to call, best first: by q, then the newest.

        Of several flows to the same phone there is only the best one: RFC 5626 §7 forbids a target set that holds more
        than one contact of an instance.
        """
        found = sorted(
            (binding for binding in self.bindings(aor) if binding.reachable),
            key=lambda binding: (-binding.q, -binding.registered),
        )
        phones: dict[str, Binding] = {}
        for binding in found:
            phones.setdefault(binding.instance_id if binding.outbound else binding.slot, binding)
        return tuple(phones.values())

    def flows_to_keep_alive(self) -> tuple[Flow, ...]:
        """Return the ways through a NAT that would close if nothing went over them."""
        return tuple(self._kept_alive)

    def has_flow(self, flow: Flow) -> bool:
        """Return whether a registration came by this way and holds: whoever is at its end has proven who it is."""
        return flow in self._by_flow

    def aors_over(self, flow: Flow) -> set[str]:
        """Return whose registrations came by this way and hold."""
        return {aor for aor, _ in self._by_flow.get(flow, ())}

    def is_source(self, source: str) -> bool:
        """Return whether somebody registered from a source."""
        return source in self._sources

    def subscribe(self, listener: Listener) -> None:
        """Tell `listener` of every change from now on. It must not raise."""
        self._listeners.append(listener)

    # Changing

    def put(self, binding: Binding) -> None:
        """Add a binding, or replace the one in its slot."""
        slots = self._by_aor.setdefault(binding.aor, {})
        old = slots.get(binding.slot)
        slots[binding.slot] = binding
        self._come(binding)
        if old is not None:
            self._go(old)
        if old is None:
            self._count += 1
            self._connect(binding)
        elif old.flow != binding.flow or old.flow_lost or old.flow_only != binding.flow_only:
            self._disconnect(old)
            self._connect(binding)
        if old is None or binding.expires < old.expires:
            # Otherwise the entry that is there finds at its time that the binding lives longer.
            heapq.heappush(self._expiries, (binding.expires, binding.aor, binding.slot))
        self._keeper.put(binding.aor, binding.slot, StoredBinding(binding, self._epoch()))
        before = self._back(binding) if old is None or old.flow_lost else old.flow
        left = before if before != binding.flow else None
        self._tell(Change.REGISTERED if old is None else Change.REFRESHED, binding, left)

    def remove(self, binding: Binding, change: Change = Change.REMOVED) -> None:
        """Remove what is in this binding's slot; harmless if it is gone."""
        slots = self._by_aor.get(binding.aor)
        old = slots.pop(binding.slot, None) if slots else None
        if slots is None or old is None:
            return
        if not slots:
            del self._by_aor[binding.aor]
        self._count -= 1
        self._go(old)
        self._disconnect(old)
        self._keeper.delete(binding.aor, binding.slot)
        if change is not Change.EXPIRED:
            self._remember(old)
        self._tell(change, old)

    def sweep(self) -> None:
        """Remove what has expired. To be called every few seconds; reading never gives an expired binding anyway."""
        now = self._now()
        while self._expiries and self._expiries[0][0] <= now:
            _, aor, slot = heapq.heappop(self._expiries)
            binding = self._by_aor.get(aor, {}).get(slot)
            if binding is None:
                continue
            if binding.expires > now:
                heapq.heappush(self._expiries, (binding.expires, aor, slot))
            else:
                self.remove(binding, Change.EXPIRED)

    def flow_closed(self, flow: Flow) -> None:
        """Take that a connection is gone: what only it led to is removed (RFC 5626 §5.3), the rest loses the flow."""
        for aor, slot in self._by_flow.pop(flow, ()):
            binding = self._by_aor[aor][slot]
            lost = replace(binding, flow_lost=True)
            if lost.flow_only:
                self.remove(binding, Change.FLOW_LOST)
            else:
                self._by_aor[aor][slot] = lost
                self._remember(lost)
                self._tell(Change.FLOW_LOST, lost)

    def restore(self, rows: Iterable[Row], believes: Callable[[Binding], bool] = _all) -> int:
        """Take over what an earlier run kept, before anything else is put; return how many bindings live on.

        What is not believed is dropped: its phone may register again, and no way is taken that is refused now.
        """
        now, epoch = self._now(), self._epoch()
        for row in rows:
            try:
                binding = StoredBinding.restore(row, epoch)
            except ParseError as error:
                _log.error("binding-unreadable", aor=row["aor"], contact=row["contact"], error=error.reason)
                self._keeper.delete(row["aor"], row["slot"])
                continue
            if binding.expires <= now:
                self._keeper.delete(binding.aor, binding.slot)
                continue
            if not believes(binding):
                _log.warning(
                    "binding-refused", aor=binding.aor, contact=str(binding.contact), path=", ".join(binding.path)
                )
                self._keeper.delete(binding.aor, binding.slot)
                continue
            self._by_aor.setdefault(binding.aor, {})[binding.slot] = binding
            self._count += 1
            self._come(binding)
            self._connect(binding)
            heapq.heappush(self._expiries, (binding.expires, binding.aor, binding.slot))
        return self._count

    def stop(self) -> None:
        """Stop keeping pin-holes open. The bindings stay."""
        for stop in self._stop_keeping.values():
            stop()
        self._stop_keeping.clear()

    # Within

    def _epoch(self) -> float:
        return self._wall() - self._now()

    def _tell(self, change: Change, binding: Binding, left: Flow | None = None) -> None:
        if self._listeners:
            event = BindingChange(change, binding, left)
            for listener in self._listeners:
                listener(event)

    def _remember(self, binding: Binding) -> None:
        """Note a binding whose phone may come back by another way, perhaps under another contact."""
        gone = self._gone.setdefault(binding.aor, {})
        gone[binding.slot] = binding
        if len(gone) > _MOST_GONE_OF_ONE:
            del gone[next(iter(gone))]
        if len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]

    def _back(self, binding: Binding) -> Flow | None:
        """Return the way by which the phone that registers `binding` was reached before; None if it is a new one."""
        gone = self._gone.get(binding.aor, {})
        for slot, old in gone.items():
            if _same_phone(old, binding):
                del gone[slot]
                if not gone:
                    del self._gone[binding.aor]
                return old.flow
        return None

    def _come(self, binding: Binding) -> None:
        self._sources[self._source_of(binding.flow.remote[0])] += 1

    def _go(self, binding: Binding) -> None:
        source = self._source_of(binding.flow.remote[0])
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]

    def _connect(self, binding: Binding) -> None:
        flow = binding.flow
        if binding.flow_lost:
            return
        self._by_flow.setdefault(flow, set()).add((binding.aor, binding.slot))
        if binding.flow_only:
            count = self._kept_alive.get(flow, 0)
            self._kept_alive[flow] = count + 1
            if not count and self._keep_alive is not None:
                self._stop_keeping[flow] = self._keep_alive(flow)

    def _disconnect(self, binding: Binding) -> None:
        flow = binding.flow
        if binding.flow_lost:
            return
        slots = self._by_flow.get(flow)
        if slots is not None:
            slots.discard((binding.aor, binding.slot))
            if not slots:
                del self._by_flow[flow]
        if binding.flow_only:
            self._kept_alive[flow] -= 1
            if not self._kept_alive[flow]:
                del self._kept_alive[flow]
                stop = self._stop_keeping.pop(flow, None)
                if stop is not None:
                    stop()


def _same_phone(one: Binding, other: Binding) -> bool:
    """Return whether two bindings of an address-of-record are of one phone, whose contact may name each connection."""
    if one.instance_id or other.instance_id:
        return one.instance_id.lower() == other.instance_id.lower()
    return one.slot == other.slot or (
        one.contact.user == other.contact.user and one.flow.remote[0] == other.flow.remote[0]
    )
