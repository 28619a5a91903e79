"""The blocks of the page about Python, run as they stand: first the program, then the tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nexus.local.daemon import Endpoint

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)]
TESTS = [block for block in BLOCKS if "pytest" in block]
PROGRAM = [block for block in BLOCKS if block not in TESTS]

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


def test_the_program_says_what_its_comments_say(folder: Path, environment: dict[str, str]) -> None:
    shown = run(folder, environment, "-c", "\n".join(PROGRAM))
    assert "create sandbox.web because " in shown
    assert "('The state was written since: its serial was 0 and is 1.'" in shown
    assert "\n{'replace': 1, 'run': 1}\n" in shown
    assert "\n42\n 0 " in shown
    assert "\nserver.py\n" in shown
    assert "SANDBOX_NOT_FOUND did you mean «web»?" in shown


def test_the_tests_pass_and_leave_nothing(folder: Path, environment: dict[str, str]) -> None:
    (folder / "test_page.py").write_text("\n\n".join(TESTS))
    shown = run(folder, environment, "-m", "pytest", "-p", "nexus.pytest_plugin", "-p", "no:cacheprovider", "-q")
    assert "2 passed" in shown
    assert not (folder / "examples" / "quickstart" / ".nexus").exists()
    listed = run(folder, environment, "-m", "nexus", "list", "--all", "--json")
    assert '"total_count": 0' in listed
