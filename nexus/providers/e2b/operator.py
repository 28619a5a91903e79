"""Commands on live sandboxes: see :class:`nexus.providers.operating.Operator`."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from e2b import PtySize, SandboxInfo, SandboxState
from e2b.api.client.api.sandboxes import get_v_2_sandboxes_sandbox_id_logs
from e2b.api.client.models import LogsDirection, SandboxLogsV2Response
from e2b.api.client.types import UNSET
from e2b.exceptions import SandboxNotFoundException
from e2b.sandbox.commands.command_handle import CommandExitException
from e2b.sandbox_async.commands.command_handle import AsyncCommandHandle

from nexus.model.values import Value, has_sensitive, reveal
from nexus.providers.base import ProviderError
from nexus.providers.carrying import Carried, Incoming, OnBytes, RemoteFile, RemotePlace, RemoteTree, Shipment
from nexus.providers.configuring import Configuration, Reached
from nexus.providers.e2b import (
    carrying,
    configuring,
    errors,
    inspection,
    looking,
    marking,
    metadata,
    start_output,
)
from nexus.providers.e2b.accounts import list_sandboxes
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.jobs import Job, collect, run_job
from nexus.providers.e2b.log_entries import log_entry
from nexus.providers.e2b.network_rules import network_of
from nexus.providers.e2b.output import Capture
from nexus.providers.e2b.redaction import RedactedReport, Redactor
from nexus.providers.e2b.rest import answer
from nexus.providers.e2b.sandbox import environment
from nexus.providers.e2b.step import RUNNERS
from nexus.providers.e2b.urls import url_of
from nexus.providers.e2b.world import World
from nexus.providers.operating import (
    Contents,
    Executed,
    Execution,
    Executions,
    Forks,
    LiveSandbox,
    LogEntry,
    NetworkRules,
    Snapshot,
    StartOutput,
    Surroundings,
    Usage,
    Written,
)
from nexus.providers.reporting import Report

T = TypeVar("T")


class E2BOperator:
    """One instance shares the connection of a provider. ``secrets`` are taken out of logs."""

    def __init__(self, world: World, secrets: Callable[[], Iterable[str]]) -> None:
        self._world = world
        self._secrets = secrets

    async def list(self, labels: Mapping[str, str]) -> Sequence[LiveSandbox]:
        return [_live(info) for info in await _told(list_sandboxes(self._world.connection, labels))]

    async def look(self, sandbox_id: str) -> LiveSandbox:
        return _live(await _told(self._class.get_info(sandbox_id), sandbox_id))

    async def execute(
        self, sandbox_id: str, execution: Execution, on_output: Callable[[str, str], None] | None = None
    ) -> Executed:
        inside = await self._open(sandbox_id)
        capture = Capture(on_output, execution.kept)
        job = Job(
            script=execution.code,
            user=execution.user,
            runner=RUNNERS[execution.language],
            cwd=execution.working_dir,
            env=execution.env_vars,
            stdin=execution.stdin if isinstance(execution.stdin, bytes) else None,
            input=None if isinstance(execution.stdin, bytes) else execution.stdin,
            ended_with_us=True,
            timeout=execution.timeout,
            measured=True,
        )
        ran = await _told(run_job(inside, job, capture), sandbox_id)
        usage, _ = await _told(collect(inside, ran), sandbox_id)
        return Executed(
            exit_code=ran.finished.exit_code,
            stdout=capture.text("stdout"),
            stderr=capture.text("stderr"),
            seconds=ran.seconds,
            timed_out=ran.timed_out,
            cpu_seconds=usage.cpu_seconds,
            peak_memory=usage.peak_memory,
        )

    async def logs(self, sandbox_id: str, *, limit: int = 1000, since: datetime | None = None) -> Sequence[LogEntry]:
        newest_first = since is None
        request = get_v_2_sandboxes_sandbox_id_logs.asyncio_detailed(
            sandbox_id,
            client=self._world.connection.api,
            limit=limit,
            direction=LogsDirection.BACKWARD if newest_first else LogsDirection.FORWARD,
            cursor=UNSET if since is None else int(since.timestamp() * 1000),
        )
        response = await _told(request, sandbox_id)
        if response.status_code == 404:
            raise errors.gone(sandbox_id)
        shown = Redactor(self._secrets()).text
        entries = [log_entry(line, shown) for line in answer(response, SandboxLogsV2Response, sandbox_id).logs]
        return entries[::-1] if newest_first else entries

    async def start_output(self, sandbox_id: str, lines: int) -> StartOutput | None:
        if (await self.look(sandbox_id)).status != "running":
            return None
        inside = await self._open(sandbox_id)
        return await _told(start_output.read(inside, lines, Redactor(self._secrets()).text), sandbox_id)

    async def follow_start_output(self, sandbox_id: str, skip: int, on_line: Callable[[int, str], None]) -> None:
        # A request to a paused sandbox may wake it.
        if (await self.look(sandbox_id)).status != "running":
            return
        inside, shown = await self._open(sandbox_id), Redactor(self._secrets()).text
        following = start_output.follow(inside, skip, lambda number, line: on_line(number, shown(line)))
        await _told(following, sandbox_id)

    async def usage(self, sandbox_id: str, *, since: datetime | None = None) -> Sequence[Usage]:
        found = await _told(self._class.get_metrics(sandbox_id, start=since), sandbox_id)
        return [
            Usage(
                time=item.timestamp,
                cpus=item.cpu_count,
                cpu_percent=item.cpu_used_pct,
                memory_used=item.mem_used,
                memory_total=item.mem_total,
                disk_used=item.disk_used,
                disk_total=item.disk_total,
            )
            for item in found
        ]

    async def measure(self, sandbox_ids: Sequence[str]) -> Mapping[str, Usage]:
        return await _told(inspection.measure(self._world, sandbox_ids))

    async def executions(self, sandbox_id: str) -> Executions:
        return await _told(looking.executions(await self._open(sandbox_id)), sandbox_id)

    async def last_execution(self, sandbox_id: str) -> datetime | None:
        return await _told(looking.last_execution(await self._open(sandbox_id)), sandbox_id)

    async def contents(self, sandbox_id: str) -> Contents:
        return await _told(looking.contents(await self._open(sandbox_id)), sandbox_id)

    async def surroundings(self, sandbox_id: str, *, user: str = "user") -> Surroundings:
        return await _told(looking.surroundings(await self._open(sandbox_id), user), sandbox_id)

    async def network(self, sandbox_id: str) -> NetworkRules:
        rules = network_of(await _told(self._class.get_info(sandbox_id), sandbox_id))
        return NetworkRules(internet=bool(rules["internet"]), allow=_texts(rules["allow"]), deny=_texts(rules["deny"]))

    async def snapshot(self, sandbox_id: str, name: str | None = None) -> Snapshot:
        await self._running(sandbox_id)
        made = await _told(self._class.create_snapshot(sandbox_id, name=name), sandbox_id)
        return Snapshot(id=made.snapshot_id, names=tuple(made.names))

    async def fork(self, sandbox_id: str, count: int, lifetime: int) -> Forks:
        """The forks bear the marks of their source. So that they can be told apart, it is signed before."""
        live = await self._running(sandbox_id)
        if live.uid:
            await _told(environment.sign(await self._open(sandbox_id), live.uid), sandbox_id)
        made = await _told(self._class.fork(sandbox_id, timeout=lifetime, count=count), sandbox_id)
        return Forks(
            ids=[item.sandbox_id for item in made if not isinstance(item, Exception)],
            problems=[errors.translate(item, sandbox_id).diagnostic for item in made if isinstance(item, Exception)],
        )

    async def _running(self, sandbox_id: str) -> LiveSandbox:
        """Raises ProviderError for a paused sandbox: what the API says of it does not tell what to do."""
        live = await self.look(sandbox_id)
        if live.status != "running":
            raise errors.not_running(sandbox_id)
        return live

    async def configure(self, sandbox_id: str, wanted: Configuration, report: Report) -> Reached:
        secrets = [str(reveal(value)) for value in wanted.env_vars.values() if has_sensitive(value)]
        redactor = Redactor((*secrets, *self._secrets()))
        guarded = RedactedReport(report, redactor)
        inside = await self._open(sandbox_id)
        try:
            return await _told(configuring.configure(self._world, inside, wanted, guarded), sandbox_id)
        except ProviderError as problem:
            problem.diagnostic = redactor.diagnostic(problem.diagnostic)
            problem.args = (str(problem.diagnostic),)
            raise

    async def pause(self, sandbox_id: str) -> bool:
        self._world.sandboxes.forget(sandbox_id)
        return bool(await _told(self._class.pause(sandbox_id), sandbox_id))

    async def resume(self, sandbox_id: str, lifetime: int) -> None:
        self._world.sandboxes.forget(sandbox_id)
        await _told(self._class.connect(sandbox_id, timeout=lifetime), sandbox_id)

    async def kill(self, sandbox_id: str) -> bool:
        self._world.sandboxes.forget(sandbox_id)
        return bool(await _told(self._class.kill(sandbox_id), sandbox_id))

    async def set_timeout(self, sandbox_id: str, lifetime: int) -> None:
        try:
            await self._class.set_timeout(sandbox_id, lifetime)
        except SandboxNotFoundException:
            # The same is said of paused sandboxes.
            await self.look(sandbox_id)
            raise errors.not_running(sandbox_id) from None
        except Exception as problem:
            raise errors.translate(problem, sandbox_id) from problem

    async def claim(self, sandbox_id: str, lifetime: int, *, again: bool = False) -> LiveSandbox | None:
        info = await _told(self._class.get_info(sandbox_id), sandbox_id)
        if marking.bears(info, marking.TAKEN) and not again:
            return None
        if info.state is SandboxState.RUNNING:
            await self.set_timeout(sandbox_id, lifetime)
        else:
            await self.resume(sandbox_id, lifetime)
        if not marking.bears(info, marking.TAKEN):
            rules = network_of(info)
            update = marking.marked(_texts(rules["allow"]), _texts(rules["deny"]), marking.TAKEN)
            await _told(self._class.update_network(sandbox_id, update), sandbox_id)
        return await self.look(sandbox_id)

    async def read(self, sandbox_id: str, path: str, *, user: str = "user") -> AsyncIterator[bytes]:
        inside = await self._open(sandbox_id)
        async for chunk in inside.receive(path, user=user):
            yield chunk

    async def write(
        self,
        sandbox_id: str,
        path: str,
        data: AsyncIterator[bytes],
        *,
        user: str = "user",
        mode: int | None = None,
    ) -> Written:
        inside = await self._open(sandbox_id)
        started = time.monotonic()
        digest = hashlib.sha256()
        size = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in data:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        await inside.send(path, counted(), user=user, compress=not self._world.connection.settings.is_local)
        quoted = shlex.quote(path)
        change = f"chmod {mode & 0o7777:o} -- {quoted} && " if mode is not None else ""
        shown = await inside.check(
            f"{change}stat -c %a -- {quoted}", user=ROOT, summary="The file could not be given its mode"
        )
        seconds = time.monotonic() - started
        return Written(path=path, size=size, sha256=digest.hexdigest(), mode=int(shown.strip(), 8), seconds=seconds)

    async def locate(self, sandbox_id: str, path: str, *, user: str = "user") -> RemotePlace:
        return await _told(carrying.locate(await self._open(sandbox_id), path, user), sandbox_id)

    async def put(
        self, sandbox_id: str, shipment: Shipment, *, user: str = "user", on_bytes: OnBytes
    ) -> AsyncIterator[Carried]:
        inside = await self._open(sandbox_id)
        compress = not self._world.connection.settings.is_local
        async for item in carrying.put(inside, shipment, user=user, compress=compress, on_bytes=on_bytes):
            yield item

    async def list_tree(self, sandbox_id: str, path: str, *, user: str = "user") -> RemoteTree:
        return await _told(carrying.list_tree(await self._open(sandbox_id), path, user), sandbox_id)

    async def fetch(self, sandbox_id: str, files: Sequence[RemoteFile], *, user: str = "user") -> Incoming:
        inside = await self._open(sandbox_id)
        async for item in carrying.fetch(inside, files, user=user):
            yield item

    async def url(self, sandbox_id: str, port: int) -> str:
        return await _told(url_of(self._world.connection, sandbox_id, port), sandbox_id)

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
    ) -> _Terminal:
        inside = await self._open(sandbox_id)
        await _told(inside.receipt(), sandbox_id)
        size = PtySize(rows=rows, cols=columns)
        variables = dict(env_vars or {})
        opening = inside.sandbox.pty.create(size, on_data, user=user, cwd=working_dir, envs=variables, timeout=0)
        handle = await _told(opening, sandbox_id)
        return _Terminal(inside, handle)

    @property
    def _class(self) -> Any:
        """The SDK's class. Its methods are called with an id, which their types don't tell apart from an instance's."""
        return self._world.connection.client.AsyncSandbox

    async def _open(self, sandbox_id: str) -> Inside:
        return await _told(self._world.sandboxes.open(sandbox_id, sandbox_id), sandbox_id)


