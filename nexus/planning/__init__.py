"""The planner: pure, from (desired graph, state, observation, options) to changes for people and operations."""

from nexus.planning.evaluate import Evaluated, Evaluation
from nexus.planning.moves import moved
from nexus.planning.planner import Planned, make_plan, plan
from nexus.planning.request import PlanRequest
from nexus.planning.saved import SavedPlan, format_saved, parse_saved, plan_from_json, plan_to_json
from nexus.planning.staleness import difference

__all__ = [
    "Evaluated",
    "Evaluation",
    "PlanRequest",
    "Planned",
    "SavedPlan",
    "difference",
    "format_saved",
    "make_plan",
    "moved",
    "parse_saved",
    "plan",
    "plan_from_json",
    "plan_to_json",
]
