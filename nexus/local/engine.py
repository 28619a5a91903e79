"""One engine put together: isolation, sandboxes, templates, edge and control plane, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nexus.local.builds.archives import ArchiveStore
from nexus.local.builds.builder import Builder
from nexus.local.builds.records import TemplateRecords
from nexus.local.builds.registry import TemplateRegistry
from nexus.local.builds.service import BuildService
from nexus.local.builds.snapshots import SnapshotService
from nexus.local.clock import AdjustableClock, Clock, SystemClock
from nexus.local.control_plane.creating import Creator
from nexus.local.control_plane.sandbox_wire import SandboxWire, wire_time
from nexus.local.control_plane.template_wire import TemplateWire
from nexus.local.edge.certificates import LoopbackCertificates, ensure_authority
from nexus.local.edge.faults import EdgeFaults
from nexus.local.edge.forwards import ForwardTable
from nexus.local.edge.open_streams import OpenStreams
from nexus.local.edge.server import Edge
from nexus.local.faults.model import FaultScript
from nexus.local.guest_trust import trust_in_guests
from nexus.local.identity import nexus_version
from nexus.local.isolation.base import Isolation, RelayAddress
from nexus.local.limits.documents import shown_limits
from nexus.local.limits.model import Limits
from nexus.local.limits.quotas import Quotas
from nexus.local.relay import Authority, IdentityIssuer, Relay
from nexus.local.relaying import SandboxOutgoing
from nexus.local.routing import Forwards, SandboxDirectory
from nexus.local.sandboxes.booting import Booter, Readiness
from nexus.local.sandboxes.copying import SandboxCopier
from nexus.local.sandboxes.departed import Departed
from nexus.local.sandboxes.eviction import Evictor
from nexus.local.sandboxes.fleet import Fleet
from nexus.local.sandboxes.idempotency import IdempotencyLedger
from nexus.local.sandboxes.metrics import INTERVAL, Sampler
from nexus.local.sandboxes.mishaps import Mishaps
from nexus.local.sandboxes.pausing import Pauser
from nexus.local.sandboxes.records import SandboxRecords
from nexus.local.sandboxes.recovery import recover
from nexus.local.sandboxes.service import SandboxService
from nexus.local.sandboxes.team_metrics import TeamMetrics
from nexus.local.sandboxes.volumes import GUEST_UID, VolumeRegistry
from nexus.local.secrets import SecretRegistry, Vault
from nexus.local.settings import HOST, Settings
from nexus.local.storage.retention import Janitor, Retention
from nexus.local.storage.space import MEBIBYTE, DiskLimits, DiskSpace

# The envd whose behaviour ours has; SDKs choose what they ask for by it.
ENVD_VERSION = "0.6.13"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How an engine runs. ``test_controls`` makes its clock movable."""

    limits: Limits = field(default_factory=Limits)
    readiness: Readiness = field(default_factory=Readiness)
    disk: DiskLimits = field(default_factory=DiskLimits)
    test_controls: bool = False


