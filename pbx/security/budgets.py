"""What calls may cost: calls and minutes to some destinations, by caller or trunk, by hour or day.

A stolen password calls expensive numbers until somebody notices. A budget notices: it is spent by dialling and by
talking, refuses what would go beyond it, and ends running calls when their time is up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

__all__ = ["Budget", "BudgetKeeper", "BudgetState", "Budgets"]

_NEARLY = 0.8
"""The part of a budget whose spending is worth a warning."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit. It is spent by each of `callers` alone, or over each of the trunks `over` alone."""

    name: str
    callers: tuple[str, ...] = ()
    """``extension`` or ``trunk`` for each of them, or a name such as ``extension/101``."""
    over: tuple[str, ...] = ()
    """``trunk`` for each of them, or ``trunk/NAME``."""
    destinations: tuple[str, ...] = ("any",)
    """``any``, ``international``, ``premium``, or beginnings of numbers as a trunk gets them."""
    per: str = "day"
    """``hour`` or ``day``, on the clock of the wall."""
    calls: int | None = None
    seconds: float | None = None

    def subject(self, source: str, target: str) -> str:
        """Return who spends this budget with a call from `source` to `target`; empty if nobody does."""
        chosen, who = (self.callers, source) if self.callers else (self.over, target)
        return who if who in chosen or who.partition("/")[0] in chosen else ""

    def concerns(self, number: str, restriction: str) -> bool:
        """Return whether calls to a number, which is ``international``, ``premium`` or neither, spend it."""
        return any(
            one in ("any", restriction) if one.isalpha() else number.startswith(one) for one in self.destinations
        )

    def begins(self, moment: datetime) -> datetime:
        """Return when the hour or day began that `moment` is in."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        return hour if self.per == "hour" else hour.replace(hour=0)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What one subject has spent of one budget in this hour or day."""

    budget: str
    subject: str
    calls: int
    calls_allowed: int | None
    seconds: float
    seconds_allowed: float | None
    until: datetime
    """When it begins anew."""
    exceeded: bool


class BudgetKeeper(Protocol):
    """Keeps what is spent over a restart (`pbx.store.bans.BudgetTable`). Must not wait."""

    def put(self, budget: str, subject: str, spent: Spent) -> None:
        """Keep it."""

    def delete(self, budget: str, subject: str) -> None:
        """Forget it."""


@dataclass(slots=True)
class Spent:
    """What one subject has spent since `window`, in seconds since the epoch."""

    budget: str
    subject: str
    window: float
    calls: int = 0
    seconds: float = 0.0
    warned: bool = field(default=False, compare=False)
    alarmed: bool = field(default=False, compare=False)

    def row(self) -> dict[str, Any]:
        """Return the row that the store keeps."""
        return {
            "budget": self.budget,
            "subject": self.subject,
            "window": self.window,
            "calls": self.calls,
            "seconds": self.seconds,
        }


@dataclass(slots=True)
class _Talk:
    """A leg that talks and costs."""

    since: float
    spends: list[tuple[Budget, str]]


Alarm = Callable[[str, BudgetState], None]
"""Hears ``budget-nearly-spent`` and ``budget-exceeded``, each once in an hour or day."""


