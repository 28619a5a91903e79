"""The commands of the README, typed one after the other into a terminal, as by somebody who just cloned the project."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.pages import README, ROOT
from tests.docs.sessions import steps
from tests.docs.terminal import offer_nexus, typed

TEXT = README.read_text(encoding="utf-8")


def commands() -> list[str]:
    return [command.text for _, command in steps(README) if command is not None]


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

    named = set(re.findall(r"`nexus ([a-z]+)", TEXT))
    assert named <= set(COMMANDS)
    assert set(COMMANDS) <= named, "a command that the README leaves out"
