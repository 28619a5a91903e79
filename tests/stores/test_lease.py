"""The lock on a server: it outlives its holder for a lease, and not longer."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import signal
from dataclasses import replace
from multiprocessing.connection import Connection

import pytest

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores import LockInfo
from nexus.stores.remote.lease import LOCK, LeaseLock, Note, ObjectBook, decode
from nexus.stores.remote.objects import Steadfast
from nexus.stores.remote.processes import has_ended, this_process
from tests.fakes.objects import MemoryObjects
from tests.processes import oddly_named

ANN = LockInfo(holder="ann@one", pid=1, operation="apply", since="2026-01-02T03:04:05Z", id="anns")
BOB = LockInfo(holder="bob@two", pid=2, operation="destroy", since="2026-01-02T03:05:05Z", id="bobs")


@pytest.fixture
def server() -> MemoryObjects:
    return MemoryObjects()


def lock_on(server: MemoryObjects, lease: float = 60.0) -> LeaseLock:
    return LeaseLock(ObjectBook(Steadfast(server, patience=0.05)), lease)


def elsewhere(server: MemoryObjects, info: LockInfo, lease: float = 60.0) -> None:
    """``info`` holds the lock, on another machine."""
    note = Note(info=info, lease=lease, process="another-machine/1/1")
    server.put(LOCK, note.encode(), server.version(LOCK))


async def test_a_holder_without_a_sign_of_life_for_a_lease_is_replaced_and_named(server: MemoryObjects) -> None:
    elsewhere(server, ANN)
    server.now = 60.0
    lock = lock_on(server)
    with pytest.raises(DiagnosticsError, match="state-locked"):
        await lock.acquire(BOB)
    server.now = 60.1
    assert await lock.acquire(BOB) == ANN
    assert await lock.holder() == BOB
    await lock.release()


async def test_the_lease_that_counts_is_the_holders(server: MemoryObjects) -> None:
    elsewhere(server, ANN, lease=600.0)
    server.now = 300.0
    with pytest.raises(DiagnosticsError, match="state-locked"):
        await lock_on(server, lease=5.0).acquire(BOB)


async def test_a_holder_that_lives_gives_signs_of_it(server: MemoryObjects) -> None:
    lock = lock_on(server, lease=0.1)
    await lock.acquire(ANN)

    def beaten() -> bool:
        with server.changed:
            return server.changed.wait_for(lambda: decode(server.documents[LOCK].content).beat >= 3, timeout=60)

    assert await asyncio.to_thread(beaten)
    await lock.verify()
    await lock.release()
    assert await lock.holder() is None


async def test_a_holder_that_was_replaced_finds_out_and_gives_nothing_back(server: MemoryObjects) -> None:
    lock = lock_on(server)
    await lock.acquire(ANN)
    elsewhere(server, BOB)
    with pytest.raises(DiagnosticsError, match="lock-lost") as problem:
        await lock.verify()
    assert "bob@two" in problem.value.diagnostics[0].detail
    await lock.release()
    assert await lock.holder() == BOB


async def test_a_lock_that_cannot_be_looked_at_counts_as_lost(server: MemoryObjects) -> None:
    lock = lock_on(server)
    await lock.acquire(ANN)
    server.away = True
    with pytest.raises(DiagnosticsError, match="state-unreachable"):
        await lock.verify()
    await lock.release()  # the server can't be told; the lease ends by itself
    server.away = False
    assert await lock.holder() == ANN


async def test_the_answer_to_taking_the_lock_may_be_lost(server: MemoryObjects) -> None:
    server.lost_answers = 1
    lock = LeaseLock(ObjectBook(Steadfast(server, patience=5.0)))
    await lock.acquire(ANN)
    await lock.verify()
    await lock.release()


async def test_who_is_cancelled_while_taking_it_does_not_keep_it(server: MemoryObjects) -> None:
    lock = lock_on(server)
    with server.changed:  # the server takes its time
        taking = asyncio.create_task(lock.acquire(ANN))
        await asyncio.sleep(0)
        taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert await lock.holder() is None


async def test_of_many_who_take_it_at_once_one_gets_it(server: MemoryObjects) -> None:
    locks = [lock_on(server) for _ in range(8)]
    taken = await asyncio.gather(
        *(lock.acquire(replace(ANN, id=str(number))) for number, lock in enumerate(locks)), return_exceptions=True
    )
    assert taken.count(None) == 1
    await locks[taken.index(None)].verify()
    await locks[taken.index(None)].release()


async def test_a_damaged_note_is_held_by_someone_until_its_lease_ends(server: MemoryObjects) -> None:
    server.put(LOCK, b"{ torn", None)
    lock = lock_on(server)
    with pytest.raises(DiagnosticsError, match="state-locked"):
        await lock.acquire(ANN)
    server.now = 61.0
    assert await lock.acquire(ANN) is not None
    await lock.release()


def _hold(said: Connection) -> None:
    """In a process of its own: say which, and wait to be killed."""
    said.send(this_process())
    signal.pause()


async def test_the_lock_of_a_process_that_died_here_is_free_at_once(server: MemoryObjects) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold, args=(theirs,))
    process.start()
    assert ours.poll(60)
    name = ours.recv()
    server.put(LOCK, Note(info=ANN, process=name).encode(), None)
    lock = lock_on(server)
    with pytest.raises(DiagnosticsError, match="state-locked"):
        await lock.acquire(BOB)
    process.kill()
    process.join()
    assert await lock.holder() is None
    assert await lock.acquire(BOB) is None  # as the kernel's lock, which nobody would speak of either
    await lock.release()


def test_nothing_is_known_of_processes_elsewhere() -> None:
    assert not has_ended("another-machine/1/1")
    assert not has_ended("")
    assert not has_ended(this_process())
    machine, pid, _ = this_process().split("/")
    assert has_ended(f"{machine}/{pid}/1")


def test_processes_are_known_whatever_they_are_called() -> None:
    machine, _, _ = this_process().split("/")
    with oddly_named() as pid:
        assert has_ended(f"{machine}/{pid}/1")


def test_the_note_is_json_that_people_can_read() -> None:
    data = json.loads(Note(info=ANN, lease=5.0).encode())
    assert (data["holder"], data["held"], data["lease"]) == ("ann@one", True, 5.0)
