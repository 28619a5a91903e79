"""The one place that waits for children.

As PID 1 envd inherits every orphan of its machine. Waiting for "any child" in one place, and handing each status to
whoever started that pid, keeps orphans from piling up and exit codes from being taken by the wrong waiter.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

ExitHandler = Callable[[int], None]


class Reaper:
    """Dispatches exit statuses (in the form of :func:`os.waitstatus_to_exitcode`) to the starters of processes.

    ``orphans`` True reaps every child, known or not (PID 1); False only touches pids that were handed to
    :meth:`watch`, so that envd can live in a process that has other children.
    """

    def __init__(self, *, orphans: bool) -> None:
        self._orphans = orphans
        self._watched: dict[int, ExitHandler] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Start to listen for ended children on the running loop. Idempotent; needs the main thread."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.add_signal_handler(signal.SIGCHLD, self._reap)
            loop.call_soon(self._reap)

    def watch(self, pid: int, on_exit: ExitHandler) -> None:
        """Call ``on_exit`` once when the child ``pid`` ends. Call it before giving control back to the loop."""
        self.install()
        self._watched[pid] = on_exit

    def _reap(self) -> None:
        if self._orphans:
            while self._wait_for(-1):
                pass
            return
        for pid in list(self._watched):
            self._wait_for(pid)

    def _wait_for(self, pid: int) -> bool:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return False
        if ended and (on_exit := self._watched.pop(ended, None)):
            on_exit(os.waitstatus_to_exitcode(status))
        return ended != 0
