"""What the four transaction machines share: a machine at work, the context it works in, and the step from state to
state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from pbx.errors import UsageError
from pbx.sip.timers import Timer, TimerQueue, TimerSettings
from pbx.sip.transaction import Action, Input, State, Table
from pbx.values import dataclass

if TYPE_CHECKING:
    from pbx.sip.client import ClientTransaction
    from pbx.sip.effects import Effect
    from pbx.sip.message import Message, Request
    from pbx.sip.server import ServerMachine, ServerTransaction
    from pbx.sip.stack import Flow

__all__ = ["COUNTERS", "CompiledTable", "Context", "LayerSettings", "Machine", "Perform", "compile_table", "step"]

COUNTERS: Final[Mapping[str, str]] = {
    "requests_received": "requests received, repetitions among them",
    "responses_received": "responses received, repetitions among them",
    "requests_repeated": "repetitions of a request, absorbed",
    "responses_repeated": "repetitions of a response, absorbed",
    "resent": "messages sent again",
    "malformed_answered": "malformed requests answered",
    "malformed_dropped": "malformed messages that nothing can be answered to",
    "responses_misrouted": "responses with more than one Via, dropped (RFC 3261 §8.1.3.3)",
    "responses_stray": "responses that belong to no transaction, or came after its end",
    "requests_merged": "requests that arrived a second time by another way, answered 482 (RFC 3261 §8.2.2.2)",
    "requests_overload": "requests answered 503 because too many transactions exist, or no new call is taken",
    "refusals_repeated": "repetitions of an INVITE answered so, answered as before",
    "refusals_acknowledged": "ACKs of such answers, absorbed",
    "cancels_unmatched": "CANCELs without a transaction to cancel, answered 481",
    "acks_unexpected": "ACKs of an INVITE that was not answered yet or is acknowledged already, dropped",
    "answers_late": "responses given by the transaction user after a final one or after the end, dropped",
    "answers_suppressed": "responses that RFC 4320 forbids to a non-INVITE request, not sent",
    "client_timeouts": "requests of ours without a final response in time",
    "client_cancelled": "INVITEs of ours cancelled that then had no final response",
    "client_transport_errors": "requests of ours that the transport could not deliver",
    "server_timeouts": "final responses without ACK in time, and requests that were never answered",
    "server_transport_errors": "responses that the transport could not deliver",
}
"""Every counter of the layer and what it counts."""


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """How the transaction layer behaves."""

    timers: TimerSettings = field(default_factory=TimerSettings)
    force_rport: bool = False
    """Answer over UDP to where a request came from even if it asked for another port and no NAT can be seen."""
    most_servers: int = 50_000
    """Server transactions at once, finished ones among them; above it new requests outside dialogs get 503."""
    takes: Callable[[Flow, Request], bool] | None = None
    """Asked for each INVITE that begins a dialog: whether it is to be looked at; else it gets 503 at once (RFC 3261
    §21.5.4)."""
    exempt: Callable[[Flow], bool] | None = None
    """Whether that limit does not hold for what comes over a flow: a flood of strangers must not shut out those who are
    known."""


M = TypeVar("M", bound="Machine")

Perform = Callable[["Context", M, "Message | None"], None]
"""One action as code: in that context, for that machine, with the message that came or is to be sent."""

CompiledTable = dict[State, dict[Input, tuple[tuple[Callable[..., None], ...], State]]]


class Machine:
    """What a transaction needs to live. It is all that stays of a finished one, so it is kept small."""

    __slots__ = ("data", "flow", "interval", "key", "limit", "retry", "state")

    table: ClassVar[CompiledTable]

    def __init__(self, key: str, flow: Flow) -> None:
        self.key = key
        self.flow = flow
        """The way that it sends."""
        self.state = State.INITIAL
        self.data: bytes | None = None
        """What is sent again."""
        self.interval = 0.0
        """Seconds until the next repetition."""
        self.retry: Timer[Machine] | None = None
        """The timer after which something is sent again."""
        self.limit: Timer[Machine] | None = None
        """The timer that ends a state."""

    def stop_timers(self) -> None:
        """Stop whatever runs."""
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None
        if self.limit is not None:
            self.limit.cancel()
            self.limit = None

    def leave(self, context: Context) -> None:
        """Take leave of the context's tables: the transaction is terminated."""
        raise NotImplementedError


class Context:
    """What all machines of a layer share: tables, timers, counters, and what the present call brought about."""

    __slots__ = (
        "clients",
        "counters",
        "detail",
        "effects",
        "flow",
        "lifetime",
        "merged",
        "now",
        "pending",
        "servers",
        "settings",
        "slow",
        "timers",
        "times",
        "transaction",
    )

    def __init__(self, settings: LayerSettings) -> None:
        self.settings = settings
        self.times = settings.timers
        self.lifetime = settings.timers.lifetime
        self.slow = settings.timers.slow
        self.clients: dict[str, ClientTransaction] = {}
        self.servers: dict[str, ServerMachine] = {}
        self.merged: dict[str, ServerMachine] = {}
        """Server transactions outside dialogs by what a merged request shares with them (RFC 3261 §8.2.2.2)."""
        self.pending: dict[int | tuple[str, int], dict[str, ClientTransaction]] = {}
        """Client transactions without final response, by connection, or by the remote address of a UDP flow."""
        self.timers: TimerQueue[Machine] = TimerQueue()
        self.counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self.now = 0.0
        self.effects: list[Effect] = []
        self.flow: Flow | None = None
        """The way that the message being treated came."""
        self.transaction: ServerTransaction | None = None
        """The server transaction that the transaction user or the driver speaks of."""
        self.detail = ""
        """What is known of the transport error being treated."""


def compile_table(table: Table, performers: Mapping[Action, Perform[M]]) -> CompiledTable:
    """Return a table with the code of each action in the place of its name."""
    return {
        state: {
            given: (tuple([performers[action] for action in actions]), following)
            for given, (actions, following) in edges.items()
        }
        for state, edges in table.items()
    }


def step(context: Context, machine: Machine, given: Input, message: Message | None = None) -> None:
    """Take a machine one step further. Raises UsageError for an input that cannot happen in its state.

    The state changes before the actions are performed: an action may lead on at once (a timer of no length).
    """
    edge = machine.table[machine.state].get(given)
    if edge is None:
        raise UsageError(f"{type(machine).__name__} in state {machine.state} cannot take: {given}")
    actions, state = edge
    machine.state = state
    for perform in actions:
        perform(context, machine, message)
    if state is State.TERMINATED:
        machine.stop_timers()
        machine.leave(context)
