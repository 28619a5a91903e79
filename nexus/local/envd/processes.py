"""The processes that were started over RPC: their lives from spawn to end, and the table that finds them.

A :class:`RunningProcess` belongs to no client: it goes on when the client that started it leaves. It ends when the
program has exited and its output pipes are closed; a signal sent through envd ends the wait for the pipes, because a
grandchild may hold them for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nexus.local.envd.accounts import Account
from nexus.local.envd.broadcast import Broadcast, Ended, Listener, Output, OutputKind
from nexus.local.envd.channels import Channels, open_pipes, open_terminal, set_window
from nexus.local.envd.config import UserSwitch
from nexus.local.envd.logbook import Level, Logbook, OutputLog
from nexus.local.envd.pipes import InputPipe, OutputPipe
from nexus.local.envd.reaper import Reaper
from nexus.local.envd.spawning import Command, spawn_as

_PIECE = 32 * 1024
_PTY_PIECE = 16 * 1024
_LAST_WORDS = 1024 * 1024
_REMEMBER_ENDED = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start and how. ``size`` (columns, rows) asks for a terminal; ``stdin`` False means ``/dev/null``.

    ``asked_envs`` and ``asked_cwd`` are what the client itself gave, as lists of processes show it.
    """

    command: Command
    asked_envs: Mapping[str, str] = field(default_factory=dict)
    asked_cwd: str = ""
    account: Account
    stdin: bool = True
    size: tuple[int, int] | None = None
    tag: str | None = None


class NoSuchProcessError(LookupError):
    """No live process has that pid or tag."""


class InputClosedError(Exception):
    """The process takes no input of that kind, or takes no more."""


class RunningProcess:
    """One process with its output fan-out and its input."""

    def __init__(
        self,
        launch: Launch,
        switch: UserSwitch,
        reaper: Reaper,
        logbook: Logbook,
        operation: str,
        on_end: Callable[[RunningProcess], None],
    ) -> None:
        self.launch = launch
        self.operation = operation
        self._logbook = logbook
        self.ended: Ended | None = None
        self.overdue = False
        self.output = Broadcast(pause=self._pause, resume=self._resume)
        self._on_end = on_end
        self._exit: int | None = None
        self._signalled = False
        self._deadline: asyncio.TimerHandle | None = None
        self._pipes: list[OutputPipe] = []
        self._logs: list[OutputLog] = []
        self._terminal: int | None = None
        self._input: InputPipe | None = None
        self.pid = self._spawn(switch)
        reaper.watch(self.pid, self._exited)

    # Starting

    def _spawn(self, switch: UserSwitch) -> int:
        channels = self._open_channels(switch)
        try:
            pid = spawn_as(self.launch.account, self.launch.command, channels.stdio, switch)
        except BaseException:
            channels.close_ours()
            raise
        finally:
            channels.close_theirs()
        self._attach(channels)
        return pid

    def _open_channels(self, switch: UserSwitch) -> Channels:
        if self.launch.size is None:
            return open_pipes(stdin=self.launch.stdin)
        owned = switch == "setuid" and os.geteuid() == 0
        return open_terminal(self.launch.size, self.launch.account if owned else None)

    def _attach(self, channels: Channels) -> None:
        if channels.terminal is not None:
            self._terminal = os.dup(channels.terminal)
            self._input = InputPipe(self._terminal)
            self._read(channels.terminal, "pty", _PTY_PIECE)
        if channels.stdin is not None:
            self._input = InputPipe(channels.stdin)
        if channels.stdout is not None:
            self._read(channels.stdout, "stdout", _PIECE)
        if channels.stderr is not None:
            self._read(channels.stderr, "stderr", _PIECE)

    def _read(self, descriptor: int, kind: OutputKind, piece: int) -> None:
        level: Level = "error" if kind == "stderr" else "info"
        log = OutputLog(self._logbook, level, event_type=kind, operation_id=self.operation)
        self._logs.append(log)

        def on_data(data: bytes) -> None:
            log.write(data)
            self.output.publish(Output(kind, data))

        self._pipes.append(OutputPipe(descriptor, piece=piece, on_data=on_data, on_close=self._settle))

    def kill_after(self, seconds: float) -> None:
        """Kill the process when it still runs ``seconds`` from now."""
        self._deadline = asyncio.get_running_loop().call_later(max(seconds, 0), self._on_deadline)

    def _on_deadline(self) -> None:
        self.overdue = True
        self.send_signal(signal.SIGKILL)

    # What clients do with it

    @property
    def is_terminal(self) -> bool:
        return self._terminal is not None

    def listen(self) -> Listener:
        """A reader of everything from now on; a process that has ended yields its end."""
        listener = self.output.listen()
        if self.ended is not None:
            listener.push(self.ended)
        return listener

    async def write(self, data: bytes, *, terminal: bool) -> None:
        """Write to stdin, or to the terminal. Raises :class:`InputClosedError`."""
        if terminal != self.is_terminal:
            raise InputClosedError(
                "tty not assigned to process" if terminal else "stdin is the terminal; write to the pty"
            )
        if self._input is None or self._input.closed:
            raise InputClosedError("stdin not enabled or closed")
        try:
            await self._input.write(data)
        except BrokenPipeError as error:
            raise InputClosedError(f"the process does not take input any more: {error}") from error

    async def close_stdin(self) -> None:
        """Signal end of input. Idempotent. Raises :class:`InputClosedError` on a terminal."""
        if self.is_terminal:
            raise InputClosedError("cannot close stdin of a pty process; send Ctrl+D (0x04) instead")
        if self._input is not None:
            await self._input.finish()

    def resize(self, size: tuple[int, int]) -> None:
        """Set the terminal's columns and rows. Raises :class:`InputClosedError` without a terminal."""
        if self._terminal is None or self._input is None or self._input.closed:
            raise InputClosedError("tty not assigned to process")
        set_window(self._terminal, size)

    def send_signal(self, number: int) -> None:
        """Signal the process itself, not its children."""
        self._signalled = True
        if self._exit is None:
            # Not reaped yet, so the pid cannot belong to anyone else.
            os.kill(self.pid, number)
        self._settle()

    # Ending

    def _exited(self, code: int) -> None:
        self._exit = code
        if self._input is not None and not self.is_terminal:
            self._input.close()
        self._settle()

    def _settle(self) -> None:
        """End the process when nothing more is to be waited for."""
        if self._exit is None or self.ended is not None:
            return
        if not self._signalled and not all(pipe.closed for pipe in self._pipes):
            return
        self.ended = _ended(self._exit)
        for pipe in self._pipes:
            # Whatever a grandchild prints after this is read and thrown away, so that it never blocks.
            pipe.drain(_LAST_WORDS)
        for log in self._logs:
            log.flush()
        if self._deadline is not None:
            self._deadline.cancel()
        if self._input is not None:
            self._input.close()
        self.output.publish(self.ended)
        self._on_end(self)

    def _pause(self) -> None:
        for pipe in self._pipes:
            pipe.pause()

    def _resume(self) -> None:
        for pipe in self._pipes:
            pipe.resume()