class Budgets:
    """All budgets and what is spent of them.

    `wall` is the aware wall-clock time, `classify` says of a number whether it is ``international`` or ``premium``,
    `exempt` whether no budget may stop it (an emergency number); `plain` is the number that is dialled in the end,
    without separators and service codes. Time that legs talk is on the caller's clock. It is the leg to a trunk that
    costs, and it goes on costing when a transfer connects it to somebody else.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        wall: Callable[[], datetime],
        classify: Callable[[str], str],
        exempt: Callable[[str], bool] = lambda number: False,
        keeper: BudgetKeeper | None = None,
        alarm: Alarm = lambda event, state: None,
        plain: Callable[[str], str] = lambda number: number,
    ) -> None:
        self.budgets = {budget.name: budget for budget in budgets}
        self.refused: dict[str, int] = {}
        """Calls refused or ended since the start, by budget."""
        self._wall = wall
        self._classify = classify
        self._exempt = exempt
        self._plain = plain
        self._keeper = keeper
        self._alarm = alarm
        self._spent: dict[tuple[str, str], Spent] = {}
        self._counted: dict[str, set[tuple[str, str]]] = {}
        """What each call has been counted for."""
        self._talks: dict[str, _Talk] = {}

    def restore(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take what an earlier run kept; hours and days that are over are forgotten."""
        for row in rows:
            budget = self.budgets.get(row["budget"])
            if budget is not None and row["window"] == budget.begins(self._wall()).timestamp():
                spent = Spent(row["budget"], row["subject"], row["window"], row["calls"], row["seconds"])
                self._spent[spent.budget, spent.subject] = spent
            elif self._keeper is not None:
                self._keeper.delete(row["budget"], row["subject"])

    def reconfigure(self, budgets: Iterable[Budget]) -> None:
        """Let these budgets hold from now on; what is spent of those that stay is kept."""
        self.budgets = {budget.name: budget for budget in budgets}
        for key in [key for key in self._spent if key[0] not in self.budgets]:
            self._forget(key)
        for talk in self._talks.values():
            talk.spends = [
                (self.budgets[budget.name], subject) for budget, subject in talk.spends if budget.name in self.budgets
            ]

    # -- calls

    def refusal(self, call: str, source: str, target: str, number: str) -> str:
        """Return the budget that forbids dialling `number` at `target`, empty if none does; then the call counts.

        A call that is dialled at one trunk after the other is counted once for its caller.
        """
        counted = self._counted.get(call, set())
        concerned = self._concerned(source, target, number)
        for budget, subject in concerned:
            spent = self._of(budget, subject)
            beyond = budget.calls is not None and spent.calls >= budget.calls and (budget.name, subject) not in counted
            if beyond or (budget.seconds is not None and spent.seconds >= budget.seconds):
                self._refuse(budget, spent)
                return budget.name
        for budget, subject in concerned:
            if (budget.name, subject) not in counted:
                spent = self._of(budget, subject)
                spent.calls += 1
                self._counted.setdefault(call, set()).add((budget.name, subject))
                self._changed(budget, spent)
        return ""

    def answered(self, leg: str, source: str, target: str, number: str, now: float) -> None:
        """Take that a leg talks from now on: to whomever it is connected, by transfers too, until it has `left`."""
        spends = [one for one in self._concerned(source, target, number) if one[0].seconds is not None]
        if spends:
            self._talks[leg] = _Talk(now, spends)

    def left(self, leg: str, now: float) -> None:
        """Take that a leg is gone."""
        talk = self._talks.pop(leg, None)
        if talk is not None:
            self._charge(talk, now)

    def ended(self, call: str) -> None:
        """Take that a call is over."""
        self._counted.pop(call, None)

    def tick(self, now: float) -> list[tuple[str, str]]:
        """Charge the legs that talk for the time since the last tick; return those whose time is up, and the budget.

        To be called every second or so: a budget is overdrawn by at most that, for each call that spends it.
        """
        over = []
        for talk in self._talks.values():
            self._charge(talk, now)
        for leg, talk in list(self._talks.items()):
            for budget, subject in talk.spends:
                spent = self._of(budget, subject)
                if budget.seconds is not None and spent.seconds >= budget.seconds:
                    over.append((leg, budget.name))
                    self._refuse(budget, spent)
                    break
        return over

    # -- operators

    def states(self) -> list[BudgetState]:
        """Return what is spent now, of budgets and by subjects that have spent anything."""
        states = []
        for budget_name, subject in sorted(self._spent):
            spent = self._of(self.budgets[budget_name], subject)
            if spent.calls or spent.seconds:
                states.append(self._state(self.budgets[budget_name], spent))
        return states

    def reset(self, budget: str, subject: str = "") -> bool:
        """Give a budget back, to one subject or to all; False if nothing was spent of it."""
        keys = [key for key in self._spent if key[0] == budget and subject in ("", key[1])]
        for key in keys:
            self._forget(key)
        return bool(keys)

    # -- inside

    def _concerned(self, source: str, target: str, number: str) -> list[tuple[Budget, str]]:
        if not self.budgets or self._exempt(number):
            return []
        restriction, forms = self._classify(number), {number, self._plain(number)}
        return [
            (budget, subject)
            for budget in self.budgets.values()
            if (subject := budget.subject(source, target)) and any(budget.concerns(form, restriction) for form in forms)
        ]

    def _of(self, budget: Budget, subject: str) -> Spent:
        window = budget.begins(self._wall()).timestamp()
        spent = self._spent.get((budget.name, subject))
        if spent is None or spent.window != window:
            spent = self._spent[budget.name, subject] = Spent(budget.name, subject, window)
        return spent

    def _charge(self, talk: _Talk, now: float) -> None:
        seconds, talk.since = now - talk.since, now
        for budget, subject in talk.spends:
            spent = self._of(budget, subject)
            spent.seconds += seconds
            self._changed(budget, spent)

    def _changed(self, budget: Budget, spent: Spent) -> None:
        if self._keeper is not None:
            self._keeper.put(budget.name, spent.subject, spent)
        nearly = (budget.calls is not None and spent.calls >= _NEARLY * budget.calls) or (
            budget.seconds is not None and spent.seconds >= _NEARLY * budget.seconds
        )
        if nearly and not spent.warned:
            spent.warned = True
            self._alarm("budget-nearly-spent", self._state(budget, spent))

    def _refuse(self, budget: Budget, spent: Spent) -> None:
        self.refused[budget.name] = self.refused.get(budget.name, 0) + 1
        if not spent.alarmed:
            spent.alarmed = True
            self._alarm("budget-exceeded", self._state(budget, spent))

    def _state(self, budget: Budget, spent: Spent) -> BudgetState:
        begins = budget.begins(self._wall())
        until = begins + (timedelta(hours=1) if budget.per == "hour" else timedelta(days=1))
        exceeded = (budget.calls is not None and spent.calls >= budget.calls) or (
            budget.seconds is not None and spent.seconds >= budget.seconds
        )
        return BudgetState(
            budget.name, spent.subject, spent.calls, budget.calls, spent.seconds, budget.seconds, until, exceeded
        )

    def _forget(self, key: tuple[str, str]) -> None:
        del self._spent[key]
        if self._keeper is not None:
            self._keeper.delete(*key)
