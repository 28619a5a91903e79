"""Machines and the deaths of those who made them."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nexus.local.isolation import tiers
from nexus.local.isolation.base import NetworkPolicy
from nexus.local.isolation.namespaces import NamespaceIsolation
from tests.local.isolation.workshop import Places, Workshop, output

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


async def test_a_machine_ends_with_its_keeper(workshop: Workshop) -> None:
    machine = await workshop.start()
    launcher = _parent(machine.pid)
    keeper = _parent(launcher)
    pidfd = os.pidfd_open(machine.pid)
    os.kill(keeper, signal.SIGKILL)

    assert select.select([pidfd], [], [], 5)[0]
    os.close(pidfd)
    assert await workshop.isolation.attach(machine.id) is None


def _run_and_kill_owner(tier: str, places: Places, name: str) -> tuple[int, int]:
    """Let another process start a machine, then kill it and its zygote; the pids of zygote and init."""
    program = [sys.executable, "-m", "tests.local.isolation.owner_program"]
    arguments = [tier, str(places.store), str(places.runtime), name]
    with subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE, cwd=_REPOSITORY, text=True) as owner:
        assert owner.stdout is not None
        zygote, init = map(int, owner.stdout.readline().split())
        os.kill(owner.pid, signal.SIGKILL)
        os.kill(zygote, signal.SIGKILL)
    return zygote, init


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
