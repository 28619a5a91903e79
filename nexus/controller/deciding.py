"""What becomes of a plan. Pure: the one decision that the controller takes itself."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from nexus.controller.settings import Policy
from nexus.model.changes import Plan


class Step(StrEnum):
    REST = "rest"  # all is as it is written
    REFUSE = "refuse"  # policies of the manifest deny it
    REPORT = "report"  # tell what would change
    WAIT = "wait"  # for an approval
    APPLY = "apply"  # what is planned when it is applied
    APPLY_APPROVED = "apply-approved"  # exactly what was approved


def decide(policy: Policy, plan: Plan, *, settled: bool, approved: bool) -> Step:
    """``settled``: an apply has seen these very files already. ``approved``: somebody has approved this very plan.

    An empty plan of files that no apply has seen is applied too: outputs may read differently, although nothing
    changes out there. That needs no approval. What the manifest's own policies deny, nobody's approval allows.
    """
    if plan.is_empty:
        return Step.REST if settled or policy is Policy.PLAN_ONLY else Step.APPLY
    if plan.is_denied:
        return Step.REFUSE
    match policy:
        case Policy.AUTO:
            return Step.APPLY
        case Policy.APPROVE:
            return Step.APPLY_APPROVED if approved else Step.WAIT
        case Policy.PLAN_ONLY:
            return Step.REPORT
        case _:
            assert_never(policy)
