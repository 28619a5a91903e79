"""Other users of the host against the engine, and against what its sandboxes leave on the disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2b import Sandbox

from nexus.local import daemon
from nexus.local.settings import create_settings, runtime_folder
from tests.local.engine_client import rest, sdk

pytestmark = pytest.mark.engine

AsOther = Callable[[list[str]], subprocess.CompletedProcess[str]]


def test_set_uid_programs_that_a_sandbox_leaves_are_out_of_reach(engine_home: Path, as_other_user: AsOther) -> None:
    engine_home.chmod(0o755)
    endpoint = daemon.ensure_running(engine_home)
    with rest(endpoint) as client:
        client.post("/volumes", json={"name": "shared"}).raise_for_status()
    sandbox = Sandbox.create(volume_mounts={"/data": "shared"}, **sdk(endpoint))
    for folder in ("/data", "/root", "/usr/local/bin", "/tmp"):
        sandbox.commands.run(
            f"cp /usr/bin/id {folder}/trap && chown 0:0 {folder}/trap && chmod 6777 {folder}/trap", user="root"
        )
    made = [path for path in engine_home.rglob("trap") if path.stat().st_mode & 0o4000]
    assert len(made) == 4
    seen = as_other_user(["find", str(engine_home), "-name", "trap"])
    assert seen.stdout == ""
    for path in made:
        # By way of a shell: setpriv itself still has the powers to find it.
        assert as_other_user(["/bin/sh", "-c", 'exec "$0"', str(path)]).returncode != 0


def test_keys_records_and_sockets_are_the_owners_alone(engine_home: Path, as_other_user: AsOther) -> None:
    engine_home.chmod(0o755)
    endpoint = daemon.ensure_running(engine_home)
    sandbox = Sandbox.create(**sdk(endpoint))
    sandbox.files.write("precious", "kept")
    sockets = [path for path in runtime_folder(engine_home).rglob("*") if path.is_socket()]
    assert sockets
    for path in (engine_home / "engine.json", *sockets, *(engine_home / "records").rglob("*.json")):
        assert as_other_user(["/bin/sh", "-c", 'test -r "$0" || test -w "$0"', str(path)]).returncode != 0, path
    settings = create_settings(engine_home)
    for path in (settings.runtime, settings.records, settings.volumes, settings.store, settings.archives):
        assert path.stat().st_mode & 0o077 == 0, path
        assert path.stat().st_uid == os.geteuid()
