"""The first plan of every example, as people read it, against a golden file. ``pytest --update-golden`` writes them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from nexus.render.console import Look, console
from nexus.render.plan import print_plan
from tests.acceptance.empty_account import first_plan

EXAMPLES = Path(__file__).parents[2] / "examples"
PLANS = Path(__file__).parent / "plans"

NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/nexus.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_the_first_plan_of_an_example_is_the_known_one(name: str, request: pytest.FixtureRequest) -> None:
    plan, told = first_plan(EXAMPLES / name)
    assert [*told, *plan.diagnostics] == []
    text = io.StringIO()
    print_plan(console(Look(color=False, live=False), width=120, file=text), plan)
    shown = re.sub(r"spec-[0-9a-f]{12}", "spec-…", text.getvalue())
    golden = PLANS / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, encoding="utf-8")
    assert golden.is_file(), f"{golden.name} is missing: run pytest --update-golden"
    assert shown == golden.read_text(encoding="utf-8")


def test_no_plan_is_left_of_an_example_that_is_gone() -> None:
    assert sorted(path.stem for path in PLANS.iterdir()) == NAMES


@pytest.mark.parametrize(
    ("name", "environment"),
    [("agent-pool", "rush-hour"), ("data-pipeline", "prod"), ("gitops", "production"), ("ml-research", "deep")],
)
def test_an_example_is_planned_in_another_way_for_its_other_environment(name: str, environment: str) -> None:
    ordinary, other = (first_plan(EXAMPLES / name, chosen)[0] for chosen in ("default", environment))
    assert other.diagnostics == ()
    assert [change.fields for change in other.changes] != [change.fields for change in ordinary.changes]
