"""The planner: pure, from (desired graph, state, observation, options) to changes for people and operations."""

from nexus.planning.adopting import differences
from nexus.planning.comparing import Difference, compare
from nexus.planning.demands import Demand, Demands, demands, uploads_of
from nexus.planning.drift import Alert, Drift, DriftCause, DriftReport, drift_of, refreshed
from nexus.planning.evaluate import Evaluated, Evaluation
from nexus.planning.moves import moved
from nexus.planning.planner import Planned, make_plan, plan
from nexus.planning.pools import TAKE, as_taken, is_whole, taken_address, without_ended, without_taken
from nexus.planning.promoting import origins_named, references
from nexus.planning.quota import AccountLimits, over_quota
from nexus.planning.request import Origin, PlanRequest
from nexus.planning.saved import (
    SavedPlan,
    diagnostic_to_json,
    format_saved,
    operation_to_json,
    parse_saved,
    plan_from_json,
    plan_to_json,
    public_plan,
)
from nexus.planning.staleness import difference

__all__ = [
    "TAKE",
    "AccountLimits",
    "Alert",
    "Demand",
    "Demands",
    "Difference",
    "Drift",
    "DriftCause",
    "DriftReport",
    "Evaluated",
    "Evaluation",
    "Origin",
    "PlanRequest",
    "Planned",
    "SavedPlan",
    "as_taken",
    "compare",
    "demands",
    "diagnostic_to_json",
    "difference",
    "differences",
    "drift_of",
    "format_saved",
    "is_whole",
    "make_plan",
    "moved",
    "operation_to_json",
    "origins_named",
    "over_quota",
    "parse_saved",
    "plan",
    "plan_from_json",
    "plan_to_json",
    "public_plan",
    "references",
    "refreshed",
    "taken_address",
    "uploads_of",
    "without_ended",
    "without_taken",
]
