"""Where the sockets of an engine lie: their addresses have to be short, whatever the folders of its user are called."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from nexus.local.isolation.runtime_folder import RuntimeFolder, listen
from nexus.local.settings import runtime_folder


def test_it_is_the_engines_own_and_not_one_that_goes_at_logout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/var/tmp")
    assert runtime_folder(tmp_path).parent in {Path("/run"), Path(tempfile.gettempdir())}
    assert runtime_folder(tmp_path) != runtime_folder(tmp_path / "another")


def test_folders_that_are_too_long_for_sockets_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != "/run")
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    runtime = runtime_folder(tmp_path)
    machine = RuntimeFolder.of(runtime, "i0123456789abcdefghi")
    try:
        machine.create()
        listen(machine.control).close()
    finally:
        shutil.rmtree(runtime)
