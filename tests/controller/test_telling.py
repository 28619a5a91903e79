"""Those who are told: webhooks, metrics, traces and the log. None of them is told a secret."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import logging
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import jsonschema
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from nexus.controller import traces
from nexus.controller.controller import Controller
from nexus.controller.documents import board_to_json, notice_to_json
from nexus.controller.logs import Log, heard
from nexus.controller.settings import WebhookSettings
from nexus.controller.status import Notice, NoticeKind
from nexus.controller.traces import Traces, exporting
from nexus.controller.webhooks import Webhook
from nexus.model.diagnostics import DiagnosticsError, error
from tests.controller.fakes import KEY, World

SCHEMAS = Path(__file__).parents[2] / "schemas"
NOTICE = Notice(
    kind=NoticeKind.APPLIED, key=KEY, at=datetime(2026, 1, 2, tzinfo=UTC), revision="abc", summary={"create": 2}
)


def schema(name: str) -> dict[str, object]:
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text())


class Receiver:
    """Answers with these codes, one after the other; 0 is no answer at all."""

    def __init__(self, codes: Sequence[int]) -> None:
        self.codes = list(codes)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        code = self.codes.pop(0)
        if code == 0:
            raise httpx.ConnectError("refused")
        return httpx.Response(code)


async def delivered(receiver: Receiver, notices: Sequence[Notice], **settings: object) -> list[bool]:
    told: list[bool] = []
    hook = Webhook(
        WebhookSettings(url="https://hooks.example.com/secret-path", **settings),  # type: ignore[arg-type]
        lambda name, succeeded: told.append(succeeded) if name == "hooks.example.com" else None,
        client=httpx.AsyncClient(transport=httpx.MockTransport(receiver)),
        pauses=(0.0, 0.0),
    )
    task = asyncio.create_task(hook.deliver())
    for notice in notices:
        hook.tell(notice)
    await hook.finish()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return told


async def test_a_delivery_is_signed_and_fits_its_schema() -> None:
    receiver = Receiver([204])
    assert await delivered(receiver, [NOTICE], secret="hush") == [True]
    (request,) = receiver.requests
    expected = hmac.new(b"hush", request.content, hashlib.sha256).hexdigest()
    assert request.headers["X-Nexus-Signature-256"] == f"sha256={expected}"
    assert request.headers["X-Nexus-Event"] == "applied"
    document = json.loads(request.content)
    jsonschema.validate(document, schema("webhook"))
    assert (document["project"], document["summary"]) == ("shop", {"create": 2})


@pytest.mark.parametrize(
    ("codes", "attempts", "succeeds"),
    [
        ([0, 503, 200], 3, True),
        ([429, 200], 2, True),
        ([404], 1, False),
        ([500, 500, 500], 3, False),
        ([302], 3, False),
    ],
)
async def test_what_may_pass_is_tried_again_and_the_rest_is_not(
    codes: list[int], attempts: int, succeeds: bool
) -> None:
    receiver = Receiver([*codes, *codes, *codes])
    assert await delivered(receiver, [NOTICE]) == [succeeds]
    assert len(receiver.requests) == attempts
    assert len({request.headers["X-Nexus-Delivery"] for request in receiver.requests}) == 1


async def test_only_what_was_asked_for_is_delivered_and_in_order() -> None:
    receiver = Receiver([200] * 9)
    kinds = [NoticeKind.FAILED, NoticeKind.DRIFT, NoticeKind.APPLIED, NoticeKind.FAILED]
    notices = [Notice(kind=kind, key=KEY, at=NOTICE.at) for kind in kinds]
    await delivered(receiver, notices, kinds=frozenset({"failed", "applied"}))
    assert [item.headers["X-Nexus-Event"] for item in receiver.requests] == ["failed", "applied", "failed"]


async def test_what_can_not_be_delivered_by_the_end_is_counted() -> None:
    receiver = Receiver([0] * 9)
    hook = Webhook(
        WebhookSettings(url="https://hooks.example.com/"),
        lambda _, __: None,
        client=httpx.AsyncClient(transport=httpx.MockTransport(receiver)),
        pauses=(60.0,),
        farewell=0.05,
    )
    task = asyncio.create_task(hook.deliver())
    hook.tell(NOTICE)
    hook.tell(NOTICE)
    assert await hook.finish() == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_log_that_can_not_be_written_keeps_nothing_back(world: World) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    world.text = Full()
    board = await Controller(world.settings(), world.parts()).once()
    assert board[KEY].applied == "r1"
    assert world.bugs == []


def test_what_libraries_warn_of_is_in_the_log_in_its_form() -> None:
    stream = io.StringIO()
    with heard(Log(stream, as_json=True)):
        logging.getLogger("exporter").warning("%s does not answer", "the collector")
        logging.getLogger("exporter").info("all is well")
    logging.getLogger("exporter").warning("afterwards")
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["level"], line["source"]) == ("warning", "exporter")
    assert line["message"] == "the collector does not answer"


async def test_metrics_are_what_prometheus_reads(world: World) -> None:
    controller = Controller(world.settings("dev", "prod"), world.parts())
    world.projects[KEY].problem = error("exec-failed", "It does not work")
    await controller.once()
    text = controller._metrics.text().decode()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    dev, prod = (("environment", "dev"), ("project", "shop")), (("environment", "prod"), ("project", "shop"))
    assert samples["nexus_controller_phase", dev[0], ("phase", "failed"), dev[1]] == 1
    assert samples["nexus_controller_phase", prod[0], ("phase", "synced"), prod[1]] == 1
    assert samples["nexus_controller_consecutive_failures", *dev] == 1
    assert samples["nexus_controller_pending_changes", *dev] == 1
    assert samples["nexus_controller_pending_changes", *prod] == 0
    assert samples["nexus_controller_applies_total", dev[0], dev[1], ("result", "failed")] == 1
    operations = ("outcome", "succeeded"), prod[1], ("verb", "create")
    assert samples["nexus_controller_operations_total", prod[0], *operations] == 1
    assert samples["nexus_controller_operation_seconds_count", ("verb", "create")] == 2
    assert samples["nexus_controller_source_looks_total", ("project", "shop"), ("result", "succeeded")] == 1


async def test_an_apply_is_a_tree_of_spans(world: World) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    world.traces = Traces(provider)
    settings = world.settings()
    world.projects[KEY].problem = error("exec-failed", "The text may hold anything")
    await Controller(settings, world.parts()).once()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {
        f"nexus.{name}" for name in ("reconcile", "load", "plan", "drift", "apply", "operation create")
    }
    root = spans["nexus.reconcile"]
    assert dict(root.attributes or {}) == {
        "nexus.project": "shop",
        "nexus.environment": "dev",
        "nexus.revision": "r1",
    }
    operation, apply = spans["nexus.operation create"], spans["nexus.apply"]
    assert operation.parent is not None
    assert apply.parent is not None
    assert operation.parent.span_id == apply.context.span_id
    assert apply.parent.span_id == root.context.span_id
    assert dict(operation.attributes or {})["nexus.address"] == "sandbox.web"
    assert (operation.status.status_code.name, operation.status.description) == ("ERROR", "exec-failed")
    assert "may hold anything" not in "".join(span.to_json() for span in spans.values())


def test_traces_are_exported_only_where_it_is_said_where_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with exporting({}) as provider:
        assert provider is None
    said = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with exporting(said) as provider:
        assert provider is not None
    with exporting({**said, "OTEL_SDK_DISABLED": "true"}) as provider:
        assert provider is None
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(DiagnosticsError, match="not installed"), traces.exporting(said):
        pass


class Collector(BaseHTTPRequestHandler):
    """What takes traces by OTLP over HTTP, as a real collector does."""

    received: ClassVar[list[ExportTraceServiceRequest]] = []

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


async def test_spans_reach_a_collector_by_the_end_of_the_controller(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Collector.received = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        with exporting(os.environ) as provider:
            world.traces = Traces(provider)
            await Controller(world.settings(), world.parts()).once()
        server.shutdown()
    resources = [resource for request in Collector.received for resource in request.resource_spans]
    named = {item.key: item.value.string_value for resource in resources for item in resource.resource.attributes}
    assert named["service.name"] == "nexus-controller"
    names = {span.name for resource in resources for scope in resource.scope_spans for span in scope.spans}
    assert {"nexus.reconcile", "nexus.plan", "nexus.apply", "nexus.operation create"} <= names


async def test_the_board_fits_its_schema(world: World) -> None:
    controller = Controller(world.settings("dev", "prod"), world.parts())
    world.load_problem = error("unknown-field", "There is no field")
    await controller.once()
    world.load_problem = None
    jsonschema.validate(json.loads(json.dumps(board_to_json(controller.board))), schema("controller-status"))
    await controller.once()
    jsonschema.validate(json.loads(json.dumps(board_to_json(controller.board))), schema("controller-status"))
    jsonschema.validate(json.loads(json.dumps(notice_to_json(NOTICE))), schema("webhook"))


def test_the_log_for_people_says_it_in_a_line() -> None:
    stream = io.StringIO()
    log = Log(stream, as_json=False)
    log.notice(NOTICE)
    log.notice(Notice(kind=NoticeKind.FAILED, key=KEY, at=NOTICE.at, diagnostics=(error("no-answer", "No answer"),)))
    log.line("stopped")
    assert stream.getvalue().splitlines()[:3] == [
        "00:00:00 info    shop/dev: applied 2 to create",
        "00:00:00 error   shop/dev: failed",
        "00:00:00 error   shop/dev:   error[no-answer]: No answer",
    ]