class ProcessTable:
    """All processes started over RPC; ended ones are remembered for half a minute, for late listeners."""

    def __init__(self, reaper: Reaper, logbook: Logbook) -> None:
        self._reaper = reaper
        self._logbook = logbook
        self._operations = itertools.count(1)
        self._live: dict[int, RunningProcess] = {}
        self._ended: dict[int, RunningProcess] = {}

    def start(self, launch: Launch, switch: UserSwitch) -> RunningProcess:
        """Start a process. Raises OSError when the machine cannot."""
        operation = str(next(self._operations))
        process = RunningProcess(launch, switch, self._reaper, self._logbook, operation, self._on_end)
        self._ended.pop(process.pid, None)
        self._live[process.pid] = process
        self._logbook.record(
            "info",
            "process started",
            event_type="process_start",
            operation_id=operation,
            pid=process.pid,
            command=" ".join(launch.command.argv),
        )
        return process

    def live(self) -> list[RunningProcess]:
        return list(self._live.values())

    def find(self, *, pid: int | None = None, tag: str | None = None, ended: bool = False) -> RunningProcess:
        """The process with that pid or tag; with ``ended`` also one that ended lately.

        Raises :class:`NoSuchProcessError`.
        """
        candidates = [*self._live.values(), *self._ended.values()] if ended else list(self._live.values())
        for process in candidates:
            if process.pid == pid or (tag is not None and process.launch.tag == tag):
                return process
        raise NoSuchProcessError(
            f"process with pid {pid} not found" if tag is None else f"process with tag {tag} not found"
        )

    def _on_end(self, process: RunningProcess) -> None:
        status = process.ended.status if process.ended else ""
        self._logbook.record(
            "info",
            "process ended",
            event_type="process_end",
            operation_id=process.operation,
            pid=process.pid,
            status=status,
        )
        self._live.pop(process.pid, None)
        self._ended[process.pid] = process
        asyncio.get_running_loop().call_later(_REMEMBER_ENDED, self._forget, process)

    def _forget(self, process: RunningProcess) -> None:
        if self._ended.get(process.pid) is process:
            del self._ended[process.pid]


def _ended(code: int) -> Ended:
    if code >= 0:
        return Ended(code, exited=True, status=f"exit status {code}")
    return Ended(-1, exited=False, status=f"signal: {_signal_text(-code)}")


def _signal_text(number: int) -> str:
    """The kernel's word for a signal as shells print it, in lower case: ``killed``, ``terminated``."""
    text = signal.strsignal(number)
    return text.lower() if text else str(number)
