"""Environments as a whole: what lies over the manifest in one, branches of one, and their end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.lifecycle.scenario import Scenario

pytestmark = pytest.mark.engine

SCHEMAS = Path(__file__).parents[2] / "schemas"
MANIFEST = """
variables: {size: {type: integer, default: 1}}
environments: {prod: {size: 2}}
secrets: {token: {env: TOKEN}}
sandboxes:
  web:
    template: base:default
    timeout: 1h
    env_vars: {SIZE: "${{ vars.size }}", TOKEN: "${{ secrets.token }}"}
volumes: {data: {}}
"""


def document(scenario: Scenario, name: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = scenario.run("env", name, "--json", *arguments, TOKEN="hush").expect(0).json
    jsonschema.validate(found, json.loads((SCHEMAS / f"env-{name}.schema.json").read_text()))
    return found


def standing(scenario: Scenario) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in document(scenario, "list")["environments"]}


def test_a_preview_of_a_branch_lives_for_its_time_and_is_removed_after_it(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    scenario.file("nexus.preview.yaml", "ttl: 8s\n")
    scenario.run("apply", "-y", TOKEN="hush").expect(0)
    scenario.run("apply", "-y", "-e", "preview/login", TOKEN="hush").expect(0)
    assert len(scenario.live()["sandbox.web"]) == 2
    found = standing(scenario)
    assert (found["preview/login"]["branch"], found["preview/login"]["resources"]) == ("login", 2)
    assert found["default"]["ends"] is None
    assert (found["prod"]["declared"], found["prod"]["serial"]) == (True, None)
    scenario.run("plan", "-e", "preview-typo", TOKEN="hush").expect(1)
    scenario.run("plan", "-e", "preview-login", "--no-refresh", TOKEN="hush").expect(0)

    deadline = time.monotonic() + 60
    while not standing(scenario)["preview/login"]["over"]:
        assert time.monotonic() < deadline
    assert document(scenario, "prune", "-y") == {"format_version": 1, "removed": ["preview/login"], "kept": []}
    scenario.expect_live("sandbox.web")
    assert scenario.volumes() == [f"{scenario.project}--default--data"]
    assert "preview/login" not in standing(scenario)
    assert document(scenario, "prune", "-y")["removed"] == []


def test_two_environments_differ_in_what_they_ask_for_and_not_in_their_names(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    scenario.file("nexus.prod.yaml", "volumes: null\nsandboxes: {worker: {template: 'base:default'}}\n")
    found = document(scenario, "diff", "default", "prod")["differences"]
    assert [(item["address"], item["in_first"], item["in_second"]) for item in found] == [
        ("sandbox.web", True, True),
        ("sandbox.worker", False, True),
        ("volume.data", True, False),
    ]
    assert found[0]["fields"] == [{"path": 'env_vars["SIZE"]', "first": "1", "second": "2"}]
    told = scenario.run("env", "diff", "default", "prod", "--detailed-exitcode", TOKEN="hush").expect(2).stdout
    assert "hush" not in told
    assert "3 resources differ" in told
    scenario.run("env", "diff", "prod", "prod/login", "--detailed-exitcode", TOKEN="hush").expect(0)
