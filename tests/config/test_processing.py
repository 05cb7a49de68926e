"""How ``processing:`` is written, and what holds where a trunk says a part of it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pbx.config.processing_section import Processing


def test_true_is_the_usual_and_a_number_itself() -> None:
    assert Processing(level=True, noise=True, echo=True) == Processing(level=-20, noise=15, echo=200)
    assert Processing(level=False).level == 0
    written = {"level": "-30", "noise": "true", "echo": "false"}
    assert Processing.model_validate(written) == Processing(level=-30, noise=15, echo=0)
    assert Processing().level is None


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("level", 20, "dBov from -40 to -6"),
        ("noise", 61, "dB from 1 to 60"),
        ("echo", "long", "ms from 20 to 500"),
        ("noise", "61", "dB from 1 to 60"),
        ("echo", 1.5, "ms from 20 to 500"),
    ],
)
def test_what_is_out_of_bounds_is_told(key: str, value: object, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Processing(**{key: value})


def test_a_part_said_for_one_side_stands_over_that_of_all() -> None:
    of_all = Processing(level=True, echo=100)
    assert Processing(level=False, noise=10).over(of_all) == Processing(level=0, noise=10, echo=100)
    assert Processing().over(of_all).level == -20
