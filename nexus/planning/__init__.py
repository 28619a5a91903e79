"""The planner: pure, from (desired graph, state, observation, options) to changes for people and operations."""

from nexus.planning.evaluate import Evaluated, Evaluation
from nexus.planning.planner import Planned, make_plan, plan
from nexus.planning.request import PlanRequest

__all__ = ["Evaluated", "Evaluation", "PlanRequest", "Planned", "make_plan", "plan"]
