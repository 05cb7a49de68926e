"""Many short calls: what they took is given back, all of it. TANDEM_CHURN_CALLS says how many; 50,000 are an hour's
worth."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.support import ports
from tests.peers.support.server import Server, Site, serving
from tests.peers.support.sipp import Sipp
from tests.peers.support.waiting import until

pytestmark = [pytest.mark.peers, pytest.mark.alone]

CALLS = int(os.environ.get("TANDEM_CHURN_CALLS", "1500"))
RATE = int(os.environ.get("TANDEM_CHURN_RATE", "100"))
ROUNDS = 3
"""The calls come in so many parts of the same size; what is there between them is compared."""
CUSTOMER, CARRIER = ports.port(), ports.port()
PLAN = {
    "routes": [
        {
            "name": "recorded",
            "when": {"from": "trunk/customer", "number": "2XXX"},
            "do": [{"dial": "trunk/carrier", "record": True}],
        },
        {"name": "rest", "when": {"from": "trunk/customer", "number": "."}, "do": [{"dial": "trunk/carrier"}]},
    ]
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    site = Site(tmp_path / "server", media=40_000, media_ports=10_000)
    trunks = {
        name: {"address": f"sip:127.0.0.1:{number}", "identify": [f"127.0.0.1:{number}"]}
        for name, number in (("customer", CUSTOMER), ("carrier", CARRIER))
    }
    # Transactions linger for 64 T1 or T4; with these it takes 3.2 seconds until all of them are gone. The messages of
    # recent calls are kept up to a number, which is reached in the first part.
    sip = {"t1": "50ms", "t4": "1s", "trace": {"calls": 100}}
    with serving(site, site.settings(trunks=trunks, sip=sip), PLAN) as running:
        yield running


@dataclass(frozen=True)
class Sample:
    """What a server with no calls still holds."""

    memory: int
    """KiB that it has in RAM."""
    descriptors: int
    threads: int
    transactions: float
    dialogs: float
    streams: float


def sample(server: Server) -> Sample:
    """Wait until nothing lingers, and look."""
    until(lambda: not server.calls(), "end of all calls", 30)
    until(lambda: transactions(server) == 0, lambda: f"end of {transactions(server)} transactions", 30)
    metrics = server.metrics()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{server.child.pid}/status").read_text().splitlines())
    return Sample(
        int(status["VmRSS"].split()[0]),
        len(server.descriptors()),
        int(status["Threads"]),
        transactions(server),
        metrics["tandem_sip_dialogs"],
        metrics["tandem_media_streams"],
    )


def transactions(server: Server) -> float:
    metrics = server.metrics()
    return sum(metrics[f'tandem_sip_transactions{{side="{side}"}}'] for side in ("client", "server"))


def test_nothing_is_left_of_many_calls(server: Server, tmp_path: Path) -> None:
    """Some are answered and recorded, some answered, some refused."""
    each = CALLS // ROUNDS // 3
    samples = []
    for _ in range(ROUNDS):
        for uac, uas, words in (
            ("uac", "uas", {"NUMBER": 2000, "HOLD": 100}),
            ("uac", "uas", {"NUMBER": 1000, "HOLD": 0}),
            ("uac-refused", "uas-refuses", {"STATUS": 486}),
        ):
            callee = Sipp(tmp_path, uas, CARRIER, calls=each, rate=RATE, **words).start()
            caller = Sipp(tmp_path, uac, CUSTOMER, server.site.sip, calls=each, rate=RATE, **words).start()
            try:
                caller.wait(each / RATE + 30)
                callee.wait(15)
            except AssertionError as error:
                raise AssertionError(f"{error}\n=== the callee\n{callee.story()}\n{server.log_tail(5)}") from None
            finally:
                caller.end()
                callee.end()
        samples.append(sample(server))
    story = "\n".join(map(str, samples))
    sys.stdout.write(f"{story}\n")
    first, last = samples[0], samples[-1]
    assert (last.transactions, last.dialogs, last.streams) == (0, 0, 0), story
    # Whoever has just asked for the metrics may still have its connection.
    until(lambda: len(server.descriptors()) <= first.descriptors, f"the end of {server.descriptors()}\n{story}", 10)
    assert last.threads <= first.threads, story
    # Caches and the allocator's arenas fill up over some two thousand calls, whatever their number is after that.
    assert last.memory - first.memory <= 4096, story
    assert server.metrics()['tandem_calls_total{cause="answered-caller-hung-up"}'] == 2 * each * ROUNDS
    assert server.metrics()['tandem_calls_total{cause="busy"}'] == each * ROUNDS
    assert server.metrics()['tandem_recordings_total{outcome="complete"}'] == each * ROUNDS