class Engine:
    """Everything behind the two ports. Build it, :meth:`open` it, serve its application, :meth:`close` it.

    Raises OSError when the home cannot be written.
    """

    def __init__(self, settings: Settings, isolation: Isolation, options: EngineOptions) -> None:
        self.settings = settings
        self.options = options
        self.isolation = isolation
        self.clock: Clock = AdjustableClock() if options.test_controls else SystemClock()
        self.started_at = self.clock.now()
        self.faults = FaultScript()
        self.quotas = Quotas(options.limits, self.clock)
        self._loopback_authority = ensure_authority(settings.certificates).read_text()
        # Known once the isolation has been told, at the opening.
        self._guest_environment: dict[str, str] = {}
        self._make_storage()
        self._make_sandboxes()
        self._make_templates()
        self._make_copies()
        self._make_edge()
        self._make_wire()
        self._tasks: list[asyncio.Task[None]] = []
        self.request_shutdown: Callable[[bool], None] = lambda _kill_sandboxes: None

    def _make_storage(self) -> None:
        settings = self.settings
        self.retention = Retention()
        self.janitor = Janitor(self.isolation, self.retention)
        kept = (settings.store, settings.archives, settings.volumes)
        self.space = DiskSpace(settings.home, kept, self.options.disk)

    def _make_sandboxes(self) -> None:
        settings, fleet = self.settings, Fleet()
        self.vault = Vault(settings.api_key)
        self._sandbox_records = SandboxRecords(settings.records / "sandboxes", self.vault)
        self._template_records = TemplateRecords(settings.records)
        self.registry = TemplateRegistry(self._template_records)
        single_uid = self.isolation.tier.startswith("rootless")
        self.secrets = SecretRegistry(settings.records / "secrets", self.vault, self.clock)
        self.volumes = VolumeRegistry(settings.volumes, None if single_uid else GUEST_UID)
        self.ledger = IdempotencyLedger(settings.records / "idempotency", self.clock)
        self.booter = Booter(
            self.isolation,
            self.volumes,
            lambda sandbox_id: settings.token("envd", sandbox_id),
            self.options.readiness,
            self._guest_environment,
            self._make_relay(fleet).pem,
        )
        pauser = Pauser(self.booter, self._sandbox_records)
        self.sandboxes = SandboxService(
            fleet=fleet,
            isolation=self.isolation,
            booter=self.booter,
            pauser=pauser,
            records=self._sandbox_records,
            templates=self.registry,
            volumes=self.volumes,
            clock=self.clock,
            quotas=self.quotas,
            retention=self.retention,
            space=self.space,
        )
        self.retention.add_source(self.sandboxes.needed_layers)
        self.departed = Departed(self.booter, self.clock)
        self.sandboxes.before_kill = self.departed.remember
        self.team_metrics = TeamMetrics(self.clock.now())
        self.mishaps = Mishaps(self.sandboxes)
        self._evictor = Evictor(fleet, self.clock, self.sandboxes.expire)
        self.sandboxes.on_lifetime_change = self._evictor.wake

    def _make_relay(self, fleet: Fleet) -> Authority:
        """The relay for what leaves sandboxes with rules; returns the authority that they have to trust."""
        settings = self.settings
        self.issuer = IdentityIssuer(self.vault.signing_key("identity"), settings.engine_id)
        authority = Authority(self.vault.signing_key("egress authority"), settings.engine_id)
        outgoing = SandboxOutgoing(fleet, self.secrets, self.issuer)
        self._relay_token = settings.token("relay", "")
        self._relay = Relay(outgoing, authority, self._relay_token, self._loopback_authority)
        return authority

    def _make_templates(self) -> None:
        self.archives = ArchiveStore(self.settings.archives, self.space)
        builder = Builder(self.isolation, self.registry, self.archives, self._guest_environment, self.retention)
        self.builds = BuildService(self.registry, self._template_records, builder, self.clock, self.space, self.quotas)
        self.retention.add_source(self.registry.needed_layers)
        self.registry.on_change = self.janitor.wake

    def _make_copies(self) -> None:
        self.copier = SandboxCopier(
            service=self.sandboxes,
            isolation=self.isolation,
            booter=self.booter,
            retention=self.retention,
            janitor=self.janitor,
            space=self.space,
            clock=self.clock,
        )
        self.snapshots = SnapshotService(
            fleet=self.sandboxes.fleet,
            copier=self.copier,
            registry=self.registry,
            quotas=self.quotas,
            clock=self.clock,
        )

    def _make_edge(self) -> None:
        streams = OpenStreams()
        directory = SandboxDirectory(self.sandboxes, self.settings.token, self.space)
        certificates = LoopbackCertificates(self.settings.certificates)
        self._edge = Edge(directory, streams, EdgeFaults(self.faults, self.mishaps), lambda: certificates.context)
        self._forward_table = ForwardTable(
            directory, streams, port=self.settings.forward_port, guarded=self._edge.serve
        )
        self.forwards = Forwards(self._forward_table, self.sandboxes, self.settings.records / "forwards.json")
        self.sandboxes.on_leave = self._cut_streams
        self.sandboxes.on_gone = self._after_kill

    def _make_wire(self) -> None:
        disk = self.options.disk.sandbox_mb or shutil.disk_usage(self.settings.home).total // MEBIBYTE
        self.sandbox_wire = SandboxWire(
            envd_version=ENVD_VERSION, disk_size_mb=disk, domain=self.settings.domain, token=self.settings.token
        )
        self.template_wire = TemplateWire(envd_version=ENVD_VERSION, disk_size_mb=disk)
        self.creator = Creator(
            self.sandboxes, self.ledger, self.sandbox_wire, self.settings.token("fingerprint", "").encode()
        )

    async def open(self, edge: socket.socket, written: Callable[[], Sequence[str]]) -> None:
        """Take over what an earlier daemon left, then let time and traffic run. The isolation is open already.

        ``edge`` listens on the edge's port. ``written`` lists the machines, alive or not, whose files are in the store.
        """
        self.settings.records.mkdir(parents=True, exist_ok=True)
        for part in (
            self._sandbox_records,
            self._template_records,
            self.registry,
            self.volumes,
            self.secrets,
            self.ledger,
        ):
            part.open()
        self.archives.open()
        self._guest_environment |= await trust_in_guests(self.isolation, self._loopback_authority, os.environ)
        await recover(self.sandboxes.fleet, self.isolation, self._sandbox_records, written)
        await self.builds.recover()
        await self.creator.resolve_unfinished()
        await self.isolation.set_edge_port(await self._edge.start(edge))
        relay_port = await self._relay.start(HOST)
        await self.isolation.set_relay(RelayAddress(port=relay_port, token=self._relay_token))
        await self.forwards.restore()
        self._tasks = [
            asyncio.create_task(self._evictor.run(), name="evictor"),
            asyncio.create_task(self._sample_forever(), name="sampler"),
            asyncio.create_task(self.janitor.run(), name="janitor"),
            asyncio.create_task(self.space.keep_measuring(), name="disk"),
        ]

    async def close(self, *, kill_sandboxes: bool = False) -> None:
        """Stop what the daemon does. Sandboxes go on unless they are to be killed too; the isolation stays open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.builds.close()
        if kill_sandboxes:
            await self.sandboxes.kill_all()
        # Before its port is free for whoever comes: sandboxes must not find them there.
        await self.isolation.set_edge_port(None)
        await self._edge.close()
        await self._forward_table.shutdown()
        await self._relay.close()
        await asyncio.to_thread(self.volumes.close)
        with contextlib.suppress(OSError):
            await self.registry.save_counts()

    async def status(self) -> Mapping[str, object]:
        """What ``GET /nexus/status`` shows."""
        live = list(self.sandboxes.fleet)
        running = sum(sandbox.is_running for sandbox in live)
        disk = shutil.disk_usage(self.settings.home)
        return {
            "engineID": self.settings.engine_id,
            "version": nexus_version(),
            "envdVersion": ENVD_VERSION,
            "tier": self.isolation.tier,
            "lacks": list(self.isolation.lacks),
            "pid": os.getpid(),
            "startedAt": wire_time(self.started_at),
            "uptimeSeconds": round((self.clock.now() - self.started_at).total_seconds(), 1),
            "now": wire_time(self.clock.now()),
            "apiURL": self.settings.api_url,
            "sandboxURL": self.settings.sandbox_url,
            "sandboxes": {"running": running, "paused": len(live) - running},
            "templates": len(self.registry.templates()),
            "volumes": len(self.volumes.list()),
            "disk": {"freeBytes": disk.free, "totalBytes": disk.total, **self._measured_disk()},
            "memory": {"daemonBytes": _resident_bytes(), "sandboxesBytes": self._memory_of_sandboxes()},
            "testControls": self.options.test_controls,
            "limits": shown_limits(self.quotas.limits),
            **self._shown_faults(),
        }

    def _measured_disk(self) -> Mapping[str, int]:
        """What the engine takes, where a limit has it measured."""
        return {} if self.space.used is None else {"usedBytes": self.space.used}

    def _memory_of_sandboxes(self) -> int:
        """As of their last samples; those that have none yet do not count."""
        samples = [live.samples.latest() for live in self.sandboxes.fleet if live.is_running]
        return sum(sample.usage.mem_used for sample in samples if sample is not None)

    def _shown_faults(self) -> Mapping[str, object]:
        """Only when there are any: they are easily forgotten."""
        counts = self.faults.counts()
        if not counts:
            return {}
        return {"faults": {"rules": len(counts), "struck": sum(count.struck for count in counts)}}

    async def prune(self) -> int:
        """Free what nothing needs: layers and build contexts kept for later builds. Returns the bytes they took."""
        building = any(not build.status.is_final for build in self.registry.all_builds())
        contexts = await self.archives.prune(only_old=building)
        freed = await self.janitor.prune() + contexts
        if self.space.used is not None:
            await self.space.measure()
        return freed

    async def _after_kill(self, sandbox_id: str) -> None:
        await self.forwards.close(sandbox_id)
        self.janitor.wake()

    async def _cut_streams(self, sandbox_id: str) -> None:
        self._edge.drop(sandbox_id)

    async def _sample_forever(self) -> None:
        sampler = Sampler(self.clock)
        while True:
            silent = await sampler.sample(live for live in self.sandboxes.fleet if live.is_running)
            for live in silent:
                await self.sandboxes.forget_if_dead(live)
            running = sum(live.is_running for live in self.sandboxes.fleet)
            self.team_metrics.add(self.clock.now(), running, self.registry.spawn_total)
            await asyncio.sleep(INTERVAL)


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - one line of a kernel file
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
