"""Every example does what it says: checked, applied, left alone by a second plan, and taken down without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_example(scenario: Scenario, name: str) -> None:
    scenario.copy(EXAMPLES / name)
    scenario.run_afresh("validate").expect(0)
    scenario.run_afresh("apply", "-y").expect(0)
    scenario.expect_no_changes()
    assert "No changes" in scenario.apply().expect(0).text
    outputs = scenario.run("output", "--json").expect(0).json
    assert outputs
    assert all(output["value"] is not None for output in outputs.values())
    assert scenario.live()
    scenario.run_afresh("destroy", "-y").expect(0)
    scenario.expect_nothing_left()
