from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pbx.security.budgets import Budget, Budgets, BudgetState, Spent

ABROAD = Budget("abroad", ("extension",), destinations=("international", "+4490"), per="day", calls=3, seconds=600.0)
CARRIER = Budget("carrier", over=("trunk/carrier",), per="hour", calls=5)


class Keeper:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}

    def put(self, budget: str, subject: str, spent: Spent) -> None:
        self.rows[budget, subject] = spent.row()

    def delete(self, budget: str, subject: str) -> None:
        self.rows.pop((budget, subject), None)


class Rig:
    def __init__(self, *budgets: Budget) -> None:
        self.wall = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
        self.keeper = Keeper()
        self.alarms: list[tuple[str, BudgetState]] = []
        self.budgets = self.made(*budgets)

    def made(self, *budgets: Budget) -> Budgets:
        return Budgets(
            budgets,
            lambda: self.wall,
            lambda number: "international" if number.startswith("00") else "",
            lambda number: number == "112",
            self.keeper,
            lambda event, state: self.alarms.append((event, state)),
            lambda number: number.removeprefix("*31#").replace(" ", ""),
        )

    def dial(
        self, call: str, number: str = "00441", source: str = "extension/101", target: str = "trunk/carrier"
    ) -> str:
        return self.budgets.refusal(call, source, target, number)


def test_a_budget_sees_what_is_dialled_in_the_end() -> None:
    rig = Rig(ABROAD, Budget("codes", ("extension",), destinations=("*31#",), calls=1))
    assert rig.dial("a", "*31#+44 901") == ""
    assert [(state.budget, state.calls) for state in rig.budgets.states()] == [("abroad", 1), ("codes", 1)]
    assert rig.dial("b", "*31#030123") == "codes"
    assert rig.dial("c", "030123") == ""


def test_calls_are_counted_by_caller_and_refused_beyond() -> None:
    rig = Rig(ABROAD)
    assert [rig.dial(f"c{number}") for number in range(5)] == ["", "", "", "abroad", "abroad"]
    assert rig.dial("d", source="extension/102") == ""
    assert rig.dial("e", number="030123") == "", "a call inland"
    assert rig.dial("f", number="+4490123", source="extension/103") == ""
    assert rig.dial("g", source="trunk/customer") == "", "no extension"
    assert rig.dial("h", number="112") == ""
    assert rig.budgets.refused == {"abroad": 2}
    assert [(event, state.subject, state.calls) for event, state in rig.alarms] == [
        ("budget-nearly-spent", "extension/101", 3),
        ("budget-exceeded", "extension/101", 3),
    ]


def test_a_call_that_is_dialled_at_several_trunks_counts_once_for_its_caller() -> None:
    rig = Rig(ABROAD, CARRIER)
    for _ in range(3):
        assert rig.dial("c1") == ""
        assert rig.dial("c1", target="trunk/other") == ""
    spent = {state.budget: state.calls for state in rig.budgets.states()}
    assert spent == {"abroad": 1, "carrier": 1}
    rig.budgets.ended("c1")
    assert rig.dial("c1") == ""
    assert {state.budget: state.calls for state in rig.budgets.states()} == {"abroad": 2, "carrier": 2}


def test_an_hour_begins_anew_and_a_day_goes_on() -> None:
    rig = Rig(ABROAD, CARRIER)
    for number in range(5):
        rig.dial(f"c{number}", number="030")
    assert rig.dial("x", number="030") == "carrier"
    (state,) = rig.budgets.states()
    assert state.until == datetime(2026, 5, 4, 13, 0, tzinfo=UTC)
    assert state.exceeded
    for number in range(3):
        rig.dial(f"d{number}", target="trunk/other")
    rig.wall += timedelta(minutes=30)
    assert rig.dial("y", number="030") == ""
    assert rig.dial("z", target="trunk/other") == "abroad"
    rig.wall += timedelta(hours=12)
    assert rig.dial("z", target="trunk/other") == ""


def test_talk_is_charged_while_it_goes_on_and_ends_when_the_time_is_up() -> None:
    rig = Rig(ABROAD)
    for call in ("one", "two"):
        assert rig.dial(call) == ""
        rig.budgets.answered(call, "extension/101", "trunk/carrier", "00441", 100.0)
    rig.budgets.answered("inland", "extension/101", "trunk/carrier", "030", 100.0)
    over = []
    for second in range(101, 500):
        over = rig.budgets.tick(float(second))
        if over:
            break
    assert second == 400, "two calls spend ten minutes in five"
    assert over == [("one", "abroad"), ("two", "abroad")]
    rig.budgets.left("one", 400.5)
    rig.budgets.left("two", 400.5)
    rig.budgets.left("inland", 400.5)
    assert rig.budgets.tick(500.0) == []
    assert rig.dial("three") == "abroad"
    assert [event for event, _ in rig.alarms] == ["budget-nearly-spent", "budget-exceeded"]


def test_what_is_spent_outlives_a_restart_and_what_is_over_does_not() -> None:
    rig = Rig(ABROAD, CARRIER)
    rig.dial("c")
    rig.wall += timedelta(hours=1)
    second = rig.made(ABROAD, CARRIER)
    second.restore(list(rig.keeper.rows.values()))
    assert [(state.budget, state.calls) for state in second.states()] == [("abroad", 1)]
    assert set(rig.keeper.rows) == {("abroad", "extension/101")}
    third = rig.made(CARRIER)
    third.restore(list(rig.keeper.rows.values()))
    assert not rig.keeper.rows, "the budget is gone"


def test_an_operator_gives_budgets_back() -> None:
    rig = Rig(ABROAD)
    for source in ("extension/101", "extension/102"):
        for number in range(3):
            rig.dial(f"{source}{number}", source=source)
    assert not rig.budgets.reset("abroad", "extension/109")
    assert rig.budgets.reset("abroad", "extension/101")
    assert (rig.dial("x"), rig.dial("y", source="extension/102")) == ("", "abroad")
    assert rig.budgets.reset("abroad")
    assert not rig.keeper.rows
    assert not rig.budgets.reset("abroad")


def test_other_budgets_hold_after_a_reload() -> None:
    rig = Rig(ABROAD)
    for number in range(3):
        rig.dial(f"c{number}")
    rig.budgets.reconfigure([Budget("abroad", ("extension",), calls=4), CARRIER])
    assert [rig.dial("x"), rig.dial("y")] == ["", "abroad"]
    rig.budgets.reconfigure([])
    assert rig.dial("z") == ""
    assert rig.budgets.states() == []
