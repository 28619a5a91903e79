"""The engine in the hands of an ordinary user: no root, one uid."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from nexus.local.storage.removal import remove_tree

pytestmark = pytest.mark.engine

_REPOSITORY = Path(__file__).parents[3]
_UID = 61234


def _interpreter() -> str | None:
    """A Python of this version that every user may execute, since ours may lie in somebody's home."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (os.path.realpath(sys.executable), f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        if Path(candidate).exists() and _as_ordinary_user([candidate, "-c", "import ssl"]).returncode == 0:
            return candidate
    return None


def _as_ordinary_user(command: list[str]) -> subprocess.CompletedProcess[str]:
    paths = [str(_REPOSITORY), sysconfig.get_paths()["purelib"]]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(paths), "LANG": "C.UTF-8"}
    arguments = ["setpriv", "--reuid", str(_UID), "--regid", str(_UID), "--clear-groups"]
    # The shell in between has lost root's capabilities, which setpriv itself still uses to find the program.
    arguments += ["/bin/sh", "-c", 'exec "$0" "$@"', *command]
    return subprocess.run(arguments, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=200)


@pytest.mark.slow
def test_an_ordinary_user_gets_whole_machines() -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to become somebody else")
    interpreter = _interpreter()
    if interpreter is None:
        pytest.skip("no Python that another user may execute")
    if _as_ordinary_user([interpreter, "-c", "import tests.local.isolation, nexus, e2b"]).returncode != 0:
        pytest.skip("the checkout, or what it needs, lies where another user can't read it")
    folder = Path("/tmp") / f"nexus-ordinary-{os.getpid()}"
    folder.mkdir(mode=0o700)
    os.chown(folder, _UID, _UID)
    try:
        done = _as_ordinary_user([interpreter, "-m", "tests.local.isolation.ordinary_user_program", str(folder)])
    finally:
        remove_tree(folder)
    if "this host cannot isolate sandboxes" in done.stderr:
        pytest.skip(done.stderr[-500:])
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["uid"] == _UID
    assert report["tier"] == "rootless1"
    assert report["findings"]["rootless1"] == [True, None]
    works, remedy = report["findings"]["idmap"]
    # In a container that has no sudo, the other user is named to docker.
    assert (works, remedy.startswith(("sudo -E ", "run nexus as root "))) == (False, True)
    assert report["findings"]["limits"][0] is False
    seen = {name: (code, text.split()) for name, (code, text) in report["seen"].items()}
    assert seen["user"] == (0, ["1000", "user", "/home/user"])
    assert seen["sudo"] == (0, ["0", "x"])
    assert seen["usr"] == (0, ["hi"])
    assert seen["delete"] == (0, ["gone"])
    assert seen["python"] == (0, ["1", "2"])
    assert seen["tar"] == (0, ["passwd"])
    assert report["memory"] > 0
    assert report["layered"][1].split() == ["hi", "x"]
    assert report["init_is_gone"] is True
    assert report["left"] == []
