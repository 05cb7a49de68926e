"""What the web needs of the rest of the server: `pbx.app` gives the real things, tests small ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pbx.call.summary import Summary
from pbx.ops.health import Report
from pbx.security.budgets import BudgetState
from pbx.store.call_records import CallFilter, CallPage, CallRecord
from pbx.store.writer import WriterStatus

__all__ = [
    "BanState",
    "Bans",
    "Budgets",
    "Calls",
    "Circumstances",
    "ConferenceDesk",
    "ConferenceState",
    "MemberState",
    "Ports",
    "Records",
    "Registration",
    "TraceReader",
    "TrunkState",
]


class Calls(Protocol):
    """The running calls (`pbx.call.registry.CallRegistry`)."""

    def __len__(self) -> int:
        """Return how many there are."""

    def get(self, call_id: str) -> Summary | None:
        """Return what is known of a running call."""

    def all(self) -> list[Summary]:
        """Return what is known of every running call."""

    def hang_up(self, call_id: str) -> bool:
        """End a call; False if there is none of that id."""

    def record(self, call_id: str, action: str) -> str:
        """Start, stop, pause or resume the recording of a call; return why not, or nothing. LookupError if there is
        no such call."""


class Records(Protocol):
    """The call records (`pbx.store.call_records.CallRecords`). Both wait for the database."""

    def get(self, call: str) -> CallRecord | None:
        """Return the record of this id."""

    def search(self, wanted: CallFilter, limit: int, after: str) -> CallPage:
        """Return a page of records. ValueError for a bad `after`."""


class TraceReader(Protocol):
    """The messages of calls (`pbx.net.trace`, `ladder`, `pcap`)."""

    def ladder(self, call_ids: Iterable[str], bodies: bool) -> str:
        """Return the messages of these SIP Call-IDs as a text, with `bodies` in full; empty if none is kept."""

    def pcap(self, call_ids: Iterable[str]) -> bytes:
        """Return the messages of these SIP Call-IDs as a capture file; empty if none is kept."""


class Circumstances(Protocol):
    """What a call met beside its messages (`pbx.app.circumstances`). Asked on a thread: a large configuration takes
    long."""

    def __call__(self, source: str, number: str, at: datetime, caller: str, caller_name: str) -> Mapping[str, str]:
        """Return texts by the names of files, secrets hidden."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One contact of an extension."""

    aor: str
    contact: str
    source: str
    """Where it registered from, ``udp:192.0.2.1:5060``."""
    expires: float
    """Seconds from now."""
    q: float
    user_agent: str
    path: tuple[str, ...]
    behind_nat: bool
    reachable: bool


@dataclass(frozen=True, slots=True)
class TrunkState:
    """One trunk. Counts are calls since the start, `active` those of now."""

    name: str
    address: str
    active: int
    inbound: int
    outbound: int
    failed: int
    max_calls: int | None = None
    health: str = "unwatched"
    """``up``, ``down`` or ``unknown``, for a trunk that is asked whether it is there."""
    health_for: float | None = None
    """Seconds that it has been so."""
    round_trip: float | None = None
    """Seconds that its last reply took."""
    detail: str = ""
    """What it said when it was last asked, or why it said nothing."""
    registration: str = "none"
    """How our registration with it stands, as `pbx.trunks.registration_table.State` says; ``none`` where we do not
    register."""
    registration_ends: float | None = None
    """Seconds until it ends, if it is not renewed."""
    registration_detail: str = ""
    """Why there is none, or no new one."""
    max_calls_per_second: float | None = None
    why_not: str = ""
    """Why it takes no calls now, where another one is there to take them; empty if it does."""


@dataclass(frozen=True, slots=True)
class BanState:
    """One address that is banned. Times are seconds since the epoch."""

    address: str
    reason: str
    since: float
    until: float
    count: int


class Bans(Protocol):
    """Who is kept out. An address is numeric."""

    def all(self) -> list[BanState]:
        """Return who is banned now."""

    def ban(self, address: str, reason: str, seconds: float | None) -> BanState:
        """Ban an address, with None for twice as long as the last time."""

    def lift(self, address: str) -> bool:
        """Lift a ban; False if there is none."""


class Budgets(Protocol):
    """What calls may cost (`pbx.app.budgeting.Budgeting`)."""

    def all(self) -> list[BudgetState]:
        """Return what is spent now."""

    def reset(self, budget: str, subject: str) -> bool:
        """Give a budget back, to one subject or, if that is empty, to all; False if nothing was spent of it."""


@dataclass(frozen=True, slots=True)
class MemberState:
    """One call in a conference."""

    id: str
    source: str
    number: str
    name: str
    seconds: float
    moderator: bool
    muted: bool
    waiting: bool
    speaking: bool


@dataclass(frozen=True, slots=True)
class ConferenceState:
    """One conference."""

    name: str
    seconds: float
    recording: bool
    members: list[MemberState]


class ConferenceDesk(Protocol):
    """The conferences. What acts on one returns False if it, or the member, is not there."""

    def all(self) -> list[ConferenceState]:
        """Return every conference, the longest one first."""

    def mute(self, name: str, member: str, muted: bool, /) -> bool:
        """Mute a member of a conference, or let it be heard again."""

    def kick(self, name: str, member: str, /) -> bool:
        """Hang a member up."""

    def end(self, name: str, /) -> bool:
        """Hang all members up."""

    def record(self, name: str, on: bool, /) -> bool:
        """Begin to record, or stop."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that the web asks for. All but `records` and `circumstances` is asked on the reactor's thread and
    answers at once."""

    version: str
    execution: str
    """``compiled`` or ``interpreted``."""
    started: datetime
    calls: Calls
    records: Records
    trace: TraceReader
    circumstances: Circumstances
    recordings: Path
    """The folder that recordings are in; nothing outside it is ever served."""
    registrations: Callable[[], Iterable[Registration]]
    """Those of the moment; each is made when it is its turn."""
    registered: Callable[[], int]
    """How many registrations there are."""
    trunks: Callable[[], list[TrunkState]]
    originate: Callable[[str, str], str]
    """Rings an extension (``extension/101``) and, when it answers, dials a number as if it had; returns the call's id.

    LookupError, in words, if the extension is not there or no new call is taken.
    """
    conferences: ConferenceDesk
    supervise: Callable[[str, str, str, str], None]
    """Lets an extension (``extension/100``) supervise a call: ``listen``, ``whisper`` (to ``caller``, ``callee`` or
    whom fits) or ``barge``. LookupError, in words, if that cannot be."""
    bans: Bans
    budgets: Budgets
    report: Callable[[], Report]
    store: Callable[[], WriterStatus]
    metrics: Callable[[], bytes]
    reactor_lag: Callable[[], float]
    """The longest that a timer was late, since the start. Seconds."""
