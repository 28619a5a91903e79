"""``nexus history`` and ``nexus rollback``: who applied which commit, and back to one of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Nexus

MANIFEST = """\
sandboxes:
  web:
    uploads:
      - {path: /home/user/app, source: app/}
    metadata: {rev: "one"}
"""


@pytest.fixture
def project(nexus: Nexus) -> Iterator[Nexus]:
    """A project in a folder of a repository, with one commit."""
    inner = Nexus(nexus.folder / "infra", nexus.home)
    (inner.folder / "app").mkdir(parents=True)
    (inner.folder / "app" / "text").write_text("first\n")
    (inner.folder / ".gitignore").write_text(".nexus/\n")
    inner.write(MANIFEST)
    _git(nexus, "init", "--quiet")
    _commit(nexus, "Begin")
    yield inner
    inner.ok("destroy", "-y")


def test_a_rollback_is_an_ordinary_plan_of_the_files_as_they_were(project: Nexus) -> None:
    project.ok("apply", "-y")
    [begun] = project.ok("history", "--json").json("history")["history"]
    assert (begun["command"], begun["title"], begun["modified"], begun["complete"]) == ("apply", "Begin", False, True)
    assert set(begun["changes"]) == {"create"}
    (project.folder / "app" / "text").write_text("second\n")
    project.ok("apply", "-y")
    [uncommitted, _] = project.ok("history", "--json").json("history")["history"]
    assert uncommitted["modified"] is True
    refused = project("rollback", str(uncommitted["serial"]), "-y")
    assert (refused.code, "error[revision-not-kept]" in refused.err) == (1, True)
    _commit(project, "Second")

    assert "error[not-approved]" in project("rollback", str(begun["serial"])).err
    project.ok("rollback", str(begun["serial"]), "-y")
    assert project.ok("exec", "web", "--", "cat", "app/text").out == "first\n"
    assert (project.folder / "app" / "text").read_text() == "second\n", "one's own files stay"
    [back, *_] = project.ok("history", "--json").json("history")["history"]
    assert (back["title"], back["changes"], back["commit"]) == ("Begin", {"update": 1}, begun["commit"])
    asked = f"rollback {begun['serial']}"
    assert back["command"] == asked
    assert f"{asked}: 1 updated" in project.ok("history").out
    [run, *_] = project.ok("runs", "--json").json("runs")["runs"]
    assert run["command"] == asked
    assert f"nexus {asked}, begun" in project.ok("graph", "--format", "html").out
    assert project("plan", "--detailed-exitcode").code == 2, "the next apply goes forward again"
    project.ok("apply", "-y")
    serials = [entry["serial"] for entry in project.ok("history", "--json").json("history")["history"]]
    assert serials == sorted(serials, reverse=True)
    shown = project.ok("history").out
    assert [line.split()[0] for line in shown.splitlines()[2:]] == [str(serial) for serial in serials]
    assert "Second" in shown


def test_what_no_commit_holds_is_said(project: Nexus) -> None:
    assert "error[unknown-revision]" in project("rollback", "7").err
    assert "error[unknown-revision]" in project("rollback", "no-such-tag").err
    assert "error[unknown-revision]" in project("rollback", "--", "--upload-pack=x").err


def test_a_state_without_a_repository_has_a_history_without_commits(nexus: Nexus) -> None:
    nexus.write("outputs:\n  x: {value: 1}\nvolumes:\n  data: {}\n")
    nexus.ok("apply", "-y")
    [entry] = nexus.ok("history", "--json").json("history")["history"]
    assert (entry["commit"], entry["changes"]) == (None, {"create": 1})
    assert "error[revision-not-kept]" in nexus("rollback", "1").err
    nexus.ok("destroy", "-y")
    [ended, _] = nexus.ok("history", "--json").json("history")["history"]
    assert (ended["command"], ended["changes"]) == ("destroy", {"delete": 1})


def _commit(at: Nexus, title: str) -> None:
    _git(at, "add", "--all", ".")
    _git(at, "-c", "user.name=n", "-c", "user.email=n@example.org", "commit", "--quiet", "-m", title)


def _git(at: Nexus, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=at.folder, check=True, timeout=60)
