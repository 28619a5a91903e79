"""Runs of nexus as processes of their own: ``python -m nexus`` as a user starts it, or forked from a warm process.

A fork does all that the command does, but need not import the program first: a test that starts hundreds takes minutes
instead of an hour. Either way there is one process to each run, with its own pid, and signals end it as they end any.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

WARM: Final = (
    "pytest",
    "nexus.cli.main",
    "nexus.cli.apply",
    "nexus.cli.plan",
    "nexus.cli.destroy",
    "nexus.cli.state",
    "nexus.wiring",
    "nexus.workflows.applying",
    "nexus.workflows.loading",
    "nexus.render.plan",
    "nexus.render.progress",
    "nexus.render.outputs",
    "nexus.render.documents",
    "nexus.local.daemon",
    "nexus.providers.e2b",
)
"""What a run imports, and pytest, which a forked process looks for because it is the main program's."""

Preparation = Callable[[], None]
"""Called in the forked process before the command line runs. Must be picklable."""

_one_at_a_time = threading.Lock()
"""A start looks after all processes that have ended, and an exit code can be read from the server only once."""

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(WARM))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``code`` is negative where a signal ended it."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return f"{self.stdout}\n{self.stderr}"

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    def expect(self, *codes: int) -> Outcome:
        """This outcome, if it has one of these exit codes; else the test fails with all that was said."""
        assert self.code in codes, f"exit code {self.code} instead of {codes}\n{self.text}"
        return self


class Run:
    """A run that goes on. Whatever it writes goes to files, so that it never waits for a reader."""

    def __init__(self, process: subprocess.Popen[bytes] | ForkServerProcess, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._has_ended = False
        assert process.pid is not None
        self.pid: int = process.pid

    def wait(self, limit: float = 120.0) -> Outcome:
        """Until it has ended; one that takes longer is killed, and the test fails."""
        code = self._code(limit)
        if code is None:
            self.kill()
            self._code(10.0)
            raise AssertionError(f"nexus ran for more than {limit:g} s\n{self.stdout}\n{self.stderr}")
        self._has_ended = True
        outcome = Outcome(code, self.stdout, self.stderr)
        for name in ("stdout", "stderr"):
            (self._folder / name).unlink()
        self._folder.rmdir()
        return outcome

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return (self._folder / "stdout").read_text(errors="replace")  # the last character may be half written

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text(errors="replace")

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Unless it has ended already: its id may be another's by now."""
        if not self._has_ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _code(self, limit: float) -> int | None:
        if isinstance(self._process, ForkServerProcess):
            wait([self._process.sentinel], limit)
            with _one_at_a_time:
                return self._process.exitcode
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return None


def start(arguments: Sequence[str], environment: Mapping[str, str], prepare: Preparation | None = None) -> Run:
    """Start a fork that runs one command line."""
    folder = _output_folder()
    process = _forks.Process(target=_main, args=(list(arguments), dict(environment), str(folder), prepare))
    with _one_at_a_time:
        process.start()
    return Run(process, folder)


def start_afresh(arguments: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Start ``python -m nexus`` itself."""
    folder = _output_folder()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        command = [sys.executable, "-m", "nexus", *arguments]
        process = subprocess.Popen(command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    return Run(process, folder)


def _output_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="nexus-run-"))
    for name in ("stdout", "stderr"):
        (folder / name).touch()
    return folder


def _main(arguments: list[str], environment: dict[str, str], folder: str, prepare: Preparation | None) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    if prepare is not None:
        prepare()
    from nexus.cli.main import run

    sys.exit(run(arguments))


@contextmanager
def oddly_named() -> Iterator[int]:
    """A process whose name is no text, as one that the kernel cut off within a character; yields its pid."""
    program = "import sys; open('/proc/self/comm', 'wb').write(b'caf\\xc3'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process.pid
