from __future__ import annotations

from typing import Any

from pbx.security.bans import Ban, BanLimits, BanList


class Keeper:
    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def put(self, source: str, ban: Ban) -> None:
        self.rows[source] = ban.row()

    def delete(self, source: str) -> None:
        self.rows.pop(source, None)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


LIMITS = BanLimits(first=100.0, longest=1000.0, remembered=1000.0, most=5)


def made(clock: Clock, keeper: Keeper | None = None) -> BanList:
    return BanList(LIMITS, clock, keeper)


def test_bans_double_up_to_the_longest_and_are_forgotten_after_good_behaviour() -> None:
    clock = Clock()
    bans = made(clock)
    lengths = []
    for _ in range(6):
        ban = bans.ban("s", "passwords")
        lengths.append(ban.until - clock.now)
        clock.now = ban.until + 1
        assert not bans.banned("s")
    assert lengths == [100, 200, 400, 800, 1000, 1000]
    clock.now += 2000
    assert bans.ban("s", "passwords").until - clock.now == 100


def test_bans_outlive_a_restart_with_their_count() -> None:
    clock, keeper = Clock(), Keeper()
    first = made(clock, keeper)
    first.ban("long", "operator", 5000)
    first.ban("short", "garbage")
    first.ban("gone", "garbage", 1)
    clock.now += 150
    second = made(clock, keeper)
    told: list[tuple[str, float | None]] = []
    second.told.append(lambda source, seconds: told.append((source, seconds)))
    assert second.restore(list(keeper.rows.values())) == 1
    assert told == [("long", 4850.0)]
    assert [ban.source for ban in second] == ["long"]
    assert second.ban("short", "garbage").count == 2
    clock.now += 10_000
    third = made(clock, keeper)
    third.restore(list(keeper.rows.values()))
    assert not keeper.rows, "what is long over is not kept for ever"


def test_a_ban_that_is_lifted_never_was() -> None:
    clock, keeper = Clock(), Keeper()
    bans = made(clock, keeper)
    told: list[tuple[str, float | None]] = []
    bans.told.append(lambda source, seconds: told.append((source, seconds)))
    bans.ban("s", "garbage")
    assert bans.lift("s")
    assert not bans.lift("s")
    assert not keeper.rows
    assert told == [("s", 100.0), ("s", None)]
    assert bans.ban("s", "garbage").count == 1


def test_a_shorter_ban_does_not_shorten_one_that_holds() -> None:
    clock = Clock()
    bans = made(clock)
    bans.ban("s", "operator", 900)
    assert bans.ban("s", "garbage", 10).until == clock.now + 900


def test_the_list_is_bounded_and_counted_by_reason() -> None:
    clock, keeper = Clock(), Keeper()
    bans = made(clock, keeper)
    for number in range(50):
        bans.ban(f"s{number}", f"scanner: {number}")
    assert len(bans) == 5
    assert len(keeper.rows) == 5
    assert bans.counts == {"scanner": 50}


def test_after_a_restart_the_one_banned_longest_ago_makes_room() -> None:
    """A database gives rows in any order."""
    clock = Clock()
    bans = made(clock)
    bans.restore([Ban(f"s{age}", "passwords", clock.now - age, clock.now + 500, 1).row() for age in (1, 5, 2, 4, 3)])
    bans.ban("new", "passwords")
    assert sorted(ban.source for ban in bans) == ["new", "s1", "s2", "s3", "s4"]
