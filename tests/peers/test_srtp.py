"""Real phones that encrypt call each other and phones that do not; each leg encrypts for itself.

Those whose extension has `srtp: require` could not have been spoken to in the clear.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.support.phones import Fleet, Line
from tests.peers.support.server import Server, Site, serving
from tests.peers.test_phones import PLAN, check_heard, check_record, check_recording, talk

pytestmark = pytest.mark.peers

MANDATORY_UDP = Line("baresip", "udp", "121", 440, "srtp-mand")
MANDATORY_TLS = Line("baresip", "tls", "122", 1000, "srtp-mand")
OPTIONAL = Line("baresip", "udp", "123", 1000, "srtp")
PLAIN = Line("baresip", "udp", "124", 1000)
LINPHONE = Line("linphone", "tls", "131", 440, "srtp")

POLICIES = {MANDATORY_UDP: "require", MANDATORY_TLS: "require", OPTIONAL: "prefer", PLAIN: "off", LINPHONE: "require"}

PAIRS = [(MANDATORY_UDP, PLAIN), (PLAIN, LINPHONE), (MANDATORY_TLS, LINPHONE), (MANDATORY_UDP, OPTIONAL)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    listen = [f"udp://127.0.0.1:{site.sip}", f"tcp://127.0.0.1:{site.sip}", f"tls://127.0.0.1:{site.tls}"]
    extensions = {line.number: {"password": line.password, "srtp": policy} for line, policy in POLICIES.items()}
    with serving(site, site.settings(sip={"listen": listen}, extensions=extensions), PLAN) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(server, tmp_path_factory.mktemp("phones"))
    yield made
    made.close()


@pytest.mark.parametrize(("caller", "callee"), PAIRS, ids=str)
def test_talk_both_ways(server: Server, fleet: Fleet, caller: Line, callee: Line) -> None:
    """The caller holds and resumes; the callee hangs up."""
    with fleet.phones(caller, callee) as (one, other):
        before = len(server.records())
        talk(one, other, dials=one, number=callee.number, leaves=other)
        record = server.record(before + 1)
        check_record(record, caller, callee, caller_left=False)
        check_heard(one, callee.hertz, goes_on=caller.kind == "linphone")
        check_heard(other, caller.hertz, goes_on=callee.kind == "linphone")
        check_recording(server, record, caller, callee, holder=caller)
