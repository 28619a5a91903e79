"""The commands of the README, typed one after the other into a terminal, as by somebody who just cloned the project."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LEFT_OUT = {
    "make check",  # runs all tests, this one among them
}
PROMPTS = ("$ ", "> ")
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """All that is typed at a prompt, in order; a command may go on at further prompts."""
    typed_lines = [
        re.sub(r"^[$>] ", "", line) for block in BLOCKS for line in block.splitlines() if line[:2] in PROMPTS
    ]
    return [line for line in typed_lines if line not in LEFT_OUT]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the commands need of the repository, with stand-ins for what make would install."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".nexus"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text("#!/bin/sh\necho 'nothing is installed in tests' >&2; exit 1\n")
    (binaries / "nexus").write_text(f'#!/bin/sh\nexec {sys.executable} -m nexus "$@"\n')
    (binaries / "activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    for path in binaries.iterdir():
        path.chmod(0o755)
    os.utime(tmp_path / "pyproject.toml", (0, 0))
    os.utime(binaries / "python", (0, 0))
    return tmp_path


def typed(script: str, folder: Path, home: Path) -> tuple[int, str]:
    """Exit code and output of a bash script in a terminal where every question is answered with yes."""
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith(("NEXUS_", "E2B_"))},
        "NEXUS_HOME": str(home),
        "COLUMNS": "80",
        "NO_COLOR": "1",
    }
    ours, theirs = pty.openpty()
    shown: list[bytes] = []
    process = subprocess.Popen(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    reader = threading.Thread(target=_answer, args=(ours, shown), daemon=True)
    reader.start()
    try:
        code = process.wait(timeout=240)
    finally:
        process.kill()
        reader.join(timeout=10)
        os.close(ours)
    return code, b"".join(shown).decode(errors="replace")


def _answer(terminal: int, shown: list[bytes]) -> None:
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux says so when the last program has closed its side
            return
        if not chunk:
            return
        shown.append(chunk)
        if b"".join(shown[-2:]).rstrip().endswith(b"[y/N]:"):
            shown.append(b"")
            os.write(terminal, b"y\n")


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
