"""One live sandbox: code in it, its files and logs, its time to live, and the object of E2B's own SDK for it."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nexus.api.errors import NexusError
from nexus.api.events import leave_interrupts
from nexus.api.live import BindInterrupt, Ground, Grounds
from nexus.kinds.step_fields import Language
from nexus.model.values import Sensitive
from nexus.providers.base import ProviderError
from nexus.providers.operating import (
    KEPT_OUTPUT,
    Configured,
    Executed,
    Execution,
    Forks,
    LogEntry,
    Snapshot,
    Terminal,
)
from nexus.workflows import carrying, configuring, lifetimes, multiplying, operating
from nexus.workflows import logs as logging
from nexus.workflows import status as looking
from nexus.workflows.carrying import Copied
from nexus.workflows.lifetimes import Deleted, Moved, Stopped
from nexus.workflows.logs import Logs, Wanted
from nexus.workflows.operating import Sandbox as FoundSandbox
from nexus.workflows.operating import about
from nexus.workflows.operating import problem_of as problem_of
from nexus.workflows.status import Status

if TYPE_CHECKING:
    from e2b import AsyncSandbox, Sandbox

Level = Literal["debug", "info", "warn", "error"]
LanguageName = Literal["bash", "python", "javascript"]


class AsyncSandboxHandle:
    """A sandbox by name. Made by ``sandbox(name)`` of a project or an account.

    Every method finds the sandbox anew, and raises NexusError with the code ``sandbox-not-found`` when there is none.
    What is changed here is not declared anywhere: the next plan of its project shows it. Times are in seconds.
    """

    def __init__(self, grounds: Grounds, name: str) -> None:
        self._grounds = grounds
        self._name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    @property
    def name(self) -> str:
        """As it was asked for."""
        return self._name

    async def id(self) -> str:
        """Its id at E2B, as of now."""
        return (await self.found()).id

    async def found(self) -> FoundSandbox:
        """Which one it is, as of now: its id, its address, and as whom things run in it."""
        async with self._found() as (_, sandbox):
            return sandbox

    async def e2b(self) -> AsyncSandbox:
        """The same as :meth:`sync_e2b` for an event loop: an ``e2b.AsyncSandbox``."""
        async with self._found() as (ground, sandbox):
            with about(sandbox):
                return await ground.connected.async_sdk_sandbox(sandbox.id, str(sandbox))

    async def exec(
        self,
        code: str | Sequence[str],
        *,
        language: Language | LanguageName = "bash",
        user: str | None = None,
        working_dir: str | None = None,
        env_vars: Mapping[str, str] | None = None,
        stdin: bytes | AsyncIterator[bytes] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it bounds what runs in the sandbox
        keep: int | None = None,
        on_output: Callable[[str, str], None] | None = None,
    ) -> Executed:
        """Run code to its end; a sequence of words is one command with its arguments, run as it is.

        ``on_output`` is handed (stdout or stderr, text) as it is written; the result has the exit code, and of each
        stream ``keep`` characters (16 Mi if not said): of more, the beginning and the end. A ``stdin`` that is a stream
        is handed on while the code runs. When ``timeout`` is up, the whole tree of its processes is ended. It runs as
        the sandbox's own user in that one's home if nothing else is said.
        """
        async with self._found() as (ground, sandbox):
            execution = Execution(
                code=code if isinstance(code, str) else shlex.join(code),
                language=Language(language),
                user=user or sandbox.user,
                working_dir=working_dir,
                env_vars=dict(env_vars or {}),
                stdin=stdin,
                timeout=timeout,
                kept=KEPT_OUTPUT if keep is None else keep,
            )
            return await operating.execute(ground.operator, sandbox, execution, on_output or _discard)

    @asynccontextmanager
    async def terminal(
        self,
        on_data: Callable[[bytes], None],
        *,
        columns: int = 80,
        rows: int = 24,
        user: str | None = None,
        working_dir: str | None = None,
        env_vars: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Terminal]:
        """An interactive shell on a terminal of its own, which ends with the block; ``on_data`` gets what it writes."""
        async with self._found() as (ground, sandbox):
            with about(sandbox):
                shell = await ground.operator.terminal(
                    sandbox.id,
                    on_data,
                    columns=columns,
                    rows=rows,
                    user=user or sandbox.user,
                    working_dir=working_dir,
                    env_vars=env_vars,
                )
                try:
                    yield shell
                finally:
                    with suppress(ProviderError):  # a sandbox that does not answer has said so already
                        await shell.close()

    async def logs(self, *, lines: int = 100, level: Level | None = None, own: bool = False) -> Logs:
        """The last ``lines`` of what E2B keeps of what it said and of what its start_command prints, the oldest first.

        ``level`` leaves out what is below it. With ``own`` there is also what is about nexus' own work in it: setting
        it up, and looking into it.
        """
        async with self._found(hide_secrets=True) as (ground, sandbox):
            return await logging.read_logs(ground.operator, sandbox, lines, Wanted(level, own))

    async def follow_logs(
        self, *, lines: int = 0, level: Level | None = None, own: bool = False
    ) -> AsyncIterator[LogEntry]:
        """What it says from now on, as it comes, until it is gone; before that, the last ``lines`` of what it said.

        With ``own`` also what is about nexus' own work in it.
        """
        async with self._found(hide_secrets=True) as (ground, sandbox):
            async for entry in logging.follow_logs(ground.operator, sandbox, lines, Wanted(level, own)):
                yield entry

    async def status(self) -> Status:
        """All that can be told of it. A paused one is not woken."""
        async with self._found() as (ground, sandbox):
            alerts = self._grounds.alerts(sandbox.address) if sandbox.address else {}
            return await looking.look_at(ground.place, ground.operator, sandbox, alerts)

    async def url(self, port: int) -> str:
        """A URL that answers for this port, from here."""
        async with self._found() as (ground, sandbox):
            with about(sandbox):
                return await ground.operator.url(sandbox.id, port)

    async def upload(
        self,
        source: str | os.PathLike[str],
        target: str,
        *,
        user: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Copied:
        """Put a file, or what is in a folder, at ``target``; existing files are written over, checksums verified.

        ``on_progress`` is told how many bytes have been carried by now, and of how many.
        """
        async with self._found() as (ground, sandbox):
            owner = user or sandbox.user
            return await carrying.upload(
                ground.operator, sandbox, Path(source), target, owner, on_progress or _no_progress
            )

    async def write(self, target: str, content: bytes) -> Copied:
        """Write one file, belonging to its user, over what is there. Missing folders are made."""
        async with self._found() as (ground, sandbox):
            return await carrying.write_content(ground.operator, sandbox, target, content)

    async def download(
        self,
        source: str,
        target: str | os.PathLike[str],
        *,
        user: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Copied:
        """Copy a file, or what is in a folder, to here: into ``target`` where that is a folder or ends in a slash.

        Nothing is written outside of ``target``, whatever the sandbox says.
        """
        into_folder = os.fspath(target).endswith(("/", os.sep))
        async with self._found() as (ground, sandbox):
            return await carrying.download(
                ground.operator,
                sandbox,
                source,
                Path(target),
                user or sandbox.user,
                on_progress or _no_progress,
                into_folder=into_folder,
            )

    async def configure(
        self,
        *,
        env_vars: Mapping[str, str | Sensitive] | None = None,
        secrets: Mapping[str, str] | None = None,
        unset: Sequence[str] = (),
        install: Sequence[str] = (),
        uninstall: Sequence[str] = (),
        run_commands: Sequence[str] = (),
        internet: bool | None = None,
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
        restart: bool = False,
        write: bool = False,
        on_progress: Callable[[str], None] | None = None,
        on_output: Callable[[str, str], None] | None = None,
        bind_interrupt: BindInterrupt | None = None,
        lock_timeout: float = 0.0,
    ) -> Configured:
        """Change it now, beside any plan: its network, variables, packages, then the commands, then the restart.

        ``secrets`` are names of the project's secrets, by the variable that is to hold them. Packages are written as in
        a manifest: ``httpx``, ``apt:jq``. ``on_progress`` is told in sentences what is going on, ``on_output`` is
        handed (stream, line) of what is written meanwhile.

        ``write`` makes the same changes to its block in the manifest, and applies them, so that there is nothing left
        to plan; only :class:`AsyncProject` can. Then a Sensitive variable is refused, and what ``bind_interrupt`` is
        handed ends it between two steps.
        """
        given = env_vars or {}
        changes = configuring.Changes(
            env_vars=given if write else {name: _as_secret(value) for name, value in given.items()},
            secrets=dict(secrets or {}),
            unset=unset,
            install=install,
            uninstall=uninstall,
            run_commands=run_commands,
            internet=internet,
            allow=allow,
            deny=deny,
            restart=restart,
        )
        report = _Telling(on_progress or _unheard, on_output or _discard)
        async with self._found() as (ground, sandbox):
            complete = configuring.with_secrets(ground.place, changes, self._grounds.process)
            if not write:
                return await configuring.configure(ground.place, ground.operator, sandbox, complete, report)
            return await self._grounds.write_back(
                ground, sandbox, complete, report, bind_interrupt or leave_interrupts, lock_timeout
            )

    async def stop(self) -> Stopped:
        """Pause it, with its memory and disk kept. One that is paused stays so."""
        async with self._found() as (ground, sandbox):
            return await lifetimes.stop(ground.operator, sandbox)

    async def start(self, *, lifetime: int | None = None) -> Moved:
        """Make a paused one run again, for its own timeout if not said. One that runs is left alone."""
        async with self._found() as (ground, sandbox):
            return await lifetimes.start(ground.operator, sandbox, lifetime)

    async def extend(self, lifetime: int) -> Moved:
        """Let it live for so many seconds from now, whether that is longer or shorter than it had."""
        async with self._found() as (ground, sandbox):
            return await lifetimes.extend(ground.operator, sandbox, lifetime)

    async def delete(self) -> Deleted:
        """Remove it for good, with all that is in it. A declared one is made again by the next apply."""
        async with self._found() as (ground, sandbox):
            live = await lifetimes.find_each(ground.operator, [sandbox])
            deletion = await lifetimes.delete(ground.operator, live)
        if deletion.problems:
            raise NexusError(deletion.problems)
        return deletion.deleted[0]

    async def snapshot(self, name: str | None = None) -> Snapshot:
        """Keep what is in it, to make sandboxes from: its ``id`` is what ``template:`` takes. It goes on."""
        async with self._found() as (ground, sandbox):
            return await multiplying.take_snapshot(ground.operator, sandbox, name)

    async def fork(self, count: int = 1, *, lifetime: int | None = None) -> Forks:
        """Make ``count`` more like it. No plan knows of them; each can be made or fail on its own."""
        async with self._found() as (ground, sandbox):
            return await multiplying.fork(ground.operator, sandbox, count, lifetime)

    async def sync_e2b(self) -> Sandbox:
        """The sandbox as an ``e2b.Sandbox`` of E2B's own SDK, which talks to where it is, with the right key.

        It has to run. Unlike the SDK's ``connect``, this does not change how long it lives.
        """
        async with self._found() as (ground, sandbox):
            with about(sandbox):
                return await ground.connected.sdk_sandbox(sandbox.id, str(sandbox))

    @asynccontextmanager
    async def _found(self, *, hide_secrets: bool = False) -> AsyncIterator[tuple[Ground, FoundSandbox]]:
        async with self._grounds.open(hide_secrets=hide_secrets) as ground:
            yield ground, await ground.find(self._name)


class _Telling:
    """A report that hands on what is going on, and what is written."""

    def __init__(self, on_progress: Callable[[str], None], on_output: Callable[[str, str], None]) -> None:
        self.progress = on_progress
        self.log = on_output


def _as_secret(value: str | Sensitive) -> Sensitive:
    return value if isinstance(value, Sensitive) else Sensitive(value)


def _discard(stream: str, text: str) -> None:
    """The result has it all."""


def _unheard(message: str) -> None:
    """Nobody watches."""


def _no_progress(done: int, total: int) -> None:
    """Nobody asked."""
