"""What Prometheus reads. The rooms count in plain integers of their own, and are read when somebody asks.

So counting costs nothing but an addition where it happens, and no room needs to know of metrics.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "Metrics", "Reading", "Sounded"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

Reading = Mapping[str, float] | Mapping[tuple[str, ...], float] | float
"""A number; or one for each value of the label, or each tuple of values of the labels."""

_SETUP_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_DURATION_BUCKETS = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 14400.0)
_MOS_BUCKETS = (1.0, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.2, 4.3, 4.4, 4.5)
_LOSS_BUCKETS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_JITTER_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_ROUND_TRIP_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Sounded(Protocol):
    """How a leg sounded: loss in percent, times in milliseconds; None is unknown."""

    @property
    def mos(self) -> float | None:
        """1 to 4.5."""

    @property
    def loss(self) -> float | None:
        """Of its packets."""

    @property
    def jitter(self) -> float | None:
        """Of its packets."""

    @property
    def round_trip(self) -> float | None:
        """To it and back."""


@dataclass(frozen=True, slots=True)
class _Watched:
    name: str
    text: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    read: Callable[[], Reading]


class _Watcher(Collector):
    """Turns what is watched into metrics at the moment of a scrape."""

    def __init__(self) -> None:
        self.watched: list[_Watched] = []

    def collect(self) -> Iterator[Metric]:
        """Read everything."""
        for watched in self.watched:
            make = CounterMetricFamily if watched.kind == "counter" else GaugeMetricFamily
            family = make(watched.name, watched.text, labels=watched.labels)
            reading = watched.read()
            if isinstance(reading, Mapping):
                for key, value in reading.items():
                    family.add_metric((key,) if isinstance(key, str) else key, value)
            else:
                family.add_metric((), reading)
            yield family


class Metrics:
    """The registry of one server. Everything here belongs to the reactor's thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._watcher = _Watcher()
        self.registry.register(self._watcher)
        ProcessCollector(registry=self.registry)
        self._ended: dict[str, int] = {}
        self._recordings: dict[str, int] = {}
        self.counter("tandem_calls", "Calls ended, by cause.", lambda: self._ended, "cause")
        self.counter("tandem_recordings", "Recordings, by outcome.", lambda: self._recordings, "outcome")
        self.counter(
            "tandem_python_gc_collections",
            "Collections of Python's garbage collector, by generation.",
            lambda: {str(number): stats["collections"] for number, stats in enumerate(gc.get_stats())},
            "generation",
        )
        self._setup = self._histogram("tandem_call_setup_seconds", "From the INVITE to the answer.", _SETUP_BUCKETS)
        self._ring = self._histogram(
            "tandem_call_ring_seconds", "From the INVITE to the first ringing.", _SETUP_BUCKETS
        )
        self._duration = self._histogram(
            "tandem_call_duration_seconds", "From the answer to the end.", _DURATION_BUCKETS
        )
        self._mos = self._histogram("tandem_leg_mos", "MOS of what legs sent us (G.107).", _MOS_BUCKETS)
        self._loss = self._histogram("tandem_leg_loss_percent", "Packets lost on the way to us.", _LOSS_BUCKETS)
        self._jitter = self._histogram("tandem_leg_jitter_seconds", "Jitter of what legs sent us.", _JITTER_BUCKETS)
        self._round_trip = self._histogram(
            "tandem_leg_round_trip_seconds", "Round trip to legs, by RTCP.", _ROUND_TRIP_BUCKETS
        )
        self._lag = self._histogram("tandem_reactor_lag_seconds", "How late timers run.", _LAG_BUCKETS)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)

    # What is read when somebody asks

    def counter(self, name: str, text: str, read: Callable[[], Reading], *labels: str) -> None:
        """Publish what `read` returns as a counter; ``_total`` is added to its name."""
        self._watcher.watched.append(_Watched(name, text, "counter", labels, read))

    def gauge(self, name: str, text: str, read: Callable[[], Reading], *labels: str) -> None:
        """Publish what `read` returns as a gauge."""
        self._watcher.watched.append(_Watched(name, text, "gauge", labels, read))

    # What is told once a call

    def call_ended(self, cause: str, setup: float | None, duration: float | None, ring: float | None = None) -> None:
        """Count a call. Seconds, None for what it did not come to: answer, talk, ringing."""
        self._ended[cause] = self._ended.get(cause, 0) + 1
        if ring is not None:
            self._ring.observe(ring)
        if setup is not None:
            self._setup.observe(setup)
        if duration is not None:
            self._duration.observe(duration)

    def leg_ended(self, quality: Sounded) -> None:
        """Note how a leg that was answered has sounded."""
        if quality.mos is not None:
            self._mos.observe(quality.mos)
        if quality.loss is not None:
            self._loss.observe(quality.loss)
        if quality.jitter is not None:
            self._jitter.observe(quality.jitter / 1000)
        if quality.round_trip is not None:
            self._round_trip.observe(quality.round_trip / 1000)

    def recording_ended(self, outcome: str) -> None:
        """Count a recording: ``complete``, ``failed`` or ``interrupted``."""
        self._recordings[outcome] = self._recordings.get(outcome, 0) + 1

    def lag(self, seconds: float) -> None:
        """Note how late a timer ran."""
        self._lag.observe(seconds)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
