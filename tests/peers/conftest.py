from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.support.sipp import Make, Sipp


@pytest.fixture
def sipp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Make SIPps; those that still run at the end are ended."""
    made: list[Sipp] = []
    folder = tmp_path_factory.mktemp("sipp")

    def make(*arguments: Any, **words: Any) -> Sipp:
        made.append(Sipp(folder, *arguments, **words))
        return made[-1].start()

    yield make
    for one in made:
        one.end()
