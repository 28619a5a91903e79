"""Programs from the npm registry that tests use. They are kept between runs of the tests."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_OLDEST_NODE = 20


def installed(folder: Path) -> Path:
    """Where what ``folder/package.json`` names is installed. Skips the test where that can't be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().removeprefix("v").partition(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"node {version.strip()} is older than {_OLDEST_NODE}")
    wanted = (folder / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nexus-tests"
    kept = cache / f"npm-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not kept.exists():
        _install(npm, wanted, kept)
    return kept


def _install(npm: str, wanted: bytes, kept: Path) -> None:
    """Install beside ``kept`` and move there, so that what is there is whole."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as work:
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
            fresh.rename(kept)
        except OSError:
            # Another run was faster.
            assert kept.exists()
