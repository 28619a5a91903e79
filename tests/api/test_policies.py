"""Policies for programs: a denied plan can be looked at, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

import nexus

pytestmark = pytest.mark.engine


def test_a_denied_plan_can_be_looked_at_and_nothing_else(folder: Path, on_engine: None, tmp_path: Path) -> None:
    manifest = folder / "nexus.yaml"
    allowed = nexus.load(folder).plan()
    assert not allowed.is_denied
    manifest.write_text(manifest.read_text() + "policies: {closed: {use: no-internet}}\n")
    project = nexus.load(folder)
    plan = project.plan()
    assert plan.is_denied
    assert [(item.opens, str(item.address)) for item in plan.openings] == [
        (nexus.Opens.INTERNET, "sandbox.web"),
        (nexus.Opens.PORT, "sandbox.web"),
    ]
    assert plan.cost is not None
    assert plan.cost.change == plan.cost.after
    assert plan.cost.after.hour == Decimal("0.117")
    with pytest.raises(nexus.NexusError, match="policy-denied"):
        nexus.save_plan(plan, tmp_path / "plan")
    for given in (None, plan, allowed):
        with pytest.raises(nexus.NexusError, match="policy-denied"):
            project.apply(given)
    assert project.outputs() == {}
