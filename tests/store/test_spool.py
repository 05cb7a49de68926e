from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbx.store.spool import Change, Spool, SpoolFullError

BEAT = datetime(2026, 5, 4, 3, 2, 1, 654321, tzinfo=UTC)


def beat(node: str, moment: datetime = BEAT) -> Change:
    return Change("heartbeats", (node,), {"node": node, "beat": moment})


def gone(aor: str) -> Change:
    return Change("bindings", (aor, "slot"), None)


def test_what_is_appended_is_read_back_in_order_also_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool = Spool(path)
    assert not spool
    spool.append([beat("a"), gone("sip:101@x")])
    spool.append([beat("b")])
    expected = [beat("a"), gone("sip:101@x"), beat("b")]
    assert list(spool.read()) == expected
    assert list(Spool(path).read()) == expected
    assert path.stat().st_mode & 0o777 == 0o600
    spool.clear()
    assert not spool
    assert not Spool(path)


@given(st.text(), st.datetimes(timezones=st.just(UTC)))
def test_any_change_survives_its_line(node: str, moment: datetime) -> None:
    line = beat(node, moment).encode()
    assert line.count(b"\n") == 1
    assert Change.decode(line) == beat(node, moment)


@given(st.binary())
@example(b"0")
@example(b"[]")
def test_any_other_line_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Change.decode(line)


@pytest.mark.parametrize("torn", range(1, 30, 7))
def test_a_line_torn_by_a_crash_is_counted_and_swallows_nothing(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "spool.jsonl"
    Spool(path).append([beat("a"), beat("b")])
    path.write_bytes(path.read_bytes()[:-torn])
    spool = Spool(path)
    spool.append([beat("c")])
    found = list(spool.read())
    assert found[0] == beat("a")
    assert found[-1] == beat("c")
    # Without its line break alone the line is still whole.
    assert (len(found), spool.damaged) == ((3, 0) if torn == 1 else (2, 1))


def test_it_shrinks_to_the_latest_state_of_each_row(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.jsonl", compact_from=10_000)
    late = BEAT.replace(year=2027)
    for _ in range(1000):
        spool.append([beat("a"), beat("b"), gone("sip:101@x")])
        assert spool.octets <= 10_000 + 200
    spool.append([beat("a", late)])
    latest = {change.key: change for change in spool.read()}
    assert latest == {("a",): beat("a", late), ("b",): beat("b"), ("sip:101@x", "slot"): gone("sip:101@x")}


def test_at_its_limit_it_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.jsonl", limit=200)
    spool.append([beat("a")])
    with pytest.raises(SpoolFullError):
        spool.append([beat(str(number)) for number in range(10)])
    assert list(spool.read()) == [beat("a")]


def test_a_directory_that_is_gone_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Spool(tmp_path / "file" / "spool.jsonl").append([beat("a")])
