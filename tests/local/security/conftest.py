"""An engine started by somebody with secrets, one of its sandboxes to attack from, and another one to attack."""

from __future__ import annotations

import ctypes
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2b import Sandbox

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.local.engine_client import sdk

ATTEMPTS = Path(__file__).with_name("attempts.py")
_ADD_KEY = {"x86_64": 248, "aarch64": 217}
_SESSION_KEYRING = -3


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the host has that nobody inside may find. ``marker`` is in all of it."""

    marker: str
    file: Path
    process: subprocess.Popen[bytes]
    port: int
    abstract: str
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """``tries`` runs one of the attempts as root of the attacking sandbox; ``root`` any shell command as its root."""

    endpoint: Endpoint
    host: Host
    attacker: Sandbox
    victim: Sandbox
    tier: str

    def root(self, text: str) -> str:
        """Standard output and error of a command, whatever its exit code."""
        done = self.attacker.commands.run(f"{{ {text}\n}} 2>&1; true", user="root", timeout=60)
        return done.stdout.strip()

    def tries(self, *arguments: object) -> str:
        words = " ".join(f"'{argument}'" for argument in arguments)
        return self.root(f"python3 /root/attempts.py {words}")


@pytest.fixture(scope="package")
def host() -> Iterator[Host]:
    marker = f"marker{secrets.token_hex(8)}"
    folder = Path(tempfile.mkdtemp(prefix="nexus-host-"))
    file = folder / f"{marker}.txt"
    file.write_text(marker)
    file.chmod(0o644)
    folder.chmod(0o755)
    idle = [sys.executable, "-c", "input()", marker]
    with (
        subprocess.Popen(idle, stdin=subprocess.PIPE) as process,
        socket.socket() as listening,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        abstract.bind(f"\0{marker}")
        abstract.listen()
        yield Host(
            marker=marker,
            file=file,
            process=process,
            port=listening.getsockname()[1],
            abstract=marker,
            address=_own_address(),
        )
        process.kill()
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def scene(host: Host) -> Iterator[Scene]:
    home = Path(tempfile.mkdtemp(prefix="nexus-engine-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOST_SECRET", host.marker)
        patch.setenv("LC_ALL", "C.UTF-8")
        _add_key(host.marker)
        endpoint = daemon.ensure_running(home)
    try:
        attacker = Sandbox.create(timeout=3000, **sdk(endpoint))
        victim = Sandbox.create(timeout=3000, envs={"TOKEN": host.marker}, **sdk(endpoint))
        attacker.files.write("/root/attempts.py", ATTEMPTS.read_text(), user="root")
        victim.commands.run("python3 -m http.server 8123 -d /etc", background=True)
        victim.commands.run("until curl -s localhost:8123 >/dev/null; do sleep 0.05; done")
        status = daemon.status(home)
        assert status is not None
        yield Scene(endpoint=endpoint, host=host, attacker=attacker, victim=victim, tier=str(status["tier"]))
    finally:
        daemon.reset(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def as_other_user() -> Callable[[list[str]], subprocess.CompletedProcess[str]]:
    """Runs a program as an ordinary user of the host, who owns nothing of the engine."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to become somebody else")

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        become = ["setpriv", "--reuid", "61235", "--regid", "61235", "--clear-groups"]
        return subprocess.run([*become, *command], cwd="/", capture_output=True, text=True, check=False, timeout=30)

    return run


def _own_address() -> str | None:
    """An address of this host that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _add_key(marker: str) -> None:
    """Put a key into the session keyring that the daemon will inherit; kernels without keys refuse."""
    number = _ADD_KEY.get(platform.machine())
    if number is not None:
        name = marker.encode()
        ctypes.CDLL(None).syscall(number, b"user", name, name, ctypes.c_size_t(len(name)), _SESSION_KEYRING)


@pytest.fixture
def clean_sandbox(engine: Endpoint) -> Iterator[Sandbox]:
    """A sandbox of the session's engine."""
    sandbox = Sandbox.create(**sdk(engine))
    yield sandbox
    sandbox.kill()
