"""SIPp as customer and carrier of the two-trunk configuration: what carriers do, and what becomes of it on the other
side and in the call record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.support import ports
from tests.peers.support.server import ROOT, TOKEN, Server, Site, serving
from tests.peers.support.sipp import Make
from tests.peers.support.streams import hanging_up

pytestmark = pytest.mark.peers

DESIGN = ROOT / "tests" / "config" / "design"
SECONDS = float(os.environ.get("TANDEM_LOAD_SECONDS", "10"))
"""How long the load lasts; 60 is what is promised, and takes a machine for itself."""
RATE = int(os.environ.get("TANDEM_LOAD_RATE", "100"))

PLAN = {
    "routes": [
        {
            "name": "in a second",
            "when": {"from": "trunk/customer", "number": "3XXX"},
            "do": [{"dial": "trunk/carrier", "timeout": "1s"}],
        },
        {
            "name": "one after the other",
            "when": {"from": "trunk/customer", "number": "4XXX"},
            "do": [{"dial": ["trunk/carrier", "trunk/second"]}],
        },
        {
            "name": "both",
            "when": {"from": "trunk/customer", "number": "5XXX"},
            "do": [{"dial": ["trunk/carrier", "trunk/second"], "strategy": "all"}],
        },
        {
            "name": "recorded",
            "when": {"from": "trunk/customer", "number": "2XXX"},
            "do": [{"dial": "trunk/carrier", "record": True}],
        },
        {
            "name": "quick",
            "when": {"from": "trunk/customer", "number": "6XXX"},
            "do": [{"dial": ["trunk/impatient", "trunk/second"]}],
        },
        {
            "name": "late",
            "when": {"from": "trunk/customer", "number": "7XXX"},
            "do": [{"dial": ["trunk/carrier", "trunk/second"], "timeout": "1s"}],
        },
        {
            "name": "over TCP",
            "when": {"from": "trunk/customer", "number": "8XXX"},
            "do": [{"dial": ["trunk/stream", "trunk/second"]}],
        },
        {"name": "rest", "when": {"from": "trunk/customer", "number": "."}, "do": [{"dial": "trunk/carrier"}]},
    ]
}

CUSTOMER, CARRIER, SECOND, STREAM = ports.port(), ports.port(), ports.port(), ports.port()

HANGS_UP = "<?part callee-request METHOD=BYE EXTRA=?>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = Site(tmp_path_factory.mktemp("server"))
    trunks = {
        name: {"address": f"sip:127.0.0.1:{number}", "identify": [f"127.0.0.1:{number}"]}
        for name, number in (("customer", CUSTOMER), ("carrier", CARRIER), ("second", SECOND))
    }
    trunks["impatient"] = {"address": f"sip:127.0.0.1:{CARRIER}", "identify": [], "try_timeout": "300ms"}
    trunks["stream"] = {"address": f"sip:127.0.0.1:{STREAM};transport=tcp", "identify": []}
    # With T1 of 50 ms a peer that says nothing is given up after 3.2 seconds.
    settings = site.settings(trunks=trunks, sip={"t1": "50ms", "resolver": {"dead_for": "1s"}})
    with serving(site, settings, PLAN) as running:
        yield running


class Call:
    """One call from customer to carrier, by two scenarios; its record when both are content."""

    def __init__(self, server: Server, sipp: Make) -> None:
        self.server, self.sipp = server, sipp

    def __call__(self, uac: str, uas: str | None, number: str = "1000", seconds: float = 20.0, **words: Any) -> Any:
        before = len(self.server.records())
        callee = self.sipp(uas, CARRIER, NUMBER=number, **words) if uas else None
        caller = self.sipp(uac, CUSTOMER, self.server.site.sip, NUMBER=number, **words)
        self.caller, self.callee = caller, callee
        try:
            caller.wait(seconds)
            if callee is not None:
                callee.wait(seconds)
        except AssertionError as error:
            other = callee.story() if callee else ""
            raise AssertionError(f"{error}\n=== the other side\n{other}\n{self.server.log_tail(5)}") from None
        return self.server.record(before + 1)


@pytest.fixture
def call(server: Server, sipp: Make) -> Call:
    return Call(server, sipp)


def cause(record: dict[str, Any]) -> str:
    return str(record["cause"]["slug"])


def outcomes(record: dict[str, Any]) -> list[str]:
    return [f"{attempt['target'].removeprefix('trunk/')} {attempt['outcome']}" for attempt in record["attempts"]]


def test_caller_hangs_up(call: Call) -> None:
    record = call("uac", "uas", number="2000")
    assert cause(record) == "answered-caller-hung-up"
    assert (record["source"], record["destination"]) == ("trunk/customer", "trunk/carrier")
    assert record["caller"]["number"] == "+4930111"
    assert record["recordings"][0]["status"] == "complete"
    sound = call.server.download(f"/call-records/{record['id']}/recordings/{record['recordings'][0]['id']}")
    assert sound == call.server.recording(record)[0].read_bytes()


def test_callee_hangs_up(call: Call) -> None:
    assert cause(call("uac-left", "uas-leaves")) == "answered-callee-hung-up"


def test_nothing_of_the_caller_is_seen_by_the_callee_or_back(call: Call) -> None:
    """No address, Via, Call-ID, User-Agent or private header of one leg on the other."""
    call("uac", "uas")
    assert call.callee is not None
    at_callee, at_caller = call.callee.messages(), call.caller.messages()
    caller_call_id = next(line for line in at_caller.splitlines() if line.startswith("Call-ID:"))
    callee_call_id = next(line for line in at_callee.splitlines() if line.startswith("Call-ID:"))
    for private in (f":{CUSTOMER}", f" {call.caller.media} ", "agent-of-the-caller", "X-Private", caller_call_id):
        assert private in at_caller
        assert private not in at_callee
    for private in (f":{CARRIER}", f" {call.callee.media} ", "agent-of-the-callee", "carrier@", callee_call_id):
        assert private in at_callee
        assert private not in at_caller


@pytest.mark.parametrize(
    ("status", "slug"),
    [(486, "busy"), (603, "declined"), (404, "number-unknown"), (480, "unavailable"), (503, "callee-overloaded")],
)
def test_refused(call: Call, status: int, slug: str) -> None:
    """The caller is told what the callee said."""
    record = call("uac-refused", "uas-refuses", STATUS=status)
    assert cause(record) == slug
    assert record["cause"]["sip_status"] == status
    assert outcomes(record) == [f"carrier {slug}"]


def test_nobody_answers(call: Call) -> None:
    record = call("uac-refused", "uas-rings", number="3000", STATUS=480, REASON_SAID="CANCEL")
    assert cause(record) == "no-answer"


def test_callee_never_says_a_word(call: Call) -> None:
    record = call("uac-refused", "uas-mute", STATUS=408, HOLD=3500)
    assert cause(record) == "callee-timeout"


def test_callee_is_not_there(call: Call) -> None:
    """Nobody listens on the carrier's port: the ICMP error ends the call at once, rather than after 32 seconds."""
    record = call("uac-refused", None, STATUS=503, seconds=3)
    assert cause(record) == "unreachable"


