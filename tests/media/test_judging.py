"""When a verdict is told: rounds of readings, changes, and what has had no time to show."""

from __future__ import annotations

from dataclasses import replace

from pbx.media.events import StreamStatistics, Verdict
from pbx.media.judging import Judging, Subject
from pbx.media.verdict import Facts

ALICE = Subject("a", Facts(peer="extension/101", said="192.0.2.1:4000", codecs=((0, "PCMU"),)), "b")
BOB = Subject("b", Facts(peer="extension/102", said="192.0.2.2:4000", codecs=((0, "PCMU"),)), "a")


class Round:
    """Two streams whose counts grow."""

    def __init__(self) -> None:
        self.judging = Judging()
        self.subjects = {"a": ALICE, "b": BOB}
        self.counts = {"a": StreamStatistics(), "b": StreamStatistics()}

    def run(self, a: tuple[int, int] = (250, 250), b: tuple[int, int] = (250, 250)) -> list[tuple[str, bool, str]]:
        """Let so much be received and sent, and judge; return what is told."""
        self.judging.ask(self.counts)
        for stream, (received, sent) in (("a", a), ("b", b)):
            counts = self.counts[stream]
            self.counts[stream] = replace(
                counts,
                received_packets=counts.received_packets + received,
                sent_packets=counts.sent_packets + sent,
                payload_type=0,
            )
            assert not self.judging.complete
            self.judging.take(stream, self.counts[stream])
        assert self.judging.complete
        return [_short(one) for one in self.judging.judge(self.subjects.get, 5.0)]


def _short(verdict: Verdict) -> tuple[str, bool, str]:
    return verdict.stream, verdict.arriving, verdict.finding


ALL_WELL = [("a", True, "flowing"), ("a", False, "flowing"), ("b", True, "flowing"), ("b", False, "flowing")]


def test_the_first_round_tells_of_every_direction_and_later_ones_of_changes() -> None:
    rounds = Round()
    assert rounds.run() == ALL_WELL
    assert rounds.run() == []
    assert rounds.run(b=(0, 250), a=(250, 0)) == [("a", False, "nothing-to-send"), ("b", True, "stopped")]
    assert rounds.run() == [("a", False, "flowing"), ("b", True, "flowing")]


def test_a_fault_is_marked_as_one() -> None:
    rounds = Round()
    rounds.run()
    rounds.judging.ask(["b"])
    rounds.judging.take("b", rounds.counts["b"])
    found = rounds.judging.judge(rounds.subjects.get, 5.0)
    assert [(one.finding, one.fault, bool(one.remedy)) for one in found] == [
        ("stopped", True, True),
        ("idle", False, False),
    ]


def test_what_a_hold_has_changed_is_judged_a_round_later() -> None:
    rounds = Round()
    rounds.run()
    rounds.subjects["b"] = replace(BOB, facts=replace(BOB.facts, receive=False))
    assert rounds.run(b=(0, 250), a=(250, 0)) == [("a", False, "idle")]
    assert rounds.run(b=(0, 250), a=(250, 0)) == [("b", True, "held")]


def test_a_leg_that_came_later_is_given_a_round() -> None:
    rounds = Round()
    del rounds.subjects["b"]
    rounds.run()
    rounds.subjects["b"] = BOB
    assert rounds.run(b=(0, 0), a=(250, 250)) == []
    assert ("b", True, "stopped") in rounds.run(b=(0, 0), a=(250, 0))


def test_an_answer_from_a_round_that_was_given_up_counts_for_nothing() -> None:
    judging = Judging()
    judging.ask(["a", "b"])
    judging.take("a", StreamStatistics())
    judging.ask(["b"])
    judging.take("a", StreamStatistics())
    assert not judging.complete
    judging.lose("b")
    assert not judging.complete


def test_a_call_that_ends_early_is_judged_by_all_its_packets() -> None:
    judging = Judging()
    counts = {"a": StreamStatistics(received_packets=90, payload_type=0), "b": StreamStatistics(sent_packets=90)}
    told = [_short(one) for one in judging.judge_whole({"a": ALICE, "b": BOB}, counts, 1.8)]
    assert told == [
        ("a", True, "flowing"),
        ("a", False, "nothing-to-send"),
        ("b", True, "nothing"),
        ("b", False, "flowing"),
    ]
    assert judging.judge_whole({"a": ALICE, "b": BOB}, counts, 1.8) == []
