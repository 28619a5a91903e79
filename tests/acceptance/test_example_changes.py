"""Every example changed as its page tells: no more happens than has to, and it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """What an example's change is, and what a command in one of its sandboxes then writes."""

    example: str
    change: tuple[str, ...]
    actions: Mapping[str, str]
    sandbox: str
    command: str
    outcome: str


TALES = (
    Tale(
        example="quickstart",
        change=("--var", "greeting=Moin"),
        actions={"sandbox.web": "update"},
        sandbox="sandbox.web",
        command="curl -fsS http://localhost:8000",
        outcome="Moin from",
    ),
    Tale(
        example="data-pipeline",
        change=("--var", "rows=2000"),
        actions={
            "step.etl.extract": "run",
            'step.etl.process["first"]': "run",
            'step.etl.process["second"]': "run",
            "step.etl.report": "run",
        },
        sandbox="sandbox.analyzer",
        command="cat report.json",
        outcome='{"a": 34458, "b": 32714, "c": 33762}',
    ),
    Tale(
        example="web-app",
        change=("--var", "title=Hello"),
        actions={"sandbox.site": "update"},
        sandbox="sandbox.site",
        command="curl -fsS http://localhost:8080",
        outcome="<h1>Hello</h1>",
    ),
)


@pytest.mark.parametrize("tale", TALES, ids=lambda tale: tale.example)
def test_an_example_changes_as_its_page_says(scenario: Scenario, tale: Tale) -> None:
    scenario.copy(EXAMPLES / tale.example)
    scenario.apply().expect(0)
    assert scenario.actions(*tale.change) == tale.actions
    scenario.apply(*tale.change).expect(0)
    assert tale.outcome in scenario.inside(tale.sandbox, tale.command)


def test_the_template_of_an_example_is_built_again_for_a_changed_file(scenario: Scenario) -> None:
    scenario.copy(EXAMPLES / "custom-template")
    scenario.apply().expect(0)
    assert scenario.inside('sandbox.dev["ada"]', "cat README") == "ready for ada"
    scenario.file("lib/warm.py", 'print("warmer")\n')
    replaced = {'sandbox.dev["ada"]': "replace", 'sandbox.dev["grace"]': "replace"}
    assert scenario.actions() == {"template.toolbox": "update", **replaced}
    scenario.apply().expect(0)
    assert scenario.inside('sandbox.dev["grace"]', "cat /opt/lib/warm.txt") == "warmer"
