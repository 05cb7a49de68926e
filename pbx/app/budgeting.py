"""Budgets at work: asked before a call is dialled, told of each leg that talks, and ending those whose time is up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

import structlog

from pbx.call.summary import Summary
from pbx.cause import EndCause, cause_named
from pbx.config.schema import Settings
from pbx.dialplan.numbering import plain_number
from pbx.dialplan.steps import Target
from pbx.security.budgets import Budget, BudgetKeeper, Budgets, BudgetState
from pbx.sip.stack import Timer

__all__ = ["Budgeting", "budgets_of"]

_TICK = 1.0
"""Seconds: by so much a call may go on beyond its budget."""
_log = structlog.get_logger("pbx.security")


class Observed(Protocol):
    """Who tells of calls (`pbx.app.observer.CallObserver`)."""

    on_ended: list[Callable[[Summary], None]]


def budgets_of(settings: Settings) -> list[Budget]:
    """Return the budgets that a configuration names."""
    return [
        Budget(
            name,
            one.callers,
            one.over,
            one.destinations,
            one.per,
            one.calls,
            None if one.minutes is None else one.minutes * 60,
        )
        for name, one in settings.security.budgets.items()
    ]


class Budgeting:
    """Implements `pbx.web.ports.Budgets`. `classify` and `exempt` are those of `pbx.security.budgets.Budgets`;
    `hang_up` ends the call that a leg belongs to."""

    def __init__(
        self,
        budgets: Iterable[Budget],
        *,
        now: Callable[[], float],
        wall: Callable[[], datetime],
        later: Callable[[float, Callable[[], None]], Timer],
        hang_up: Callable[[str, EndCause], object],
        classify: Callable[[str], str],
        exempt: Callable[[str], bool],
        keeper: BudgetKeeper,
        observer: Observed,
    ) -> None:
        self.budgets = Budgets(budgets, wall, classify, exempt, keeper, _tell, plain_number)
        self._now = now
        self._later = later
        self._hang_up = hang_up
        self._timer: Timer | None = None
        observer.on_ended.append(self._ended)

    def start(self) -> None:
        """Begin to charge calls that talk."""
        self._timer = self._later(_TICK, self._tick)

    def stop(self) -> None:
        """End that."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def permit(self, call: str, source: str, target: Target) -> EndCause | None:
        """Return why a call may not be dialled at a target; None if it may, and then it is counted."""
        if target.kind == "extension":
            return None
        spent = self.budgets.refusal(call, source, str(target), target.number)
        return cause_named("budget-exceeded", spent) if spent else None

    def charge(self, leg: str, payer: str, target: str, number: str) -> None:
        """Take that a leg talks from now on."""
        if not target.startswith("extension/"):
            self.budgets.answered(leg, payer, target, number, self._now())

    def gone(self, leg: str) -> None:
        """Take that a leg is gone."""
        self.budgets.left(leg, self._now())

    def all(self) -> list[BudgetState]:
        """Return what is spent now."""
        return self.budgets.states()

    def reset(self, budget: str, subject: str) -> bool:
        """Give a budget back, to one subject or, if that is empty, to all; False if nothing was spent of it."""
        if not self.budgets.reset(budget, subject):
            return False
        _log.info("budget-reset", budget=budget, subject=subject)
        return True

    def _ended(self, summary: Summary) -> None:
        self.budgets.ended(summary.call)

    def _tick(self) -> None:
        self._timer = self._later(_TICK, self._tick)
        for leg, budget in self.budgets.tick(self._now()):
            self._hang_up(leg, cause_named("budget-exceeded", budget))


def _tell(event: str, state: BudgetState) -> None:
    log = _log.error if event == "budget-exceeded" else _log.warning
    log(
        event,
        budget=state.budget,
        subject=state.subject,
        calls=state.calls,
        minutes=round(state.seconds / 60, 1),
        until=state.until.isoformat(),
    )
