"""The supervisor as a process: it outlives daemons, serves the next one, and costs nothing while idle."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.network import SupervisorClient, SupervisorError
from nexus.local.network.control_server import ControlServer
from nexus.local.network.served_machines import Supervisor

from .conftest import DEADLINE, launch

pytestmark = pytest.mark.engine

WAIT = [sys.executable, "-c", "print(input())"]


def pid_behind(client: SupervisorClient) -> int:
    import socket
    import struct

    credentials = client._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("=iII", credentials)[0])


@pytest.fixture
async def client(tmp_path: Path):
    client = await SupervisorClient.ensure(tmp_path / "run" / "egress.sock", log=tmp_path / "log")
    pid = pid_behind(client)
    yield client
    client.close()
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


async def test_machines_outlive_the_daemon_and_meet_the_next(client, tmp_path, resolv_conf):
    inside, release = await launch("m1", WAIT, resolv_conf)
    await client.add("m1", inside.handles, NetworkPolicy())
    inside.handles.close()
    release()
    client.close()

    second = await SupervisorClient.ensure(tmp_path / "run" / "egress.sock")
    assert await second.machines() == ["m1"]
    await second.update("m1", NetworkPolicy(internet=False))
    await inside.say("alive")
    assert await inside.output() == "alive"
    await dropped(second)
    second.close()


async def dropped(client: SupervisorClient) -> None:
    async with asyncio.timeout(DEADLINE):
        while await client.machines():  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(0.01)


async def test_an_ended_machine_costs_no_time(client, resolv_conf):
    inside, release = await launch("m1", WAIT, resolv_conf)
    await client.add("m1", inside.handles, NetworkPolicy())
    inside.handles.close()
    release()
    os.kill(inside.process.pid, signal.SIGKILL)
    await inside.process.wait()
    await dropped(client)
    before = cpu_ticks(pid_behind(client))
    await asyncio.sleep(0.5)
    assert cpu_ticks(pid_behind(client)) - before <= 5


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


async def test_orders_for_unknown_machines_and_bad_rules_are_refused(client, resolv_conf):
    with pytest.raises(SupervisorError, match="no such machine"):
        await client.update("nobody", NetworkPolicy())
    inside, release = await launch("m1", WAIT, resolv_conf)
    with pytest.raises(SupervisorError, match="deny_out"):
        await client.add("m1", inside.handles, NetworkPolicy(deny_out=("example.com",)))
    assert await client.machines() == []
    await client.remove("nobody")
    release()
    inside.process.kill()
    await inside.process.communicate()
    inside.handles.close()


async def test_only_one_supervisor_serves_a_path(tmp_path):
    path = tmp_path / "egress.sock"
    clients = await asyncio.gather(*(SupervisorClient.ensure(path, log=tmp_path / "log") for _ in range(3)))
    pids = {pid_behind(client) for client in clients}
    assert len(pids) == 1
    os.kill(pids.pop(), signal.SIGTERM)
    with pytest.raises(SupervisorError, match="gone"):
        await clients[0].machines()
    for client in clients:
        client.close()


async def test_it_ends_when_neither_machine_nor_daemon_is_left(tmp_path):
    path = tmp_path / "egress.sock"
    running = asyncio.create_task(ControlServer(Supervisor(), path, linger=0.05).run())
    async with asyncio.timeout(DEADLINE):
        while not path.exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0)
        client = SupervisorClient.connect(path)
        assert await client.machines() == []
        client.close()
        await running
    assert not path.exists()


async def test_an_order_given_up_does_not_confuse_the_next(client):
    given_up = asyncio.create_task(client.machines())
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(SupervisorError, match="no such machine"):
        await client.update("nobody", NetworkPolicy())
    assert await client.machines() == []
