"""What Prometheus asks for: gauges of how environments stand, and counters of what was done to them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import nexus
from nexus.controller.settings import Key
from nexus.controller.status import Board, Notice, Phase
from nexus.model.events import ApplyFinished, Event, OperationFinished, Outcome

# Otherwise each counter brings a second series that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_WHICH = ("project", "environment")


class Metrics:
    """Those of one controller, in a registry of its own."""

    def __init__(self, board: Board) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("nexus_controller_build", "The version of nexus.", registry=registry).info({"version": nexus.__version__})
        registry.register(_Standings(board))
        self._notices = Counter(
            "nexus_controller_notices", "What happened, by kind.", (*_WHICH, "kind"), registry=registry
        )
        self._applies = Counter(
            "nexus_controller_applies", "Applies by result.", (*_WHICH, "result"), registry=registry
        )
        self._apply_seconds = Histogram(
            "nexus_controller_apply_seconds", "How long applies took.", _WHICH, buckets=_SECONDS, registry=registry
        )
        self._operations = Counter(
            "nexus_controller_operations",
            "Operations of applies.",
            (*_WHICH, "verb", "outcome"),
            registry=registry,
        )
        self._operation_seconds = Histogram(
            "nexus_controller_operation_seconds",
            "How long operations took.",
            ("verb",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._looks = Counter(
            "nexus_controller_source_looks", "Looks at sources.", ("project", "result"), registry=registry
        )
        self._deliveries = Counter(
            "nexus_controller_webhook_deliveries", "Webhooks by result.", ("result",), registry=registry
        )

    def notice(self, notice: Notice) -> None:
        self._notices.labels(*_labels(notice.key), notice.kind.value).inc()

    def event(self, key: Key, event: Event) -> None:
        match event:
            case OperationFinished(operation=operation, outcome=outcome):
                self._operations.labels(*_labels(key), operation.verb.value, outcome.value).inc()
                self._operation_seconds.labels(operation.verb.value).observe(event.seconds)
            case ApplyFinished():
                bad = event.interrupted or any(event.outcomes.get(item) for item in (Outcome.FAILED, Outcome.SKIPPED))
                self._applies.labels(*_labels(key), "failed" if bad else "succeeded").inc()
                self._apply_seconds.labels(*_labels(key)).observe(event.seconds)

    def looked(self, project: str, succeeded: bool) -> None:
        self._looks.labels(project, _result(succeeded)).inc()

    def delivered(self, succeeded: bool) -> None:
        self._deliveries.labels(_result(succeeded)).inc()

    def text(self) -> bytes:
        """In the text format that Prometheus reads."""
        return generate_latest(self._registry)


class _Standings(Collector):
    """Made anew from the board at each request, so that nothing has to be kept in step with it."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[GaugeMetricFamily]:
        phase = GaugeMetricFamily(
            "nexus_controller_phase", "1 for the phase that an environment is in.", labels=(*_WHICH, "phase")
        )
        leads = _gauge("leading", "Whether this controller leads the environment.")
        pending = _gauge("pending_changes", "Changes that were planned and not made.")
        failures = _gauge("consecutive_failures", "Failures in a row.")
        observed = _gauge("last_observation_timestamp_seconds", "When the environment was planned last.")
        source = _gauge("source_up", "Whether the project's files could be had at the last look.")
        for standing in self._board.all:
            labels = _labels(standing.key)
            for item in Phase:
                phase.add_metric((*labels, item.value), float(standing.phase is item))
            leads.add_metric(labels, float(standing.is_leading))
            pending.add_metric(labels, float(len(standing.pending)))
            failures.add_metric(labels, float(standing.failures))
            source.add_metric(labels, float(bool(standing.revision) and not standing.source_problems))
            if standing.observed_at is not None:
                observed.add_metric(labels, standing.observed_at.timestamp())
        yield from (phase, leads, pending, failures, observed, source)


def _gauge(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"nexus_controller_{name}", meaning, labels=_WHICH)


def _labels(key: Key) -> tuple[str, str]:
    return key.project, key.environment


def _result(succeeded: bool) -> str:
    return "succeeded" if succeeded else "failed"
