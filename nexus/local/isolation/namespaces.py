"""Machines out of Linux namespaces and overlays: the :class:`~nexus.local.isolation.base.Isolation` of all tiers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nexus.local.envd.config import EnvdConfig
from nexus.local.isolation import cgroups
from nexus.local.isolation.base import MachineSpec, NetworkPolicy, RelayAddress
from nexus.local.isolation.keeper import group_prefix
from nexus.local.isolation.keeper_client import MachineGoneError, ask_keeper
from nexus.local.isolation.launch_request import LaunchRequest, NetworkKind
from nexus.local.isolation.machine import NamespaceMachine
from nexus.local.isolation.outbound import Outbound
from nexus.local.isolation.runtime_folder import RuntimeFolder
from nexus.local.isolation.starting import START_LIMIT, NoKeeperError, StartError, converse, wait_for_envd
from nexus.local.isolation.tiers import Tier
from nexus.local.isolation.zygote_process import Zygote, ZygoteError
from nexus.local.network import DNS_ADDRESS
from nexus.local.storage import host, layers
from nexus.local.storage.authorities import add_authority
from nexus.local.storage.base_root import BaseOptions, build_base, refresh_resolver
from nexus.local.storage.layout import ROOT_TREE, Store, checked_name, layer_key, short_key
from nexus.local.storage.trash import Trash
from nexus.local.storage.whole_roots import fill_root


class NamespaceIsolation:
    """Machines of one tier, in one store.

    ``egress`` False is for kernels on which the network's supervisor cannot work: machines that may use the internet
    then share the host's network, others have none, and rules are refused. A guest uses the store of another engine,
    which may be running, and clears nothing up in it.
    """

    def __init__(
        self,
        tier: Tier,
        store: Path,
        runtime: Path,
        *,
        logs: Path | None = None,
        egress: bool = True,
        is_guest: bool = False,
    ) -> None:
        self._tier = tier
        self._store = Store(store / tier.store)
        self._runtime = runtime
        self._logs = logs or runtime
        self._egress = egress and tier.namespaces
        self._is_guest = is_guest
        self._trash = Trash(self._store.trash, shared=is_guest)
        self._zygote = Zygote(tier, self._logs / "zygote.log")
        self._outbound: Outbound | None = None
        self._fingerprint = host.fingerprint(f"{tier.store} {tier.rise}")
        self._trees = (ROOT_TREE, *host.shared_folders()) if tier.namespaces else (ROOT_TREE,)

    @property
    def tier(self) -> str:
        return self._tier.name

    @property
    def lacks(self) -> Sequence[str]:
        """What this tier does not keep apart, a sentence each; empty where it keeps all apart."""
        return self._tier.lacks

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def store(self) -> Store:
        return self._store

    @property
    def zygote_pid(self) -> int | None:
        """PID of the process machines are forked from, None when none has been started."""
        return self._zygote.pid

    # -- the engine's life

    async def open(self) -> None:
        """See :meth:`nexus.local.isolation.base.Isolation.open`. Raises OSError, ZygoteError, SupervisorError."""
        self._runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(self._prepare_store)
        self._trash.start()
        if not self._is_guest:
            await asyncio.to_thread(self._clear_up, await self.running())
        if self._egress:
            outbound = Outbound(self._runtime, self._logs / "egress.log")
            await outbound.open()
            self._outbound = outbound
        await self._zygote.start()

    async def close(self) -> None:
        await self._zygote.stop()
        await asyncio.to_thread(self._trash.stop)
        if self._outbound is not None:
            await self._outbound.close()
            self._outbound = None

    async def set_forward_port(self, port: int | None) -> None:
        """Tell the network's supervisor on which port of this host the engine's forward addresses are served."""
        if self._outbound is not None:
            await self._outbound.set_forward_port(port)

    async def set_edge_port(self, port: int | None) -> None:
        """See :meth:`nexus.local.isolation.base.Isolation.set_edge_port`."""
        if self._outbound is not None:
            await self._outbound.set_edge_port(port)

    async def trust(self, authority: str, bundles: Sequence[str]) -> str | None:
        """See :meth:`nexus.local.isolation.base.Isolation.trust`."""
        return await asyncio.to_thread(add_authority, self._store.base(self._fingerprint), authority, bundles)

    async def set_relay(self, relay: RelayAddress | None) -> None:
        """See :meth:`nexus.local.isolation.base.Isolation.set_relay`."""
        if self._outbound is not None:
            await self._outbound.set_relay(relay)

    async def set_stand_ins(self, names: Mapping[str, str]) -> None:
        """See :meth:`nexus.local.isolation.base.Isolation.set_stand_ins`."""
        if self._outbound is not None:
            await self._outbound.set_stand_ins(names)

    # -- machines

    async def start(self, spec: MachineSpec) -> NamespaceMachine:
        """See :meth:`nexus.local.isolation.base.Isolation.start`. Raises StartError; ValueError for a bad spec."""
        return await self._start(spec, self_test=False)

    async def self_test(self) -> None:
        """Make a machine that writes and executes something, and remove it. Raises StartError."""
        name = f"self-test-{secrets.token_hex(4)}"
        spec = MachineSpec(id=name, hostname=name, envd=EnvdConfig(sandbox_id=name, template_id="base"))
        machine = await self._start(spec, self_test=True)
        await machine.kill()
        await self.discard(machine.id)

    async def _start(self, spec: MachineSpec, *, self_test: bool) -> NamespaceMachine:
        checked_name(spec.id)
        network = self._network_kind(spec.network)
        folder = RuntimeFolder.of(self._runtime, spec.id)
        if spec.volumes and not self._tier.namespaces:
            raise StartError(f"volumes cannot be mounted in the isolation tier {self._tier.name}")
        is_new = await asyncio.to_thread(layers.create_upper, self._store, spec.id, self._trees)
        try:
            if is_new and not self._tier.namespaces:
                await asyncio.to_thread(fill_root, self._store, spec.id, short_key(self._fingerprint), spec.layers)
            async with asyncio.timeout(START_LIMIT):
                description = await self._make(spec, network, self_test=self_test)
                await wait_for_envd(folder.envd)
        except BaseException as error:
            await asyncio.shield(self._abandon(spec.id, discard=is_new))
            if isinstance(error, TimeoutError):
                raise StartError(f"the machine was not ready within {START_LIMIT:.0f} seconds") from error
            raise
        return NamespaceMachine(folder, self._store, description, self._outbound)

    async def attach(self, machine_id: str) -> NamespaceMachine | None:
        folder = RuntimeFolder.of(self._runtime, checked_name(machine_id))
        try:
            description = await ask_keeper(folder, "describe")
        except MachineGoneError:
            return None
        return NamespaceMachine(folder, self._store, description, self._outbound)

    async def running(self) -> Sequence[str]:
        folders = await asyncio.to_thread(RuntimeFolder.all, self._runtime)
        found = await asyncio.gather(*(self.attach(folder.machine_id) for folder in folders))
        return [machine.id for machine in found if machine is not None]

    # -- what machines write

    async def commit(self, machine_id: str, layer_id: str) -> None:
        await asyncio.to_thread(layers.commit_upper, self._store, self._trash, machine_id, layer_id)

    async def snapshot(self, machine_id: str, layer_id: str) -> None:
        single_uid = self._tier.single_uid
        await asyncio.to_thread(
            layers.snapshot_upper, self._store, self._trash, machine_id, layer_id, single_uid=single_uid
        )

    async def has_written(self, machine_id: str) -> bool:
        return self._store.upper(machine_id).is_dir()

    async def discard(self, machine_id: str) -> None:
        self._trash.take(self._store.upper(machine_id))
        await asyncio.to_thread(self._clear_up_after, RuntimeFolder.of(self._runtime, checked_name(machine_id)))

    async def has_layer(self, layer_id: str) -> bool:
        return self._store.layer(layer_id).is_dir()

    async def drop_layers(self, needed: Collection[str], *, snapshots_only: bool, measure: bool = False) -> int:
        # No await before the last of them is out of sight: whoever asks for layers afterwards does not find them.
        dropped = []
        for layer in layers.unneeded_layers(self._store, needed, snapshots_only=snapshots_only):
            aside = self._store.scratch()
            layer.rename(aside)
            dropped.append(aside)
        freed = await asyncio.to_thread(lambda: sum(map(layers.disk_usage, dropped))) if measure else 0
        for aside in dropped:
            self._trash.take(aside)
        return freed

    # -- steps

    async def _make(self, spec: MachineSpec, network: NetworkKind, *, self_test: bool) -> dict[str, object]:
        request = LaunchRequest(
            machine_id=spec.id,
            hostname=spec.hostname,
            tier=self._tier.name,
            store=self._store.path,
            runtime=self._runtime,
            base=short_key(self._fingerprint),
            layers=tuple(layer_key(layer) for layer in spec.layers),
            trees=self._trees,
            volumes=spec.volumes,
            limits=spec.limits,
            network=network,
            envd=spec.envd,
            boot_id=spec.boot_id,
            self_test=self_test,
        )
        try:
            return await self._ask_zygote(request, spec.network)
        except (NoKeeperError, ZygoteError):
            await self._zygote.restart()
            return await self._ask_zygote(request, spec.network)

    async def _ask_zygote(self, request: LaunchRequest, policy: NetworkPolicy) -> dict[str, object]:
        with await self._zygote.fork() as start:
            return dict(await converse(start, request, policy, self._outbound))

    def _network_kind(self, policy: NetworkPolicy) -> NetworkKind:
        if self._egress:
            return "own"
        if not self._tier.namespaces and (policy.has_rules or not policy.internet):
            raise StartError(f"the isolation tier {self._tier.name} cannot limit the network of sandboxes")
        if policy.has_rules:
            raise StartError("this host's kernel cannot enforce network rules (see `nexus local doctor`)")
        return "host" if policy.internet else "loopback"

    async def _abandon(self, machine_id: str, *, discard: bool) -> None:
        """Leave nothing of a machine that could not be started."""
        with contextlib.suppress(Exception):
            machine = await self.attach(machine_id)
            if machine is not None:
                await machine.kill()
        if discard:
            await self.discard(machine_id)

    def _prepare_store(self) -> None:
        self._store.create()
        base = self._store.base(self._fingerprint)
        options = BaseOptions(
            rise=self._tier.rise,
            nameserver=DNS_ADDRESS if self._egress else None,
            single_uid=self._tier.single_uid,
            whole=not self._tier.namespaces,
        )
        build_base(base, options)
        if not self._is_guest:
            refresh_resolver(base, options)

    def _clear_up_after(self, folder: RuntimeFolder) -> None:
        """What a keeper removes itself, unless it was killed."""
        if folder.path.exists():
            folder.remove()
            cgroups.remove_empty_groups(cgroups.find_hierarchies(), group_prefix(self._store.path) + folder.machine_id)

    def _clear_up(self, running: Sequence[str]) -> None:
        """Remove what a killed engine or a restarted host left behind."""
        alive = set(running)
        for leftover in RuntimeFolder.all(self._runtime):
            if leftover.machine_id not in alive:
                leftover.remove()
        cgroups.remove_empty_groups(cgroups.find_hierarchies(), group_prefix(self._store.path))
        layers.empty_temporary(self._store, self._trash)
        if not alive:
            for base in self._store.bases.iterdir():
                if base != self._store.base(self._fingerprint):
                    self._trash.take(base)
