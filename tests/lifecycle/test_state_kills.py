"""``kill -9`` at every change of a file in commands that change the state: the state before, or the one after."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from e2b import Sandbox

from tests.lifecycle.killing import DiskDeath, Moment
from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

MANIFEST = "sandboxes: {a: {timeout: 20m, run_commands: [echo x > /srv/x]}, b: {timeout: 20m}}"


@pytest.fixture
def applied(scenario: Scenario) -> Scenario:
    scenario.write(MANIFEST)
    scenario.apply().expect(0)
    return scenario


def remembered(scenario: Scenario) -> set[tuple[str, str]]:
    document = scenario.run("state", "list", "--json").expect(0).json
    return {(item["address"], item["id"]) for item in document["resources"]}


def kill_everywhere(scenario: Scenario, arguments: tuple[str, ...], tmp_path: Path, *, forget: bool = False) -> None:
    """Run the command from the same files again and again, each time killed a step later, until it ends by itself."""
    state, kept = scenario.folder / ".nexus", tmp_path / "kept"
    shutil.copytree(state, kept)
    before = remembered(scenario)
    if forget:
        before = set()
    seen: list[set[tuple[str, str]]] = []
    for moment in (Moment.BEFORE, Moment.AFTER):
        for count in range(1, 60):
            shutil.rmtree(state, ignore_errors=True)
            if not forget:
                shutil.copytree(kept, state)
            death = DiskDeath(count, moment, tmp_path / "tally")
            code = scenario.start(*arguments, prepare=death).wait().code
            assert code in (0, -signal.SIGKILL), (moment, count)
            seen.append(remembered(scenario))
            if code == 0:
                break
        else:
            raise AssertionError("it never came to its end")
    after = seen[-1]
    assert after != before or forget
    assert all(item in (before, after) for item in seen)
    assert len(seen) > 4


def test_mv(applied: Scenario, tmp_path: Path) -> None:
    kill_everywhere(applied, ("state", "mv", "sandbox.a", "sandbox.c"), tmp_path)


def test_rm(applied: Scenario, tmp_path: Path) -> None:
    kill_everywhere(applied, ("state", "rm", "-y", "sandbox.a"), tmp_path)


def test_push(applied: Scenario, tmp_path: Path) -> None:
    document = json.loads(applied.run("state", "pull").expect(0).stdout)
    document["serial"] += 5
    document["resources"] = document["resources"][:1]
    applied.file("pushed.json", json.dumps(document))
    kill_everywhere(applied, ("state", "push", str(applied.folder / "pushed.json")), tmp_path)


def test_rebuild(applied: Scenario, tmp_path: Path) -> None:
    kill_everywhere(applied, ("state", "rebuild", "-y"), tmp_path, forget=True)
    applied.expect_no_changes()


def test_import(applied: Scenario, tmp_path: Path) -> None:
    made = Sandbox.create("nexus-base", timeout=900, **applied.options)
    applied.write(MANIFEST.replace("{a:", "{pet: {timeout: 20m}, a:"))
    kill_everywhere(applied, ("import", "sandbox.pet", made.sandbox_id), tmp_path)
    assert ("sandbox.pet", made.sandbox_id) in remembered(applied)
    applied.apply().expect(0)
    applied.expect_no_changes()
    applied.destroy().expect(0)
    assert not made.is_running()
