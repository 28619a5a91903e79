"""The ``process.Process`` RPC service: translates requests to :mod:`nexus.local.envd.processes` and events back."""

from __future__ import annotations

import os.path
from collections.abc import AsyncIterator
from typing import Any, Literal

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from e2b.envd.process import process_pb as pb
from e2b.envd.process.process_connect import Process
from protobuf import Oneof

from nexus.local.envd.access import rpc_username
from nexus.local.envd.accounts import UnknownUserError
from nexus.local.envd.broadcast import Ended, Output
from nexus.local.envd.context import Context
from nexus.local.envd.processes import InputClosedError, Launch, NoSuchProcessError, ProcessTable, RunningProcess
from nexus.local.envd.rpc import Ctx, keepalive_seconds, next_or_silence
from nexus.local.envd.spawning import Command


class ProcessService(Process):
    """Start, connect to, feed, signal and list processes."""

    def __init__(self, context: Context, table: ProcessTable) -> None:
        self._context = context
        self._table = table

    async def list(self, request: pb.ListRequest, ctx: Ctx) -> pb.ListResponse:  # noqa: ARG002
        return pb.ListResponse(processes=[_info(process) for process in self._table.live()])

    async def start(self, request: pb.StartRequest, ctx: Ctx) -> AsyncIterator[pb.StartResponse]:
        process = self._launch(request, ctx)
        if ctx.timeout_ms is not None:
            process.kill_after(ctx.timeout_ms / 1000)
        async for event in _events(process, ctx, started_here=True):
            yield pb.StartResponse(event=event)

    async def connect(self, request: pb.ConnectRequest, ctx: Ctx) -> AsyncIterator[pb.ConnectResponse]:
        process = self._find(request.process, ended=True)
        async for event in _events(process, ctx, started_here=False):
            yield pb.ConnectResponse(event=event)

    async def update(self, request: pb.UpdateRequest, ctx: Ctx) -> pb.UpdateResponse:  # noqa: ARG002
        process = self._find(request.process)
        if request.pty is not None and request.pty.size is not None:
            try:
                process.resize((request.pty.size.cols, request.pty.size.rows))
            except InputClosedError as error:
                raise ConnectError(Code.FAILED_PRECONDITION, str(error)) from error
        return pb.UpdateResponse()

    async def send_input(self, request: pb.SendInputRequest, ctx: Ctx) -> pb.SendInputResponse:  # noqa: ARG002
        await _feed(self._find(request.process), request.input)
        return pb.SendInputResponse()

    async def stream_input(
        self,
        request: AsyncIterator[pb.StreamInputRequest],
        ctx: Ctx,  # noqa: ARG002
    ) -> pb.StreamInputResponse:
        process: RunningProcess | None = None
        async for message in request:
            match message.event.value if message.event is not None else None:
                case pb.StreamInputRequest.StartEvent() as start:
                    process = self._find(start.process)
                case pb.StreamInputRequest.DataEvent() as data:
                    if process is None:
                        raise ConnectError(Code.INVALID_ARGUMENT, "the first message must be 'start'")
                    await _feed(process, data.input)
        return pb.StreamInputResponse()

    async def send_signal(self, request: pb.SendSignalRequest, ctx: Ctx) -> pb.SendSignalResponse:  # noqa: ARG002
        process = self._find(request.process)
        if request.signal not in (pb.Signal.SIGKILL, pb.Signal.SIGTERM):
            raise ConnectError(Code.UNIMPLEMENTED, f"invalid signal: {request.signal}")
        process.send_signal(int(request.signal))
        return pb.SendSignalResponse()

    async def close_stdin(self, request: pb.CloseStdinRequest, ctx: Ctx) -> pb.CloseStdinResponse:  # noqa: ARG002
        process = self._find(request.process)
        try:
            await process.close_stdin()
        except InputClosedError as error:
            raise ConnectError(Code.FAILED_PRECONDITION, str(error)) from error
        return pb.CloseStdinResponse()

    def _launch(self, request: pb.StartRequest, ctx: Ctx) -> RunningProcess:
        launch = self._launch_spec(request, ctx)
        try:
            return self._table.start(launch, self._context.config.user_switch)
        except (OSError, ValueError) as error:
            raise ConnectError(Code.INVALID_ARGUMENT, f"error starting process: {error}") from error

    def _launch_spec(self, request: pb.StartRequest, ctx: Ctx) -> Launch:
        if request.process is None or not request.process.cmd:
            raise ConnectError(Code.INVALID_ARGUMENT, "no command given")
        try:
            account = self._context.account(rpc_username(ctx.request_headers))
        except UnknownUserError as error:
            raise ConnectError(Code.UNAUTHENTICATED, f"invalid username: '{error.username}'") from error
        cwd = self._context.resolve(request.process.cwd, account)
        if not os.path.isdir(cwd):
            raise ConnectError(Code.INVALID_ARGUMENT, f"cwd '{cwd}' does not exist")
        size = None
        if request.pty is not None:
            size = (request.pty.size.cols, request.pty.size.rows) if request.pty.size is not None else (80, 24)
        return Launch(
            command=Command(
                argv=(request.process.cmd, *request.process.args),
                env=self._context.environment(account, request.process.envs),
                cwd=cwd,
            ),
            asked_envs=dict(request.process.envs),
            asked_cwd=request.process.cwd,
            account=account,
            stdin=request.stdin if request.has_field("stdin") else True,
            size=size,
            tag=request.tag if request.has_field("tag") else None,
        )

    def _find(self, selector: pb.ProcessSelector | None, *, ended: bool = False) -> RunningProcess:
        try:
            match selector.selector.value if selector is not None and selector.selector is not None else None:
                case int(pid):
                    return self._table.find(pid=pid, ended=ended)
                case str(tag):
                    return self._table.find(tag=tag, ended=ended)
        except NoSuchProcessError as error:
            raise ConnectError(Code.NOT_FOUND, str(error)) from error
        raise ConnectError(Code.INVALID_ARGUMENT, "no process selected")


