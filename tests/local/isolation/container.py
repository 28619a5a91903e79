"""A default Docker container, as nexus finds it, around commands of the tests (see ``unprivileged_container.py``)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("unprivileged_container.py")
ROOT = Path(__file__).parents[3]


def require_container() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be root in a container")


@contextmanager
def container(home: Path, *command: str) -> Iterator[Path]:
    """Run ``command`` in a container of its own; yields the file of its output. The container ends with the block."""
    output = home.parent / f"{home.name}-output"
    environment = {**os.environ, "NEXUS_HOME": str(home), "PYTHONPATH": str(ROOT)}
    with output.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *command],
            stdin=subprocess.PIPE,
            stdout=written,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        yield output
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def says(output: Path, *words: str, limit: float = 120.0) -> str:
    """The output as soon as it has one of ``words``."""
    deadline = time.monotonic() + limit
    while not any(word in (text := output.read_text(errors="replace")) for word in words):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
    return text
