from __future__ import annotations

from pbx.ops.health import Check, Condition, Health, Phase


def test_ready_only_while_running_and_with_nothing_failed() -> None:
    health = Health()
    store = [Check(Condition.OK)]
    health.watch("store", lambda: store[0])
    health.watch("listeners", lambda: Check(Condition.OK, "3 up"))
    assert (health.report().ready, health.report().status) == (False, "starting")
    health.phase = Phase.RUNNING
    assert (health.report().ready, health.report().status) == (True, "ready")
    store[0] = Check(Condition.DEGRADED, "spooling")
    assert (health.report().ready, health.report().status) == (True, "degraded")
    store[0] = Check(Condition.FAILED, "disk full")
    assert (health.report().ready, health.report().status) == (False, "failed")
    assert health.report().checks["store"].detail == "disk full"
    store[0] = Check(Condition.OK)
    health.phase = Phase.DRAINING
    assert (health.report().ready, health.report().status) == (False, "draining")
