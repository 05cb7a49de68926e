from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.support.namespaces import Lab, require_namespaces


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skip where there are none."""
    require_namespaces()


@pytest.fixture
def lab(namespaces: None) -> Iterator[Lab]:
    with Lab() as made:
        yield made
