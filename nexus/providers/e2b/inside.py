"""The inside of one sandbox: commands, files, and the receipt, as handlers use them.

Everything that may hold a secret travels in files, never in the text of a command: command lines can be seen by every
process in a sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from e2b import AsyncSandbox, FileNotFoundException
from e2b.api.client.api.sandboxes import get_sandboxes_sandbox_id
from e2b.api.client.models import SandboxDetail, SandboxState
from e2b.sandbox.commands.command_handle import CommandExitException
from e2b.sandbox.filesystem.filesystem import WriteEntry
from e2b.sandbox_async.commands.command_handle import AsyncCommandHandle

from nexus.providers.base import ProviderError
from nexus.providers.e2b import errors, receipts
from nexus.providers.e2b.connection import Connection
from nexus.providers.e2b.output import Output, Sink
from nexus.providers.e2b.receipts import Receipt
from nexus.providers.e2b.rest import answer

ROOT: Final = "root"
RUN_FOLDER: Final = "/run/nexus"
"""Memory, not disk: what may hold secrets lies here."""
JOBS_FOLDER: Final = f"{RUN_FOLDER}/jobs"
ENV_FILE: Final = f"{RUN_FOLDER}/env"
_BOOT_FILE: Final = f"{RUN_FOLDER}/boot"
"""A name for the time since memory was last lost; the kernel's own id of the boot is the host's, in a container."""
_PROFILE: Final = "/etc/profile.d/nexus-env.sh"

OWN_WORK: Final = "# nexus: its own work"
"""How commands begin that no user asked for. E2B's log has the text of commands, so they are told apart there."""

# Everybody may have jobs and nobody may list them; a job's own folder has a name that can't be guessed.
_PREPARE: Final = f"""
mkdir -p {RUN_FOLDER} {receipts.FOLDER} && mkdir -p {JOBS_FOLDER} && chmod 1733 {JOBS_FOLDER} || exit 1
if [ ! -f {_PROFILE} ]; then
  mkdir -p /etc/profile.d && echo 'if [ -r {ENV_FILE} ]; then . {ENV_FILE}; fi' > {_PROFILE} || exit 1
fi
[ -s {_BOOT_FILE} ] || cat /proc/sys/kernel/random/uuid > {_BOOT_FILE}
echo "boot $(cat {_BOOT_FILE})"
[ -e {ENV_FILE} ] && echo env
cat {receipts.PATH} 2>/dev/null || true
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended. ``stdout`` and ``stderr`` are empty where output went to a report instead."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    error: str = ""


class Inside:
    """One sandbox that runs, and what nexus knows of its inside."""

    def __init__(self, sandbox: AsyncSandbox, address: str) -> None:
        self.sandbox = sandbox
        self.address = address
        self.boot = ""
        self.has_env_file = False
        self._receipt: Receipt | None = None

    @property
    def id(self) -> str:
        return self.sandbox.sandbox_id

    async def receipt(self) -> Receipt:
        """What the sandbox says was done in it. Makes the folders that everything else here needs, once."""
        if self._receipt is None:
            finished = await self.run(_PREPARE, user=ROOT, cwd="/")
            if finished.exit_code != 0:
                raise errors.execution_failed(
                    "The sandbox could not be prepared",
                    exit_code=finished.exit_code,
                    output=finished.stderr or finished.error,
                    address=self.address,
                )
            first, _, rest = finished.stdout.partition("\n")
            self.boot = first.removeprefix("boot ").strip()
            self.has_env_file = rest.startswith("env\n")
            self._receipt = Receipt.from_json(rest.removeprefix("env\n"))
        return self._receipt

    async def peek(self) -> Receipt:
        """The same for who only looks: nothing is made, and nothing kept in mind."""
        finished = await self.run(f"cat {receipts.PATH} 2>/dev/null", user=ROOT, cwd="/")
        return Receipt.from_json(finished.stdout)

    def remember(self, receipt: Receipt) -> None:
        """Takes note of a receipt that a command has just written."""
        self._receipt = receipt

    async def run(
        self,
        command: str,
        *,
        user: str,
        cwd: str | None = None,
        envs: Mapping[str, str] | None = None,
        output: Sink | None = None,
        stdin: AsyncIterator[bytes] | None = None,
        own: bool = True,
    ) -> Finished:
        """Run ``command`` under ``bash -l`` to its end, however long that takes; a non-zero exit is no error here.

        ``stdin`` is handed on as it comes, for as long as the command runs; without one its input is empty. What is not
        nexus' ``own`` work shows in the sandbox's log.
        """
        try:
            handle = await self.sandbox.commands.run(
                f"{OWN_WORK}\n{command}" if own else command,
                background=True,
                user=user,
                cwd=cwd,
                envs=dict(envs) if envs else None,
                timeout=0,
                stdin=stdin is not None,
                on_stdout=output.stdout if output else None,
                on_stderr=output.stderr if output else None,
                retain_output=output is None,
            )
        except Exception as problem:
            raise _command_problem(problem, self.address, user, cwd) from problem
        done = False
        feeding = None if stdin is None else _Feeding(handle, stdin)
        try:
            result = await handle.wait()
            done = True
            return Finished(result.exit_code, result.stdout or "", result.stderr or "", result.error or "")
        except CommandExitException as ended:
            done = True
            return Finished(ended.exit_code, ended.stdout or "", ended.stderr or "", ended.error or "")
        except Exception as problem:
            raise errors.translate(problem, self.address) from problem
        finally:
            if feeding is not None:
                await feeding.end()
            if not done:
                await handle.disconnect()
            if output is not None:
                output.close()

    async def check(self, command: str, *, user: str = ROOT, summary: str, output: Output | None = None) -> str:
        """Run ``command`` and return what it wrote; a non-zero exit is a ProviderError with ``summary``."""
        finished = await self.run(command, user=user, output=output)
        if finished.exit_code != 0:
            detail = output.tail if output is not None else finished.stderr or finished.stdout or finished.error
            raise errors.execution_failed(
                f"{summary} (exit code {finished.exit_code})",
                exit_code=finished.exit_code,
                output=detail,
                address=self.address,
            )
        return finished.stdout

    async def write(self, files: Mapping[str, bytes], *, user: str) -> None:
        """Write small files in one request. Missing folders are made; everything belongs to ``user``."""
        entries: Sequence[WriteEntry] = [WriteEntry(path=path, data=data) for path, data in files.items()]
        try:
            await self.sandbox.files.write_files(entries, user=user)
        except Exception as problem:
            raise _command_problem(problem, self.address, user, None) from problem

    async def send(self, path: str, data: AsyncIterator[bytes], *, user: str, compress: bool = False) -> None:
        """Write one file from a stream of any length, in one request without a time limit."""
        try:
            await self.sandbox.files.write(path, data, user=user, gzip=compress, use_octet_stream=True)
        except Exception as problem:
            raise errors.translate(problem, self.address) from problem

    async def receive(self, path: str, *, user: str) -> AsyncIterator[bytes]:
        """Read one file as a stream. Raises ProviderError with the code ``file-not-found`` when it is not there."""
        try:
            reader = await self.sandbox.files.read(path, format="stream", user=user)
        except FileNotFoundException as problem:
            raise errors.failure(
                "file-not-found",
                f"There is no file {path} in the sandbox",
                address=self.address,
            ) from problem
        except Exception as problem:
            raise errors.translate(problem, self.address) from problem
        async with reader:
            try:
                async for chunk in reader:
                    yield chunk
            except Exception as problem:
                raise errors.translate(problem, self.address) from problem


class Sandboxes:
    """Sandboxes by id, each looked up once: the SDK's own connect would prolong their lives."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, Inside] = {}

    def adopt(self, sandbox: AsyncSandbox, address: str) -> Inside:
        """Takes a sandbox that the SDK has just made or resumed."""
        inside = Inside(sandbox, address)
        self._known[inside.id] = inside
        return inside

    def forget(self, sandbox_id: str) -> None:
        self._known.pop(sandbox_id, None)

    async def open(self, sandbox_id: str, address: str) -> Inside:
        """The inside of a running sandbox. Raises Gone, or ProviderError where it is paused."""
        known = self._known.get(sandbox_id)
        return known if known is not None else self.enter(await self.look_up(sandbox_id, address), address)

    async def look_up(self, sandbox_id: str, address: str) -> SandboxDetail:
        """What E2B tells of a running sandbox now. Raises as :meth:`open` does."""
        response = await get_sandboxes_sandbox_id.asyncio_detailed(sandbox_id, client=self._connection.api)
        if response.status_code == 404:
            raise errors.gone(address)
        detail = answer(response, SandboxDetail, address)
        if detail.state is not SandboxState.RUNNING:
            raise errors.not_running(address)
        return detail

    def enter(self, detail: SandboxDetail, address: str) -> Inside:
        """The inside of a sandbox that was looked up."""
        known = self._known.get(detail.sandbox_id)
        return known if known is not None else self.adopt(self._opened(detail), address)

    async def explain(self, sandbox_id: str, address: str) -> ProviderError:
        """Why a sandbox does not answer that should: E2B says the same of those that are gone and of paused ones."""
        self.forget(sandbox_id)
        response = await get_sandboxes_sandbox_id.asyncio_detailed(sandbox_id, client=self._connection.api)
        return errors.gone(address) if response.status_code == 404 else errors.not_running(address)

    def _opened(self, detail: SandboxDetail) -> AsyncSandbox:
        return self._connection.client.AsyncSandbox(**self._connection.sandbox_options(detail))


