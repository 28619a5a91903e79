"""What is remembered of a project: its state, its outputs, its runs. Needs no network, and no valid manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nexus.api.events import Confirm, yes
from nexus.api.given import address_of
from nexus.api.outputs import Json, plain_outputs, typed_output
from nexus.model.addresses import Address
from nexus.model.runs import Run, RunStatus
from nexus.model.state import HistoryEntry, OutputRecord, ResourceRecord, State
from nexus.stores import Backend, LockInfo, StateVersion
from nexus.wiring import stores_over
from nexus.workflows import outputs, runs, state_editing
from nexus.workflows.outputs import read_state
from nexus.workflows.runs import Listed as ListedRun
from nexus.workflows.state_editing import Edited

T = TypeVar("T")


class AsyncRemembered:
    """What a project and a folder have in common. ``backend`` opens the stores, anew for each use."""

    def __init__(self, backend: Callable[[], Backend], environment: str) -> None:
        self._open = backend
        self._environment = environment

    @property
    def environment(self) -> str:
        """Of the project; with the name of the instance, where it is one."""
        return self._environment

    async def state(self) -> State:
        """Every object with its id and outputs, as of the last apply."""
        return await read_state(self._open())

    async def record(self, address: str | Address) -> ResourceRecord:
        """What is remembered of one object. Raises NexusError, naming the nearest, when there is no such one."""
        return outputs.record_of(await self.state(), address_of(address))

    async def outputs(self) -> dict[str, Json]:
        """The outputs as of the last apply. Sensitive ones are None: nexus keeps no value of them."""
        return plain_outputs((await self.state()).outputs)

    async def output(self, name: str, kind: type[T]) -> T:
        """One output, which is a ``kind``: bool, int, float, str, list or dict. Raises NexusError when it is not."""
        return typed_output(await self.state(), name, kind)

    async def output_record(self, name: str) -> OutputRecord:
        """All that is known of one output. Raises NexusError, naming the nearest, when there is no such one."""
        return outputs.output_of(await self.state(), name)

    async def runs(self, *, limit: int | None = None) -> Sequence[ListedRun]:
        """The runs that are on record, the newest first: applies, destroys and pipelines that did something."""
        return (await runs.list_runs(self._open()))[:limit]

    async def history(self, *, limit: int | None = None) -> Sequence[HistoryEntry]:
        """What made the state what it is, the newest first: applies, destroys and pipelines, by whoever shares it."""
        return tuple(reversed((await self.state()).history))[:limit]

    async def run_record(self, run_id: str | None = None) -> Run:
        """What one run did, operation by operation: the one whose id begins so, or the newest."""
        return await runs.find_run(self._open(), run_id)

    async def run_status(self, run: Run) -> RunStatus:
        """How a run ended, or whether it goes on."""
        return await runs.status_of(self._open(), run)

    async def run_log(self, name: str, run_id: str | None = None) -> str:
        """All that one step, or operation, of a run wrote."""
        run, backend = await self.run_record(run_id), self._open()
        logs = [await backend.runs.log(run.head.id, item.id) for item in runs.operations_named(run, name)]
        return "".join(logs)

    async def move(self, source: str | Address, destination: str | Address, *, lock_timeout: float = 0.0) -> Edited:
        """Remember what is at ``source`` under ``destination``, for a block that was renamed.

        An address without a key means all instances of its block, here and elsewhere.
        """
        stores = stores_over(self._open())
        return await state_editing.move(stores, address_of(source), address_of(destination), lock_timeout)

    async def forget(
        self, *addresses: str | Address, confirm: Confirm | None = None, lock_timeout: float = 0.0
    ) -> Edited:
        """Forget resources without destroying them: the next apply makes them a second time.

        ``confirm`` is asked with a question first; without it, yes. ``done`` of the answer is False where it said no.
        """
        meant = [address_of(item) for item in addresses]
        return await state_editing.remove(stores_over(self._open()), meant, confirm or yes, lock_timeout)

    async def pull(self, serial: int | None = None) -> bytes:
        """The state as a file, with what an interrupted run has left in the journal taken in. No secret is in it.

        With a ``serial``, an older one. Raises NexusError when that is not kept.
        """
        backend = self._open()
        return await (state_editing.pull(backend) if serial is None else state_editing.pull_older(backend, serial))

    async def versions(self) -> Sequence[StateVersion]:
        """The states before the one there is, as far as they are kept, the newest first."""
        return await self._open().versions.list()

    async def push(
        self,
        content: bytes,
        *,
        name: str = "the file",
        force: bool = False,
        confirm: Confirm | None = None,
        lock_timeout: float = 0.0,
    ) -> Edited:
        """Put a state file, which messages call ``name``, in place of the state; the one before stays as a backup.

        One of another lineage, or older than what is there, is refused, unless it is forced; then ``confirm`` is asked.
        """
        request = state_editing.Push(content=content, name=name, environment=self._environment, force=force)
        return await state_editing.push(stores_over(self._open()), request, confirm or yes, lock_timeout)

    async def unlock(self, lock_id: str | None = None) -> LockInfo | None:
        """Break the lock with this id, or any: whoever held it begins nothing new. None where there was none."""
        return await state_editing.unlock(self._open(), lock_id)
