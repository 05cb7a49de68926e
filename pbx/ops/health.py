"""Whether the server lives, and whether it should be given work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Check", "Condition", "Health", "Phase", "Report"]


class Phase(Enum):
    """Where the server is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


class Condition(Enum):
    """How one part is."""

    OK = "ok"
    DEGRADED = "degraded"
    """Works, and somebody should look at it."""
    FAILED = "failed"
    """The server should be given no work."""


@dataclass(frozen=True, slots=True)
class Check:
    """How one part is, and why."""

    condition: Condition
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole: ready or not, and each part."""

    ready: bool
    phase: Phase
    checks: dict[str, Check]

    @property
    def status(self) -> str:
        """One word: ``ready``, ``degraded``, ``failed``, or the phase if that is why it is not ready."""
        if self.phase is not Phase.RUNNING:
            return str(self.phase.value)
        conditions = {check.condition for check in self.checks.values()}
        if Condition.FAILED in conditions:
            return "failed"
        return "degraded" if Condition.DEGRADED in conditions else "ready"


class Health:
    """Asks each part when somebody wants to know."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self._parts: dict[str, Callable[[], Check]] = {}

    def watch(self, name: str, check: Callable[[], Check]) -> None:
        """Ask `check` about the part called `name`. It must be quick."""
        self._parts[name] = check

    def report(self) -> Report:
        """Return how everything is now."""
        checks = {name: check() for name, check in self._parts.items()}
        failed = any(check.condition is Condition.FAILED for check in checks.values())
        return Report(self.phase is Phase.RUNNING and not failed, self.phase, checks)
