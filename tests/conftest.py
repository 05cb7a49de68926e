"""What holds for all tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How fast examples are made and run says how busy the machine is, and nothing of what is tested.
settings.register_profile("tandem", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tandem")

_crashed: list[str] = []


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str) -> None:
    """Remember a test in which a whole worker of pytest-xdist ended: by a signal, most likely from the engine."""
    _crashed.append(crashitem)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell a crash from a test that failed, which `make test` may look at once more: by another exit status."""
    if _crashed:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
