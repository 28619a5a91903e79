"""What sandboxes cost: E2B's rates, the sizes of sandboxes, and what a plan makes of both. Pure."""

from nexus.costs.plans import cost_of_plan
from nexus.costs.rates import E2B_RATES, cost_of

__all__ = ["E2B_RATES", "cost_of", "cost_of_plan"]
