"""``nexus init ci``: the recipes are valid, and their scripts do what they say when a forge runs them."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.cli.conftest import Nexus
from tests.fakes.github import Job, bash

MANIFEST = "sandboxes:\n  web: {template: base, timeout: 10m}\n"
WRONG = "outputs:\n  wrong: {value: '${{ sandbox.wbe.id }}'}\n"


@pytest.fixture
def repository(nexus: Nexus) -> Nexus:
    """A project in a folder of a repository, beside other things."""
    (nexus.folder / ".git").mkdir()
    (nexus.folder / "infra").mkdir()
    project = Nexus(nexus.folder / "infra", nexus.home)
    project.write(MANIFEST)
    return project


@pytest.fixture
def runner(repository: Nexus, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a job: nexus and gh on the path, and the files that GitHub reads afterwards."""
    job = Job.begin(tmp_path)
    yield repository.environment({**job.environment(), "NEXUS_TARGET": "local"})
    repository.ok("destroy", "-y", "--local")


def test_github_plans_in_one_comment_applies_and_looks_for_drift(
    repository: Nexus, runner: dict[str, str], tmp_path: Path
) -> None:
    assert "workflows/nexus.yml" in repository.ok("init", "ci").out
    recipe = yaml.safe_load((repository.folder.parent / ".github" / "workflows" / "nexus.yml").read_text())
    github = _Github(recipe, repository, runner)
    github.runs("validate")
    assert json.loads((tmp_path / "nexus.sarif").read_text())["runs"][0]["results"] == []
    github.runs("plan")
    [planned] = json.loads((tmp_path / "comments.json").read_text())
    assert planned["body"].startswith("<!-- nexus plan: default -->\n")
    assert "sandbox.web" in planned["body"]
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == "code=2\n"
    github.runs("apply")
    # Another machine, without a state: everything is found again, and the same comment is written anew.
    (repository.folder / ".nexus").rename(tmp_path / "elsewhere")
    github.runs("plan")
    [again] = json.loads((tmp_path / "comments.json").read_text())
    assert again["id"] == planned["id"]
    assert "No changes" in again["body"]
    assert (tmp_path / "GITHUB_OUTPUT").read_text().splitlines()[-1] == "code=0"
    assert github.script("drift", "Drift").returncode == 0


