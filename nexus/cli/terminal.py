"""The terminal that the user sits at, handed over to a shell somewhere else and got back whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nexus import Terminal

_CHUNK: Final = 65_536
_UNSETTLE: Final = "\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[0m\r\n"
"""Ends what a program that was cut off may have left on: the other screen, the mouse, pasting in brackets."""


class LeftBehindError(Exception):
    """The user left the shell by ``Enter ~ .``, or the terminal is gone."""


class OwnTerminal:
    """Standard input and output, which have to be a terminal."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._output = sys.stdout.fileno()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, of which there is at least one."""
        columns, rows = os.get_terminal_size(self._output)
        return max(columns, 1), max(rows, 1)

    @contextlib.contextmanager
    def raw(self) -> Iterator[None]:
        """Every key goes through, Ctrl-C too, and what was typed already. Afterwards the terminal is as it was."""
        before = termios.tcgetattr(self._input)
        tty.setraw(self._input, termios.TCSADRAIN)
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                os.write(self._output, _UNSETTLE.encode())
            raise
        finally:
            # The terminal itself may be gone by now.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSADRAIN, before)

    def show(self, data: bytes) -> None:
        """Write what the shell wrote."""
        while data:
            data = data[os.write(self._output, data) :]

    async def attend(self, shell: Terminal) -> int:
        """Carry keys and sizes to ``shell`` until it ends; gives its exit code.

        Raises LeftBehindError when the user wants to go, or can't be seen any more.
        """
        loop = asyncio.get_running_loop()
        relay = _Relay(shell, self)
        loop.add_reader(self._input, relay.take, self._input)
        loop.add_signal_handler(signal.SIGWINCH, relay.resized)
        loop.add_signal_handler(signal.SIGCONT, self._continued, relay)
        loop.add_signal_handler(signal.SIGHUP, relay.hung_up)
        carrying = asyncio.create_task(relay.carry())
        ending = asyncio.create_task(shell.wait())
        try:
            await asyncio.wait((carrying, ending), return_when=asyncio.FIRST_COMPLETED)
            # A key that could not be delivered is no error of its own when the shell has ended.
            return await (ending if ending.done() or not relay.has_left else carrying)
        finally:
            loop.remove_reader(self._input)
            for task in (carrying, ending):
                task.cancel()
            await asyncio.gather(carrying, ending, return_exceptions=True)

    def _continued(self, relay: _Relay) -> None:
        """Whoever had the terminal while we were stopped has set it to what they need."""
        tty.setraw(self._input, termios.TCSADRAIN)
        relay.resized()


class _Relay:
    """Keys in the order in which they were typed, several at once where they came at once; sizes in between."""

    def __init__(self, shell: Terminal, own: OwnTerminal) -> None:
        self._shell = shell
        self._own = own
        self._keys = bytearray()
        self._has_new_size = False
        self._news = asyncio.Event()
        self._escape = Escape()
        self.has_left = False

    def take(self, descriptor: int) -> None:
        try:
            typed = os.read(descriptor, _CHUNK)
        except OSError:
            typed = b""
        kept, wants_to_leave = self._escape.filter(typed)
        self._keys += kept
        if not typed or wants_to_leave:
            self.hung_up()
        self._news.set()

    def resized(self) -> None:
        self._has_new_size = True
        self._news.set()

    def hung_up(self) -> None:
        self.has_left = True
        self._news.set()

    async def carry(self) -> int:
        while True:
            await self._news.wait()
            self._news.clear()
            if self.has_left:
                raise LeftBehindError
            if self._has_new_size:
                self._has_new_size = False
                await self._shell.resize(*self._own.size)
            if self._keys:
                keys, self._keys = bytes(self._keys), bytearray()
                await self._shell.send(keys)


class Escape:
    """Finds ``~.`` at the beginning of a line, by which one leaves a shell that does not answer, as in ssh."""

    def __init__(self) -> None:
        self._at_beginning = True
        self._holds_tilde = False

    def filter(self, typed: bytes) -> tuple[bytes, bool]:
        """What is to be passed on, and whether the user wants to leave. A tilde waits for the key that follows it."""
        kept = bytearray()
        for key in typed:
            if self._holds_tilde:
                self._holds_tilde = False
                if key == ord("."):
                    return bytes(kept), True
                kept.append(ord("~"))
                if key == ord("~"):
                    self._at_beginning = False
                    continue
            elif self._at_beginning and key == ord("~"):
                self._holds_tilde = True
                continue
            kept.append(key)
            self._at_beginning = key in b"\r\n"
        return bytes(kept), False
