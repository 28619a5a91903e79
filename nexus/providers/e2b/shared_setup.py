"""Shared setups: one sandbox is set up like any other, kept as a snapshot, and killed. Others are made from that."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from e2b import AsyncSandbox, SnapshotInfo
from e2b.exceptions import SandboxException

from nexus.kinds.shared_setup import SetupSpec
from nexus.model.changes import Verb
from nexus.model.state import ResourceRecord
from nexus.model.values import Value
from nexus.providers.base import LEASE_SECONDS, Call, ProviderError, Result
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.released import is_in_use, kept_for_released, made_from
from nexus.providers.e2b.renewing import renewed
from nexus.providers.e2b.sandbox import SandboxHandler, lifecycle
from nexus.providers.e2b.template import delete_template, find_build
from nexus.providers.e2b.world import World, record_of, spec_of, unsupported
from nexus.providers.recording import record_after


class SetupHandler:
    """Makes the effects of the kind ``setup``."""

    def __init__(self, world: World, sandboxes: SandboxHandler) -> None:
        self._world = world
        self._sandboxes = sandboxes

    async def execute(self, call: Call) -> Result:
        match call.operation.verb:
            case Verb.CREATE | Verb.BUILD:
                return await self._make(call)
            case Verb.RECORD:
                return Result(record_after(call))
            case Verb.DELETE:
                return await self._delete(call)
            case _:
                raise unsupported(call)

    async def _delete(self, call: Call) -> Result:
        name = _whole_template(record_of(call))
        try:
            deleted = await delete_template(self._world, name, str(call.address))
        except ProviderError as problem:
            found = await find_build(self._world, name, "") if is_in_use(problem) else None
            if found is None:
                raise
            return await kept_for_released(self._world, call, made_from(found.template_id), problem)
        return Result(None, unchanged=not deleted)

    async def _make(self, call: Call) -> Result:
        """Once for these inputs: the snapshot that is there already, whoever made it, is as good as a new one."""
        spec = spec_of(call, SetupSpec)
        found = None if call.operation.force else await find_snapshot(self._world, spec.reference)
        if found is not None:
            return Result(record_after(call, id=found.snapshot_id, outputs=_outputs(call, found)), unchanged=True)
        async with self._workshop(call, spec) as sandbox:
            await self._set_up(call, spec, sandbox)
            call.report.progress("keeping it as a snapshot")
            made = await sandbox.create_snapshot(spec.reference)
        await self._forget_former(call, spec)
        outputs = _outputs(call, made)
        return Result(record_after(call, id=made.snapshot_id, outputs=outputs, created_at=self._world.moment()))

    @contextlib.asynccontextmanager
    async def _workshop(self, call: Call, spec: SetupSpec) -> AsyncIterator[AsyncSandbox]:
        """A sandbox that lives as long as somebody works in it: its lease is renewed, and runs out when nobody does."""
        template, key = spec.sandbox.template, f"{call.key}-{new_token()}"  # a lost one is not looked for: it ends
        sandbox = await lifecycle.make(self._world, call, spec.sandbox, template=template, lease=LEASE_SECONDS, key=key)
        try:
            with renewed(self._world, sandbox.sandbox_id):
                yield sandbox
        finally:
            self._world.sandboxes.forget(sandbox.sandbox_id)
            with contextlib.suppress(SandboxException):  # it ends by itself, too
                await sandbox.kill()

    async def _set_up(self, call: Call, spec: SetupSpec, sandbox: AsyncSandbox) -> None:
        record = ResourceRecord(address=call.address, id=sandbox.sandbox_id, uid=call.uid)
        for unit in call.units:
            operation = replace(call.operation, verb=unit.verb, unit=unit.name)
            work = replace(call, operation=operation, spec=spec.sandbox, record=record)
            record = (await self._sandboxes.execute(work)).record or record

    async def _forget_former(self, call: Call, spec: SetupSpec) -> None:
        """The tag of the snapshot before this one; E2B keeps what sandboxes made from it need."""
        former = _reference(call.record)
        name, _, tag = former.rpartition(":")
        if name == spec.name and tag != spec.tag:
            with contextlib.suppress(SandboxException):
                await self._world.connection.client.AsyncTemplate.remove_tags(name, [tag])


async def find_snapshot(world: World, reference: str) -> SnapshotInfo | None:
    """The snapshot of this name and tag, or None."""
    pages = world.connection.client.AsyncSandbox.list_snapshots(name=reference)
    return next(iter(await pages.next_items()), None)


def _outputs(call: Call, snapshot: SnapshotInfo) -> Mapping[str, Value]:
    shown = {name: call.attributes.get(name) for name in ("name", "reference")}
    return {**shown, "address": str(call.address), "id": snapshot.snapshot_id}


def _reference(record: ResourceRecord | None) -> str:
    return "" if record is None else str(record.attributes.get("reference", ""))


def _whole_template(record: ResourceRecord) -> str:
    """The template that all its snapshots belong to."""
    return str(record.attributes.get("name") or record.id)
