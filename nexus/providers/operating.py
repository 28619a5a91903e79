"""What commands ask of live sandboxes, beside the plan and its operations: run, look, copy, pause, delete.

Nothing here touches the state: what a command changes on a declared sandbox is seen as drift by the next plan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from nexus.kinds.step_fields import Language
from nexus.model.diagnostics import Diagnostic
from nexus.providers.carrying import Carried, Incoming, OnBytes, RemoteFile, RemotePlace, RemoteTree, Shipment
from nexus.providers.configuring import Configuration, Reached
from nexus.providers.reporting import Report

KEPT_OUTPUT: Final = 16 * 1024 * 1024
"""Characters of each stream that are remembered of an execution's output, unless it is said otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSandbox:
    """A sandbox as E2B shows it. ``status`` is running or paused; ``metadata`` is the user's own.

    ``address``, ``project``, ``environment`` and ``uid`` are empty for sandboxes that nexus did not make.
    """

    id: str
    status: str
    template: str
    started_at: datetime
    expires_at: datetime
    cpus: int
    memory_mib: int
    address: str = ""
    project: str = ""
    environment: str = ""
    uid: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Code to run in a sandbox. ``timeout`` in seconds bounds the whole tree of processes; None waits for ever.

    ``stdin`` may be a stream: it is handed on while the code runs, and the code does not have to wait for its end.
    ``kept`` is how many characters of each output stream are remembered: of more, the beginning and the end.
    """

    code: str
    language: Language = Language.BASH
    user: str = "user"
    working_dir: str | None = None
    env_vars: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | AsyncIterator[bytes] | None = None
    timeout: float | None = None
    kept: int = KEPT_OUTPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """How it ended. ``seconds`` is wall time; CPU time in seconds and memory in bytes are None where unknown.

    Where output was too much to be remembered, a line says in ``stdout`` or ``stderr`` how much is missing.
    """

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    cpu_seconds: float | None = None
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line that E2B keeps about a sandbox.

    Lines about one process, or one request for a file, share their ``operation``. ``own`` is whether that is work of
    nexus itself; None where the line doesn't tell, and another one of the operation does.
    """

    time: datetime
    level: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    operation: str = ""
    own: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOutput:
    """What the start_command of a sandbox has printed: its last ``lines``, of ``total``, ``size`` bytes in all."""

    lines: Sequence[str]
    total: int
    size: int
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a sandbox used at a moment. ``cpu_percent`` is of all its CPUs; sizes are in bytes."""

    time: datetime
    cpus: int
    cpu_percent: float
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Executions:
    """What nexus ran in a sandbox: how many, how many of them failed, their seconds in all, when the last one ended."""

    total: int = 0
    failed: int = 0
    seconds: float = 0.0
    last: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a running sandbox holds of its own: files on its disk, their bytes, and processes."""

    files: int
    disk_used: int
    processes: int
    executions: Executions


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a look into a running sandbox tells. Versions and counts are None where there is no such thing.

    ``env_names`` are the variables that its commands see, without those of every shell; never their values.
    """

    executions: Executions
    bytes_sent: int
    bytes_received: int
    home: str
    python_version: str | None
    pip_packages: int | None
    node_version: str | None
    env_names: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRules:
    """Which destinations a sandbox may reach; ``internet`` is false where everything else is denied."""

    internet: bool
    allow: Sequence[str]
    deny: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What sandboxes can be made from: ``id`` is what ``template:`` of a sandbox takes; ``names`` are full names."""

    id: str
    names: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forks:
    """Ids of the new sandboxes, and why others could not be made."""

    ids: Sequence[str]
    problems: Sequence[Diagnostic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that was written; ``mode`` holds its permissions."""

    path: str
    size: int
    sha256: str
    mode: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What was changed about a live sandbox, in counts.

    ``restart_required``: a process runs that still has the variables from before. ``seconds`` is wall time. ``written``
    is the file of the manifest that says so from now on, "" where none does.
    """

    sandbox: LiveSandbox
    env_updated: int
    env_removed: int
    installed: int
    uninstalled: int
    commands: int
    network_changed: bool
    restart_wanted: bool
    restarted: bool
    restart_required: bool
    has_anthropic_key: bool
    seconds: float
    written: str = ""


class Terminal(Protocol):
    """An interactive shell in a sandbox."""

    async def send(self, data: bytes) -> None: ...

    async def resize(self, columns: int, rows: int) -> None: ...

    async def wait(self) -> int:
        """Its exit code, once it has ended."""

    async def close(self) -> None:
        """End it. Succeeds when it has ended already."""


class Operator(Protocol):
    """Live sandboxes by their id at E2B. Every method raises ProviderError when it fails; Gone when the sandbox is."""

    async def list(self, labels: Mapping[str, str]) -> Sequence[LiveSandbox]:
        """All sandboxes with these labels in their metadata, the newest first; all of the account without any."""

    async def look(self, sandbox_id: str) -> LiveSandbox: ...

    async def execute(
        self, sandbox_id: str, execution: Execution, on_output: Callable[[str, str], None] | None = None
    ) -> Executed:
        """Run code to its end. ``on_output`` is handed (stdout or stderr, text) as it comes.

        Cancelling it ends the code in the sandbox too.
        """

    async def logs(self, sandbox_id: str, *, limit: int = 1000, since: datetime | None = None) -> Sequence[LogEntry]:
        """The newest ``limit`` entries, or the first ones from ``since`` on; the oldest first either way."""

    async def start_output(self, sandbox_id: str, lines: int) -> StartOutput | None:
        """The last ``lines`` that the sandbox's start_command has printed; None without one, or while it is paused."""

    async def follow_start_output(self, sandbox_id: str, skip: int, on_line: Callable[[int, str], None]) -> None:
        """Hand on what start_command prints after so many lines, as it comes: each line with its number, from 1 on.

        Returns after a while, and at once for a sandbox that is paused. The command may be started again: so are the
        numbers then.
        """

    async def usage(self, sandbox_id: str, *, since: datetime | None = None) -> Sequence[Usage]: ...

    async def measure(self, sandbox_ids: Sequence[str]) -> Mapping[str, Usage]:
        """The newest usage of many at once, by id; those of which nothing is known yet are left out."""

    async def executions(self, sandbox_id: str) -> Executions:
        """What nexus ran in a running sandbox so far."""

    async def last_execution(self, sandbox_id: str) -> datetime | None:
        """When the last thing that nexus ran in a running sandbox ended. Starts no process there."""

    async def contents(self, sandbox_id: str) -> Contents:
        """What is lost when a running sandbox is deleted. Counts every file on its disk, which may take a moment."""

    async def surroundings(self, sandbox_id: str, *, user: str = "user") -> Surroundings:
        """What commands of ``user`` find in a running sandbox, and what nexus ran in it."""

    async def network(self, sandbox_id: str) -> NetworkRules:
        """The rules of its network as they are now."""

    async def snapshot(self, sandbox_id: str, name: str | None = None) -> Snapshot:
        """Keep what is in a running sandbox, under ``name`` where one is given. The sandbox goes on."""

    async def fork(self, sandbox_id: str, count: int, lifetime: int) -> Forks:
        """Make ``count`` sandboxes of what is in a running one; each lives for so many seconds, or fails on its own."""

    async def configure(self, sandbox_id: str, wanted: Configuration, report: Report) -> Reached:
        """Change a running sandbox. Nothing of it is noted as applied; what was changed before a failure stays."""

    async def pause(self, sandbox_id: str) -> bool:
        """Stop it, keeping memory and disk. False when it was paused already."""

    async def resume(self, sandbox_id: str, lifetime: int) -> None:
        """Make it run again, for at least so many seconds."""

    async def kill(self, sandbox_id: str) -> bool:
        """Remove it for good. False when it was gone already."""

    async def set_timeout(self, sandbox_id: str, lifetime: int) -> None:
        """Give it ``lifetime`` seconds from now."""

    async def claim(self, sandbox_id: str, lifetime: int, *, again: bool = False) -> LiveSandbox | None:
        """Mark it as somebody's own, for everybody who looks at it; it runs from then on, for ``lifetime`` seconds.

        None, and nothing is done, where it bears that mark already, unless it is claimed ``again``.
        """

    def read(self, sandbox_id: str, path: str, *, user: str = "user") -> AsyncIterator[bytes]:
        """The content of a file, as a stream."""

    async def write(
        self,
        sandbox_id: str,
        path: str,
        data: AsyncIterator[bytes],
        *,
        user: str = "user",
        mode: int | None = None,
    ) -> Written:
        """Write a file from a stream; missing folders are made and belong to ``user``."""

    async def locate(self, sandbox_id: str, path: str, *, user: str = "user") -> RemotePlace:
        """``path`` made absolute, from the home of ``user`` where it is relative, and what is there."""

    def put(
        self, sandbox_id: str, shipment: Shipment, *, user: str = "user", on_bytes: OnBytes
    ) -> AsyncIterator[Carried]:
        """Put files, folders and links in their places, belonging to ``user``; tells of each file that has arrived."""

    async def list_tree(self, sandbox_id: str, path: str, *, user: str = "user") -> RemoteTree:
        """What is at ``path``, with the digests of all files."""

    def fetch(self, sandbox_id: str, files: Sequence[RemoteFile], *, user: str = "user") -> Incoming:
        """The contents of files of the sandbox."""

    async def url(self, sandbox_id: str, port: int) -> str:
        """A URL that answers for this port."""

    async def terminal(
        self,
        sandbox_id: str,
        on_data: Callable[[bytes], None],
        *,
        columns: int,
        rows: int,
        user: str = "user",
        working_dir: str | None = None,
        env_vars: Mapping[str, str] | None = None,
    ) -> Terminal:
        """Open an interactive shell; what it writes is handed to ``on_data``."""
