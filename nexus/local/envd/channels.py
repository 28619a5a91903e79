"""The descriptors between envd and a new process: pipes or a terminal, opened together and closed together."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from contextlib import ExitStack
from dataclasses import dataclass

from nexus.local.envd.accounts import Account
from nexus.local.envd.spawning import Stdio
from nexus.local.envd.terminals import open_pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """``stdio`` is the process's side; the others are ours. ``terminal`` stands for all three where there is one."""

    stdio: Stdio
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    terminal: int | None = None

    def close_theirs(self) -> None:
        for descriptor in {self.stdio.stdin, self.stdio.stdout, self.stdio.stderr}:
            os.close(descriptor)

    def close_ours(self) -> None:
        for descriptor in (self.stdin, self.stdout, self.stderr, self.terminal):
            if descriptor is not None:
                os.close(descriptor)


def open_pipes(*, stdin: bool) -> Channels:
    """Pipes for output and, unless ``stdin`` is False, for input. Raises OSError, and then nothing stays open."""
    with ExitStack() as opened:
        out_read, out_write = _pipe(opened)
        err_read, err_write = _pipe(opened)
        if stdin:
            in_read, in_write = _pipe(opened)
        else:
            in_read, in_write = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), None
        opened.pop_all()
    return Channels(stdio=Stdio(in_read, out_write, err_write), stdin=in_write, stdout=out_read, stderr=err_read)


def open_terminal(size: tuple[int, int], owner: Account | None) -> Channels:
    """A terminal of ``size`` (columns, rows), given to ``owner``. Raises OSError."""
    ours, theirs = open_pair()
    set_window(ours, size)
    if owner is not None:
        os.fchown(theirs, owner.uid, -1)
    return Channels(stdio=Stdio(theirs, theirs, theirs, terminal=True), terminal=ours)


def set_window(terminal: int, size: tuple[int, int]) -> None:
    """Set columns and rows; the kernel tells the program in the foreground."""
    columns, rows = size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _pipe(opened: ExitStack) -> tuple[int, int]:
    ends = os.pipe2(os.O_CLOEXEC)
    for end in ends:
        opened.callback(os.close, end)
    return ends
