"""What a new daemon does first: take over the machines that go on running, and clear away what has none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Set

from nexus.local.isolation.base import Isolation
from nexus.local.sandboxes.fleet import Fleet, LiveSandbox
from nexus.local.sandboxes.model import PauseMode, SandboxRecord, SandboxState
from nexus.local.sandboxes.records import SandboxRecords

_log = logging.getLogger(__name__)


async def recover(
    fleet: Fleet, isolation: Isolation, records: SandboxRecords, written: Callable[[], Sequence[str]]
) -> None:
    """Fill ``fleet`` from records and live machines; afterwards each has the other, or neither is left.

    ``written`` lists the machines whose files are in the store. A sandbox that was being created is removed: its client
    never had an answer. One whose machine is gone (the host was restarted) is forgotten, unless a pause had kept its
    disk alone. A machine that belongs to no record is ended: it was half made, or a build's.
    """
    for record in records.load():
        live = await _take_over(record, isolation)
        if live is None:
            _log.info("sandbox %s (%s) is gone", record.id, record.state)
            await _end(record.id, isolation)
            await records.remove(record.id)
        else:
            fleet.add(live)
    known = {live.running_machine.id for live in fleet if live.running_machine is not None}
    await _end_orphans(known, isolation)
    for machine_id in written():
        if fleet.get(machine_id) is None:
            await isolation.discard(machine_id)


async def _take_over(record: SandboxRecord, isolation: Isolation) -> LiveSandbox | None:
    if record.state is SandboxState.CREATING:
        return None
    if record.state is SandboxState.PAUSED and record.pause_mode is PauseMode.FILESYSTEM:
        return await _take_over_disk(record, isolation)
    machine = await isolation.attach(record.id)
    if machine is None:
        return None
    # A crash between freezing the machine and writing it down leaves the two apart: the record decides.
    if record.state is SandboxState.PAUSED:
        await machine.pause()
    else:
        await machine.resume()
    return LiveSandbox(record, running_machine=machine)


async def _take_over_disk(record: SandboxRecord, isolation: Isolation) -> LiveSandbox | None:
    """A crash between putting the pause on record and ending the machine, or before a resume was: end it now."""
    await _kill(record.id, isolation)
    kept = await isolation.has_written(record.id) and all([await isolation.has_layer(layer) for layer in record.layers])
    return LiveSandbox(record) if kept else None


async def _end_orphans(known: Set[str], isolation: Isolation) -> None:
    for machine_id in await isolation.running():
        if machine_id not in known:
            _log.info("machine %s belongs to nothing and is ended", machine_id)
            await _end(machine_id, isolation)


async def _end(machine_id: str, isolation: Isolation) -> None:
    """Leave nothing of a machine, which may be running: nobody would find it once its files are gone."""
    await _kill(machine_id, isolation)
    await isolation.discard(machine_id)


async def _kill(machine_id: str, isolation: Isolation) -> None:
    if (machine := await isolation.attach(machine_id)) is not None:
        await machine.kill()