def test_github_shows_what_is_wrong(repository: Nexus, runner: dict[str, str], tmp_path: Path) -> None:
    repository.ok("init", "ci")
    recipe = yaml.safe_load((repository.folder.parent / ".github" / "workflows" / "nexus.yml").read_text())
    github = _Github(recipe, repository, runner)
    manifest = repository.folder / "nexus.yaml"
    right = manifest.read_text()
    manifest.write_text(right + WRONG)
    assert github.script("plan", "Plan").returncode == 0, "the comment comes first"
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == "code=1\n"
    assert "error[unknown-resource]" in (tmp_path / "plan.md").read_text()
    assert github.script("validate", "Validate").returncode == 1
    [finding] = json.loads((tmp_path / "nexus.sarif").read_text())["runs"][0]["results"]
    assert finding["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "infra/nexus.yaml"
    manifest.write_text(right)


def test_github_shows_a_plan_that_policies_deny(repository: Nexus, runner: dict[str, str], tmp_path: Path) -> None:
    repository.ok("init", "ci")
    recipe = yaml.safe_load((repository.folder.parent / ".github" / "workflows" / "nexus.yml").read_text())
    github = _Github(recipe, repository, runner)
    manifest = repository.folder / "nexus.yaml"
    right = manifest.read_text()
    manifest.write_text(right + "\npolicies: {closed: {use: no-internet}}\n")
    assert github.script("plan", "Plan").returncode == 0, "the comment comes first"
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == "code=1\n"
    comment = (tmp_path / "plan.md").read_text()
    assert "### nexus plan" in comment
    assert "nothing of it can be applied" in comment
    manifest.write_text(right)


def test_gitlab_plans_in_one_note(repository: Nexus, runner: dict[str, str], notes: str) -> None:
    repository.ok("init", "ci", "--forge", "gitlab", "-e", "default")
    recipe = yaml.safe_load((repository.folder.parent / ".gitlab-ci.yml").read_text())
    variables = {**runner, **recipe["variables"], "NOTES_TOKEN": "t", "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "7"}
    setup = [line for line in recipe[".with-state"]["before_script"] if not line.startswith("pip ")]
    for _ in range(2):
        lines = [*setup, *recipe["plan"]["script"]]
        done = bash("\n".join(lines), repository.folder.parent, {**variables, "CI_API_V4_URL": notes})
        assert done.returncode == 0, done.stderr
    own = [note for note in _Notes.notes if "nexus plan" in note["body"]]
    assert len(own) == 1
    assert "sandbox.web" in own[0]["body"]


@pytest.mark.parametrize("is_locked", [False, True])
def test_what_the_lock_file_pins_is_all_that_is_installed_and_previews_are_cleared_away(
    repository: Nexus, tmp_path: Path, is_locked: bool
) -> None:
    repository.write(MANIFEST + "state: {backend: s3, bucket: team}\n")
    repository.ok("init", "ci")
    repository.ok("init", "ci", "--forge", "gitlab")
    if is_locked:
        (repository.folder / "nexus.lock").write_text("{}")
    job = Job.begin(tmp_path)
    job.program("nexus", f'#!/bin/sh\necho "$@" >>{tmp_path}/said\n')
    root = repository.folder.parent
    github = _Github(yaml.safe_load((root / ".github/workflows/nexus.yml").read_text()), repository, job.environment())
    gitlab = yaml.safe_load((root / ".gitlab-ci.yml").read_text())
    for name in ("plan", "apply", "prune"):
        assert github.script(name, name.capitalize()).returncode == 0
    for name in ("apply", "prune"):
        lines = [*gitlab[".with-state"]["before_script"][1:], *gitlab[name]["script"]]
        done = bash("\n".join(lines), root, {**job.environment(), **gitlab["variables"], "CI_PROJECT_DIR": str(root)})
        assert done.returncode == 0, done.stderr
    said = (tmp_path / "said").read_text().splitlines()
    assert [line.split()[0] for line in said] == ["plan", "apply", "env", "apply", "env"]
    assert [line.endswith(" --locked") for line in said] == [is_locked, is_locked, False, is_locked, False]
    assert said[2] == said[4] == "env prune --auto-approve"


def test_a_runner_that_finds_its_state_anew_knows_of_no_previews(repository: Nexus) -> None:
    repository.ok("init", "ci")
    recipe = yaml.safe_load((repository.folder.parent / ".github/workflows/nexus.yml").read_text())
    assert recipe["env"]["FIND_STATE"] == "true"
    assert recipe["jobs"]["prune"]["steps"][-1]["if"] == "env.FIND_STATE != 'true'"


def test_a_recipe_of_ones_own_stays(repository: Nexus) -> None:
    repository.ok("init", "ci")
    repository.ok("init", "ci", "-e", "default")
    path = repository.folder.parent / ".github" / "workflows" / "nexus.yml"
    path.write_text(path.read_text() + "# mine\n")
    assert "error[file-exists]" in repository("init", "ci").err
    assert path.read_text().endswith("# mine\n")


def test_a_state_that_is_elsewhere_is_not_looked_for(repository: Nexus) -> None:
    repository.write(MANIFEST + "state: {backend: s3, bucket: team}\n")
    repository.ok("init", "ci")
    assert '\n  FIND_STATE: "false"\n' in (repository.folder.parent / ".github/workflows/nexus.yml").read_text()


class _Github:
    """Runs the scripts of a workflow as GitHub does. Actions of others are left out."""

    def __init__(self, recipe: Mapping[str, Any], project: Nexus, runner: Mapping[str, str]) -> None:
        self._recipe = recipe
        self._root = project.folder.parent
        self._runner = {**runner, **{key: value for key, value in recipe["env"].items() if key != "E2B_API_KEY"}}

    def runs(self, job: str) -> None:
        for step in self._recipe["jobs"][job]["steps"]:
            if "name" in step and "run" in step and "code == '1'" not in step.get("if", ""):
                done = self.script(job, step["name"])
                assert done.returncode == 0, f"{job}, {step['name']}: {done.stdout}{done.stderr}"

    def script(self, job: str, name: str) -> subprocess.CompletedProcess[str]:
        [step] = [step for step in self._recipe["jobs"][job]["steps"] if step.get("name") == name]
        folder = step.get("working-directory", self._recipe["defaults"]["run"]["working-directory"])
        at = self._root if "github.workspace" in folder else self._root / folder
        known = {
            "runner.temp": self._runner["RUNNER_TEMP"],
            "github.event.pull_request.number": "7",
            "github.token": "t",
        }
        own = {
            name: re.sub(r"\$\{\{ (.*?) \}\}", lambda match: known[match[1]], text)
            for name, text in step.get("env", {}).items()
        }
        return bash(step["run"], at, {**self._runner, **own})


class _Notes(BaseHTTPRequestHandler):
    """GitLab's notes of one merge request, a page of two at a time."""

    notes: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        page = int(self.path.rpartition("page=")[2])
        following = page + 1 if len(self.notes) > page * 2 else ""
        self._answer(self.notes[page * 2 - 2 : page * 2], {"X-Next-Page": str(following)})

    def do_POST(self) -> None:
        self.notes.append({"id": len(self.notes) + 1, **self._body()})
        self._answer(self.notes[-1], {})

    def do_PUT(self) -> None:
        known = self.notes[int(self.path.rpartition("/")[2]) - 1]
        known.update(self._body())
        self._answer(known, {})

    def _body(self) -> dict[str, Any]:
        return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, document: object, headers: Mapping[str, str]) -> None:
        assert self.headers["PRIVATE-TOKEN"] == "t"
        assert "/projects/5/merge_requests/7/notes" in self.path
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def notes() -> Iterator[str]:
    _Notes.notes = [{"id": number, "body": "somebody's"} for number in (1, 2, 3)]
    with ThreadingHTTPServer(("127.0.0.1", 0), _Notes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
