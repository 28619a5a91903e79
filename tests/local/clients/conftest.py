"""E2B's JavaScript SDK and CLI, from the npm registry, pointed at the session's engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.npm import installed

_HERE = Path(__file__).parent

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder where the packages are installed, which is kept between test runs."""
    return installed(_HERE)


@pytest.fixture
def client_environment(engine: Endpoint, packages: Path, tmp_path: Path) -> dict[str, str]:
    """What a shell has after ``nexus local env``, with a home of its own for the CLI's settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("E2B_")}
    told = daemon.client_environment(engine.home, own)
    return {**own, **told, "HOME": str(tmp_path), "NODE_PATH": str(packages / "node_modules"), "NO_COLOR": "1"}


@pytest.fixture
def javascript(client_environment: dict[str, str], packages: Path) -> Run:
    """Run a program of ``javascript/``; the packages are found from where its copy lies."""

    def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        script, *rest = arguments
        for source in (_HERE / "javascript").iterdir():
            shutil.copy(source, packages / source.name)
        return subprocess.run(
            ["node", str(packages / script), *rest],
            env=client_environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
