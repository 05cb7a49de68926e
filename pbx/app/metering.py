"""What the metrics read of the rooms: each is asked when somebody wants to know, and knows nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbx.ops.metrics import Metrics
from pbx.ops.program import PROGRAM
from pbx.ops.watches import (
    MessageCounter,
    watch_bans,
    watch_budgets,
    watch_calls,
    watch_registrar,
    watch_sip,
    watch_store,
)
from pbx.trunks.health import Health as TrunkHealth

if TYPE_CHECKING:
    from pbx.app.server import Server

__all__ = ["watch"]


def watch(server: Server, metrics: Metrics) -> None:
    """Have the metrics read the rooms when they are asked for."""
    metrics.gauge("tandem_build_info", "What runs; always 1.", lambda: {tuple(PROGRAM.values()): 1.0}, *PROGRAM)
    watch_calls(metrics, lambda: len(server.registry))
    watch_store(metrics, server.store.status, lambda: server.store.retention.deleted)
    watch_registrar(
        metrics,
        server.location,
        server.registrar.responses,
        lambda: {change.value: count for change, count in server.registrar.changes.items()},
        server.authenticator.counts,
    )
    watch_bans(metrics, server.guard.bans, lambda: {"refused": server.guard.connections_refused})
    messages = MessageCounter()
    server.trace.tally = messages
    watch_sip(metrics, messages, server.counters, lambda: server.layer.counters, lambda: _dropped(server))
    metrics.gauge(
        "tandem_sip_transactions",
        "SIP transactions, finished ones that linger among them, by side.",
        lambda: {"client": server.layer.clients, "server": server.layer.servers},
        "side",
    )
    if server.hep is not None:
        metrics.counter("tandem_hep_messages", "Messages for the collector, by outcome.", server.hep.counts, "outcome")
    metrics.counter("tandem_sidecars_failed", "Files beside recordings not written.", lambda: server.sidecars.failures)
    if server.settings.security.firewall == "nftables":
        metrics.counter(
            "tandem_firewall_failures", "Bans that did not reach nftables.", lambda: _unfiltered(server), "kind"
        )
    _watch_calls(server, metrics)
    _watch_trunks(server, metrics)
    _watch_media(server, metrics)


def _watch_calls(server: Server, metrics: Metrics) -> None:
    metrics.gauge("tandem_sip_dialogs", "Legs that have a SIP dialog.", lambda: len(server.context.dialogs))
    metrics.counter(
        "tandem_calls_verified",
        "Calls whose signature was looked for, by what was found.",
        lambda: server.signatures.outcomes,
        "outcome",
    )
    metrics.counter("tandem_leg_events", "What legs did not expect.", lambda: server.leg_counters, "event")
    metrics.gauge(
        "tandem_overload_rate",
        "Calls a second that an overloaded server takes; 0 while it takes all.",
        lambda: server.shedding.control.rate or 0.0,
    )
    metrics.counter("tandem_overload_refusals", "Calls refused by overload.", lambda: server.shedding.control.refused)
    watch_budgets(metrics, lambda: server.budgeting.budgets.refused, server.budgeting.all)
    metrics.counter(
        "tandem_calls_refused",
        "Calls refused before they began, and transfers and redirections, by the limit that was reached.",
        lambda: server.registry.refused,
        "limit",
    )
    metrics.counter(
        "tandem_calls_unmatched",
        "Calls from where no trunk and no registered phone is, which showed no password.",
        lambda: server.admission.strangers,
    )
    metrics.counter("tandem_faults", "Bugs of ours that ended a call.", lambda: server.observer.faults)


def _watch_trunks(server: Server, metrics: Metrics) -> None:
    metrics.gauge("tandem_trunk_calls_active", "Calls now, by trunk.", lambda: _active_by_trunk(server), "trunk")
    metrics.counter(
        "tandem_trunk_calls", "Calls that are over, by trunk and outcome.", lambda: _by_trunk(server), "trunk", "kind"
    )
    metrics.gauge(
        "tandem_trunk_up", "Whether a trunk answers OPTIONS, for those asked.", lambda: _trunks_up(server), "trunk"
    )
    metrics.gauge(
        "tandem_trunk_registered",
        "Whether we are registered with a trunk, for those that we register with.",
        lambda: {status.account: float(status.state.bound) for status in server.lines.registrations},
        "trunk",
    )
    metrics.gauge(
        "tandem_trunk_round_trip_seconds", "How long its last answer took.", lambda: _round_trips(server), "trunk"
    )


def _watch_media(server: Server, metrics: Metrics) -> None:
    metrics.gauge("tandem_media_streams", "Streams that are open.", lambda: server.engine.counters().streams)
    metrics.gauge("tandem_media_ports", "Media ports, by state.", lambda: _media_ports(server), "state")
    metrics.counter(
        "tandem_media_dropped", "What the media engine had to drop, by kind.", lambda: _media_dropped(server), "kind"
    )
    metrics.counter(
        "tandem_sounds_failed",
        "Sounds that could not be played, or not to their end.",
        lambda: server.engine.counters().sounds_failed,
    )
    metrics.counter(
        "tandem_audio_verdicts",
        "Findings on the audio of legs: one some seconds after the answer, then one for each change.",
        lambda: server.observer.verdicts,
        "direction",
        "finding",
    )


def _dropped(server: Server) -> dict[str, float]:
    guard, counters, layer = server.guard, server.counters, server.layer.counters
    return {
        **guard.dropped,
        "malformed": layer["malformed_dropped"],
        "no-sip": counters["udp_oddities"],
        "unframeable": counters["stream_framing"],
    }


def _unfiltered(server: Server) -> dict[str, float]:
    firewall = server.firewall
    return {} if firewall is None else {"failed": firewall.failed, "dropped": firewall.dropped}


def _active_by_trunk(server: Server) -> dict[str, float]:
    occupancy = server.directory.occupancy
    return {trunk.name: occupancy.of(f"trunk/{trunk.name}") for trunk in server.directory.trunks}


def _by_trunk(server: Server) -> dict[tuple[str, ...], float]:
    return {
        (name, kind): count
        for name, counts in server.directory.trunks.counts.items()
        for kind, count in (
            ("inbound", counts.inbound),
            ("outbound-answered", counts.outbound - counts.failed),
            ("outbound-failed", counts.failed),
        )
    }


def _trunks_up(server: Server) -> dict[str, float]:
    return {
        status.trunk: float(status.health is TrunkHealth.UP)
        for status in server.directory.health
        if status.health is not TrunkHealth.UNKNOWN
    }


def _round_trips(server: Server) -> dict[str, float]:
    return {status.trunk: status.round_trip for status in server.directory.health if status.round_trip}


def _media_ports(server: Server) -> dict[str, float]:
    counters = server.engine.counters()
    return {"free": counters.ports_free, "ready": counters.ports_ready, "draining": counters.ports_draining}


def _media_dropped(server: Server) -> dict[str, float]:
    counters = server.engine.counters()
    return {
        "command": counters.commands_refused,
        "event": counters.events_dropped,
        "recording-packet": counters.recording_packets_dropped,
    }
