"""``nexus reconcile`` as people start it: processes, a real repository, and sandboxes of the local engine."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nexus
from nexus.local.daemon import Endpoint
from tests.controller.repositories import git
from tests.processes import Run, start, start_afresh

pytestmark = pytest.mark.engine

MANIFEST = """\
apiVersion: nexus/v1
project: {name}
variables:
  mark: {{type: string, default: first}}
secrets:
  token: {{env: SOME_TOKEN}}
sandboxes:
  web:
    template: base
    env_vars: {{TOKEN: "${{{{ secrets.token }}}}"}}
    metadata: {{mark: "${{{{ vars.mark }}}}"}}
"""
INTERVAL = 2.0


class Project:
    """A repository with one project, and what its controllers run in."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.name = f"kept-{secrets.token_hex(4)}"
        self.folder = folder
        self.process = {
            **os.environ,
            "NEXUS_HOME": str(home),
            "NEXUS_TARGET": "local",
            "SOME_TOKEN": f"hush-{secrets.token_hex(4)}",
        }
        folder.mkdir()
        git(folder, "init", "--quiet", "--initial-branch=main")
        self.commit("first")

    def commit(self, mark: str) -> None:
        text = MANIFEST.format(name=self.name).replace("first", mark)
        (self.folder / "nexus.yaml").write_text(text)
        git(self.folder, "add", "nexus.yaml")
        git(self.folder, "commit", "--quiet", "-m", mark)

    def reconcile(self, *options: str, afresh: bool = False) -> Run:
        begin = start_afresh if afresh else start
        words = ["reconcile", "--git", f"file://{self.folder}", "--interval", f"{INTERVAL:g}s", "--log", "json"]
        return begin([*words, "--listen", "127.0.0.1:0", *options], self.process)

    def sandboxes(self) -> list[nexus.LiveSandbox]:
        """Those of the project that live."""
        account = nexus.Account(target="local", process=self.process)
        return [item for item in account.list().sandboxes if item.project == self.name]


@pytest.fixture
def project(tmp_path: Path, engine: Endpoint) -> Iterator[Project]:
    made = Project(tmp_path / "origin", engine.home)
    try:
        yield made
    finally:
        account = nexus.Account(target="local", process=made.process)
        for item in made.sandboxes():
            with suppress(nexus.NexusError):
                account.sandbox(item.id).delete()


def lines(run: Run, event: str) -> list[dict[str, Any]]:
    whole = [line for line in run.stderr.splitlines(keepends=True) if line.endswith("\n")]
    return [item for item in map(json.loads, whole) if item["event"] == event]


def until(holds: Callable[[], Any], limit: float = 90.0) -> Any:
    """What it is, once it is something."""
    deadline = time.monotonic() + limit
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return found


def ended(run: Run) -> str:
    """All that it has logged, once it has ended as it was asked to."""
    os.kill(run.pid, signal.SIGTERM)
    return run.wait(60).expect(0).stderr


def test_commits_are_applied_and_what_is_killed_comes_back(project: Project) -> None:
    run = project.reconcile(afresh=True)
    try:
        until(lambda: lines(run, "applied"))
        (sandbox,) = project.sandboxes()
        begun = time.monotonic()
        project.commit("second")
        until(lambda: len(lines(run, "applied")) == 2)
        took = time.monotonic() - begun
        assert took < INTERVAL + 40, f"a commit is fetched within an interval, and applied then ({took:.1f} s)"
        (changed,) = project.sandboxes()
        assert changed.metadata["mark"] == "second"

        nexus.Account(target="local", process=project.process).sandbox(changed.id).delete()
        until(lambda: len(lines(run, "applied")) == 3)
        (seen,) = lines(run, "drift")
        back = lines(run, "applied")[-1]
        assert seen["summary"] == {"gone": 1}
        assert seconds_between(seen, back) < 40, "back within five seconds of the observation, where nothing else runs"
        (made_again,) = project.sandboxes()
        assert made_again.id not in {sandbox.id, changed.id}

        port = next(item["port"] for item in lines(run, "controller") if "port" in item)
        shown = [fetch(port, path) for path in ("/", page(run), "/metrics", "/api/environments", f"{page(run)}/graph")]
        assert 'class="badge synced"' in shown[1]
        assert fetch(port, "/readyz") == fetch(port, "/healthz") == "ok\n"
    finally:
        log = ended(run)
    assert project.process["SOME_TOKEN"] not in "".join([*shown, log])
    assert json.loads(log.splitlines()[-1])["message"] == "stopped"


def seconds_between(one: dict[str, Any], other: dict[str, Any]) -> float:
    from datetime import datetime

    moments = [datetime.fromisoformat(item["time"]) for item in (one, other)]
    return (moments[1] - moments[0]).total_seconds()


def page(run: Run) -> str:
    (told,) = lines(run, "leading")
    return f"/environments/{told['project']}/{told['environment']}"


def fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


def test_one_of_two_leads_and_when_it_is_killed_the_other_goes_on(project: Project) -> None:
    first = project.reconcile()
    until(lambda: lines(first, "applied"))
    second = project.reconcile()
    try:
        until(lambda: lines(second, "standby"))
        first.kill()
        until(lambda: lines(second, "leading"))
        nexus.Account(target="local", process=project.process).sandbox(project.sandboxes()[0].id).delete()
        until(lambda: lines(second, "applied"))
        assert len(project.sandboxes()) == 1
    finally:
        first.kill()
        ended(second)


@pytest.mark.thorough
def test_whoever_ends_it_in_the_middle_of_an_apply_loses_nothing(project: Project) -> None:
    path = project.folder / "nexus.yaml"
    path.write_text(path.read_text() + "    run_commands: ['sleep 2', 'echo done > /tmp/done']\n")
    git(project.folder, "commit", "--quiet", "-am", "slow")

    def in_the_middle() -> Run:
        run = project.reconcile()
        until(lambda: [item for item in lines(run, "operation") if item["address"] == "sandbox.web"])
        return run

    first = in_the_middle()
    first.kill()
    assert first.wait(60).code == -signal.SIGKILL
    (sandbox,) = project.sandboxes()
    second = project.reconcile()
    until(lambda: lines(second, "leading"))
    log = ended(second)
    assert '"failed"' not in log.replace('"outcome": "failed"', ""), "to be ended is no failure"
    third = project.reconcile("--once").wait(60).expect(0)
    assert '"failed"' not in third.stderr
    assert [item.id for item in project.sandboxes()] == [sandbox.id], "it is gone on with, and nothing is made twice"
    account = nexus.Account(target="local", process=project.process)
    assert account.sandbox(sandbox.id).exec("cat /tmp/done").stdout.strip() == "done"


def test_a_plan_waits_for_approval_by_another_process(project: Project) -> None:
    run = project.reconcile("--policy", "approve")
    try:
        (waiting,) = until(lambda: lines(run, "waiting"))
        assert project.sandboxes() == []
        refused = start(["reconcile", "approve", "nope"], project.process).wait().expect(1)
        assert "nothing-to-approve" in refused.stderr
        unasked = start(["reconcile", "approve", waiting["project"]], project.process).wait().expect(1)
        assert f"--digest {waiting['digest']}" in unasked.stderr
        approved = ["reconcile", "approve", waiting["project"], "--digest", waiting["digest"]]
        assert "sandbox.web" in start(approved, project.process).wait().expect(0).stdout
        until(lambda: lines(run, "applied"))
        assert len(project.sandboxes()) == 1
    finally:
        ended(run)


def test_once_looks_once_and_tells_how_it_went(project: Project) -> None:
    told = project.reconcile("--once", "--policy", "plan-only").wait().expect(0).stderr
    assert [json.loads(line)["event"] for line in told.splitlines()][-1] == "pending"
    assert project.sandboxes() == []
    (project.folder / "nexus.yaml").write_text("apiVersion: nexus/v1\n")
    git(project.folder, "commit", "--quiet", "-am", "broken")
    assert "missing-field" in project.reconcile("--once").wait().expect(1).stderr


@pytest.mark.thorough
def test_a_hundred_environments_under_one_controller(project: Project, tmp_path: Path) -> None:
    names = [f"e{number:02}" for number in range(100)]
    declared = "".join(f"  {name}: {{mark: {name}}}\n" for name in names)
    (project.folder / "nexus.yaml").write_text(MANIFEST.format(name=project.name) + f"environments:\n{declared}")
    document = {
        "apiVersion": "nexus/v1",
        "listen": False,
        "interval": "20s",
        "projects": {"many": {"folder": str(project.folder), "environments": {name: None for name in names}}},
    }
    (tmp_path / "controller.yaml").write_text(json.dumps(document))
    words = ["reconcile", "--config", str(tmp_path / "controller.yaml"), "--log", "json"]
    run = start_afresh(words, project.process)
    try:
        until(lambda: len(lines(run, "applied")) == 100 or lines(run, "failed"), 600)
        assert lines(run, "failed") == []
        live = project.sandboxes()
        assert len(live) == 100
        account = nexus.Account(target="local", process=project.process)
        for item in live[:5]:
            account.sandbox(item.id).delete()
        until(lambda: len(lines(run, "applied")) == 105, 120)
        assert len(project.sandboxes()) == 100
        back = {item["environment"]: item for item in lines(run, "applied")[100:]}
        seen = {item["environment"]: item for item in lines(run, "drift")}
        assert seen.keys() == back.keys()
        slowest = max(seconds_between(seen[name], back[name]) for name in seen)
        assert slowest < 5, "back within five seconds of the observation"
        assert lines(run, "failed") == []
    finally:
        ended(run)
