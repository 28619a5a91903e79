"""nexus in the hands of two ordinary users of one host at once: a project of each, from apply to destroy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus.local.storage.removal import remove_tree

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_REPOSITORY = Path(__file__).parents[3]
_UIDS = (61236, 61237)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account that owns one folder and nothing else."""

    uid: int
    folder: Path
    interpreter: str

    def nexus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run([self.interpreter, "-m", "nexus", *arguments])

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        paths = [str(self.folder / "checkout"), sysconfig.get_paths()["purelib"]]
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "NEXUS_HOME": str(self.folder / "home"),
            "NEXUS_TARGET": "local",
            "PYTHONPATH": os.pathsep.join(paths),
            "LANG": "C.UTF-8",
            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))},
        }
        become = ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups"]
        # The shell in between has lost root's capabilities, which setpriv itself still uses to find the program.
        words = [*become, "/bin/sh", "-c", 'exec "$0" "$@"', *command]
        return subprocess.run(
            words,
            env=environment,
            cwd=self.folder / "project",
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    def succeeds(self, *arguments: str) -> str:
        done = self.nexus(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout


def test_two_ordinary_users_run_the_quickstart_beside_each_other() -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to become others")
    users = [_settle(uid) for uid in _UIDS]
    try:
        probe = users[0].nexus("--version")
        if probe.returncode != 0:
            pytest.skip(f"no Python with nexus' dependencies that another user may run: {probe.stderr[-300:]}")
        with ThreadPoolExecutor(len(users)) as pool:
            engines = list(pool.map(_whole_life, users))
        first, second = engines
        assert first["pid"] != second["pid"]
        assert not {first["apiURL"], first["sandboxURL"]} & {second["apiURL"], second["sandboxURL"]}
        assert {first["tier"], second["tier"]} == {"rootless1"}
    finally:
        for user in users:
            user.run([user.interpreter, "-c", _RESET])
            remove_tree(user.folder)


_RESET = (
    "import os; from pathlib import Path; from nexus.local import daemon; daemon.reset(Path(os.environ['NEXUS_HOME']))"
)
_STATUS = (
    "import json, os; from pathlib import Path; from nexus.local import daemon; "
    "print(json.dumps(daemon.status(Path(os.environ['NEXUS_HOME']))))"
)


def _whole_life(user: User) -> dict[str, object]:
    user.succeeds("apply", "--auto-approve")
    status = json.loads(user.run([user.interpreter, "-c", _STATUS]).stdout)
    assert user.succeeds("exec", "client", "--", "python3", "-c", "import six; print(six.__name__)").strip() == "six"
    assert user.succeeds("exec", "client", "--", "cat", "/home/user/answer.txt").startswith("Hello")
    assert user.succeeds("exec", "web", "--", "id", "-u").strip() == "1000"
    doctor = user.succeeds("local", "doctor")
    assert "rootless1" in doctor
    assert "needs root" in doctor
    user.succeeds("plan", "--detailed-exitcode")
    user.succeeds("destroy", "--auto-approve")
    user.succeeds("local", "stop", "--kill-sandboxes")
    return dict(status)


def _settle(uid: int) -> User:
    folder = Path(tempfile.mkdtemp(prefix=f"nexus-user{uid}-"))
    shutil.copytree(_REPOSITORY / "nexus", folder / "checkout" / "nexus", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(_REPOSITORY / "examples" / "quickstart", folder / "project")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid)
    return User(uid=uid, folder=folder, interpreter=_interpreter())


def _interpreter() -> str:
    """A Python of this version that every user may execute, since ours may lie in somebody's home."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        if Path(candidate).exists():
            return candidate
    return os.path.realpath(sys.executable)
