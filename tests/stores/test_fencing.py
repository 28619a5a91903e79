"""A holder that is suspended at the worst of moments, for longer than its lease: whoever took its lock wins, always."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import ResourceRecord, State
from nexus.stores import Backend, Begin, Done, Header, LockInfo, commit, load, local_backend, locking
from nexus.stores.files import Files
from nexus.stores.remote.journal import RemoteJournal
from nexus.stores.remote.lease import LeaseLock, Note, ObjectBook
from nexus.stores.remote.objects import Steadfast, Stored
from nexus.stores.remote.states import RemoteStateStore, RemoteVersions
from tests.fakes.objects import MemoryObjects
from tests.fakes.records import make_record
from tests.stores.conformance import BEGIN, INFO, take

LEASE = 60.0
OURS, THEIRS = Address("sandbox", "ours"), Address("sandbox", "theirs")


@dataclass(slots=True)
class Suspending:
    """The same documents, to a process that is suspended before the ``count``th of its next requests."""

    inner: MemoryObjects
    count: int = -1
    meanwhile: Callable[[], None] = lambda: None
    place: str = "memory"

    def get(self, name: str) -> Stored | None:
        self._asked()
        return self.inner.get(name)

    def version(self, name: str) -> str | None:
        self._asked()
        return self.inner.version(name)

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        self._asked()
        return self.inner.put(name, content, expected)

    def remove(self, names: Sequence[str]) -> None:
        self._asked()
        self.inner.remove(names)

    def names(self, prefix: str) -> Sequence[str]:
        self._asked()
        return self.inner.names(prefix)

    def age(self, name: str) -> float | None:
        self._asked()
        return self.inner.age(name)

    def _asked(self) -> None:
        if self.count > 0:
            self.count -= 1
            if not self.count:
                self.meanwhile()


def backend_on(objects: MemoryObjects | Suspending, tmp_path: Path) -> Backend:
    steadfast, local = Steadfast(objects), local_backend(tmp_path, "prod")
    states, journal, versions = RemoteStateStore(steadfast), RemoteJournal(steadfast), RemoteVersions(steadfast)
    return Backend(states, journal, LeaseLock(ObjectBook(steadfast), LEASE), local.durations, local.runs, versions)


def record(address: Address) -> ResourceRecord:
    return make_record(address, f"u-{address.name}")


class Contest:
    """One who is suspended while it makes an end of its run, and one who takes over and is in the middle of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.server = MemoryObjects()
        self.objects = Suspending(self.server, meanwhile=self._take_over)
        self.late = backend_on(self.objects, tmp_path)
        self.successor = backend_on(self.server, tmp_path)
        self.took_over = False
        self.safe: list[str] = []
        """What the late one was told to be safe."""

    async def play(self, count: int) -> State:
        """The late one is suspended before its ``count``th request. What is remembered in the end."""
        base = State(lineage="lin", project="shop")
        await take(self.late, "late")
        base = await commit(self.late, base)
        await self.late.journal.start(Header.of(base))
        self.objects.count = count
        refusals: tuple[str, ...] = ()
        try:
            await self.late.journal.append(Begin(replace(BEGIN.intent, key="ours")))
            self.safe.append("begun")
            await self.late.journal.append(Done(key="ours", record=record(OURS)))
            self.safe.append("done")
            await self.late.lock.verify()
            await commit(self.late, base.with_records([record(OURS)]))
        except DiagnosticsError as problem:
            refusals = tuple(item.code for item in problem.diagnostics)
        assert set(refusals) <= {"lock-lost", "state-changed"}
        if self.took_over:
            await self.successor.journal.append(Done(key="theirs", record=record(THEIRS)))
            await self.successor.lock.verify()
            loaded = await load(self.successor, State(lineage="other"))
            await commit(self.successor, loaded.state)
        left = await load(self.successor, State(lineage="other"))
        assert not left.interrupted
        return left.state

    def _take_over(self) -> None:
        asyncio.run(self._begin_another())

    async def _begin_another(self) -> None:
        self.took_over = True
        name = LockInfo(holder="late@one", pid=1, operation="apply", since=INFO.since, id="late")
        there = self.server.get("lock")
        assert there is not None
        self.server.put("lock", Note(info=name, lease=LEASE, process="another-machine/1/1").encode(), there.version)
        self.server.now += LEASE + 1
        await take(self.successor, "successor")
        loaded = await load(self.successor, State(lineage="other"))
        state = await commit(self.successor, loaded.state) if loaded.interrupted else loaded.state
        await self.successor.journal.start(Header.of(state))
        await self.successor.journal.append(Begin(replace(BEGIN.intent, key="theirs")))


