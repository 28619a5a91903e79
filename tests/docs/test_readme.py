"""The commands of the README, typed one after the other into a terminal, as by somebody who just cloned the project."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.terminal import console_commands, offer_nexus, typed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LEFT_OUT = {
    "make check",  # runs all tests, this one among them
}


def commands() -> list[str]:
    return [line for line in console_commands(README) if line not in LEFT_OUT]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the commands need of the repository, with stand-ins for what make would install."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".nexus"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    offer_nexus(binaries)
    (binaries / "python").write_text("#!/bin/sh\necho 'nothing is installed in tests' >&2; exit 1\n")
    (binaries / "activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    for path in binaries.iterdir():
        path.chmod(0o755)
    os.utime(tmp_path / "pyproject.toml", (0, 0))
    os.utime(binaries / "python", (0, 0))
    return tmp_path


@pytest.mark.engine
@pytest.mark.slow
def test_the_commands_of_the_readme_work_as_they_stand(clone: Path, engine_home: Path) -> None:
    code, shown = typed("\n".join(commands()), clone, engine_home)
    assert code == 0, shown
    assert "Hello from" in shown
    assert "No changes" in shown
    assert "Linux" in shown, "an E2B client used the engine"


def test_the_commands_that_the_readme_names_are_there() -> None:
    from nexus.cli.main import COMMANDS

    named = set(re.findall(r"`nexus ([a-z]+)", README))
    assert named <= set(COMMANDS)
    assert set(COMMANDS) <= named, "a command that the README leaves out"
