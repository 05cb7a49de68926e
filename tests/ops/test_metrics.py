from __future__ import annotations

import re
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from pbx.ops.metrics import Metrics
from pbx.ops.watches import MessageCounter, watch_calls, watch_registrar, watch_sip, watch_store
from pbx.store.writer import WriterState, WriterStatus


def scrape(metrics: Metrics) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


class Seen(NamedTuple):
    outgoing: bool
    data: bytes


def test_calls_and_recordings_are_counted_by_how_they_ended() -> None:
    metrics = Metrics()
    active = [3]
    watch_calls(metrics, lambda: active[0])
    metrics.call_ended("busy", None, None, 0.2)
    metrics.call_ended("answered-caller-hung-up", 1.5, 61.0, 0.02)
    metrics.recording_ended("complete")
    metrics.lag(0.003)
    found = scrape(metrics)
    assert found["tandem_calls_active"] == 3
    assert found["tandem_calls_total{cause=busy}"] == 1
    assert found["tandem_calls_total{cause=answered-caller-hung-up}"] == 1
    assert found["tandem_recordings_total{outcome=complete}"] == 1
    assert found["tandem_call_setup_seconds_count"] == 1
    assert found["tandem_call_ring_seconds_count"] == 2
    assert found["tandem_call_duration_seconds_sum"] == 61.0
    assert found["tandem_reactor_lag_seconds_bucket{le=0.005}"] == 1
    assert found["process_open_fds"] > 0
    active[0] = 0
    assert scrape(metrics)["tandem_calls_active"] == 0


def test_messages_are_counted_by_direction_and_kind() -> None:
    counter = MessageCounter()
    for data, outgoing in (
        (b"INVITE sip:x SIP/2.0\r\n", False),
        (b"INVITE sip:x SIP/2.0\r\n", False),
        (b"SIP/2.0 200 OK\r\n", True),
        (b"SIP/2.0 180 Ringing\r\n", True),
        (b"SIP/2.0 183 Session Progress\r\n", True),
        (b"NEWMETHOD sip:x SIP/2.0\r\n", False),
        (b"garbage", False),
        (b"", False),
        (b"SIP/2.0 x", False),
    ):
        counter(data, outgoing)
    assert counter.read() == {
        ("in", "INVITE"): 2,
        ("out", "2xx"): 1,
        ("out", "1xx"): 2,
        ("in", "other"): 4,
    }


def test_every_room_s_figures_are_published() -> None:
    metrics = Metrics()
    status = WriterStatus(WriterState.SPOOLING, 5, 100, 7, 4096, 1, 2, "gone")
    watch_store(metrics, lambda: status, lambda: 7)

    class Location:
        registered_aors = 2

        def __len__(self) -> int:
            return 3

    watch_registrar(metrics, Location(), {200: 9, 423: 1}, lambda: {"registered": 4.0}, {"wrong": 6})
    counter = MessageCounter()
    counter(b"BYE sip:x SIP/2.0", False)
    watch_sip(metrics, counter, {"udp_received": 11}, lambda: {"retransmissions": 1}, lambda: {"banned": 8})
    found = scrape(metrics)
    expected = {
        "tandem_store_state{state=spooling}": 1,
        "tandem_store_state{state=ok}": 0,
        "tandem_store_waiting_rows": 5,
        "tandem_store_written_rows_total": 100,
        "tandem_store_spool_bytes": 4096,
        "tandem_store_refused_rows_total": 1,
        "tandem_store_lost_rows_total": 2,
        "tandem_bindings": 3,
        "tandem_registered_aors": 2,
        "tandem_register_responses_total{status=423}": 1,
        "tandem_binding_changes_total{change=registered}": 4,
        "tandem_authentications_total{outcome=wrong}": 6,
        "tandem_sip_messages_total{direction=in,kind=BYE}": 1,
        "tandem_net_events_total{event=udp_received}": 11,
        "tandem_sip_events_total{event=retransmissions}": 1,
        "tandem_sip_dropped_total{reason=banned}": 8,
    }
    assert {name: found[name] for name in expected} == expected


def test_two_servers_in_one_process_do_not_share_figures() -> None:
    one, other = Metrics(), Metrics()
    one.call_ended("busy", None, None)
    assert "tandem_calls_total{cause=busy}" not in scrape(other)


def test_every_name_is_ours_and_says_its_unit() -> None:
    metrics = Metrics()
    watch_store(metrics, lambda: WriterStatus(WriterState.OK, 0, 0, 0, 0, 0, 0, ""), lambda: 0)
    names = {family.name for family in metrics.registry.collect()}
    assert {name for name in names if not re.match("tandem_|process_", name)} == set()
