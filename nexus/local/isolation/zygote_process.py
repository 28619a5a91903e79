"""The daemon's side of the zygote: start it, ask it for machines, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from nexus.local.isolation.tiers import Tier

_WARM_UP_LIMIT: Final = 60.0
_STOP_LIMIT: Final = 5.0
_PACKAGE_PARENT: Final = Path(__file__).resolve().parents[3]


class ZygoteError(Exception):
    """The zygote does not start, or has died."""


class Zygote:
    """One zygote process. Started on demand, and again should it die."""

    def __init__(self, tier: Tier, log: Path) -> None:
        self._tier = tier
        self._log = log
        self._turn = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Make sure that a warmed-up zygote runs. Raises ZygoteError."""
        async with self._turn:
            if self._orders is not None and self._process is not None and self._process.poll() is None:
                return
            await self._stop()
            await self._spawn()

    async def restart(self) -> None:
        """Start afresh, when the one that ran was found dead. Raises ZygoteError."""
        async with self._turn:
            await self._stop()
            await self._spawn()

    async def fork(self) -> socket.socket:
        """A new keeper's start socket, non-blocking; the request is to be written to it."""
        await self.start()
        assert self._orders is not None
        here, there = socket.socketpair()
        try:
            socket.send_fds(self._orders, [b"m"], [there.fileno()])
        except OSError as error:
            here.close()
            raise ZygoteError(f"the process that makes machines is gone (see {self._log})") from error
        finally:
            there.close()
        here.setblocking(False)
        return here

    async def stop(self) -> None:
        """End the zygote; its machines go on."""
        async with self._turn:
            await self._stop()

    async def _spawn(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = await asyncio.to_thread(_execute, self._tier, self._log, there)
        finally:
            there.close()
        here.setblocking(False)
        self._orders = here
        try:
            async with asyncio.timeout(_WARM_UP_LIMIT):
                ready = await asyncio.get_running_loop().sock_recv(here, 1)
        except TimeoutError:
            ready = b""
        if not ready:
            await self._stop()
            raise ZygoteError(f"the process that makes machines did not start (see {self._log})")

    async def _stop(self) -> None:
        if self._orders is not None:
            self._orders.close()
            self._orders = None
        process, self._process = self._process, None
        if process is None:
            return
        try:
            await asyncio.to_thread(process.wait, _STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


def _execute(tier: Tier, log: Path, orders: socket.socket) -> subprocess.Popen[bytes]:
    # Nothing of the caller's environment: what machines inherit from here is theirs to read.
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": _search_path()}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "nexus.local.isolation.zygote_entry", str(orders.fileno()), tier.name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[orders.fileno()],
            start_new_session=True,
            cwd="/",
            env=environment,
        )


def _search_path() -> str:
    """Where Python finds nexus, also when it runs from a checkout that only this process has on its path."""
    with contextlib.suppress(KeyError):
        return os.pathsep.join([str(_PACKAGE_PARENT), os.environ["PYTHONPATH"]])
    return str(_PACKAGE_PARENT)
