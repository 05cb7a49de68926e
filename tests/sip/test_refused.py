from __future__ import annotations

from pbx.sip.refused import Refused


def test_each_is_remembered_as_long_as_a_client_sends_it_again_and_then_forgotten() -> None:
    refused = Refused()
    for second in range(1000):
        refused.add(str(second), float(second))
        assert all(str(earlier) in refused for earlier in range(max(0, second - 32), second + 1))
        assert len(refused) <= 65


def test_after_a_pause_nothing_is_left() -> None:
    refused = Refused()
    refused.add("one", 0.0)
    refused.add("two", 100.0)
    assert "one" not in refused
    assert "two" in refused


def test_a_flood_takes_so_much_room_and_no_more() -> None:
    refused = Refused(most=100)
    for number in range(10_000):
        refused.add(str(number), 1.0)
        assert len(refused) <= 200
        assert str(max(0, number - 99)) in refused
