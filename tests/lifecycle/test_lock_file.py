"""Two people, two machines, one lock file: the same packages and files, whatever the registry has by then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.wheels import wheel

SCHEMAS = Path(__file__).parents[2] / "schemas"
pytestmark = [pytest.mark.engine, pytest.mark.slow]

MANIFEST = """
templates:
  shop:
    uploads: [{source: wheels/, path: /opt/wheels}]
    env_vars: {PIP_NO_INDEX: "1", PIP_FIND_LINKS: /opt/wheels}
  tools:
    base_template: ${{ template.shop }}
    packages: {pip: [shade]}
sandboxes:
  web:
    template: ${{ template.shop }}
    packages: {pip: [colour]}
    uploads: [{source: app/, path: /srv/app}]
  cli: {template: "${{ template.tools }}"}
"""
EVERYTHING = "pip freeze --all; npm ls --global --all; dpkg -l; cd /srv && find . -type f -exec sha256sum {} + | sort"


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.write(MANIFEST)
    scenario.file("app/main.py", "print('hello')\n")
    wheel(scenario.folder / "wheels", "colour", "1.0", "shade>=1")
    wheel(scenario.folder / "wheels", "shade", "1.0")
    return scenario


@pytest.fixture
def other_machine(tmp_path: Path, engine_home: Path, shop: Scenario) -> Iterator[Scenario]:
    """Somebody else's: nothing of ours is there, neither built nor remembered."""
    other: Endpoint = daemon.ensure_running(engine_home)
    made = Scenario(tmp_path / "other", other)
    made.project = shop.project
    yield made
    made.clean_up()


def lock_of(scenario: Scenario) -> dict[str, Any]:
    return json.loads((scenario.folder / "nexus.lock").read_text())


def pip_of(scenario: Scenario, block: str) -> dict[str, str]:
    (found,) = lock_of(scenario)["packages"][block]
    return {**found["pip"]["base"], **found["pip"]["added"]}


def test_two_machines_install_the_same_although_the_registry_moved_on(shop: Scenario, other_machine: Scenario) -> None:
    shop.run("lock").expect(0)
    assert pip_of(shop, "sandbox.web") == {"colour": "1.0", "shade": "1.0"}
    assert pip_of(shop, "template.tools") == {"shade": "1.0"}
    shop.expect_nothing_left()
    shop.run("apply", "-y", "--locked").expect(0)

    wheel(shop.folder / "wheels", "shade", "1.1")
    wheel(shop.folder / "wheels", "colour", "2.0", "shade>=1", "gloss")
    wheel(shop.folder / "wheels", "gloss", "1.0")
    shutil.copytree(shop.folder, other_machine.folder, ignore=shutil.ignore_patterns(".nexus"))
    applied = other_machine.run("apply", "-y").expect(0)
    assert "lock-uploads" in applied.stderr, "the registry is a folder that is uploaded"
    for address in ("sandbox.web", "sandbox.cli"):
        assert other_machine.inside(address, EVERYTHING) == shop.inside(address, EVERYTHING)
    assert "shade==1.0" in shop.inside("sandbox.cli", "pip freeze")


def test_an_upgrade_is_planned_like_any_other_change_and_takes_away_what_it_leaves(shop: Scenario) -> None:
    wheel(shop.folder / "wheels", "colour", "2.0", "gloss")
    wheel(shop.folder / "wheels", "gloss", "1.0")
    shop.run("lock").expect(0)
    newest = (shop.folder / "nexus.lock").read_text()
    document = lock_of(shop)
    document["packages"]["sandbox.web"][0]["pip"]["added"] = {"colour": "1.0", "shade": "1.0"}  # as of last year
    (shop.folder / "nexus.lock").write_text(json.dumps(document))
    shop.run("apply", "-y").expect(0)
    assert shop.inside("sandbox.web", "pip freeze | grep -E 'colour|shade|gloss'") == "colour==1.0\nshade==1.0"
    assert "up to date" not in shop.run("lock").expect(0).stdout, "only its layout changed"
    assert pip_of(shop, "sandbox.web") == {"colour": "1.0", "shade": "1.0"}, "what is locked stays"

    upgraded = shop.run("lock", "--upgrade", "web", "--json").expect(0)
    jsonschema.validate(upgraded.json, json.loads((SCHEMAS / "locked.schema.json").read_text()))
    changes = {(item["name"], item["before"], item["after"]) for item in upgraded.json["changes"]}
    assert changes == {("colour", "1.0", "2.0"), ("gloss", None, "1.0"), ("shade", "1.0", None)}
    assert upgraded.json["written"]
    assert upgraded.stderr == ""
    assert (shop.folder / "nexus.lock").read_text() == newest
    planned = shop.run("plan").expect(0).stdout
    assert "~ sandbox.web  update" in planned
    assert "colour==2.0" in planned
    shop.run("apply", "-y").expect(0)
    assert shop.inside("sandbox.web", "pip freeze | grep -E 'colour|shade|gloss'") == "colour==2.0\ngloss==1.0"
    assert "No changes" in shop.run("plan", "--deep", "--locked").expect(0).stdout


@pytest.mark.thorough
def test_what_can_not_be_installed_as_locked_is_said_and_nothing_else_installed(shop: Scenario) -> None:
    missing = shop.run("plan", "--locked").expect(1)
    assert "error[lock-missing]" in missing.stderr
    shop.run("lock").expect(0)
    document = lock_of(shop)
    document["packages"]["sandbox.web"][0]["pip"]["added"]["shade"] = "0.9"
    (shop.folder / "nexus.lock").write_text(json.dumps(document))
    failed = shop.run("apply", "-y", "--target", "sandbox.web").expect(3)
    assert "error[lock-unsatisfied]" in failed.stderr
    assert "nexus lock --upgrade sandbox.web" in failed.stderr
    assert "colour" not in shop.inside("sandbox.web", "pip freeze")

    shop.write(MANIFEST.replace("pip: [colour]", "pip: [colour, shade]"))
    stale = shop.run("plan").expect(1)
    assert "error[lock-stale]" in stale.stderr
    shop.file("app/main.py", "print('other')\n")
    shop.run("lock").expect(0)
    shop.file("app/main.py", "print('another')\n")
    assert "error[lock-uploads]" in shop.run("plan", "--locked").expect(1).stderr


def test_a_template_of_others_is_locked_by_its_build_where_builds_are_the_same_for_all(shop: Scenario) -> None:
    engine = shop.engine
    shop.environment |= {
        "NEXUS_TARGET": "e2b",
        "E2B_API_KEY": engine.api_key,
        "E2B_API_URL": engine.api_url,
        "E2B_SANDBOX_URL": engine.sandbox_url,
    }
    shop.write("sandboxes: {web: {template: 'base:default'}}")
    shop.run("lock").expect(0)
    document = lock_of(shop)
    builds = document["environments"]["default"]["builds"]
    assert list(builds) == ["base:default"]
    shop.run("plan", "--locked").expect(0)
    builds["base:default"] = "an-older-build"
    (shop.folder / "nexus.lock").write_text(json.dumps(document))
    moved = shop.run("plan").expect(1)
    assert "error[lock-build-moved]" in moved.stderr
    shop.run("lock").expect(0)
    shop.run("plan", "--locked").expect(0)