def test_caller_cancels(call: Call) -> None:
    record = call("uac-cancels", "uas-rings", REASON_SAID="CANCEL")
    assert cause(record) == "cancelled"


def test_caller_vanishes_before_the_answer(call: Call) -> None:
    """The answer finds nobody; the callee is told to hang up."""
    record = call("uac-vanishes", "uas-waits", HOLD=300)
    assert cause(record) in ("ack-missing", "caller-gone")


def test_caller_vanishes_in_the_call(call: Call) -> None:
    """A re-INVITE of the callee finds nobody: the callee is told so, and can hang up what is left."""
    record = call("uac-vanishes-later", "uas-reinvites", STATUS=488, AFTER=HANGS_UP)
    assert cause(record) == "answered-callee-hung-up"


def test_late_offer(call: Call) -> None:
    record = call("uac-late", "uas-late")
    assert cause(record) == "answered-caller-hung-up"
    assert [leg["codec"] for leg in record["legs"]] == ["PCMU", "PCMU"]


def test_caller_holds_resumes_and_changes_the_codec(call: Call) -> None:
    record = call("uac-reinvites", "uas-reinvited")
    assert [leg["codec"] for leg in record["legs"]] == ["PCMA", "PCMA"]


def test_callee_holds(call: Call) -> None:
    record = call("uac-reinvited", "uas-reinvites", STATUS=200, AFTER=HANGS_UP)
    assert cause(record) == "answered-callee-hung-up"


def test_early_media(call: Call) -> None:
    assert cause(call("uac-early", "uas-early")) == "answered-caller-hung-up"


def test_reliable_provisional_responses(call: Call) -> None:
    """PRACK on either leg, each with its own numbers."""
    assert cause(call("uac-prack", "uas-prack")) == "answered-caller-hung-up"


def test_reliable_provisional_response_to_a_caller_without_100rel(call: Call) -> None:
    assert cause(call("uac-early", "uas-prack")) == "answered-caller-hung-up"


def test_update(call: Call) -> None:
    """An UPDATE that holds goes on as a re-INVITE, which every callee takes (RFC 3311 §5.1 recommends it in a call)."""
    assert cause(call("uac-updates", "uas-updated", METHOD="INVITE")) == "answered-caller-hung-up"


def test_session_timer(call: Call) -> None:
    assert cause(call("uac-timer", "uas")) == "answered-caller-hung-up"


def test_session_timer_too_short(server: Server, sipp: Make) -> None:
    sipp("uac-timer-short", CUSTOMER, server.site.sip).wait()


@pytest.mark.parametrize(("method", "kind"), [("INFO", "application/dtmf-relay"), ("MESSAGE", "text/plain")])
def test_information_in_the_call(call: Call, method: str, kind: str) -> None:
    assert cause(call("uac-informs", "uas-informed", METHOD=method, TYPE=kind)) == "answered-caller-hung-up"


