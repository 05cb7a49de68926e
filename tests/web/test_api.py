from __future__ import annotations

import io
import json
import os
import zipfile
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pbx.ops.health import Check, Condition, Phase


def test_the_server_at_a_glance(site: Any) -> None:
    site.health.watch("listeners", lambda: Check(Condition.OK, "2 up"))
    found = site.get("/api/v1/status").json()
    assert found["uptime"] > 0
    assert found | {"uptime": 0} == {
        "version": "1.2.3",
        "execution": "compiled",
        "status": "ready",
        "started": "2026-05-04T12:00:00Z",
        "uptime": 0,
        "calls": 2,
        "registrations": 2,
        "trunks": 1,
        "reactor_lag": 0.25,
        "checks": {"store": "ok", "listeners": "ok: 2 up"},
        "store": {"state": "ok", "waiting_rows": 0, "spool_bytes": 0, "lost_rows": 0, "error": ""},
    }


def test_running_calls(site: Any) -> None:
    calls = site.get("/api/v1/calls").json()["calls"]
    assert [call["id"] for call in calls] == ["c1", "c2"]
    one = site.get("/api/v1/calls/c1").json()
    assert one["caller"] == {"number": "101", "name": "Alice <b>", "anonymous": False}
    assert one["state"] == "talking"
    assert 29 < one["seconds"] < 60
    assert one["seconds"] - one["talked"] == pytest.approx(5, abs=0.01)
    assert one["legs"][1]["lost"] == 1
    assert one["legs"][1]["round_trip"] is None
    secured = next(leg for leg in one["legs"] if leg["encryption"])
    assert (secured["encryption"], secured["dropped_unauthentic"]) == ("AEAD_AES_256_GCM", 2)
    assert one["legs"][1]["cause"] == "busy"
    assert one["legs"][0]["received_packets"] is None
    assert one["recordings"][0]["status"] == "running"
    assert site.get("/api/v1/calls/none").status_code == 404


def test_hanging_up(site: Any) -> None:
    assert site.ask("DELETE", "/api/v1/calls/c1").status_code == 204
    assert site.ask("DELETE", "/api/v1/calls/c1").status_code == 404
    assert site.calls.hung_up == ["c1", "c1"]


def test_recording_in_mid_call(site: Any) -> None:
    def ask(call: str, action: str) -> tuple[int, str]:
        response = site.ask("POST", f"/api/v1/calls/{call}/recording", json={"action": action})
        return response.status_code, response.json()["detail"] if response.content else ""

    assert ask("c1", "start") == (204, "")
    assert ask("c1", "stop") == (409, "It is not being recorded.")
    assert ask("nobody", "start")[0] == 404
    assert ask("c1", "rewind")[0] == 422
    assert site.calls.recorded == [("c1", "start"), ("c1", "stop")]


def test_originating(site: Any) -> None:
    response = site.ask("POST", "/api/v1/calls", json={"source": "extension/101", "number": "0301234567"})
    assert response.status_code == 201
    assert response.json() == {"id": "new-call"}
    assert response.headers["Location"] == "/api/v1/calls/new-call"
    assert site.originated == [("extension/101", "0301234567")]
    response = site.ask("POST", "/api/v1/calls", json={"source": "extension/999", "number": "1"})
    assert (response.status_code, response.json()["detail"]) == (409, "extension/999 has no phone registered")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source": "extension/101"},
        {"source": "trunk/carrier", "number": "1"},
        {"source": "extension/101", "number": ""},
        {"source": "extension/101", "number": "1 2"},
        {"source": "extension/101", "number": "1", "more": 1},
        {"source": "extension/101", "number": "1" * 65},
    ],
)
def test_a_call_that_makes_no_sense_is_refused(site: Any, body: dict[str, Any]) -> None:
    assert site.ask("POST", "/api/v1/calls", json=body).status_code == 422
    assert site.originated == []


def test_traces_of_running_and_of_ended_calls(site: Any) -> None:
    site.record("old")
    site.record("kept-not")
    assert site.get("/api/v1/calls/c1/trace").text == "sip-c1-a False\nsip-c1-b False\n"
    assert site.get("/api/v1/calls/c1/trace?bodies=true").text.startswith("sip-c1-a True")
    assert site.get("/api/v1/calls/old/trace").text == "sip-old False\n"
    assert site.get("/api/v1/calls/kept-not/trace").status_code == 404
    assert site.get("/api/v1/calls/never/trace").status_code == 404
    response = site.get("/api/v1/calls/c1/trace.pcap")
    assert response.content == b"\xd4\xc3\xb2\xa1sip-c1-a,sip-c1-b"
    assert response.headers["Content-Type"] == "application/vnd.tcpdump.pcap"


