"""The network's supervisor as the daemon needs it: always there, and serving every machine that lives.

The supervisor is one process for all machines. Should it die, their network calls would fail for ever, so each keeper
holds copies of its machine's descriptors, and the rules lie in the machine's runtime folder: whoever starts the next
supervisor gives it both. Calls made in between wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Final

from nexus.local.errors import ConflictError
from nexus.local.isolation.base import NetworkPolicy, RelayAddress
from nexus.local.isolation.keeper_client import MachineGoneError, fetch_egress
from nexus.local.isolation.runtime_folder import RuntimeFolder
from nexus.local.network import EgressHandles, SupervisorClient, SupervisorError
from nexus.local.network.control import policy_from_json, policy_to_json

_RETRY_SECONDS: Final = 1.0
_NO_RELAY: Final = "header rules and egress proxies have no effect"
_NO_EDGE: Final = "sandboxes cannot reach ports by name"
_NO_STAND_INS: Final = "names cannot be replaced"
_log = logging.getLogger(__name__)


class Outbound:
    """Keeps one supervisor running and knowing every machine below ``runtime``."""

    def __init__(self, runtime: Path, log: Path) -> None:
        self._runtime = runtime
        self._log = log
        self._client: SupervisorClient | None = None
        self._forward_port: int | None = None
        self._edge_port: int | None = None
        self._relay: RelayAddress | None = None
        self._stand_ins: Mapping[str, str] = {}
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises SupervisorError when there is no supervisor to be had."""
        await self._connect()
        self._watching = asyncio.create_task(self._watch(), name="outbound")

    async def close(self) -> None:
        """Let go of the supervisor, which goes on for its machines."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._client is not None:
            self._client.close()
            self._client = None

    async def add(self, machine_id: str, handles: EgressHandles, policy: NetworkPolicy) -> None:
        """Have a new machine served. Raises SupervisorError; ValueError for a rule that is none."""
        _write_rules(self._folder(machine_id), policy)
        await self._supervisor().add(machine_id, handles, policy)

    async def update(self, machine_id: str, policy: NetworkPolicy) -> None:
        """Replace a machine's rules for connections made from now on. Raises SupervisorError."""
        await self._supervisor().update(machine_id, policy)
        _write_rules(self._folder(machine_id), policy)

    async def set_forward_port(self, port: int | None) -> None:
        self._forward_port = port
        await self._supervisor().set_forward_port(port)

    async def set_relay(self, relay: RelayAddress | None) -> None:
        self._relay = relay
        await _tell(self._supervisor().set_relay(relay), _NO_RELAY)

    async def set_edge_port(self, port: int | None) -> None:
        self._edge_port = port
        await _tell(self._supervisor().set_edge_port(port), _NO_EDGE)

    async def set_stand_ins(self, names: Mapping[str, str]) -> None:
        """Raises ConflictError when the supervisor is of an earlier version, which cannot do it."""
        try:
            await self._supervisor().set_stand_ins(names)
        except SupervisorError as error:
            raise ConflictError(f"{_NO_STAND_INS} before all sandboxes of now have ended: {error}") from error
        self._stand_ins = dict(names)

    def _supervisor(self) -> SupervisorClient:
        if self._client is None:
            raise SupervisorError("the egress supervisor is gone")
        return self._client

    def _folder(self, machine_id: str) -> RuntimeFolder:
        return RuntimeFolder.of(self._runtime, machine_id)

    async def _watch(self) -> None:
        """Whenever the supervisor ends, start another and give it the machines."""
        while True:
            try:
                if self._client is None:
                    await self._connect()
                assert self._client is not None
                await self._client.gone()
                _log.warning("the egress supervisor has ended; another one is started")
            except (SupervisorError, OSError):
                _log.exception("the egress supervisor could not be started")
                await asyncio.sleep(_RETRY_SECONDS)
            if self._client is not None:
                self._client.close()
                self._client = None

    async def _connect(self) -> None:
        client = await SupervisorClient.ensure(self._runtime / "egress", log=self._log)
        try:
            if self._forward_port is not None:
                await client.set_forward_port(self._forward_port)
            if self._edge_port is not None:
                await _tell(client.set_edge_port(self._edge_port), _NO_EDGE)
            if self._relay is not None:
                await _tell(client.set_relay(self._relay), _NO_RELAY)
            if self._stand_ins:
                await _tell(client.set_stand_ins(self._stand_ins), _NO_STAND_INS)
            served = set(await client.machines())
            for folder in RuntimeFolder.all(self._runtime):
                if folder.machine_id not in served:
                    await self._add_again(client, folder)
        except BaseException:
            client.close()
            raise
        self._client = client

    @staticmethod
    async def _add_again(client: SupervisorClient, folder: RuntimeFolder) -> None:
        policy = _read_rules(folder)
        if policy is None:
            return
        with contextlib.suppress(MachineGoneError):
            handles = await fetch_egress(folder)
            if handles is not None:
                try:
                    await client.add(folder.machine_id, handles, policy)
                finally:
                    handles.close()


async def _tell(order: Awaitable[None], what: str) -> None:
    """Give an order that a supervisor of an earlier version does not know.

    Such a one lives as long as the machines it serves: what it can do goes on.
    """
    try:
        await order
    except SupervisorError as error:
        _log.warning("%s before all sandboxes of now have ended: %s", what, error)


def _write_rules(folder: RuntimeFolder, policy: NetworkPolicy) -> None:
    fresh = folder.rules.with_name("rules.new")
    fresh.write_text(json.dumps(policy_to_json(policy)))
    fresh.replace(folder.rules)


def _read_rules(folder: RuntimeFolder) -> NetworkPolicy | None:
    """None for a machine without egress, or one that is just being made."""
    try:
        return policy_from_json(json.loads(folder.rules.read_text()))
    except FileNotFoundError:
        return None
