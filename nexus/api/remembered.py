"""What is remembered of a project: its state, its outputs, its runs. Needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nexus.api.outputs import Json, plain_outputs, typed_output
from nexus.model.addresses import Address
from nexus.model.runs import Run
from nexus.model.state import State
from nexus.stores import Backend, LockInfo
from nexus.wiring import stores_over
from nexus.workflows import runs, state_editing
from nexus.workflows.outputs import read_state
from nexus.workflows.runs import Listed as ListedRun
from nexus.workflows.state_editing import Edited

T = TypeVar("T")


class AsyncRemembered:
    """A part of :class:`AsyncProject`. ``backend`` opens its stores, anew for each use."""

    def __init__(self, backend: Callable[[], Backend]) -> None:
        self._open = backend

    async def state(self) -> State:
        """Every object with its id and outputs, as of the last apply."""
        return await read_state(self._open())

    async def outputs(self) -> dict[str, Json]:
        """The outputs as of the last apply. Sensitive ones are None: nexus keeps no value of them."""
        return plain_outputs((await self.state()).outputs)

    async def output(self, name: str, kind: type[T]) -> T:
        """One output, which is a ``kind``: bool, int, float, str, list or dict. Raises NexusError when it is not."""
        return typed_output(await self.state(), name, kind)

    async def runs(self, *, limit: int | None = None) -> Sequence[ListedRun]:
        """The runs that are on record, the newest first: applies, destroys and pipelines that did something."""
        return (await runs.list_runs(self._open()))[:limit]

    async def run_record(self, run_id: str | None = None) -> Run:
        """What one run did, operation by operation: the one whose id begins so, or the newest."""
        run, _ = await runs.find_run(self._open(), run_id)
        return run

    async def run_log(self, name: str, run_id: str | None = None) -> str:
        """All that one step, or operation, of a run wrote."""
        run, backend = await self.run_record(run_id), self._open()
        logs = [await backend.runs.log(run.head.id, item.id) for item in runs.operations_named(run, name)]
        return "".join(logs)

    async def move(self, source: str, destination: str, *, lock_timeout: float = 0.0) -> Edited:
        """Remember what is at ``source`` under ``destination``, for a block that was renamed."""
        addresses = (Address.parse(source), Address.parse(destination))
        return await state_editing.move(stores_over(self._open()), *addresses, lock_timeout)

    async def forget(self, *addresses: str, lock_timeout: float = 0.0) -> Edited:
        """Forget resources without destroying them: the next apply makes them a second time."""
        meant = [Address.parse(text) for text in addresses]
        return await state_editing.remove(stores_over(self._open()), meant, lambda _: True, lock_timeout)

    async def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        """Break the lock with this id, or any: whoever held it begins nothing new. None where there was none."""
        return await state_editing.unlock(self._open(), lock_id)
