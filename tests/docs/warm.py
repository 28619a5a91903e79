"""``nexus`` for sessions that type it a hundred times: each run is forked from a process that has imported it already.

A run has the terminal, folder and variables of whoever typed it, and its exit code comes back. That a process of its
own does the same, the README's commands show.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import WARM

ROOT = Path(__file__).parents[2]

_CLIENT = """\
import json, os, socket, sys
told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"+"], [0, 1, 2])
    server.sendall(told)
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(16) or b"70"))
"""


@contextmanager
def warm_nexus(programs: Path, sockets: Path) -> Iterator[Path]:
    """Put a ``nexus`` into a folder of programs that is quick to start, for as long as this lasts."""
    address = sockets / "warm"
    server = subprocess.Popen([sys.executable, "-m", "tests.docs.warm", str(address)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        program = programs / "nexus"
        client = sockets / "client.py"
        client.write_text(_CLIENT.format(address=str(address)))
        words = shlex.join([sys.executable, "-ISu", str(client)])
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)
        yield programs
    finally:
        server.terminate()
        server.communicate()


def serve(address: str) -> None:
    """Fork a run for everybody who connects."""
    for name in WARM:
        importlib.import_module(name)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, b"ready\n")
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _run(connection)
        connection.close()


def _run(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, terminal, _, _ = socket.recv_fds(connection, 1, 3)
    arguments, folder, environment = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
    for number, descriptor in enumerate(terminal):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    code = 70
    try:
        from nexus.cli.main import run

        code = run(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        connection.sendall(b"%d" % code)
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
