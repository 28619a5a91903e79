"""What the API answers with as documents: those that the commands print with ``--json``, under the same schemas."""

from __future__ import annotations

import typing
from datetime import UTC, datetime

from nexus.api.errors import NexusError
from nexus.model.changes import Plan
from nexus.model.events import Event
from nexus.model.state import State
from nexus.planning import DriftReport
from nexus.render import documents
from nexus.render.drift import drift_to_json


def to_document(item: Plan | Event | DriftReport | State | NexusError) -> dict[str, object]:
    """A plan, an event, a drift report, a state or an error as plain JSON values, without secrets.

    It is the document that a command prints with ``--json``, described in ``schemas/``; an event gets the time of now.
    """
    match item:
        case Plan():
            return documents.plan_to_json(item)
        case DriftReport():
            return drift_to_json(item)
        case State():
            return documents.state_to_json(item)
        case NexusError():
            return documents.failure_to_json(item.diagnostics)
        case _ if isinstance(item, typing.get_args(Event)):
            return documents.event_to_json(item, datetime.now(UTC))
        case _:
            raise TypeError(f"there is no document for {type(item).__name__}")
