"""E2B's JavaScript SDK and CLI, from the npm registry, pointed at the session's engine."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nexus.local import daemon
from nexus.local.daemon import Endpoint

_HERE = Path(__file__).parent
_OLDEST_NODE = 20

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder where the packages are installed, which is kept between test runs."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().removeprefix("v").partition(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"node {version.strip()} is older than {_OLDEST_NODE}")
    wanted = (_HERE / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nexus-tests"
    folder = cache / f"npm-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not folder.exists():
        _install(npm, wanted, folder)
    return folder


def _install(npm: str, wanted: bytes, folder: Path) -> None:
    """Install beside ``folder`` and move there, so that what is there is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        fresh = Path(work) / "fresh"
        fresh.mkdir()
        (fresh / "package.json").write_bytes(wanted)
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
        try:
            done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=240, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("the packages could not be installed from the npm registry in time")
        if done.returncode != 0:
            pytest.skip(f"the packages could not be installed from the npm registry: {done.stderr[-300:]}")
        try:
            fresh.rename(folder)
        except OSError:
            # Another run was faster.
            assert folder.exists()


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
