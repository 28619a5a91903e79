"""A real envd in a process of its own behind a real edge in a thread, with E2B's SDK as the client."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from e2b import AsyncSandbox, ConnectionConfig, Sandbox
from packaging.version import Version

from nexus.local.edge import Edge, Ingress, InTransitionError, Route
from nexus.local.edge.certificates import LoopbackCertificates
from nexus.local.ports import listen

T = TypeVar("T")
ENVD_VERSION = Version("0.6.13")
_SCRIPT = Path(__file__).with_name("envd_process.py")
_ROOT = Path(__file__).parents[3]


def token_of(sandbox_id: str) -> str:
    return f"ea_0123456789_{sandbox_id}"


@dataclass(slots=True)
class HostMachine:
    """A machine without isolation: its ports are this host's."""

    envd_socket: Path

    async def dial(self, port: int) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        except BaseException:
            connection.close()
            raise
        return connection


@dataclass(slots=True)
class FakeDirectory:
    """Sandboxes as a plain table; ids in ``changing`` are in transition."""

    routes: dict[str, Route] = field(default_factory=dict)
    signing: dict[str, str] = field(default_factory=dict)
    changing: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def find(self, sandbox_id: str) -> Route | None:
        self.asked.append(sandbox_id)
        if sandbox_id in self.changing:
            raise InTransitionError(sandbox_id)
        return self.routes.get(sandbox_id)

    def tokens(self) -> list[tuple[str, str]]:
        return list(self.signing.items())


class LoopThread:
    """An event loop in a thread, so that blocking clients can be used in tests."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@dataclass(slots=True, kw_only=True)
class Cloud:
    """One edge and the envds behind it."""

    thread: LoopThread
    edge: Edge
    certificates: Path
    directory: FakeDirectory
    port: int
    home: Path
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def headers(self, sandbox_id: str = "ibox", port: int = 49983) -> dict[str, str]:
        return {"E2b-Sandbox-Id": sandbox_id, "E2b-Sandbox-Port": str(port), "X-Access-Token": token_of(sandbox_id)}

    def _options(self, sandbox_id: str) -> dict[str, Any]:
        config = ConnectionConfig(
            api_key="e2b_" + "0" * 40, sandbox_url=self.url, extra_sandbox_headers=self.headers(sandbox_id)
        )
        return {
            "sandbox_id": sandbox_id,
            "sandbox_domain": None,
            "envd_version": ENVD_VERSION,
            "envd_access_token": token_of(sandbox_id),
            "connection_config": config,
        }

    def sandbox(self, sandbox_id: str = "ibox") -> Sandbox:
        return Sandbox(**self._options(sandbox_id))

    def async_sandbox(self, sandbox_id: str = "ibox") -> AsyncSandbox:
        return AsyncSandbox(**self._options(sandbox_id))

    def set_ingress(self, ingress: Ingress, sandbox_id: str = "ibox") -> None:
        self.directory.routes[sandbox_id] = replace(self.directory.routes[sandbox_id], ingress=ingress)

    def kill(self, sandbox_id: str = "ibox") -> None:
        """Take a sandbox out of the directory and cut its streams, as a kill does."""
        self.directory.routes.pop(sandbox_id, None)
        self.directory.signing.pop(sandbox_id, None)
        self.thread.loop.call_soon_threadsafe(self.edge.drop, sandbox_id)


@contextmanager
def running_cloud(folder: Path, sandbox_ids: tuple[str, ...] = ("ibox",), **config: Any) -> Iterator[Cloud]:
    """An edge and one envd for each id. Files of envd users lie under ``folder``."""
    home = make_users(folder)
    thread = LoopThread()
    directory = FakeDirectory()
    certificates = LoopbackCertificates(folder / "tls")
    edge = Edge(directory, tls=lambda: certificates.context)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        port = thread.run(edge.start(listen("127.0.0.1", 0)))
        for sandbox_id in sandbox_ids:
            path, processes[sandbox_id] = _start_envd(folder, sandbox_id, config)
            directory.routes[sandbox_id] = Route(sandbox_id=sandbox_id, machine=HostMachine(path))
            directory.signing[sandbox_id] = token_of(sandbox_id)
        pids = {sandbox_id: process.pid for sandbox_id, process in processes.items()}
        yield Cloud(
            thread=thread,
            edge=edge,
            directory=directory,
            port=port,
            home=home,
            pids=pids,
            certificates=folder / "tls",
        )
    finally:
        thread.run(edge.close())
        thread.close()
        for process in processes.values():
            process.kill()
            process.wait()


def make_users(folder: Path) -> Path:
    """The one account ``user``, which is whoever runs the tests, and where it can be another: ``other``, uid 4242."""
    home = folder / "home"
    home.mkdir()
    home.chmod(0o777)
    (folder / "etc").mkdir()
    (folder / "etc/passwd").write_text(
        f"user:x:{os.getuid()}:{os.getgid()}::{home}:/bin/bash\nother:x:4242:4243::/tmp:/bin/bash\n"
    )
    (folder / "etc/group").write_text(f"user:x:{os.getgid()}:\nother:x:4243:\nextra:x:4244:other\n")
    return home


def _start_envd(folder: Path, sandbox_id: str, config: dict[str, Any]) -> tuple[Path, subprocess.Popen[bytes]]:
    path = folder / f"{sandbox_id}.sock"
    values = {"sandbox_id": sandbox_id, "template_id": "tbase", "access_token": token_of(sandbox_id), **config}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(128)
        process = subprocess.Popen(
            [sys.executable, str(_SCRIPT), str(folder / "etc"), json.dumps(values)],
            stdin=listening.fileno(),
            env={"PYTHONPATH": str(_ROOT), "LEAKED_FROM_HOST": "1"},
            umask=0o022,  # as in a machine
        )
    return path, process
