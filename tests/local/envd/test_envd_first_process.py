"""envd as PID 1 of a process namespace, and as the one real user of a user namespace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2b import NotEnoughSpaceException, Sandbox

from nexus.local.edge import Edge, Route
from nexus.local.ports import listen
from tests.local.envd.harness import Cloud, FakeDirectory, HostMachine, LoopThread, make_users, token_of

_SCRIPT = """
import json, socket, sys
from nexus.local.envd.config import EnvdConfig
from nexus.local.envd.run import serve, warm_up
warm_up()
serve(EnvdConfig(**json.loads(sys.argv[1])), socket.socket(fileno=0))
"""


def _can(*arguments: str) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", *arguments, "true"], capture_output=True).returncode == 0


@contextmanager
def _first_process(unshare: list[str], setup: str, **config: object) -> Iterator[Sandbox]:
    """envd as the first process of new namespaces; ``setup`` is shell run in them before, with ``$ETC`` at hand."""
    thread = LoopThread()
    directory = FakeDirectory()
    edge = Edge(directory)
    process = None
    with tempfile.TemporaryDirectory(prefix="first-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        home = make_users(folder)
        (folder / "etc/passwd").write_text(f"root:x:0:0::{home}:/bin/bash\nuser:x:1000:1000::{home}:/bin/bash\n")
        values = {"sandbox_id": "ibox", "template_id": "t", "access_token": token_of("ibox"), **config}
        try:
            port = thread.run(edge.start(listen("127.0.0.1", 0)))
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(folder / "s"))
                listening.listen()
                script = f'{setup}; mount --bind "$ETC" /etc; exec "$@"'
                process = subprocess.Popen(
                    ["unshare", *unshare, "sh", "-c", script, "sh", sys.executable, "-c", _SCRIPT, json.dumps(values)],
                    stdin=listening.fileno(),
                    env={
                        "PYTHONPATH": str(Path(__file__).parents[3]),
                        "PATH": os.environ["PATH"],
                        "ETC": f"{folder}/etc",
                    },
                )
            directory.routes["ibox"] = Route(sandbox_id="ibox", machine=HostMachine(folder / "s"))
            cloud = Cloud(
                thread=thread, edge=edge, certificates=folder / "tls", directory=directory, port=port, home=home
            )
            yield cloud.sandbox()
        finally:
            thread.run(edge.close())
            thread.close()
            if process is not None:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End unshare and its child, envd. A child that has changed what it is does not always end with its parent."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for child in children.read_text().split() if children.exists() else ():
        os.kill(int(child), signal.SIGKILL)
    process.kill()
    process.wait()


@pytest.fixture
def first() -> Iterator[Sandbox]:
    namespaces = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    if os.getuid() != 0 or not _can(*namespaces):
        pytest.skip("a process namespace needs root")
    with _first_process(namespaces, "mount -t tmpfs none /run; mount -t tmpfs -o size=64k none /mnt") as sandbox:
        yield sandbox


def test_the_first_process_reaps_orphans_and_leaves_exit_codes_alone(first: Sandbox) -> None:
    for _ in range(10):
        first.commands.run("(sleep 0.05 &) ; true")
        assert first.commands.run("sh -c 'exit 4'; echo $?").stdout == "4\n"
    deadline = time.monotonic() + 60
    while first.commands.run("ps -eo stat | grep -c Z || true").stdout != "0\n":
        assert time.monotonic() < deadline, "zombies remain"


def test_signals_from_inside_do_not_end_the_first_process(first: Sandbox) -> None:
    first.commands.run("kill -TERM 1; kill -INT 1; kill -HUP 1; kill -QUIT 1; kill -KILL 1; true", user="root")
    assert first.commands.run("echo alive").stdout == "alive\n"


def test_the_identity_of_the_sandbox_lies_in_files(first: Sandbox) -> None:
    assert first.files.read("/run/e2b/.E2B_SANDBOX_ID") == "ibox"
    assert first.files.read("/run/e2b/.E2B_SANDBOX") == "true"


def test_commands_have_default_signals_a_session_and_a_raised_oom_score(first: Sandbox) -> None:
    status = first.commands.run("grep -E 'Sig(Blk|Ign)' /proc/self/status").stdout.split()
    assert int(status[1], 16) == 0
    # Signals 32 and 33 are the C library's own: what started the tests may have left them ignored, and nobody may care.
    assert int(status[3], 16) & ~(0b11 << 31) == 0
    assert first.commands.run("cat /proc/self/oom_score_adj").stdout == "100\n"
    session, own = first.commands.run("ps -o sid= -p $$; echo $$").stdout.split()
    assert session == own


def test_a_full_disk_is_told_as_such(first: Sandbox) -> None:
    for octets in (True, False):
        with pytest.raises(NotEnoughSpaceException):
            first.files.write("/mnt/big", b"x" * 1_000_000, use_octet_stream=octets)
    assert first.files.write("/mnt/big", b"small").name == "big"


def test_a_single_real_user_is_shown_under_the_number_of_each_account() -> None:
    namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if not _can(*namespaces):
        pytest.skip("user namespaces are not allowed here")
    with _first_process(namespaces, "mount -t tmpfs none /run", user_switch="userns") as sandbox:
        assert sandbox.commands.run("id -u; id -g").stdout == "1000\n1000\n"
        assert sandbox.commands.run("id -u", user="root").stdout == "0\n"
        sandbox.files.write("file", "mine")
        assert sandbox.commands.run("cat file; stat -c %u file").stdout == "mine1000\n"
