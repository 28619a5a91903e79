"""E2B's CLI against the engine: what each command prints and leaves behind."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import Sandbox

from nexus.local.daemon import Endpoint
from tests.local.engine_client import rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


class Cli:
    def __init__(self, program: Path, environment: dict[str, str], folder: Path) -> None:
        self.command = ["node", str(program)]
        self.environment = environment
        self.folder = folder

    def run(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            timeout=60,
            check=False,
            **given,
        )

    def ok(self, *arguments: str, stdin: bytes | None = None) -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return done.stdout.decode()


@pytest.fixture
def cli(packages: Path, client_environment: dict[str, str], tmp_path: Path) -> Cli:
    return Cli(packages / "node_modules/@e2b/cli/dist/index.js", client_environment, tmp_path)


@pytest.fixture
def sandbox(engine: Endpoint) -> Iterator[Sandbox]:
    made = Sandbox.create(timeout=120, **sdk(engine))
    yield made
    made.kill()


def test_sandboxes_are_listed_described_paused_and_killed(cli: Cli) -> None:
    made = cli.ok("sandbox", "create", "base", "--detach").strip()
    listed = json.loads(cli.ok("sandbox", "list", "--format", "json"))
    assert made in {item["sandboxId"] for item in listed}
    assert json.loads(cli.ok("sandbox", "info", made, "--format", "json"))["templateId"] == "base"
    cli.ok("sandbox", "pause", made)
    cli.ok("sandbox", "resume", made)
    assert "has been killed" in cli.ok("sandbox", "kill", made)
    assert cli.run("sandbox", "info", made).returncode == 1


def test_commands_get_their_input_and_give_their_exit_status(cli: Cli, sandbox: Sandbox) -> None:
    counted = cli.ok("sandbox", "exec", sandbox.sandbox_id, "wc", "-c", stdin=b"x" * 200_001)
    assert counted.strip() == "200001"
    options = ("-u", "root", "-c", "/tmp", "-e", "WORD=hello")
    assert cli.ok("sandbox", "exec", *options, sandbox.sandbox_id, "echo $WORD $(id -un) $PWD") == "hello root /tmp\n"
    assert cli.run("sandbox", "exec", sandbox.sandbox_id, "exit 7").returncode == 7


def test_logs_and_metrics_are_shown_and_followed_to_the_end(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.commands.run("echo from-inside")
    lines = cli.ok("sandbox", "logs", "--format", "json", sandbox.sandbox_id).splitlines()
    assert any(json.loads(line)["message"] == "from-inside" for line in lines if line)
    cli.ok("sandbox", "metrics", sandbox.sandbox_id)
    following = subprocess.Popen(
        [*cli.command, "sandbox", "logs", "--follow", sandbox.sandbox_id],
        env=cli.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert following.stdout is not None
    heard = ""
    while "from-inside" not in heard:
        line = following.stdout.readline()
        assert line, heard
        heard += line
    sandbox.kill()
    heard, _ = following.communicate(timeout=30)
    assert following.returncode == 0, heard
    assert "sandbox is closed" in heard


def test_a_terminal_is_a_terminal_and_its_sandbox_ends_with_it(cli: Cli, engine: Endpoint) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*cli.command, "sandbox", "create", "base"], env=cli.environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    screen = _read_until(ours, b"$ ")
    os.write(ours, b'test -t 0 && echo "id=$E2B_SANDBOX_ID="; exit\n')
    screen += _read_until(ours, b"Closing terminal")
    process.wait(timeout=30)
    os.close(ours)
    made = re.search(rb"id=(i[a-z0-9]{20})=", screen)
    assert made is not None, screen.decode()
    wait_until(lambda: _is_unknown(engine, made[1].decode()), "the sandbox ends with its terminal")


def _is_unknown(engine: Endpoint, sandbox_id: str) -> bool:
    with rest(engine) as client:
        return client.get(f"/sandboxes/{sandbox_id}").status_code == 404


def _read_until(terminal: int, expected: bytes) -> bytes:
    heard = b""
    while expected not in heard:
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, f"nothing more came after: {heard.decode()}"
        heard += os.read(terminal, 65536)
    return heard


def test_templates_are_built_from_a_dockerfile_published_and_deleted(cli: Cli, engine: Endpoint) -> None:
    (cli.folder / "Dockerfile").write_text("FROM debian:12\nCOPY note.txt /srv/note.txt\nRUN echo built > /tmp/built\n")
    (cli.folder / "note.txt").write_text("from the host")
    cli.ok("template", "create", "cli-made", "--cpu-count", "1", "--memory-mb", "512")
    listed = {item["names"][0]: item for item in json.loads(cli.ok("template", "list", "--format", "json"))}
    assert listed["cli-made"]["memoryMB"] == 512
    sandbox = Sandbox.create("cli-made", **sdk(engine))
    assert sandbox.files.read("/srv/note.txt") == "from the host"
    sandbox.kill()
    cli.ok("template", "publish", "-y", "cli-made")
    cli.ok("template", "unpublish", "-y", "cli-made")
    cli.ok("template", "delete", "-y", "cli-made")
    assert cli.run("template", "delete", "-y", "cli-made").returncode == 1


def test_snapshots_are_made_listed_and_deleted(cli: Cli, sandbox: Sandbox) -> None:
    cli.ok("sandbox", "snapshot", "create", sandbox.sandbox_id, "--name", "cli-kept")
    assert "cli-kept" in cli.ok("sandbox", "snapshot", "list", sandbox.sandbox_id)
    cli.ok("sandbox", "snapshot", "delete", "cli-kept")
    assert "cli-kept" not in cli.ok("sandbox", "snapshot", "list")
