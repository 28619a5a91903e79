"""Sandboxes that are left paused on purpose keep what they stand on; everything else goes."""

from __future__ import annotations

import pytest
from e2b import Sandbox

from tests.lifecycle.scenario import Scenario

pytestmark = pytest.mark.engine

PAUSED = "lifecycle: {on_destroy: pause}"
MANIFEST = f"""
volumes: {{disk: {{}}}}
templates: {{tool: {{base_template: base, run_commands: [echo built > /opt/built]}}}}
sandboxes:
  box: {{timeout: 10m, template: "${{{{ template.tool }}}}", volumes: {{/data: "${{{{ volume.disk }}}}"}}, {PAUSED}}}
  w: {{count: 2, timeout: 10m, setup: shared, run_commands: [echo shared > /srv/shared], {PAUSED}}}
"""


def test_what_a_sandbox_left_paused_stands_on_is_kept_and_forgotten(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    scenario.apply().expect(0)
    box = scenario.id_of("sandbox.box")
    told = scenario.destroy().expect(0).text
    assert f"template.tool is kept: sandbox {box}, left paused, needs it" in told
    assert f"volume.disk is kept: sandbox {box}, left paused, needs it" in told
    assert scenario.run("state", "list").expect(0).stdout.strip() == ""
    scenario.destroy().expect(0)
    found = Sandbox.connect(box, timeout=60, **scenario.options)
    assert found.commands.run("cat /opt/built; touch /data/mine").stdout == "built\n"


def test_what_was_let_go_long_ago_is_in_nobodys_way_later(scenario: Scenario) -> None:
    """No plan of the later destroy knows of the sandbox any more."""
    scenario.write(MANIFEST)
    scenario.apply().expect(0)
    keeps = MANIFEST.replace(f'volumes: {{/data: "${{{{ volume.disk }}}}"}}, {PAUSED}', "count: 0")
    assert "count: 0" in keeps
    scenario.write(keeps)
    scenario.apply().expect(0)
    scenario.destroy().expect(0)


def test_a_template_that_others_need_is_still_refused(scenario: Scenario) -> None:
    scenario.write("templates: {tool: {base_template: base, run_commands: [echo built > /opt/built]}}")
    scenario.apply().expect(0)
    (template,) = scenario.templates()
    other = Sandbox.create(template["templateID"], timeout=120, **scenario.options)
    try:
        other.pause()
        assert "template-in-use" in scenario.destroy().expect(3).stderr
    finally:
        Sandbox.kill(other.sandbox_id, **scenario.options)
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()
