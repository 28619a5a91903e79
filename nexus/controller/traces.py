"""OpenTelemetry traces: a span for each look at an environment, its plan, its apply, and each operation in that.

Without a provider of spans all of this costs nothing. Where they go is said by OpenTelemetry's own variables, such as
``OTEL_EXPORTER_OTLP_ENDPOINT``. No value of anything that users wrote is in a span but names and error codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, TracerProvider

import nexus
from nexus.controller.settings import Key
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.events import Event, OperationFinished, OperationStarted, Outcome

_WANTED_BY = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Traces:
    """Spans of one controller."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = (provider or trace.NoOpTracerProvider()).get_tracer("nexus.controller", nexus.__version__)

    @contextmanager
    def span(self, name: str, key: Key, *, revision: str = "") -> Iterator[None]:
        """What is done in here. A failure is told by the codes of what went wrong."""
        attributes = {"nexus.project": key.project, "nexus.environment": key.environment}
        if revision:
            attributes["nexus.revision"] = revision
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as problem:
                span.set_status(Status(StatusCode.ERROR, _codes(problem)))
                raise

    @contextmanager
    def applying(self, key: Key) -> Iterator[Callable[[Event], None]]:
        """A span for an apply; what is yielded makes one of each operation, from the events that it is handed."""
        open_spans: dict[str, Span] = {}

        def note(event: Event) -> None:
            match event:
                case OperationStarted(operation=operation):
                    open_spans[operation.id] = self._tracer.start_span(
                        f"nexus.operation {operation.verb}",
                        attributes={
                            "nexus.address": str(operation.address),
                            "nexus.verb": operation.verb.value,
                            "nexus.unit": operation.unit,
                        },
                    )
                case OperationFinished(operation=operation) if operation.id in open_spans:
                    _end(open_spans.pop(operation.id), event)

        with self.span("nexus.apply", key):
            try:
                yield note
            finally:
                for span in open_spans.values():
                    span.end()


def _end(span: Span, event: OperationFinished) -> None:
    span.set_attribute("nexus.outcome", event.outcome.value)
    if event.outcome is Outcome.FAILED:
        span.set_status(Status(StatusCode.ERROR, "" if event.diagnostic is None else event.diagnostic.code))
    span.end()


def _codes(problem: Exception) -> str:
    if isinstance(problem, DiagnosticsError):
        return ", ".join(dict.fromkeys(item.code for item in problem.diagnostics))
    return type(problem).__name__


@contextmanager
def exporting(process: Mapping[str, str]) -> Iterator[TracerProvider | None]:
    """What exports spans by OTLP, where the process environment says where to; None otherwise.

    Raises DiagnosticsError when it does, and what exports them is not installed.
    """
    if not any(process.get(name) for name in _WANTED_BY) or process.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider as Exporting
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as problem:
        raise DiagnosticsError(
            error(
                "traces-unavailable",
                "Traces are wanted, and what exports them is not installed",
                detail=f"{' or '.join(name for name in _WANTED_BY if process.get(name))} is set.",
                hint="pip install 'nexus-e2b[traces]', or unset that variable",
            )
        ) from problem
    # The provider first merges what the environment says, so that OTEL_SERVICE_NAME wins.
    name = process.get("OTEL_SERVICE_NAME") or "nexus-controller"
    provider = Exporting(resource=Resource.create({"service.name": name, "service.version": nexus.__version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield provider
    finally:
        provider.shutdown()
