from __future__ import annotations

import pytest

from pbx.net.counters import Counters
from tests.support.loopback import Heard, World


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def heard() -> Heard:
    return Heard()
