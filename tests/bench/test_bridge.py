"""How the largest rate is looked for that a server carries."""

from __future__ import annotations

import pytest

from bench.bridge import largest


@pytest.mark.parametrize("carries", [0, 10, 25, 60, 113, 150, 199, 200, 500])
def test_the_largest_rate_is_found_without_trying_many(carries: int) -> None:
    tried: list[int] = []

    def works(rate: int) -> bool:
        tried.append(rate)
        return rate <= carries

    found = largest(works, 200)
    assert min(carries, 200) - 200 / 32 <= found <= carries
    assert len(tried) <= 10
    assert max(tried) <= 200
