"""What becomes of a plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus.controller.deciding import Step, decide
from nexus.controller.settings import Policy
from nexus.model.diagnostics import error
from tests.controller.fakes import WEB, make_plan


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize(
    ("policy", "approved", "step"),
    [
        (Policy.AUTO, False, Step.APPLY),
        (Policy.APPROVE, False, Step.WAIT),
        (Policy.APPROVE, True, Step.APPLY_APPROVED),
        (Policy.PLAN_ONLY, False, Step.REPORT),
        (Policy.PLAN_ONLY, True, Step.REPORT),
    ],
)
def test_the_policy_says_what_becomes_of_changes(policy: Policy, approved: bool, step: Step, settled: bool) -> None:
    assert decide(policy, make_plan(WEB), settled=settled, approved=approved) is step


@pytest.mark.parametrize("policy", Policy)
def test_nothing_is_done_where_nothing_differs(policy: Policy) -> None:
    assert decide(policy, make_plan(), settled=True, approved=False) is Step.REST


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("approved", [True, False])
def test_what_the_policies_of_the_manifest_deny_is_refused(policy: Policy, approved: bool) -> None:
    denied = replace(make_plan(WEB), diagnostics=(error("policy-denied", "The internet is on"),))
    assert decide(policy, denied, settled=False, approved=approved) is Step.REFUSE


def test_outputs_of_new_files_are_taken_in_once_although_nothing_changes_out_there() -> None:
    assert decide(Policy.AUTO, make_plan(), settled=False, approved=False) is Step.APPLY
    assert decide(Policy.APPROVE, make_plan(), settled=False, approved=False) is Step.APPLY
    assert decide(Policy.PLAN_ONLY, make_plan(), settled=False, approved=False) is Step.REST
