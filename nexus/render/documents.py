"""What nexus says, as JSON documents: plans, diagnostics, events, outputs. Their schemas lie in ``schemas/``.

Values are shown and not stored here: what is sensitive is a fixed text, what is not known yet is null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, assert_never

from nexus import planning
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, Verb
from nexus.model.diagnostics import Diagnostic, Severity, published_code
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    DiagnosticRaised,
    Event,
    InterruptReceived,
    LogLine,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    Outcome,
    PlanReady,
)
from nexus.model.runs import StepResult, step_result
from nexus.model.state import OutputRecord, ResourceRecord, State, Taken
from nexus.model.values import Fingerprint, Sensitive, Unknown, Value
from nexus.planning import diagnostic_to_json
from nexus.render.costs import cost_to_json
from nexus.render.openings import openings_to_json
from nexus.render.values import SENSITIVE

FORMAT_VERSION: Final = 1

Json = dict[str, object]


def value_to_json(value: Value) -> object:
    """The value for readers: nothing sensitive in it, null where it is not known yet."""
    match value:
        case Sensitive() | Fingerprint():
            return SENSITIVE
        case Unknown():
            return None
        case dict():
            return {key: value_to_json(item) for key, item in value.items()}
        case list():
            return [value_to_json(item) for item in value]
        case _:
            return value


def diagnostics_to_json(diagnostics: Iterable[Diagnostic]) -> list[Json]:
    return [diagnostic_to_json(diagnostic) for diagnostic in diagnostics]


def failure_to_json(diagnostics: Sequence[Diagnostic]) -> Json:
    """What a command says that could not do its work. ``code`` is a published one, null for all other failures."""
    errors = [item for item in diagnostics if item.severity is Severity.ERROR] or list(diagnostics)
    return {
        "format_version": FORMAT_VERSION,
        "success": False,
        "code": published_code(diagnostics),
        "error": errors[0].summary if errors else "",
        "diagnostics": diagnostics_to_json(diagnostics),
    }


def validation_to_json(diagnostics: Sequence[Diagnostic], *, valid: bool) -> Json:
    return {"format_version": FORMAT_VERSION, "valid": valid, "diagnostics": diagnostics_to_json(diagnostics)}


def plan_to_json(plan: Plan) -> Json:
    """The plan for readers, with what it costs and opens, and whether a policy denies it."""
    return {
        **planning.public_plan(plan, value_to_json),
        "denied": plan.is_denied,
        "opens": openings_to_json(plan.openings),
        "cost": None if plan.cost is None else cost_to_json(plan.cost),
    }


def outputs_to_json(outputs: Mapping[str, OutputRecord]) -> Json:
    """By name: value, whether it is sensitive (then it has none), description."""
    return {
        name: {
            "value": None if output.sensitive else value_to_json(output.value),
            "sensitive": output.sensitive,
            "description": output.description,
        }
        for name, output in outputs.items()
    }


def state_to_json(state: State) -> Json:
    """What is remembered, for readers."""
    return {
        "format_version": FORMAT_VERSION,
        "project": state.project,
        "environment": state.environment,
        "target": None if state.target is None else {"kind": state.target.kind, "account": state.target.account},
        "serial": state.serial,
        "lineage": state.lineage,
        "resources": [record_to_json(state.resources[address]) for address in sorted(state.resources)],
        "outputs": outputs_to_json(state.outputs),
    }


def record_to_json(record: ResourceRecord) -> Json:
    return {
        "address": str(record.address),
        "kind": record.address.kind,
        "id": record.id,
        "attributes": value_to_json(dict(record.attributes)),
        "outputs": value_to_json(dict(record.outputs)),
        "setup": dict(record.setup),
        "depends_on": [str(address) for address in record.depends_on],
        "protected": record.protected,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        **({} if record.taken is None else {"taken": taken_to_json(record.taken)}),
    }


def taken_to_json(taken: Taken) -> Json:
    """``place`` is the key that it had in its pool; what nobody remembers is null."""
    return {
        "place": taken.place,
        "by": taken.by or None,
        "at": taken.at or None,
        "purpose": taken.purpose or None,
    }


def event_to_json(event: Event, at: datetime) -> Json:
    """One line of ``--json``. ``at`` is when it happened."""
    return {
        "format_version": FORMAT_VERSION,
        "time": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **_event(event),
    }


def _event(event: Event) -> Json:
    match event:
        case PlanReady(plan=plan):
            return {"type": "plan-ready", "plan": plan_to_json(plan)}
        case ApplyStarted(operations=count):
            return {
                "type": "apply-started",
                "operations": count,
                "expected_seconds": _rounded(event.expected_seconds),
            }
        case OperationStarted(operation=operation):
            return {
                "type": "operation-started",
                "operation": _operation(operation),
                "expected_seconds": _rounded(event.expected_seconds),
            }
        case OperationProgress(operation=operation, message=message):
            return {"type": "operation-progress", "operation": _operation(operation), "message": message}
        case LogLine(operation=operation, stream=stream, text=text):
            return {"type": "log-line", "operation": _operation(operation), "stream": stream, "text": text}
        case OperationFinished():
            return {
                "type": "operation-finished",
                "operation": _operation(event.operation),
                "outcome": event.outcome.value,
                "seconds": round(event.seconds, 3),
                "reason": event.reason,
                "note": event.note,
                "diagnostic": None if event.diagnostic is None else diagnostic_to_json(event.diagnostic),
                "remaining_seconds": _rounded(event.remaining_seconds),
                "step": _step(event.operation, event.record),
            }
        case DiagnosticRaised(diagnostic=diagnostic):
            return {"type": "diagnostic", "diagnostic": diagnostic_to_json(diagnostic)}
        case InterruptReceived(count=count):
            return {"type": "interrupt-received", "count": count}
        case ApplyFinished():
            return {
                "type": "apply-finished",
                "seconds": round(event.seconds, 3),
                "outcomes": {outcome.value: event.outcomes.get(outcome, 0) for outcome in Outcome},
                "changes": _changes(event.changes),
                "interrupted": event.interrupted,
            }
        case _:
            assert_never(event)


def step_to_json(result: StepResult) -> Json:
    """What a step's run left, as records of runs and finished events tell it."""
    return {
        "sandbox": result.sandbox or None,
        "sandbox_id": result.sandbox_id or None,
        "attempts": result.attempts,
        "exit_code": result.exit_code,
        "cpu_seconds": None if result.cpu_seconds is None else round(result.cpu_seconds, 3),
        "peak_memory": result.peak_memory,
        "cached": result.cached,
        "artefacts": {
            name: {"path": item.path, "size": item.size, "sha256": item.sha256}
            for name, item in result.artefacts.items()
        },
    }


def _step(operation: Operation, record: ResourceRecord | None) -> Json | None:
    if operation.verb is not Verb.RUN_STEP or record is None:
        return None
    return step_to_json(step_result(record.attributes, record.outputs, record.created_at))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _changes(changes: Mapping[Address, Outcome]) -> Json:
    return {str(address): outcome.value for address, outcome in changes.items()}


def _operation(operation: Operation) -> Json:
    whole = planning.operation_to_json(operation)
    return {name: whole[name] for name in ("id", "verb", "address", "unit")}
