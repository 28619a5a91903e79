"""Processes that are started to outlive the one that starts them: the daemon, and what removes trees."""

from __future__ import annotations

import atexit
import subprocess

_running: list[subprocess.Popen[bytes]] = []


def let_outlive(process: subprocess.Popen[bytes]) -> None:
    """Nobody waits for it. Should it end first it is reaped, not to stay a zombie."""
    reap()
    _running.append(process)


def reap() -> None:
    """Take note of those that have ended."""
    _running[:] = [process for process in _running if process.poll() is None]


@atexit.register
def _part() -> None:
    """Python would warn of each that still runs, as if it had been forgotten."""
    for process in _running:
        process.returncode = process.poll() or 0
