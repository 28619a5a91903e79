"""Machines and the deaths of those who made them."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from nexus.local.isolation import tiers
from nexus.local.isolation.base import NetworkPolicy
from nexus.local.isolation.namespaces import NamespaceIsolation
from tests.local.isolation.workshop import Places, Workshop, output, run, supervisor_pid

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

_REPOSITORY = Path(__file__).parents[3]


async def test_a_machine_outlives_a_killed_daemon_and_zygote(tier: str, places: Places) -> None:
    name = f"survivor-{tier}"
    _, init = await asyncio.to_thread(_run_and_kill_owner, tier, places, name)
    heir = NamespaceIsolation(tiers.by_name(tier), places.store, places.runtime)
    await heir.open()
    try:
        assert name in await heir.running()
        machine = await heir.attach(name)
        assert machine is not None
        assert machine.pid == init
        assert await output(machine, "echo still here") == "still here"
        with pytest.raises(ConnectionRefusedError):
            await machine.dial(9)
        await machine.set_network(NetworkPolicy(internet=False))
        await machine.pause()
        await machine.resume()
        await machine.kill()
        assert not Path(f"/proc/{init}").exists()
        assert await heir.attach(name) is None
        await heir.discard(name)
    finally:
        await heir.close()


async def test_a_dead_zygote_is_replaced(workshop: Workshop) -> None:
    first = await workshop.start()
    zygote = workshop.isolation.zygote_pid
    assert zygote is not None
    os.kill(zygote, signal.SIGKILL)
    second = await workshop.start()
    assert await output(first, "echo one") == "one"
    assert await output(second, "echo two") == "two"


async def test_a_killed_supervisor_is_replaced_and_machines_reach_out_again(workshop: Workshop) -> None:
    server = await asyncio.start_server(_greet, "127.77.200.1", 0)
    port = server.sockets[0].getsockname()[1]
    await workshop.isolation.set_forward_port(port)
    free, closed = await workshop.start(internet=True), await workshop.start(internet=True)
    ask = f"curl -s --max-time 20 http://127.77.200.1:{port}/"
    assert await output(free, ask) == "hello"
    await closed.set_network(NetworkPolicy(internet=False))
    first = supervisor_pid(workshop.places)
    os.kill(first, signal.SIGKILL)
    # A call made meanwhile waits for the next supervisor.
    assert await output(free, ask) == "hello"
    assert supervisor_pid(workshop.places) != first
    assert (await run(closed, ask))[0] != 0
    assert await output(await workshop.start(internet=True), ask) == "hello"
    await workshop.isolation.set_forward_port(None)
    server.close()


async def test_a_supervisor_that_died_with_its_daemon_is_made_good_by_the_next(tier: str, places: Places) -> None:
    name = f"orphan-{tier}"
    await asyncio.to_thread(_run_and_kill_owner, tier, places, name, kill_supervisor=True)
    server = await asyncio.start_server(_greet, "127.77.200.2", 0)
    port = server.sockets[0].getsockname()[1]
    heir = NamespaceIsolation(tiers.by_name(tier), places.store, places.runtime)
    await heir.open()
    try:
        await heir.set_forward_port(port)
        machine = await heir.attach(name)
        assert machine is not None
        assert await output(machine, f"curl -s --max-time 20 http://127.77.200.2:{port}/") == "hello"
        await machine.kill()
        await heir.discard(name)
    finally:
        await heir.close()
        server.close()


async def test_a_machine_ends_with_its_keeper(workshop: Workshop) -> None:
    machine = await workshop.start()
    keeper = _parent(machine.pid)
    pidfd = os.pidfd_open(machine.pid)
    os.kill(keeper, signal.SIGKILL)

    assert select.select([pidfd], [], [], 60)[0]
    os.close(pidfd)
    assert await workshop.isolation.attach(machine.id) is None


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")
    await writer.drain()
    writer.close()


def _run_and_kill_owner(tier: str, places: Places, name: str, *, kill_supervisor: bool = False) -> tuple[int, int]:
    """Let another process start a machine, then kill it and its zygote; the pids of zygote and init."""
    program = [sys.executable, "-m", "tests.local.isolation.owner_program"]
    arguments = [tier, str(places.store), str(places.runtime), name]
    with subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE, cwd=_REPOSITORY, text=True) as owner:
        assert owner.stdout is not None
        zygote, init = map(int, owner.stdout.readline().split())
        os.kill(owner.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):  # it may have seen that nobody needs it any more
            os.kill(zygote, signal.SIGKILL)
    if kill_supervisor:
        os.kill(supervisor_pid(places), signal.SIGKILL)
    return zygote, init


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
