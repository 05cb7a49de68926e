"""What holds for all tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How fast examples are made and run says how busy the machine is, and nothing of what is tested.
settings.register_profile("tandem", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tandem")

KEEPING_TIME = ("tests/app/", "tests/native/", "tests/peers/", "tests/phone/", "tests/system/")
"""Where tests wait for phones, sockets and threads in real time: on a machine that has other things to do, one may fail
that passes by itself, and `make test` runs it once more. Nothing excuses a failure anywhere else, or a crash."""

_final: list[str] = []
"""Tests whose failure is one whatever else ran."""


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str) -> None:
    """Remember a test in which a whole worker of pytest-xdist ended: by a signal, most likely from the engine."""
    _final.append(crashitem)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember a failure that has nothing to do with time."""
    if report.failed and not report.nodeid.startswith(KEEPING_TIME):
        _final.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell failures that are final from those that may be looked at once more, by another exit status."""
    if _final:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