def test_all_that_is_known_of_a_call_in_one_file(site: Any) -> None:
    site.record("kept-not")
    for call, known in (("c1", True), ("kept-not", False)):
        response = site.get(f"/api/v1/calls/{call}/bundle.zip")
        assert response.headers["Content-Type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            files = {name.partition("/")[2]: archive.read(name).decode("latin-1") for name in archive.namelist()}
            assert {name.partition("/")[0] for name in archive.namelist()} == {f"call-{call}"}
        assert ("ladder.txt" in files) is known
        assert json.loads(files["call.json"])["id"] == call
        assert json.loads(files["server.json"])["version"] == "1.2.3"
        assert files["decision.txt"] == "extension/101 102 101"
        assert call in files["README.txt"]
    assert site.get("/api/v1/calls/never/bundle.zip").status_code == 404
    assert site.get("/api/v1/calls/c1/bundle.zip", token=None).status_code == 401


def test_registrations_and_trunks(site: Any) -> None:
    assert [one["aor"] for one in site.get("/api/v1/registrations").json()["registrations"]] == [
        "sip:101@pbx",
        "sip:102@pbx",
    ]
    (one,) = site.get("/api/v1/registrations?aor=102").json()["registrations"]
    assert one["expires"] == 99.5
    assert site.get("/api/v1/trunks").json() == {
        "trunks": [
            {
                "name": "carrier",
                "address": "sip:192.0.2.9",
                "active": 1,
                "inbound": 2,
                "outbound": 3,
                "failed": 4,
                "max_calls": None,
                "health": "down",
                "health_for": 200.0,
                "round_trip": None,
                "detail": "no reply within 5 s",
                "registration": "none",
                "registration_ends": None,
                "registration_detail": "",
                "max_calls_per_second": None,
                "why_not": "",
            }
        ]
    }


def test_call_records_page_and_filter(site: Any) -> None:
    for number in range(5):
        site.record(f"c{number}", number, caller="101" if number % 2 else "103")
    page = site.get("/api/v1/call-records?limit=2").json()
    assert [one["id"] for one in page["records"]] == ["c4", "c3"]
    page = site.get("/api/v1/call-records", params={"limit": 3, "after": page["next"]}).json()
    assert [one["id"] for one in page["records"]] == ["c2", "c1", "c0"]
    assert page["next"] == ""
    found = site.get("/api/v1/call-records?caller=101&answered=true&recorded=false&since=2026-05-04T12:00:02Z").json()
    assert [one["id"] for one in found["records"]] == ["c3"]
    one = site.get("/api/v1/call-records/c0").json()
    assert one["cause"]["slug"] == "answered-caller-hung-up"
    assert one["legs"][0]["round_trip"] == 20.0
    assert one["legs"][0]["mos"] is None
    assert one["legs"][1]["mos"] == 4.2
    assert site.get("/api/v1/call-records/none").status_code == 404
    assert site.get("/api/v1/call-records?after=rubbish").status_code == 400
    for bad in ("limit=0", "limit=1001", "since=tomorrow", "answered=perhaps"):
        assert site.get(f"/api/v1/call-records?{bad}").status_code == 422


def test_recordings_are_served_whole_in_parts_and_while_they_run(site: Any) -> None:
    sound = site.recordings / "2026" / "c.wav"
    sound.parent.mkdir()
    sound.write_bytes(b"RIFF" + bytes(range(96)))
    site.record("whole", path=str(sound))
    site.record("running", path="2026/d.wav")
    (site.recordings / "2026" / "d.wav.part").write_bytes(b"RIFF so far")
    response = site.get("/api/v1/call-records/whole/recordings/c1/3")
    assert response.content == sound.read_bytes()
    assert response.headers["Content-Type"] == "audio/wav"
    part = site.get("/api/v1/call-records/whole/recordings/c1/3", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")
    assert site.get("/api/v1/call-records/running/recordings/c1/3").content == b"RIFF so far"
    assert site.get("/api/v1/call-records/whole/recordings/c1/4").status_code == 404
    sound.unlink()
    assert site.get("/api/v1/call-records/whole/recordings/c1/3").status_code == 404


@pytest.mark.parametrize("path", ["/etc/passwd", "../tandem.db", "link.wav", ".", ""])
def test_nothing_outside_the_folder_of_recordings_is_served(site: Any, path: str) -> None:
    (site.recordings / "link.wav").symlink_to("/etc/passwd")
    site.record("evil", path=path or "x")
    assert site.get("/api/v1/call-records/evil/recordings/c1/3").status_code == 404


def test_health_and_readiness(site: Any) -> None:
    assert (site.get("/healthz", token=None).status_code, site.get("/healthz", token=None).text) == (200, "ok\n")
    assert (site.get("/readyz", token=None).status_code, site.get("/readyz", token=None).text) == (200, "ready\n")
    site.health.watch("media", lambda: Check(Condition.FAILED, "secret detail"))
    response = site.get("/readyz", token=None)
    assert (response.status_code, response.text) == (503, "failed\n")
    site.health.phase = Phase.DRAINING
    assert site.get("/readyz", token=None).text == "draining\n"
    assert site.get("/healthz", token=None).status_code == 200


def test_metrics_are_prometheus_text(site: Any) -> None:
    site.metrics.call_ended("busy", None, None)
    response = site.get("/metrics", token=None)
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "tandem_calls" in {family.name for family in text_string_to_metric_families(response.text)}
    assert os.getpid() > 0


def test_bans_are_listed_made_and_lifted(site: Any) -> None:
    assert site.ask("GET", "/api/v1/bans", token=None).status_code == 401
    made = site.ask("POST", "/api/v1/bans", json={"address": "2001:DB8::1", "seconds": 60, "reason": "noisy"})
    assert (made.status_code, made.json()["address"]) == (201, "2001:db8::1")
    assert [one["reason"] for one in site.ask("GET", "/api/v1/bans").json()["bans"]] == ["noisy"]
    for wrong in ({"address": "example.com"}, {"address": "192.0.2.1", "seconds": 0}, {"address": "192.0.2.0/24"}):
        assert site.ask("POST", "/api/v1/bans", json=wrong).status_code == 422
    assert site.ask("DELETE", "/api/v1/bans/2001:db8::1").status_code == 204
    assert site.ask("DELETE", "/api/v1/bans/2001:db8::1").status_code == 404
    assert site.ask("DELETE", "/api/v1/bans/somebody").status_code == 400


def test_budgets_are_listed_and_given_back(site: Any) -> None:
    (one,) = site.ask("GET", "/api/v1/budgets").json()["budgets"]
    assert (one["budget"], one["subject"], one["calls"], one["calls_allowed"]) == ("abroad", "extension/101", 3, 5)
    assert site.ask("DELETE", "/api/v1/budgets/abroad?subject=extension/102").status_code == 404
    assert site.ask("DELETE", "/api/v1/budgets/abroad?subject=extension/101").status_code == 204
    assert site.ask("DELETE", "/api/v1/budgets/abroad").status_code == 404


def test_conferences_are_listed_and_changed(site: Any) -> None:
    assert site.ask("GET", "/api/v1/conferences", token=None).status_code == 401
    (conference,) = site.ask("GET", "/api/v1/conferences").json()["conferences"]
    assert (conference["name"], conference["recording"]) == ("sales", True)
    assert conference["members"][0] == {
        "id": "c1",
        "source": "extension/101",
        "number": "101",
        "name": "Alice",
        "seconds": 7.0,
        "moderator": True,
        "muted": False,
        "waiting": False,
        "speaking": True,
    }
    path = "/api/v1/conferences/sales"
    assert site.ask("PATCH", f"{path}/members/c1", json={"muted": True}).status_code == 204
    assert site.ask("DELETE", f"{path}/members/c1").status_code == 204
    assert site.ask("PATCH", path, json={"recording": False}).status_code == 204
    assert site.ask("DELETE", path).status_code == 204
    assert site.conferences.wanted == [
        ("mute", "sales", "c1", True),
        ("kick", "sales", "c1"),
        ("record", "sales", False),
        ("end", "sales"),
    ]
    for method, wrong in (("PATCH", "/sales/members/c2"), ("DELETE", "/other/members/c1"), ("DELETE", "/other")):
        body = {"json": {"muted": True}} if method == "PATCH" else {}
        assert site.ask(method, f"/api/v1/conferences{wrong}", **body).status_code == 404
    assert site.ask("PATCH", path, json={"muted": True}).status_code == 422


def test_supervising(site: Any) -> None:
    path = "/api/v1/calls/c1/supervisors"
    assert site.ask("POST", path, json={"supervisor": "extension/100"}).status_code == 204
    whisper = {"supervisor": "extension/100", "mode": "whisper", "whisper_to": "caller"}
    assert site.ask("POST", path, json=whisper).status_code == 204
    assert site.supervised == [("c1", "extension/100", "listen", ""), ("c1", "extension/100", "whisper", "caller")]
    refused = site.ask("POST", "/api/v1/calls/c9/supervisors", json=whisper)
    assert (refused.status_code, refused.json()["detail"]) == (409, "there is no running call of this id")
    for wrong in ({"supervisor": "trunk/a"}, {"supervisor": "extension/1", "mode": "shout"}, {}):
        assert site.ask("POST", path, json=wrong).status_code == 422
