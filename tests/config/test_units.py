from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.units import duration_text, parse_duration, parse_size, size_text, suggestion


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20s", 20),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172800),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("1m500ms", 60.5),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5", "5 m", "-1s", "1s1m", "1h1h", "five", "1.5m", "\u0661s", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 20s, 5m"):
        parse_duration(text)


def test_a_bare_number_is_a_hint() -> None:
    with pytest.raises(ValueError, match="did you mean `20s`"):
        parse_duration("20")


@given(st.integers(0, 10**10))
def test_durations_come_back(milliseconds: int) -> None:
    text = duration_text(milliseconds / 1000)
    assert round(parse_duration(text) * 1000) == milliseconds


@given(st.integers(0, 10**12))
def test_sizes_come_back(size: int) -> None:
    assert parse_size(size_text(size)) == size


def test_sizes() -> None:
    assert [parse_size(text) for text in ("1", "64KiB", "4 MiB", "1GB")] == [1, 65536, 4194304, 10**9]
    for text in ("", "1k", "1.5MiB", "-1"):
        with pytest.raises(ValueError, match="is not a size"):
            parse_size(text)


def test_suggestions() -> None:
    assert suggestion("lisen", ["listen", "domain"]) == "; did you mean `listen`?"
    assert suggestion("pcmx", ["PCMU"]) == "; did you mean `PCMU`?"
    assert suggestion("zzz", ["listen"]) == ""
    assert suggestion("x", []) == ""