async def test_wherever_a_holder_is_suspended_its_successor_goes_on_and_nothing_is_lost(tmp_path: Path) -> None:
    count = 0
    while True:
        count += 1
        contest = Contest(tmp_path)
        state = await contest.play(count)
        if not contest.took_over:
            break
        when = f"suspended before request {count}"
        assert THEIRS in state.resources, when
        assert state.lineage == "lin", when
        pending = {intent.key for intent in state.pending}
        assert OURS in state.resources or "done" not in contest.safe, when
        assert OURS in state.resources or "ours" in pending or "begun" not in contest.safe, when
        assert "theirs" not in pending, when
        await contest.successor.lock.release()
        await contest.late.lock.release()
    assert count > 8


# ---- files


class Held(Files):
    """Calls ``within`` in the middle of the next write of the state."""

    def __init__(self) -> None:
        self.within: Callable[[], None] | None = None

    def copy(self, source: Path, destination: Path) -> None:
        within, self.within = self.within, None
        if within is not None:
            within()
        super().copy(source, destination)


def silence(folder: Path) -> None:
    """As if the holder had been suspended for longer than the lease."""
    os.utime(folder / ".nexus" / "prod" / "lock", (0, 0))


def in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


async def test_no_lock_is_taken_from_a_holder_in_the_middle_of_a_write(
    tmp_path: Path, full_state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_WRITING", 0.02)
    files, told = Held(), list[str]()
    holder = local_backend(tmp_path, "prod", files)
    await holder.lock.acquire(INFO)
    silence(tmp_path)

    def try_to_take_it() -> None:
        async def attempts() -> None:
            other = local_backend(tmp_path, "prod").lock
            for attempt in (other.acquire(replace(INFO, id="other")), other.break_open(None)):
                with pytest.raises(DiagnosticsError) as problem:
                    await attempt
                told.append(problem.value.diagnostics[0].code)

        asyncio.run(attempts())

    files.within = lambda: in_a_thread(try_to_take_it)
    await holder.states.write(full_state, 0)
    assert told == ["state-locked", "lock-busy"]
    other = local_backend(tmp_path, "prod")
    assert await other.lock.acquire(replace(INFO, id="other")) == INFO
    with pytest.raises(DiagnosticsError, match="lock-lost"):
        await holder.states.write(replace(full_state, serial=8), 7)
    await other.lock.release()
    await holder.lock.release()


def _write_late(folder: str, line: Connection) -> None:
    """In a process of its own: make sure of the lock, and write when told to."""

    async def run() -> str:
        backend = local_backend(Path(folder), "prod")
        await take(backend, "late")
        state = await commit(backend, State(lineage="lin", project="shop"))
        await backend.lock.verify()
        line.send("verified")
        line.recv()
        try:
            await commit(backend, state.with_records([record(OURS)]))
        except DiagnosticsError as problem:
            return problem.diagnostics[0].code
        return "written"

    line.send(asyncio.run(run()))


async def test_a_process_that_was_stopped_before_its_write_finds_the_state_to_be_anothers(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_write_late, args=(str(tmp_path), theirs))
    process.start()
    assert process.pid is not None
    assert ours.poll(60)
    assert ours.recv() == "verified"
    os.kill(process.pid, signal.SIGSTOP)
    silence(tmp_path)
    backend = local_backend(tmp_path, "prod")
    taken_from = await backend.lock.acquire(replace(INFO, id="successor"))
    assert taken_from is not None
    assert taken_from.id == "late"
    loaded = await load(backend, State(lineage="other"))
    os.kill(process.pid, signal.SIGCONT)
    ours.send("write")
    assert ours.poll(60)
    assert ours.recv() == "lock-lost"
    process.join()
    state = await commit(backend, loaded.state.with_records([record(THEIRS)]))
    assert (state.serial, list(state.resources)) == (2, [THEIRS])
    await backend.lock.release()