class _Feeding:
    """Hands input to a command while it runs. One that has ended, or does not read, says so by how it ends."""

    def __init__(self, handle: AsyncCommandHandle[Any], stdin: AsyncIterator[bytes]) -> None:
        self._handle = handle
        self._stdin = stdin
        self._ended = asyncio.Event()
        self._task = asyncio.create_task(self._feed())

    async def end(self) -> None:
        """The command has ended. Only the wait for input is given up: a request under way is let come to its end."""
        self._ended.set()
        await self._task

    async def _feed(self) -> None:
        with contextlib.suppress(Exception):
            while (chunk := await self._next()) is not None:
                await self._handle.send_stdin(chunk)
            if not self._ended.is_set():
                await self._handle.close_stdin()

    async def _next(self) -> bytes | None:
        """The next piece of input; None when there is no more, or nobody to take it."""
        coming = asyncio.ensure_future(anext(self._stdin, None))
        ended = asyncio.ensure_future(self._ended.wait())
        done, waiting = await asyncio.wait((coming, ended), return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return coming.result() if coming in done else None


_NO_FOLDER: Final = re.compile(r"cwd '.*' does not exist")


def _command_problem(problem: Exception, address: str, user: str, cwd: str | None) -> ProviderError:
    if cwd is not None and _NO_FOLDER.search(str(problem)):
        return errors.failure(
            "no-working-directory",
            f"The sandbox has no folder {cwd}",
            hint="make it first, for example with run_commands",
            address=address,
        )
    if "invalid username" in str(problem):
        return errors.failure(
            "unknown-user",
            f"The sandbox has no user {user}",
            hint="name a user that its template has, such as user or root",
            address=address,
        )
    return errors.translate(problem, address)
