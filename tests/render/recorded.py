"""Applies that took place: what ``nexus apply --json`` said of each, as events again, each with its time.

``recordings/apply.jsonl`` is the first apply of ``recordings/shop.yaml``, in which one sandbox fails; ``update`` is
the next one, with another value of its variable and other packages, commands, files and a smaller count; ``destroy``
takes it down. ``NAME.jsonl`` is made anew with ``SHOP_TOKEN=… nexus apply --local -y --json > NAME.jsonl``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, Verb
from nexus.model.diagnostics import Diagnostic
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    DiagnosticRaised,
    Event,
    LogLine,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    Outcome,
    PlanReady,
)
from nexus.planning import plan_from_json
from nexus.render.values import SENSITIVE

FOLDER = Path(__file__).parent / "recordings"
SOURCE = (FOLDER / "shop.yaml").read_text().splitlines()

Json = Mapping[str, Any]


def lines(name: str) -> list[Json]:
    """The documents of a recording."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


def recorded(name: str) -> Sequence[tuple[float, Event]]:
    """The events of a recording, and how many seconds after the apply's beginning each came."""
    found = lines(name)
    times = [datetime.fromisoformat(line["time"]).timestamp() for line in found]
    began = next(time for time, line in zip(times, found, strict=True) if line["type"] == "apply-started")
    return [
        (round(time - began, 3), _event(line, destroy=name == "destroy"))
        for time, line in zip(times, found, strict=True)
    ]


def _event(line: Json, *, destroy: bool) -> Event:
    match line["type"]:
        case "plan-ready":
            return PlanReady(plan=_plan(line["plan"], destroy=destroy))
        case "apply-started":
            return ApplyStarted(operations=line["operations"], expected_seconds=line["expected_seconds"])
        case "operation-started":
            return OperationStarted(operation=_operation(line), expected_seconds=line["expected_seconds"])
        case "operation-progress":
            return OperationProgress(operation=_operation(line), message=line["message"])
        case "log-line":
            return LogLine(operation=_operation(line), stream=line["stream"], text=line["text"])
        case "operation-finished":
            return OperationFinished(
                operation=_operation(line),
                outcome=Outcome(line["outcome"]),
                seconds=line["seconds"],
                diagnostic=None if line["diagnostic"] is None else _diagnostic(line["diagnostic"]),
                reason=line["reason"],
                note=line["note"],
                remaining_seconds=line["remaining_seconds"],
            )
        case "diagnostic":
            return DiagnosticRaised(diagnostic=_diagnostic(line["diagnostic"]))
        case "apply-finished":
            return ApplyFinished(
                seconds=line["seconds"],
                outcomes={Outcome(name): count for name, count in line["outcomes"].items()},
                changes={Address.parse(address): Outcome(how) for address, how in line["changes"].items()},
                interrupted=line["interrupted"],
            )
        case other:
            raise AssertionError(f"nobody reads {other}")


def _operation(line: Json) -> Operation:
    data = line["operation"]
    return Operation(
        id=data["id"], verb=Verb(data["verb"]), address=Address.parse(data["address"]), unit=data["unit"] or ""
    )


def _plan(document: Json, *, destroy: bool) -> Plan:
    """A public plan as a saved one, which has more fields and other marks for what nobody may see or knows yet."""
    options = {name: list[str]() for name in ("targets", "excludes", "replace", "run")}
    changes = [
        {
            **change,
            "fields": [
                {
                    **item,
                    "before": _value(item["before"], unknown=False),
                    "after": _value(item["after"], item["unknown"]),
                }
                for item in change["fields"]
            ],
        }
        for change in document["changes"]
    ]
    return plan_from_json(
        {
            **document,
            "lineage": "recorded",
            "base_serial": 0,
            "changes": changes,
            "operations": [{**operation, "uid": "", "force": False} for operation in document["operations"]],
            "options": {**options, "destroy": destroy, "refresh": True},
            "variables": {},
        }
    )


def _value(value: Any, unknown: bool) -> Any:
    match value:
        case None if unknown:
            return {"$unknown": True}
        case str() if value == SENSITIVE:
            return {"$fingerprint": "0"}
        case dict():
            return {key: _value(item, unknown) for key, item in value.items()}
        case list():
            return [_value(item, unknown) for item in value]
        case _:
            return value


def _diagnostic(data: Json) -> Diagnostic:
    empty: dict[str, Any] = {"changes": [], "operations": [], "diagnostics": [data], "format_version": 1}
    place = {"project": "", "environment": "", "target": {"kind": "", "account": ""}}
    return _plan({**empty, **place}, destroy=False).diagnostics[0]
