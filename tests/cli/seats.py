"""A terminal for tests to sit at, with a command of nexus on it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.cli.conftest import Nexus


@dataclass
class Seat:
    """A terminal, and the process that runs on it."""

    master: int
    slave: int
    process: subprocess.Popen[bytes]
    before: list[Any]
    seen: bytearray = field(default_factory=bytearray)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        _set_size(self.master, columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    def until(self, text: str, seconds: float = 60) -> None:
        """Read until ``text`` is on the screen. What was read before does not count again."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come: {bytes(self.seen)!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 65_536)
        del self.seen[: self.seen.index(text.encode()) + len(text)]

    def ended(self) -> int:
        """Its exit code, and the terminal has to be as it was before."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline, bytes(self.seen)
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65_536)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65_536)
        assert termios.tcgetattr(self.slave) == self.before
        return self.process.returncode


@contextmanager
def seated(nexus: Nexus, *arguments: str) -> Iterator[Seat]:
    master, slave = pty.openpty()
    _set_size(master, 100, 30)
    process = subprocess.Popen(
        nexus.command(*arguments),
        cwd=nexus.folder,
        env=nexus.environment({"TERM": "no-such-terminal"}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    seat = Seat(master, slave, process, termios.tcgetattr(slave))
    try:
        yield seat
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
        os.close(slave)


def _set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
