"""How an apply, a destroy or a run of steps ended, as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus.executor import ApplyResult
from nexus.model.addresses import Address
from nexus.model.changes import Plan
from nexus.model.diagnostics import Diagnostic, published_code
from nexus.model.events import Outcome
from nexus.model.state import OutputRecord
from nexus.render.documents import FORMAT_VERSION, Json, diagnostics_to_json, outputs_to_json


def applied_to_json(
    plan: Plan,
    *,
    approved: bool,
    result: ApplyResult | None,
    changes: Mapping[Address, Outcome],
    outputs: Mapping[str, OutputRecord],
    diagnostics: Sequence[Diagnostic],
    run_id: str | None,
    hint: str | None = None,
) -> Json:
    """``result`` is None where nothing was done; ``changes`` tell how each ended. ``hint`` is what to do next."""
    succeeded = approved and (result is None or result.succeeded)
    return {
        "format_version": FORMAT_VERSION,
        "success": succeeded,
        "approved": approved,
        "code": published_code(diagnostics),
        "hint": hint,
        "run_id": run_id,
        "summary": plan.summary,
        "changes": [
            {
                "address": str(change.address),
                "action": change.action.value,
                "cause": change.cause,
                "outcome": None if change.address not in changes else changes[change.address].value,
            }
            for change in plan.changes
        ],
        "seconds": None if result is None else round(result.seconds, 3),
        "outputs": outputs_to_json(outputs),
        "diagnostics": diagnostics_to_json(diagnostics),
    }