def test_next_target_after_503(call: Call, sipp: Make) -> None:
    second = sipp("uas", SECOND)
    sipp("uas-refuses", CARRIER, STATUS=503)
    record = call("uac", None, number="4000")
    second.wait()
    assert outcomes(record) == ["carrier callee-overloaded", "second answered"]
    assert record["destination"] == "trunk/second"


def test_next_target_when_one_is_not_there(call: Call, sipp: Make) -> None:
    second = sipp("uas", SECOND)
    record = call("uac", None, number="4000")
    second.wait()
    assert outcomes(record) == ["carrier unreachable", "second answered"]


def test_next_target_when_one_says_nothing(call: Call, sipp: Make) -> None:
    """Given up after `try_timeout`, long before SIP's own timeout."""
    second = sipp("uas", SECOND)
    record = call("uac", "uas-mute", number="6000", HOLD=1000)
    second.wait()
    assert outcomes(record) == ["impatient callee-timeout", "second answered"]
    assert record["attempts"][0]["detail"] == "no response within 0.3 s"


def test_next_target_when_a_connection_is_closed_in_mid_dial(call: Call, sipp: Make) -> None:
    second = sipp("uas", SECOND)
    with hanging_up(STREAM):
        record = call("uac", None, number="8000")
    second.wait()
    assert outcomes(record) == ["stream unreachable", "second answered"]


def test_a_call_answered_as_it_is_cancelled_is_not_doubled(call: Call, sipp: Make) -> None:
    """The first carrier's 200 crosses the CANCEL: it is acknowledged and hung up; the caller talks to the second."""
    second = sipp("uas", SECOND)
    record = call("uac", "uas-answers-cancelled", number="7000")
    second.wait()
    assert outcomes(record) == ["carrier no-answer", "second answered"]
    assert cause(record) == "answered-caller-hung-up"


def test_a_carrier_is_registered_with_from_start_to_drain(tmp_path_factory: pytest.TempPathFactory, sipp: Make) -> None:
    site = Site(tmp_path_factory.mktemp("registered"))
    port = ports.port()
    telco = {"address": f"sip:127.0.0.1:{port}", "username": "tandem", "password": "hush", "registration": True}
    registrar = sipp("registrar", port)
    plan = {"routes": [{"name": "echo", "do": ["echo"]}]}
    with serving(site, site.settings(trunks={"telco": telco}), plan) as server:
        server.trunk_registered("telco")
        # RFC 3261 §10.2.4: what the Contact says, which SIPp gives back as it came, goes before Expires, a minute here.
        assert 60 < server.trunk("telco")["registration_ends"] <= 3600
    registrar.wait()


def test_busy_ends_the_search(call: Call, sipp: Make) -> None:
    """A carrier that says busy has reached the callee; another one would say the same."""
    record = call("uac-refused", "uas-refuses", number="4000", STATUS=486)
    assert outcomes(record) == ["carrier busy"]


def test_the_loser_hears_why(call: Call, sipp: Make) -> None:
    """RFC 3326 §2: the CANCEL of a fork's loser says that the call was answered elsewhere."""
    loser = sipp("uas-rings", SECOND, REASON_SAID="Reason: *SIP *; *cause=200")
    record = call("uac", "uas-waits", number="5000", HOLD=300)
    loser.wait()
    assert sorted(outcomes(record)) == ["carrier answered", "second answered-elsewhere"]


@pytest.mark.alone
def test_load(tmp_path_factory: pytest.TempPathFactory, sipp: Make) -> None:
    """The configuration of DESIGN.md as it is written there, but for the ports: no call of the load fails."""
    # Away from the ports that SIPp is given; the server passes over those that somebody has.
    site = Site(tmp_path_factory.mktemp("load"), media=50_000, media_ports=10_000)
    text = (DESIGN / "bridge.yaml").read_text()
    for written, ours in (
        ("udp://127.0.0.1:5060", f"udp://127.0.0.1:{site.sip}"),
        ("20000-29999", site.media_range),
        ("8080 ", f"{site.http}\n  token: {TOKEN}  "),
        ("127.0.0.1:5180", f"127.0.0.1:{CUSTOMER}"),
        ("127.0.0.1:5170", f"127.0.0.1:{CARRIER}"),
        ("bridge-dialplan.yaml", "dialplan.yaml"),
    ):
        assert written in text
        text = text.replace(written, ours)
    calls = round(RATE * SECONDS)
    with serving(site, text + "log: {format: json}\n", (DESIGN / "bridge-dialplan.yaml").read_text()) as server:
        callee = sipp("uas", CARRIER, calls=calls, rate=RATE)
        sipp("uac", CUSTOMER, site.sip, calls=calls, rate=RATE, HOLD=500).wait(SECONDS + 30)
        callee.wait(20)
        server.record(min(calls, 100))
        metrics = server.metrics()
        assert metrics['tandem_calls_total{cause="answered-caller-hung-up"}'] == calls
        assert metrics['tandem_sip_events_total{event="client_timeouts"}'] == 0
