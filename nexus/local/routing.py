"""What the edge sees of the sandboxes: which are running, who may reach them, and forwards that outlive the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from nexus.local.documents import DocumentWriter, read_document
from nexus.local.edge.directory import Ingress, InTransitionError, NotResumedError, Route
from nexus.local.edge.forwards import Forward, ForwardTable
from nexus.local.errors import ConflictError, EngineError
from nexus.local.sandboxes.fleet import LiveSandbox, unknown_sandbox
from nexus.local.sandboxes.model import SandboxState
from nexus.local.sandboxes.service import SandboxService
from nexus.local.storage.space import DiskSpace


class SandboxDirectory:
    """The edge's ``Directory`` over the sandbox service. ``token`` derives a secret from a purpose and an id."""

    def __init__(self, service: SandboxService, token: Callable[[str, str], str], space: DiskSpace) -> None:
        self._service = service
        self._token = token
        self._space = space

    async def find(self, sandbox_id: str) -> Route | None:
        live = self._service.fleet.get(sandbox_id)
        if live is None:
            return None
        if not live.is_running:
            try:
                if not await self._service.wake(sandbox_id):
                    return None
            except ConflictError as error:
                raise InTransitionError from error
            except EngineError as error:
                raise NotResumedError(error.message, error.status) from error
        machine = live.running_machine
        if machine is None or self._service.fleet.get(sandbox_id) is not live:
            return None
        network = live.record.network
        return Route(
            sandbox_id=live.id,
            machine=machine,
            ingress=Ingress(
                public=network.allow_public_traffic,
                traffic_token=None if network.allow_public_traffic else self._token("traffic", live.id),
                mask_host=network.mask_request_host,
                https_ports=frozenset(network.https_ports or ()),
            ),
            has_room=lambda: self._has_room(live),
        )

    def _has_room(self, live: LiveSandbox) -> bool:
        """By its last sample, which is a few seconds old."""
        sample = live.samples.latest()
        return self._space.is_above_floor() and not (sample and self._space.is_over(sample.usage.disk_used))

    def tokens(self) -> Iterable[tuple[str, str]]:
        """Paused ones too: a signed URL wakes a sandbox like any other request."""
        for live in self._service.fleet:
            if live.record.state is not SandboxState.CREATING:
                yield live.id, self._token("envd", live.id)


class Forwards:
    """Forwards with a record on disk, so that their addresses stay the same across restarts."""

    def __init__(self, table: ForwardTable, service: SandboxService, path: Path) -> None:
        self._table = table
        self._service = service
        self._path = path
        self._documents = DocumentWriter()

    async def restore(self) -> None:
        document = read_document(self._path) or {}
        recorded = document.get("forwards")
        wanted = [
            Forward(sandbox_id=str(sandbox_id), port=int(port), address=str(address))
            for sandbox_id, port, address in (recorded if isinstance(recorded, list) else [])
            if self._service.fleet.get(str(sandbox_id)) is not None
        ]
        await self._table.restore(wanted)

    async def open(self, sandbox_id: str, port: int) -> str:
        """The URL of a port of a sandbox. Raises NotFoundError for an unknown sandbox."""
        live = self._service.fleet.find(sandbox_id)
        before = self._table.all()
        forward = await self._table.open(live.id, port)
        if self._service.fleet.get(live.id) is not live:
            # Its kill came meanwhile, when there was nothing to close yet.
            await self.close(live.id)
            raise unknown_sandbox(sandbox_id)
        if forward not in before:
            await self._save()
        return self._table.url(forward)

    async def close(self, sandbox_id: str) -> None:
        before = len(self._table.all())
        await self._table.close(sandbox_id)
        if len(self._table.all()) != before:
            await self._save()

    async def _save(self) -> None:
        rows = [[forward.sandbox_id, forward.port, forward.address] for forward in self._table.all()]
        await self._documents.write(self._path, {"forwards": rows})
