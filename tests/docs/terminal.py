"""The commands of a page, typed into a terminal as its reader would, with every question answered by yes."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

_OWN_SETTINGS = ("NEXUS_", "E2B_")


def console_commands(page: str) -> list[str]:
    """All that is typed at a prompt in a page, in order; a command may go on at further prompts."""
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [re.sub(r"^[$>] ", "", line) for line in lines if line.startswith(("$ ", "> "))]


def offer_nexus(folder: Path) -> Path:
    """A folder for PATH with what an installation has: ``nexus``, its Python, and a pytest that knows its plugin."""
    folder.mkdir(parents=True, exist_ok=True)
    plugin = "-p nexus.pytest_plugin -p no:cacheprovider"
    for name, options in (("nexus", " -m nexus"), ("python", ""), ("pytest", f" -m pytest {plugin}")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{options} "$@"\n')
        program.chmod(0o755)
    return folder


def typed(
    script: str, folder: Path, home: Path, *, limit: float = 240.0, settings: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and output of a bash script in a terminal, which ends at the first command that fails.

    ``settings`` are further environment variables; ``limit`` is in seconds.
    """
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith(_OWN_SETTINGS)},
        "NEXUS_HOME": str(home),
        "COLUMNS": "80",
        "NO_COLOR": "1",
        **(settings or {}),
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
        code = process.wait(timeout=limit)
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
