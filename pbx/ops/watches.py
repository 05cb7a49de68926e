"""Which figures of which room are published, and under what name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pbx.ops.metrics import Metrics
from pbx.store.writer import WriterState, WriterStatus

__all__ = [
    "MessageCounter",
    "Registrations",
    "watch_bans",
    "watch_budgets",
    "watch_calls",
    "watch_registrar",
    "watch_sip",
    "watch_store",
]

_METHODS = frozenset(
    b"INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK UPDATE INFO MESSAGE REFER SUBSCRIBE NOTIFY PUBLISH".split()
)


class MessageCounter:
    """Counts SIP messages by direction and kind: a request's method, or a response's class. The trace's `tally`."""

    __slots__ = ("_received", "_sent")

    def __init__(self) -> None:
        self._received: dict[bytes, int] = {}
        self._sent: dict[bytes, int] = {}

    def __call__(self, data: bytes, outgoing: bool) -> None:
        """Count one message."""
        if data[:8] == b"SIP/2.0 ":
            kind = data[8:9]
        else:
            kind = data[: data.find(b" ", 0, 12)]
            if kind not in _METHODS:
                kind = b""
        counts = self._sent if outgoing else self._received
        counts[kind] = counts.get(kind, 0) + 1

    def read(self) -> dict[tuple[str, ...], float]:
        """Return the counts by ``in`` or ``out``, and method, ``2xx`` or ``other``."""
        found: dict[tuple[str, ...], float] = {}
        for direction, counts in (("in", self._received), ("out", self._sent)):
            for kind, count in counts.items():
                if kind in _METHODS:
                    name = kind.decode()
                else:
                    name = f"{kind.decode()}xx" if kind in (b"1", b"2", b"3", b"4", b"5", b"6") else "other"
                found[direction, name] = found.get((direction, name), 0) + count
        return found


class Registrations(Protocol):
    """What is read of the location service."""

    def __len__(self) -> int:
        """Return how many bindings there are."""

    @property
    def registered_aors(self) -> int:
        """How many addresses-of-record have one."""


def watch_calls(metrics: Metrics, active: Callable[[], int]) -> None:
    """Publish how many calls there are now."""
    metrics.gauge("tandem_calls_active", "Calls now.", active)


def watch_store(metrics: Metrics, status: Callable[[], WriterStatus], deleted: Callable[[], int]) -> None:
    """Publish how writing to the database goes."""
    metrics.gauge(
        "tandem_store_state",
        "1 for the state that the store is in.",
        lambda: {state.value: float(state is status().state) for state in WriterState},
        "state",
    )
    metrics.gauge("tandem_store_waiting_rows", "Rows that wait to be written.", lambda: status().waiting)
    metrics.gauge("tandem_store_spool_bytes", "Size of the spool; 0 while the database takes all.", _octets(status))
    metrics.counter("tandem_store_written_rows", "Rows written to the database.", lambda: status().written)
    metrics.counter("tandem_store_batches", "Transactions of the database.", lambda: status().batches)
    metrics.counter("tandem_store_refused_rows", "Rows that the database would not take.", lambda: status().refused)
    metrics.counter("tandem_store_lost_rows", "Rows lost: neither database nor disk took them.", lambda: status().lost)
    metrics.counter("tandem_store_deleted_records", "Call records deleted as old (storage.keep_records).", deleted)


def _octets(status: Callable[[], WriterStatus]) -> Callable[[], float]:
    return lambda: status().spooled_octets


class Bans(Protocol):
    """What is read of the list of bans."""

    def __len__(self) -> int:
        """Return how many sources are banned now."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Bans since the start, by reason."""


def watch_bans(metrics: Metrics, bans: Bans, connections: Callable[[], Mapping[str, float]]) -> None:
    """Publish who is banned, and why."""
    metrics.gauge("tandem_bans", "Addresses banned now.", lambda: len(bans))
    metrics.counter("tandem_bans_made", "Bans, by reason.", lambda: bans.counts, "reason")
    metrics.counter("tandem_connections_barred", "Connections of banned or blocked addresses.", connections, "outcome")


class Budget(Protocol):
    """What is read of a budget that something is spent of."""

    @property
    def budget(self) -> str:
        """Its name."""

    @property
    def exceeded(self) -> bool:
        """Whether it is spent."""


def watch_budgets(
    metrics: Metrics, refused: Callable[[], Mapping[str, float]], states: Callable[[], Sequence[Budget]]
) -> None:
    """Publish what budgets stop."""
    metrics.counter("tandem_budget_refusals", "Calls refused or ended by a budget that is spent.", refused, "budget")

    def exceeded() -> dict[str, float]:
        found: dict[str, float] = {}
        for state in states():
            found[state.budget] = found.get(state.budget, 0.0) + state.exceeded
        return found

    metrics.gauge("tandem_budgets_exceeded", "Callers or trunks that have spent a budget now.", exceeded, "budget")


def watch_registrar(
    metrics: Metrics,
    location: Registrations,
    responses: Mapping[int, int],
    changes: Callable[[], Mapping[str, float]],
    authentication: Mapping[str, int],
) -> None:
    """Publish registrations: how many, what became of REGISTERs and bindings, and who failed to prove who it is."""
    metrics.gauge("tandem_bindings", "Contacts registered now.", lambda: len(location))
    metrics.gauge("tandem_registered_aors", "Extensions with a contact now.", lambda: location.registered_aors)
    metrics.counter(
        "tandem_register_responses",
        "Final responses to REGISTER other than challenges, by status.",
        lambda: {str(status): count for status, count in responses.items()},
        "status",
    )
    metrics.counter("tandem_binding_changes", "What happened to contacts.", changes, "change")
    metrics.counter(
        "tandem_authentications",
        "Requests that had to prove who they are from, by outcome.",
        lambda: authentication,
        "outcome",
    )


def watch_sip(
    metrics: Metrics,
    messages: MessageCounter,
    network: Mapping[str, int],
    transactions: Callable[[], Mapping[str, int]],
    dropped: Callable[[], Mapping[str, float]],
) -> None:
    """Publish what signalling does: messages, what transports and transactions count, what was dropped and why."""
    metrics.counter("tandem_sip_messages", "SIP messages, by direction and kind.", messages.read, "direction", "kind")
    metrics.counter("tandem_net_events", "What the transports did; see docs/operation.md.", lambda: network, "event")
    metrics.counter("tandem_sip_events", "What the transaction layer did.", transactions, "event")
    metrics.counter("tandem_sip_dropped", "Messages dropped, by reason.", dropped, "reason")
