"""Plans that wait, and what an approval is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nexus.controller.approvals import Approvals, find_waiting
from nexus.controller.settings import Key
from nexus.model.changes import Effect, FieldDiff, Plan
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.values import Fingerprint
from tests.controller.fakes import KEY, WEB, make_plan

PROD = Key("shop", "prod")


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    return Approvals(tmp_path / "waiting")


def first_plan(lineage: str, *, size: str = "1", secret: str = "a") -> Plan:
    """Of a project that was never applied, so that its lineage is new each time."""
    fields = (
        FieldDiff(path="metadata.size", before=None, after=size, effect=Effect.REPLACE),
        FieldDiff(path="env_vars.TOKEN", before=None, after=Fingerprint(secret), effect=Effect.REPLACE),
    )
    plan = make_plan(WEB, serial=0, lineage=lineage)
    return replace(plan, changes=tuple(replace(change, fields=fields) for change in plan.changes))


def test_a_plan_that_says_the_same_keeps_its_digest_and_its_approval(approvals: Approvals) -> None:
    first = approvals.put(KEY, first_plan("one", secret="keyed by one"))
    approvals.approve(first)
    again = approvals.put(KEY, first_plan("two", secret="keyed by two"))
    assert again == first
    assert approvals.is_approved(again)
    assert approvals.is_given(KEY)


def test_any_value_that_differs_makes_it_another_plan_that_nobody_approved(approvals: Approvals) -> None:
    first = approvals.put(KEY, first_plan("one"))
    approvals.approve(first)
    other = approvals.put(KEY, first_plan("two", size="2"))
    assert other.digest != first.digest
    assert not approvals.is_given(KEY)
    approvals.approve(first)
    assert not approvals.is_given(KEY), "an approval that comes too late"
    approvals.approve(other)
    assert approvals.is_given(KEY)
    approvals.clear(KEY)
    assert not approvals.is_given(KEY)
    assert approvals.all() == []


def test_one_plan_is_found_by_what_tells_it_apart(approvals: Approvals) -> None:
    dev = approvals.put(KEY, make_plan(WEB))
    prod = approvals.put(PROD, make_plan(WEB, serial=9))
    assert find_waiting(approvals, "shop", "prod", None) == prod
    assert find_waiting(approvals, None, None, dev.short) == dev
    for unclear in (
        ("shop", None, None),
        ("nope", None, None),
        (None, None, dev.digest[:4]),
        (None, "prod", dev.short),
    ):
        with pytest.raises(DiagnosticsError) as caught:
            find_waiting(approvals, *unclear)
        assert f"shop/dev ({dev.short}), shop/prod ({prod.short})" in caught.value.diagnostics[0].detail


def test_what_waits_is_for_its_owner_alone_and_what_can_not_be_read_waits_no_more(
    approvals: Approvals, tmp_path: Path
) -> None:
    approvals.put(KEY, make_plan(WEB))
    path = tmp_path / "waiting" / "shop" / "dev.plan"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.write_text(path.read_text().replace("it is gone", "it is not gone"))
    assert approvals.get(KEY) is None
    assert approvals.all() == []