async def _events(process: RunningProcess, ctx: Ctx, *, started_here: bool) -> AsyncIterator[pb.ProcessEvent]:
    """Start, output with keepalives in the silences, end.

    Raises ``deadline_exceeded`` when the request's time is up.
    """
    keepalive = keepalive_seconds(ctx)
    listener = process.listen()
    try:
        yield _started(process.pid)
        while True:
            event = await next_or_silence(listener.next(), keepalive, ctx)
            if event is None:
                yield _keepalive()
            elif isinstance(event, Output):
                yield _data(event)
            elif started_here and process.overdue:
                raise ConnectError(Code.DEADLINE_EXCEEDED, "deadline exceeded")
            else:
                yield _end(event)
                return
    finally:
        listener.close()


async def _feed(process: RunningProcess, data: pb.ProcessInput | None) -> None:
    try:
        match data.input if data is not None else None:
            case Oneof(field="stdin", value=content):
                await process.write(content, terminal=False)
            case Oneof(field="pty", value=content):
                await process.write(content, terminal=True)
            case _:
                raise ConnectError(Code.UNIMPLEMENTED, "invalid input type")
    except InputClosedError as error:
        raise ConnectError(Code.FAILED_PRECONDITION, str(error)) from error


def _info(process: RunningProcess) -> pb.ProcessInfo:
    launch = process.launch
    cmd, *args = launch.command.argv
    config = pb.ProcessConfig(cmd=cmd, args=args, envs=dict(launch.asked_envs))
    if launch.asked_cwd:
        config.cwd = launch.asked_cwd
    info = pb.ProcessInfo(config=config, pid=process.pid)
    if process.launch.tag is not None:
        info.tag = process.launch.tag
    return info


def _started(pid: int) -> pb.ProcessEvent:
    start: Oneof[Literal["start"], pb.ProcessEvent.StartEvent] = Oneof("start", pb.ProcessEvent.StartEvent(pid=pid))
    return pb.ProcessEvent(event=start)


def _keepalive() -> pb.ProcessEvent:
    alive: Oneof[Literal["keepalive"], pb.ProcessEvent.KeepAlive] = Oneof("keepalive", pb.ProcessEvent.KeepAlive())
    return pb.ProcessEvent(event=alive)


def _data(event: Output) -> pb.ProcessEvent:
    output: Oneof[Any, bytes] = Oneof(event.kind, event.data)
    data: Oneof[Literal["data"], pb.ProcessEvent.DataEvent] = Oneof("data", pb.ProcessEvent.DataEvent(output=output))
    return pb.ProcessEvent(event=data)


def _end(event: Ended) -> pb.ProcessEvent:
    message = pb.ProcessEvent.EndEvent(exit_code=event.exit_code, exited=event.exited, status=event.status)
    if event.error is not None:
        message.error = event.error
    end: Oneof[Literal["end"], pb.ProcessEvent.EndEvent] = Oneof("end", message)
    return pb.ProcessEvent(event=end)
