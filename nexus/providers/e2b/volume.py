"""Volumes: made, found by the name that their address gives them, deleted."""

from __future__ import annotations

from typing import Final

from e2b.exceptions import VolumeException

from nexus.kinds.volume import VolumeSpec
from nexus.model.changes import Verb
from nexus.model.values import Value
from nexus.providers.base import Call, Result
from nexus.providers.e2b.errors import status_of
from nexus.providers.e2b.released import kept_for_released, mounts
from nexus.providers.e2b.world import World, record_of, spec_of, unsupported
from nexus.providers.recording import record_after

_IN_USE: Final = (400, 409)
"""Statuses that may mean that a sandbox mounts it."""


class VolumeHandler:
    """Makes effects on volumes."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def execute(self, call: Call) -> Result:
        match call.operation.verb:
            case Verb.CREATE:
                return await self._create(call)
            case Verb.DELETE:
                return await self._delete(call)
            case Verb.RECORD:
                return Result(record_after(call))
            case _:
                raise unsupported(call)

    async def _delete(self, call: Call) -> Result:
        record = record_of(call)
        try:
            destroyed = await self._world.connection.client.AsyncVolume.destroy(record.id)
        except VolumeException as problem:
            if status_of(problem) not in _IN_USE:
                raise
            return await kept_for_released(self._world, call, mounts(str(record.outputs.get("name"))), problem)
        return Result(None, unchanged=not destroyed)

    async def _create(self, call: Call) -> Result:
        """Make a volume. Its name is its only mark, so one of this name is the one that an earlier try made."""
        spec = spec_of(call, VolumeSpec)
        try:
            volume = await self._world.connection.client.AsyncVolume.create(spec.name)
            volume_id, existed = volume.volume_id, False
        except VolumeException as problem:
            found = await find_volume(self._world, spec.name) if status_of(problem) in (400, 409) else None
            if found is None:
                raise
            volume_id, existed = found, True
        outputs: dict[str, Value] = {"address": str(call.address), "id": volume_id, "name": spec.name}
        record = record_after(call, id=volume_id, outputs=outputs, created_at=self._world.moment())
        return Result(record, unchanged=existed)


async def find_volume(world: World, name: str) -> str | None:
    """The id of the volume of this name."""
    volumes = await world.connection.client.AsyncVolume.list()
    return next((volume.volume_id for volume in volumes if volume.name == name), None)
