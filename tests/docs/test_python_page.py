"""The Python of the page about Python and of the README, run as it stands: first the program, then the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nexus.local.daemon import Endpoint
from tests.docs.pages import README, ROOT, blocks

PYTHON_PAGE = ROOT / "docs" / "python.md"


def python_of(page: Path, *, tests: bool) -> Sequence[str]:
    found = [block.text for block in blocks(page) if block.language == "python"]
    return [text for text in found if ("pytest" in text) is tests]


pytestmark = pytest.mark.engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the blocks need of the repository."""
    ignored = shutil.ignore_patterns(".nexus")
    shutil.copytree(ROOT / "examples" / "quickstart", tmp_path / "examples" / "quickstart", ignore=ignored)
    return tmp_path


@pytest.fixture
def environment(engine: Endpoint) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("E2B_", "NEXUS_", "COV"))}
    return {**own, "PYTHONPATH": str(ROOT), "NEXUS_HOME": str(engine.home), "NEXUS_TARGET": "local"}


def run(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def listed(folder: Path, environment: dict[str, str]) -> set[str]:
    """The ids of all sandboxes of the account: those of other tests may be among them."""
    told = json.loads(run(folder, environment, "-m", "nexus", "list", "--all", "--json"))
    return {item["id"] for item in told["sandboxes"]}


def test_the_program_says_what_its_comments_say(folder: Path, environment: dict[str, str]) -> None:
    shown = run(folder, environment, "-c", "\n".join(python_of(PYTHON_PAGE, tests=False)))
    assert "create sandbox.web because " in shown
    assert "('The state was written since: its serial was 0 and is 1.'" in shown
    assert "\n{'replace': 1, 'run': 1}\n" in shown
    assert "\n42\n 0 " in shown
    assert "\nserver.py\n" in shown
    assert "SANDBOX_NOT_FOUND did you mean «web»?" in shown


def test_the_tests_pass_and_leave_nothing(folder: Path, environment: dict[str, str]) -> None:
    before = listed(folder, environment)
    (folder / "test_page.py").write_text("\n\n".join(python_of(PYTHON_PAGE, tests=True)))
    shown = run(folder, environment, "-m", "pytest", "-p", "nexus.pytest_plugin", "-p", "no:cacheprovider", "-q")
    assert "2 passed" in shown
    assert not (folder / "examples" / "quickstart" / ".nexus").exists()
    assert listed(folder, environment) <= before


def test_the_python_of_the_readme_runs(folder: Path, environment: dict[str, str]) -> None:
    shown = run(folder, environment, "-c", "\n".join(python_of(README, tests=False)))
    assert "http://" in shown
    (folder / "test_readme_page.py").write_text("\n\n".join(python_of(README, tests=True)))
    shown = run(folder, environment, "-m", "pytest", "-p", "nexus.pytest_plugin", "-p", "no:cacheprovider", "-q")
    assert "1 passed" in shown
