"""A lock file over the public registries: two machines get the same down to the last package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nexus.local import daemon
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.test_lock_file import EVERYTHING

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.catalogue]

MANIFEST = """
templates:
  tools:
    base_template: node
    packages: {npm: [cowsay, "is-odd@^3"], apt: [tree]}
sandboxes:
  web:
    template: base
    packages: {pip: ["requests[socks]", python-dateutil], npm: ["@angular-devkit/schematics-cli"], apt: [jq, figlet]}
    uploads: [{path: /srv/hello.txt, content: hello}]
  cli: {template: "${{ template.tools }}"}
"""
LIMIT = 280.0


def test_two_machines_with_one_lock_file_have_the_same_packages(
    scenario: Scenario, engine_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scenario.write(MANIFEST)
    scenario.heard(scenario.start("lock").wait(LIMIT)).expect(0)
    scenario.expect_nothing_left()
    other = Scenario(tmp_path_factory.mktemp("other"), daemon.ensure_running(engine_home))
    other.project = scenario.project
    shutil.copytree(scenario.folder, other.folder, dirs_exist_ok=True)
    for machine in (scenario, other):
        machine.heard(machine.start("apply", "-y", "--locked").wait(LIMIT)).expect(0)
    for address in ("sandbox.web", "sandbox.cli"):
        assert other.inside(address, EVERYTHING) == scenario.inside(address, EVERYTHING)
    assert "moo" in scenario.inside("sandbox.cli", "cowsay moo")
    assert "requests==" in scenario.inside("sandbox.web", "pip freeze")
    other.clean_up()
