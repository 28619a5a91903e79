"""What shells offer while somebody types."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import shlex
import shutil
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from nexus.cli.main import COMMANDS, root, run
from nexus.manifest import formatted, read_yaml
from nexus.model.addresses import Address
from nexus.model.state import OutputRecord, State
from nexus.stores import local_backend
from tests.fakes.records import make_record

ROOT = Path(__file__).parents[2]

MANIFEST = """\
apiVersion: nexus/v1
project: shop
environments:
  prod: {}
sandboxes:
  web: {}
  worker: {count: 2}
pipelines:
  etl:
    steps:
      extract: {sandbox: web, run: date}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    names = [("web", None), ("worker", "0"), ("worker", "eu west")]
    records = [make_record(Address("sandbox", name, key), f"u{number}") for number, (name, key) in enumerate(names)]
    state = State(lineage="lin", serial=1, project="shop", outputs={"url": OutputRecord("http://x")})
    backend = local_backend(tmp_path, "default")
    asyncio.run(backend.states.write(state.with_records(records), expected_serial=None))
    return tmp_path


def offered(folder: Path, *words: str) -> list[str]:
    *before, incomplete = words
    completing = ShellComplete(root, {}, "nexus", "_NEXUS_COMPLETE")
    items = completing.get_completions(["-C", str(folder), *before], incomplete)
    return [item.value for item in items]


def test_names_of_the_project_are_offered(shop: Path) -> None:
    assert offered(shop, "stop", "") == ["web", "worker[0]"]
    assert offered(shop, "delete", "web", "wo") == ["worker[0]"]
    assert offered(shop, "configure", "-e", "prod", "") == []
    assert offered(shop, "plan", "--target", "sandbox.w") == ["sandbox.web", "sandbox.worker", "sandbox.worker[0]"]
    assert offered(shop, "state", "show", "step.") == ["step.etl.extract"]
    assert offered(shop, "plan", "-e", "") == ["default", "prod"]
    assert offered(shop, "run", "") == ["etl"]
    assert offered(shop, "run", "etl", "") == ["extract"]
    assert offered(shop, "output", "u") == ["url"]
    assert offered(shop, "explain", "unknown-f") == ["unknown-field"]


def test_commands_and_options_are_offered(shop: Path) -> None:
    assert set(offered(shop, "")) >= set(COMMANDS)
    assert offered(shop, "conf") == ["configure"]
    assert "--write" in offered(shop, "configure", "--w")


def test_nothing_is_offered_where_nothing_can_be_read(tmp_path: Path) -> None:
    assert offered(tmp_path, "stop", "") == []
    (tmp_path / "nexus.yaml").write_text("sandboxes: [1")
    assert offered(tmp_path, "plan", "--target", "sandbox.") == []


def test_an_address_may_lose_its_quotes_on_the_way(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-C", str(shop), "state", "show", "sandbox.worker[0]"]) == 0
    assert "id-u1" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_NEXUS_COMPLETE" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_without_importing_anything_heavy(shop: Path) -> None:
    binaries = Path(sys.executable).parent
    if not (binaries / "nexus").exists():
        pytest.skip("nexus is not installed beside Python")
    script = (
        'eval "$(nexus completion bash)"; COMP_WORDS=(nexus stop w); COMP_CWORD=2; '
        '_nexus_completion nexus; echo "${COMPREPLY[@]}"'
    )
    watched = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=shop, env=watched, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "web worker[0]\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time" in line}
    assert not imported & {"e2b", "httpx", "rich", "networkx", "cel"}


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(nexus completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -Uz compinit; compinit -u -D; eval "$(nexus completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "nexus completion fish | source"),
}
"""How each is started without the settings of whoever runs the tests, and what puts completion into it."""


@pytest.mark.parametrize(
    ("shell", "typed", "answer"),
    [
        ("bash", {"COMP_WORDS": "nexus stop w", "COMP_CWORD": "2"}, ["plain,web", "plain,worker[0]"]),
        ("zsh", {"COMP_WORDS": "nexus stop web", "COMP_CWORD": "2"}, ["plain", "web", "id-u0"]),
        ("fish", {"COMP_WORDS": "nexus stop we", "COMP_CWORD": "we"}, ["plain,web\tid-u0"]),
    ],
)
def test_each_shell_is_answered_in_its_own_way(
    shop: Path, shell: str, typed: dict[str, str], answer: list[str]
) -> None:
    asked = {**os.environ, **typed, "_NEXUS_COMPLETE": f"{shell}_complete", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "nexus"], cwd=shop, env=asked, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == answer


TYPED = {
    "nexus stop wor": "stop worker[0]",
    "nexus plan --target sandbox.we": "plan --target sandbox.web",
    "nexus state show sandbox.worker[": "state show sandbox.worker[0]",
    "nexus run etl ext": "run etl extract",
    "nexus explai": "explain",
}
"""What is typed before Tab, and what nexus gets when Enter follows."""

ZSH_TAKES_IT_FOR_A_SUBSCRIPT = "nexus state show sandbox.worker["


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_completed_in_a_shell_is_what_nexus_gets(shop: Path, shell: str) -> None:
    """Typed on a terminal: whatever the shell quotes of a completed word, it takes away again."""
    command, setup = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {shell}")
    received, program = shop / "received", shop / "programs" / "nexus"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
        if [ -n "$_NEXUS_COMPLETE" ] || [ "$1" = completion ]; then exec {shlex.quote(sys.executable)} -m nexus "$@"; fi
        echo "$*" >>{shlex.quote(str(received))}
        """
    )
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    settings = {"PATH": path, "HOME": str(shop), "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    lines = [line for line in TYPED if (shell, line) != ("zsh", ZSH_TAKES_IT_FOR_A_SUBSCRIPT)]
    with terminal(command, shop, settings) as keys:
        os.write(keys, "".join([f"{setup}\r", *(f"{line}\t\r" for line in lines)]).encode())
        deadline = time.monotonic() + 60
        while not received.exists() or len(received.read_text().splitlines()) < len(lines):
            assert time.monotonic() < deadline, received.read_text() if received.exists() else "nexus was not called"
            time.sleep(0.02)
    assert [line.strip() for line in received.read_text().splitlines()] == [TYPED[line] for line in lines]


@contextmanager
def terminal(command: list[str], folder: Path, settings: dict[str, str]) -> Iterator[int]:
    """A program on a terminal of its own, whose keys are written to what this gives. What it shows is thrown away."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=settings,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
    reader.start()
    try:
        yield ours
    finally:
        process.kill()
        process.wait()
        reader.join(timeout=10)
        os.close(ours)


def _drain(terminal: int) -> None:
    with suppress(OSError):  # Linux says so when the last program has closed its side
        while os.read(terminal, 65536):
            pass


def test_the_hooks_for_pre_commit_call_commands_that_exist() -> None:
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    hooks = read_yaml(text).value
    assert isinstance(hooks, list)
    for hook in hooks:
        assert isinstance(hook, dict)
        program, command = str(hook["entry"]).split()
        assert (program, command in COMMANDS) == ("nexus", True)
    assert formatted(text) == text
