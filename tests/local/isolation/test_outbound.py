"""The daemon's side of a supervisor that an earlier version left behind: what it does not know is lost, no more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexus.local.errors import ConflictError
from nexus.local.isolation.base import RelayAddress
from nexus.local.isolation.outbound import Outbound
from nexus.local.network.control import Packet
from nexus.local.network.control_server import ControlServer
from nexus.local.network.served_machines import Supervisor

_KNOWN = ("machines", "forward")


class EarlierServer(ControlServer):
    """Knows the first operations only."""

    async def _obey(self, request: Packet, fds: list[int], connection: object) -> Packet:
        if request["operation"] not in _KNOWN:
            raise ValueError("unknown operation")
        return await super()._obey(request, fds, connection)  # type: ignore[arg-type]


@pytest.fixture
async def outbound(tmp_path: Path) -> AsyncIterator[Outbound]:
    listening = asyncio.Event()
    serving = asyncio.create_task(EarlierServer(Supervisor(), tmp_path / "egress").run(listening.set))
    await listening.wait()
    outbound = Outbound(tmp_path, tmp_path / "log")
    await outbound.open()
    yield outbound
    await outbound.close()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_orders_that_it_does_not_know_are_logged(outbound: Outbound, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await outbound.set_forward_port(4711)
        await outbound.set_relay(RelayAddress(port=1, token="t"))
        await outbound.set_edge_port(4712)
    assert [record.getMessage().partition(" before ")[0] for record in caplog.records] == [
        "header rules and egress proxies have no effect",
        "sandboxes cannot reach ports by name",
    ]


async def test_names_that_it_cannot_replace_are_refused(outbound: Outbound) -> None:
    with pytest.raises(ConflictError, match="names cannot be replaced before all sandboxes of now have ended"):
        await outbound.set_stand_ins({"api.example.test": "127.77.0.5"})


async def test_a_daemon_takes_it_over_all_the_same(outbound: Outbound, tmp_path: Path) -> None:
    heir = Outbound(tmp_path, tmp_path / "log")
    heir._relay, heir._edge_port, heir._stand_ins = RelayAddress(port=1, token="t"), 4712, {"a.test": "127.77.0.5"}
    async with asyncio.timeout(60):
        await heir.open()
        await heir.set_forward_port(4711)
    await heir.close()
