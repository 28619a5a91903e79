"""The egress supervisor: one small process outside all machines that answers their stopped network calls.

``python -m nexus.local.network.supervisor PATH`` leaves it behind, listening for daemons on PATH. It outlives
them, because machines do: the notification descriptors live here.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from nexus.local.network.control_server import ControlServer
from nexus.local.network.served_machines import Supervisor


async def _serve(path: Path, on_ready: Callable[[], None]) -> None:
    await ControlServer(Supervisor(), path).run(on_ready)


def run(path: Path, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve on the Unix socket ``path`` until no longer needed; ``on_ready`` is called once it listens.

    Returns at once, and calls it too, when another supervisor has the path.
    """
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_ready()
    else:
        asyncio.run(_serve(path, on_ready))
    finally:
        os.close(lock)


def main(path: Path) -> None:
    """Leave a supervisor behind in a session of its own, and end when it listens. Status 1 when it never does."""
    ready, say_ready = os.pipe()
    if os.fork() != 0:
        os.close(say_ready)
        sys.exit(0 if os.read(ready, 1) else 1)
    os.close(ready)
    os.setsid()

    def on_ready() -> None:
        os.write(say_ready, b"1")
        os.close(say_ready)

    _allow_many_descriptors()
    run(path, on_ready)


def _allow_many_descriptors() -> None:
    # Three per machine, and one for each query under way; the soft limit is made for programs that use select(2).
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    main(Path(sys.argv[1]))
