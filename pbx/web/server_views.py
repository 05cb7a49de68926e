"""The server, its trunks and its registrations, as the API shows them."""

from __future__ import annotations

from datetime import datetime

from pbx.ops.health import Report
from pbx.web.ports import Registration, TrunkState
from pbx.web.views import View

__all__ = ["HealthView", "RegistrationView", "Registrations", "StatusView", "StoreView", "TrunkView", "Trunks"]


class RegistrationView(View):
    """One registered contact. `expires` is seconds from now."""

    aor: str
    contact: str
    source: str
    expires: float
    q: float
    user_agent: str
    path: list[str]
    behind_nat: bool
    reachable: bool

    @classmethod
    def of(cls, registration: Registration) -> RegistrationView:
        """Return the view of a registration."""
        return cls.model_validate(registration)


class Registrations(View):
    """Every registered contact."""

    registrations: list[RegistrationView]


class TrunkView(View):
    """One trunk. Counts are calls since the start, `active` those of now."""

    name: str
    address: str
    active: int
    inbound: int
    outbound: int
    failed: int
    max_calls: int | None
    health: str
    """``up``, ``down``, ``unknown``, or ``unwatched`` for a trunk that is not asked."""
    health_for: float | None
    """Seconds that it has been so."""
    round_trip: float | None
    """Seconds that its last reply took."""
    detail: str
    registration: str
    """``registered``, ``registering``, ``waiting`` …; ``none`` where we do not register with it."""
    registration_ends: float | None
    """Seconds until it ends, if it is not renewed."""
    registration_detail: str
    """Why there is none, or no new one."""
    max_calls_per_second: float | None
    why_not: str
    """Why it takes no calls now, where another one is there to take them; empty if it does."""

    @classmethod
    def of(cls, trunk: TrunkState) -> TrunkView:
        """Return the view of a trunk."""
        return cls.model_validate(trunk)


class Trunks(View):
    """Every trunk."""

    trunks: list[TrunkView]


class HealthView(View):
    """Whether the server should be given work, and each part by name: ``ok``, or what is the matter."""

    status: str
    checks: dict[str, str]

    @classmethod
    def of(cls, report: Report) -> HealthView:
        """Return the view of a report."""
        checks = {
            name: f"{check.condition.value}: {check.detail}" if check.detail else check.condition.value
            for name, check in report.checks.items()
        }
        return cls(status=report.status, checks=checks)


class StoreView(View):
    """How writing to the database goes."""

    state: str
    waiting_rows: int
    spool_bytes: int
    lost_rows: int
    error: str


class StatusView(View):
    """The server at a glance. `reactor_lag` is the longest that a timer was late, in seconds."""

    version: str
    execution: str
    """``compiled``, or ``interpreted`` in a checkout."""
    status: str
    started: datetime
    uptime: float
    calls: int
    registrations: int
    trunks: int
    reactor_lag: float
    checks: dict[str, str]
    store: StoreView
