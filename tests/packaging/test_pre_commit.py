"""The hooks for pre-commit, run by pre-commit: it installs nexus from the repository and calls them on a project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "web-app"

pytestmark = [pytest.mark.catalogue, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def pre_commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pre-commit")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", "pre-commit"], check=True, timeout=600)
    return folder / "bin" / "pre-commit"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An example in a repository of its own."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".nexus"))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    return folder


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, timeout=60)


def tried(pre_commit: Path, project: Path) -> subprocess.CompletedProcess[str]:
    """All hooks of this repository, as somebody tries them before they take them."""
    kept = {**os.environ, "PRE_COMMIT_HOME": str(pre_commit.parent / "kept"), "NO_COLOR": "1"}
    command = [str(pre_commit), "try-repo", str(ROOT), "--all-files", "--verbose"]
    return subprocess.run(command, cwd=project, env=kept, capture_output=True, text=True, timeout=600)


def test_the_hooks_let_a_right_project_pass_and_mend_or_refuse_a_wrong_one(pre_commit: Path, project: Path) -> None:
    passed = tried(pre_commit, project)
    assert passed.returncode == 0, passed.stdout
    assert "The manifest is valid" in passed.stdout

    manifest = project / "nexus.yaml"
    right = manifest.read_text()
    manifest.write_text(right.replace("project: web-app", "project:    web-app"))
    git(project, "add", ".")
    mended = tried(pre_commit, project)
    assert (mended.returncode, manifest.read_text()) == (1, right), mended.stdout
    assert "files were modified by this hook" in mended.stdout

    manifest.write_text(right.replace("template: base", "templat: base"))
    git(project, "add", ".")
    refused = tried(pre_commit, project)
    assert refused.returncode == 1
    assert 'did you mean "template"?' in refused.stdout
