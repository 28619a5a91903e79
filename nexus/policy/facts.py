"""What ``self`` stands for in a rule: a resource as it will be, a change, or the plan as a whole.

Secrets stay secret in here: whatever a condition makes of one is secret, too. Of a secret that was applied once nothing
but a fingerprint is left, so its old value counts as not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Opening, Plan
from nexus.model.costs import FREE, Cost
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Fingerprint, Value
from nexus.planning import Evaluated

OF_RESOURCE: Final = ("address", "kind", "key", "written", "action", "before", "cost")
"""Beside the fields of its kind. ``cost`` is nothing for what is no sandbox."""

OF_CHANGE: Final = ("address", "kind", "key", "action", "cause", "data_loss", "fields", "before", "after", "opens")
OF_PLAN: Final = ("project", "environment", "target", "destroy", "summary", "changes", "cost", "opens", "sandboxes")

NO_ACTION: Final = "none"


def of_resource(evaluated: Evaluated, change: Change | None, record: ResourceRecord | None, cost: Cost) -> Value:
    """A desired resource: its fields in their normal form, defaults filled in, and what happens to it."""
    spec = evaluated.spec
    written: list[Value] = [name for name, raw in spec.attributes.items() if raw is not None]
    return {
        **evaluated.attributes,
        **_head(spec.address),
        "written": written,
        "action": NO_ACTION if change is None else change.action.value,
        "before": None if record is None else _recorded(record.attributes),
        "cost": _amounts(cost),
    }


def of_change(change: Change, after: Evaluated | None, record: ResourceRecord | None, opens: list[Opening]) -> Value:
    """A change of the plan; ``after`` is missing where the resource goes."""
    return {
        **_head(change.address),
        "action": change.action.value,
        "cause": change.cause,
        "data_loss": change.data_loss,
        "fields": {
            item.path: {"before": _known(item.before), "after": _known(item.after), "effect": item.effect.value}
            for item in change.fields
        },
        "before": None if record is None else _recorded(record.attributes),
        "after": None if after is None else dict(after.attributes),
        "opens": [_opening(item) for item in opens],
    }


def of_plan(plan: Plan) -> Value:
    """The plan: what it does, what it opens, and what comes to run and to cost. ``sandboxes`` counts those that run."""
    cost = plan.cost
    after, before = (FREE, FREE) if cost is None else (cost.after, cost.before)
    return {
        "project": plan.project,
        "environment": plan.environment,
        "target": plan.target.kind,
        "destroy": plan.options.destroy,
        "summary": {action.value: plan.summary.get(action.value, 0) for action in Action},
        "changes": [
            {**_head(item.address), "action": item.action.value, "cause": item.cause, "data_loss": item.data_loss}
            for item in plan.changes
        ],
        "cost": {**_amounts(after), "before": _amounts(before), "change": _amounts(after - before)},
        "opens": [_opening(item) for item in plan.openings],
        "sandboxes": 0 if cost is None else sum(bool(item.after) for item in cost.sandboxes),
    }


def _head(address: Address) -> dict[str, Value]:
    return {"address": str(address), "kind": address.kind, "key": address.key}


def _recorded(attributes: Mapping[str, Value]) -> Value:
    return {name: _known(value) for name, value in attributes.items()}


def _known(value: Value) -> Value:
    """The value with what only a fingerprint is left of as not known."""
    match value:
        case Fingerprint():
            return UNKNOWN
        case dict():
            return {key: _known(item) for key, item in value.items()}
        case list():
            return [_known(item) for item in value]
        case _:
            return value


def _opening(opening: Opening) -> Value:
    return {"address": str(opening.address), "opens": opening.opens.value, "detail": opening.detail}


def _amounts(cost: Cost) -> dict[str, Value]:
    return {"hour": float(cost.hour), "until_end": float(cost.until_end), "month": float(cost.month)}
