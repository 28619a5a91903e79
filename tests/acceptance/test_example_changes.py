"""An example whose page tells to change a file: no more happens than has to, and it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_template_of_an_example_is_built_again_for_a_changed_file(scenario: Scenario) -> None:
    scenario.copy(EXAMPLES / "custom-template")
    scenario.apply().expect(0)
    assert scenario.inside('sandbox.dev["ada"]', "cat README") == "ready for ada"
    scenario.file("lib/warm.py", 'print("warmer")\n')
    replaced = {'sandbox.dev["ada"]': "replace", 'sandbox.dev["grace"]': "replace"}
    assert scenario.actions() == {"template.toolbox": "update", **replaced}
    scenario.apply().expect(0)
    assert scenario.inside('sandbox.dev["grace"]', "cat /opt/lib/warm.txt") == "warmer"
