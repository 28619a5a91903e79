"""A project's files as they were at a commit."""

from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nexus.manifest import files_at


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "nexus.yaml").write_text("project: shop\n")
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "Begin"]):
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", *arguments], cwd=root, check=True, timeout=60
        )
    return root


def test_two_who_ask_for_the_same_commit_at_once_both_get_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, run = threading.Barrier(2), subprocess.run

    def in_step(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        done = run(command, **options)
        if "checkout" in command:
            both.wait(30)
        return done

    monkeypatch.setattr(subprocess, "run", in_step)
    trees = tmp_path / "revisions"
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda name: files_at(repository, name, trees, os.environ), ["HEAD", "HEAD"]))
    assert found[0] == found[1]
    assert (found[0][0] / "nexus.yaml").read_text() == "project: shop\n"
    assert [path.name for path in trees.iterdir()] == [found[0][1].id]


def test_what_somebody_else_works_with_or_writes_is_left_alone(repository: Path, tmp_path: Path) -> None:
    trees = tmp_path / "revisions"
    used = [trees / f"used{number}" for number in range(3)]
    old = trees / ".draft"
    for folder in (*used, old):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    tree, _ = files_at(repository, "HEAD", trees, os.environ)
    assert sorted(trees.iterdir()) == sorted([*used, tree])