class _Terminal:
    def __init__(self, inside: Inside, handle: AsyncCommandHandle[Any]) -> None:
        self._inside = inside
        self._handle = handle

    async def send(self, data: bytes) -> None:
        await _told(self._inside.sandbox.pty.send_stdin(self._handle.pid, data), self._inside.id)

    async def resize(self, columns: int, rows: int) -> None:
        size = PtySize(rows=rows, cols=columns)
        await _told(self._inside.sandbox.pty.resize(self._handle.pid, size), self._inside.id)

    async def wait(self) -> int:
        try:
            return int((await self._handle.wait()).exit_code)
        except CommandExitException as ended:
            return int(ended.exit_code)
        except Exception as problem:
            raise errors.translate(problem, self._inside.id) from problem

    async def close(self) -> None:
        await _told(self._inside.sandbox.pty.kill(self._handle.pid), self._inside.id)
        await self._handle.disconnect()


async def _told(awaited: Awaitable[T], sandbox_id: str = "") -> T:
    """What ``awaited`` gives; what it raises, as ProviderError."""
    try:
        return await awaited
    except ProviderError:
        raise
    except Exception as problem:
        raise errors.translate(problem, sandbox_id) from problem


def _texts(value: Value) -> Sequence[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _live(info: SandboxInfo) -> LiveSandbox:
    own = info.metadata
    return LiveSandbox(
        id=info.sandbox_id,
        status=info.state.value,
        template=info.name or info.template_id,
        started_at=info.started_at,
        expires_at=info.end_at,
        cpus=info.cpu_count,
        memory_mib=info.memory_mb,
        address=own.get(metadata.ADDRESS, ""),
        project=own.get(metadata.PROJECT, ""),
        environment=own.get(metadata.ENVIRONMENT, ""),
        uid=own.get(metadata.UID, ""),
        metadata=metadata.users_own(own),
    )
