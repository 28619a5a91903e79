from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import jsonschema
import pytest

from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Effect, FieldDiff, Operation, Plan, Verb
from nexus.model.diagnostics import SourcePos, SourceRange, error
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
from nexus.model.state import OutputRecord, Target
from nexus.model.values import UNKNOWN, Fingerprint, Sensitive
from nexus.render.documents import event_to_json, outputs_to_json, plan_to_json, value_to_json

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "events.schema.json").read_text())
WEB = Address("sandbox", "web")
PLACE = SourceRange("nexus.yaml", SourcePos(3, 5), SourcePos(3, 9))
PROBLEM = error("call-failed", "It failed", detail="Why.", hint="do this", address="sandbox.web", range=PLACE)
OPERATION = Operation(id="1", verb=Verb.CREATE, address=WEB, needs=("0",), cause="new")
PLAN = Plan(
    project="shop",
    environment="default",
    target=Target("local", "engine"),
    lineage="l",
    base_serial=0,
    changes=(
        Change(
            address=WEB,
            action=Action.UPDATE,
            cause="fields changed",
            fields=(
                FieldDiff(path="env_vars.KEY", before=Fingerprint("aa"), after=Fingerprint("bb"), effect=Effect.SETUP),
                FieldDiff(path="timeout", before=1, after=UNKNOWN, effect=Effect.IN_PLACE),
            ),
            source=PLACE,
        ),
    ),
    operations=(OPERATION,),
    diagnostics=(PROBLEM,),
)
EVENTS: list[Event] = [
    PlanReady(plan=PLAN),
    ApplyStarted(operations=3),
    OperationStarted(operation=OPERATION),
    OperationProgress(operation=OPERATION, message="creating"),
    LogLine(operation=OPERATION, stream="stdout", text="ü\n"),
    OperationFinished(operation=OPERATION, outcome=Outcome.FAILED, seconds=1.23456, diagnostic=PROBLEM),
    OperationFinished(operation=OPERATION, outcome=Outcome.SKIPPED, reason="sandbox.a failed"),
    DiagnosticRaised(diagnostic=PROBLEM),
    InterruptReceived(count=2),
    ApplyFinished(seconds=2.0, outcomes={Outcome.FAILED: 1}, changes={WEB: Outcome.FAILED}, interrupted=True),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_fits_the_schema(event: Event) -> None:
    line = json.dumps(event_to_json(event, datetime(2026, 1, 2, tzinfo=UTC)))
    jsonschema.validate(json.loads(line), SCHEMA)
    assert json.loads(line)["time"] == "2026-01-02T00:00:00.000Z"


def test_no_event_is_left_out() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_the_schema_knows_every_verb_and_outcome() -> None:
    assert SCHEMA["$defs"]["operation"]["properties"]["verb"]["enum"] == [verb.value for verb in Verb]
    finished = next(item for item in SCHEMA["oneOf"] if item["properties"]["type"]["const"] == "operation-finished")
    assert finished["properties"]["outcome"]["enum"] == [outcome.value for outcome in Outcome]


def test_a_plan_says_what_the_design_promises() -> None:
    document = plan_to_json(PLAN)
    assert document["summary"] == {"update": 1}
    assert document["target"] == {"kind": "local", "account": "engine"}
    (change,) = document["changes"]  # type: ignore[misc]
    assert change["kind"] == "sandbox"
    assert change["source"] == {"file": "nexus.yaml", "line": 3, "column": 5}
    secret, unknown = change["fields"]
    assert (secret["before"], secret["after"], secret["sensitive"]) == ("(sensitive)", "(sensitive)", True)
    assert (unknown["after"], unknown["unknown"]) == (None, True)
    (operation,) = document["operations"]  # type: ignore[misc]
    assert operation == {
        "id": "1",
        "verb": "create",
        "address": "sandbox.web",
        "unit": None,
        "needs": ["0"],
        "cause": "new",
    }


def test_nothing_sensitive_gets_into_a_document() -> None:
    assert value_to_json({"a": [Sensitive("hunter2")], "b": Fingerprint("ff")}) == {
        "a": ["(sensitive)"],
        "b": "(sensitive)",
    }
    assert outputs_to_json({"token": OutputRecord("hunter2", sensitive=True)}) == {
        "token": {"value": None, "sensitive": True, "description": ""}
    }
