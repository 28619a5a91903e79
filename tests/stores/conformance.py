"""What every backend must do. Subclass it, and give it a fixture ``reopen`` that opens the same stores anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import Intent, ResourceRecord, State
from nexus.stores import Backend, Begin, Done, Failed, Header, LockInfo, commit, load
from nexus.stores.base import StateVersion

WEB = Address("sandbox", "web")
BEGIN = Begin(
    Intent(key="k", address=WEB, verb="create", uid="u", draft=ResourceRecord(address=WEB, id="", uid="u")), "1"
)
DONE = Done(key="k", record=ResourceRecord(address=WEB, id="sbx", uid="u", attributes={"template": "base"}))
FAILED = Failed(key="j", code="no", summary="It failed", unresolved=True)
INFO = LockInfo(holder="ann@host", pid=42, operation="apply", since="2026-01-02T03:04:05Z", id="lock1")


def code_of(problem: pytest.ExceptionInfo[DiagnosticsError]) -> str:
    return problem.value.diagnostics[0].code


async def take(backend: Backend, lock_id: str) -> None:
    """As a run does it (:func:`nexus.workflows.locking.locked`)."""
    await backend.lock.acquire(replace(INFO, id=lock_id))
    await backend.states.fence()
    await backend.journal.fence()


async def taken_from(late: Backend, reopen: Callable[[], Backend]) -> Backend:
    """Who took the lock from ``late``, which does not know it."""
    holder = await late.lock.holder()
    assert holder is not None
    successor = reopen()
    assert await successor.lock.break_open(holder.id)
    await take(successor, f"{holder.id}-successor")
    return successor


class BackendConformance:
    @pytest.fixture
    def reopen(self) -> Callable[[], Backend]:
        raise NotImplementedError

    @pytest.fixture
    def backend(self, reopen: Callable[[], Backend]) -> Backend:
        return reopen()

    async def test_nothing_is_there_at_first(self, backend: Backend) -> None:
        assert await backend.states.read() is None
        assert await backend.journal.read() is None
        assert await backend.lock.holder() is None

    async def test_a_written_state_is_read_whole(
        self, backend: Backend, reopen: Callable[[], Backend], full_state: State
    ) -> None:
        await backend.states.write(full_state, 0)
        assert await reopen().states.read() == full_state

    async def test_a_state_that_changed_meanwhile_is_not_overwritten(self, backend: Backend, full_state: State) -> None:
        await backend.states.write(full_state, 0)
        with pytest.raises(DiagnosticsError) as problem:
            await backend.states.write(replace(full_state, project="other"), 6)
        assert code_of(problem) == "state-changed"
        assert await backend.states.read() == full_state

    async def test_a_state_of_another_lineage_is_not_overwritten_unless_asked(
        self, backend: Backend, full_state: State
    ) -> None:
        await backend.states.write(full_state, 0)
        foreign = replace(full_state, lineage="other")
        with pytest.raises(DiagnosticsError) as problem:
            await backend.states.write(foreign, 7)
        assert code_of(problem) == "state-foreign"
        await backend.states.write(foreign, None)
        assert await backend.states.read() == foreign

    async def test_a_journal_keeps_entries_in_order(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        await backend.journal.start(header)
        for entry in (BEGIN, DONE, FAILED):
            await backend.journal.append(entry)
        contents = await reopen().journal.read()
        assert contents is not None
        assert contents.header == header
        assert contents.entries == (BEGIN, DONE, FAILED)
        assert not contents.torn
        await backend.journal.clear()

    async def test_entries_appended_at_once_are_all_kept_in_the_order_of_the_calls(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        await backend.journal.start(header)
        entries = [Failed(key=str(number), code="c", summary="s") for number in range(200)]
        await asyncio.gather(*(backend.journal.append(entry) for entry in entries))
        contents = await reopen().journal.read()
        assert contents is not None
        assert list(contents.entries) == entries
        await backend.journal.clear()

    async def test_a_cleared_journal_is_gone_and_clearing_twice_does_nothing(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        await backend.journal.start(header)
        await backend.journal.append(BEGIN)
        await backend.journal.clear()
        await backend.journal.clear()
        assert await reopen().journal.read() is None

    async def test_a_journal_with_entries_that_no_state_holds_is_not_replaced(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        await backend.journal.start(header)
        await backend.journal.append(BEGIN)
        with pytest.raises(DiagnosticsError) as problem:
            await reopen().journal.start(header)
        assert code_of(problem) == "journal-unresolved"
        await backend.journal.clear()

    async def test_a_spent_journal_is_replaced(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        await backend.journal.start(header)
        await backend.journal.append(BEGIN)
        later = reopen()
        await later.journal.start(replace(header, serial=1))
        contents = await later.journal.read()
        assert contents is not None
        assert contents.entries == ()
        await backend.journal.clear()
        await later.journal.clear()

    async def test_a_second_holder_is_refused_with_the_name_of_the_first(
        self, backend: Backend, reopen: Callable[[], Backend]
    ) -> None:
        await backend.lock.acquire(INFO)
        other = reopen()
        assert await other.lock.holder() == INFO
        with pytest.raises(DiagnosticsError) as problem:
            await other.lock.acquire(INFO)
        assert code_of(problem) == "state-locked"
        assert "ann@host (process 42)" in problem.value.diagnostics[0].detail
        await other.lock.release()
        assert await other.lock.holder() == INFO
        await backend.lock.release()
        await backend.lock.release()
        assert await other.lock.holder() is None

    async def test_a_second_holder_may_wait(self, backend: Backend, reopen: Callable[[], Backend]) -> None:
        await backend.lock.acquire(INFO)
        other = reopen()
        waiting = asyncio.create_task(other.lock.acquire(replace(INFO, pid=43), patience=30))
        await asyncio.sleep(0)
        assert not waiting.done()
        await backend.lock.release()
        await asyncio.wait_for(waiting, 60)
        assert await backend.lock.holder() == replace(INFO, pid=43)
        await other.lock.release()

    async def test_a_lock_that_is_held_stays_held(self, backend: Backend, reopen: Callable[[], Backend]) -> None:
        with pytest.raises(DiagnosticsError) as problem:
            await backend.lock.verify()
        assert code_of(problem) == "lock-lost"
        await backend.lock.acquire(INFO)
        await backend.lock.verify()
        with pytest.raises(DiagnosticsError):
            await reopen().lock.verify()
        await backend.lock.release()

    async def test_a_broken_lock_is_lost_and_free(self, backend: Backend, reopen: Callable[[], Backend]) -> None:
        await backend.lock.acquire(INFO)
        other = reopen()
        assert await other.lock.break_open(INFO.id) == INFO
        with pytest.raises(DiagnosticsError) as problem:
            await backend.lock.verify()
        assert code_of(problem) == "lock-lost"
        second = replace(INFO, pid=43, id="second")
        await other.lock.acquire(second)
        with pytest.raises(DiagnosticsError, match="lock-lost") as problem:
            await backend.lock.verify()
        assert "process 43" in problem.value.diagnostics[0].detail
        await backend.lock.release()
        assert await reopen().lock.holder() == second
        await other.lock.verify()
        await other.lock.release()

    async def test_another_lock_than_the_named_one_is_not_broken(
        self, backend: Backend, reopen: Callable[[], Backend]
    ) -> None:
        assert await backend.lock.break_open(None) is None
        await backend.lock.acquire(INFO)
        with pytest.raises(DiagnosticsError) as problem:
            await reopen().lock.break_open("another")
        assert code_of(problem) == "lock-mismatch"
        await backend.lock.verify()
        assert await reopen().lock.break_open(None) == INFO
        await backend.lock.release()

    async def test_a_journal_that_is_set_aside_leaves_room_for_a_new_one(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        assert await backend.journal.set_aside() is None
        await backend.journal.start(header)
        await backend.journal.append(BEGIN)
        assert await backend.journal.set_aside()
        assert await reopen().journal.read() is None
        await reopen().journal.start(header)
        await reopen().journal.clear()

    async def test_waiting_for_the_lock_ends(self, backend: Backend, reopen: Callable[[], Backend]) -> None:
        await backend.lock.acquire(INFO)
        with pytest.raises(DiagnosticsError) as problem:
            await reopen().lock.acquire(INFO, patience=0.05)
        assert code_of(problem) == "state-locked"
        await backend.lock.release()

    async def test_an_interrupted_first_run_is_taken_in_with_its_lineage(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        await backend.journal.start(header)
        await backend.journal.append(BEGIN)
        await backend.journal.append(DONE)
        later = reopen()
        loaded = await load(later, State(lineage="another", project="shop"))
        assert loaded.interrupted
        assert loaded.state.lineage == "lin"
        assert loaded.state.resources == {WEB: DONE.record}
        assert [item.code for item in loaded.diagnostics] == ["run-interrupted"]
        written = await commit(later, loaded.state)
        again = await load(reopen(), State(lineage="another"))
        assert again.state == written
        assert written.serial == 1
        assert not again.interrupted
        await backend.journal.clear()

    async def test_a_journal_left_behind_a_written_state_changes_nothing(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header, full_state: State
    ) -> None:
        await backend.journal.start(replace(header, serial=full_state.serial - 1))
        await backend.journal.append(BEGIN)
        await backend.states.write(full_state, 0)
        loaded = await load(reopen(), State(lineage="another"))
        assert loaded.state is not None
        assert (loaded.state, loaded.interrupted) == (full_state, False)
        await backend.journal.clear()

    async def test_a_journal_of_a_newer_state_is_refused(
        self, backend: Backend, header: Header, full_state: State
    ) -> None:
        await backend.states.write(full_state, 0)
        await backend.journal.start(replace(header, serial=full_state.serial + 1))
        await backend.journal.append(BEGIN)
        with pytest.raises(DiagnosticsError) as problem:
            await load(backend, State(lineage="another"))
        assert code_of(problem) == "journal-foreign"
        await backend.journal.clear()


class RefusingLateWrites(BackendConformance):
    """What every backend must do that outlives its process: a holder may be suspended, and its lock taken meanwhile.

    Each test takes the lock from ``late`` at the worst of moments: after it has made sure of it, and before it writes.
    """

    @pytest.fixture
    async def late(self, reopen: Callable[[], Backend], full_state: State) -> Backend:
        backend = reopen()
        await take(backend, "late")
        await backend.states.write(full_state, 0)
        return backend

    async def test_a_late_state_is_refused_and_the_successors_is_written(
        self, late: Backend, reopen: Callable[[], Backend], full_state: State
    ) -> None:
        await late.lock.verify()
        successor = await taken_from(late, reopen)
        with pytest.raises(DiagnosticsError, match="lock-lost"):
            await late.states.write(replace(full_state, serial=8, project="late"), 7)
        with pytest.raises(DiagnosticsError, match="lock-lost"):
            await late.states.write(replace(full_state, serial=8, project="forced"), None)
        written = replace(full_state, serial=8, project="successor")
        await successor.states.write(written, 7)
        assert await reopen().states.read() == written
        await successor.lock.release()

    async def test_a_first_state_that_is_late_is_refused(
        self, backend: Backend, reopen: Callable[[], Backend], full_state: State
    ) -> None:
        await take(backend, "late")
        successor = await taken_from(backend, reopen)
        assert await successor.states.read() is None
        with pytest.raises(DiagnosticsError, match="lock-lost"):
            await backend.states.write(replace(full_state, project="late"), 0)
        await successor.states.write(full_state, 0)
        assert await reopen().states.read() == full_state
        assert list(await successor.versions.list()) == []
        await successor.lock.release()

    async def test_a_journal_is_not_begun_by_who_is_late(
        self, late: Backend, reopen: Callable[[], Backend], full_state: State
    ) -> None:
        successor = await taken_from(late, reopen)
        with pytest.raises(DiagnosticsError, match="lock-lost"):
            await late.journal.start(Header.of(full_state))
        assert await successor.journal.read() is None
        await successor.lock.release()

    async def test_an_entry_that_is_late_is_refused(
        self, late: Backend, reopen: Callable[[], Backend], full_state: State
    ) -> None:
        """Also one for another part of the journal than the first, and after the journal was cleared."""
        for size in (1, 70_000):
            entry = Failed(key="k", code="c", summary="s" * size)
            for count in (1, 2):
                before = await late.states.read()
                assert before is not None
                await late.journal.start(Header.of(before))
                for _ in range(count):
                    await late.journal.append(entry)
                successor = await taken_from(late, reopen)
                loaded = await load(successor, State(lineage="other"))
                assert loaded.interrupted
                await commit(successor, loaded.state)
                with pytest.raises(DiagnosticsError, match="lock-lost"):
                    await late.journal.append(BEGIN)
                assert await reopen().journal.read() is None
                late = successor
        await late.lock.release()

    async def test_a_journal_of_the_successors_is_not_cleared_by_who_is_late(
        self, late: Backend, reopen: Callable[[], Backend], full_state: State
    ) -> None:
        await late.journal.start(Header.of(full_state))
        await late.journal.append(DONE)
        await late.states.write(replace(full_state, serial=8), 7)
        successor = await taken_from(late, reopen)
        loaded = await load(successor, State(lineage="other"))
        assert (loaded.state.serial, loaded.interrupted) == (8, False)
        await successor.journal.start(Header.of(loaded.state))
        await successor.journal.append(BEGIN)
        await late.journal.clear()
        await successor.journal.append(DONE)
        contents = await reopen().journal.read()
        assert contents is not None
        assert contents.entries == (BEGIN, DONE)
        await successor.journal.clear()
        await successor.lock.release()


class KeepingVersions(RefusingLateWrites):
    keeps_versions = True

    async def test_states_that_were_replaced_can_be_read(
        self, backend: Backend, reopen: Callable[[], Backend], full_state: State
    ) -> None:
        if not self.keeps_versions:
            assert list(await backend.versions.list()) == []
            return
        await backend.states.write(full_state, 0)
        assert list(await backend.versions.list()) == []
        later = replace(full_state, serial=8, project="later")
        await backend.states.write(later, 7)
        await backend.states.write(replace(later, serial=9), 8)
        other = reopen()
        newest, *_ = listed = list(await other.versions.list())
        assert newest == StateVersion(8, "lin")
        assert await other.versions.read(newest) == later
        assert await other.versions.read(StateVersion(5, "lin")) is None
        assert len(listed) <= 2


class RemoteConformance(KeepingVersions):
    """What every backend must do whose lock can be taken from a holder that lives on."""

    async def test_entries_beyond_one_part_are_kept_in_order(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        await backend.journal.start(header)
        entries = [Failed(key=str(number), code="c", summary="s" * 30_000) for number in range(8)]
        for entry in entries:
            await backend.journal.append(entry)
        contents = await reopen().journal.read()
        assert contents is not None
        assert list(contents.entries) == entries
        await reopen().journal.clear()
        assert await backend.journal.read() is None

    async def test_a_fenced_journal_refuses_who_wrote_before(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        await backend.journal.start(header)
        await backend.journal.append(BEGIN)
        other = reopen()
        await other.journal.fence()
        with pytest.raises(DiagnosticsError) as problem:
            await backend.journal.append(DONE)
        assert code_of(problem) == "lock-lost"
        contents = await other.journal.read()
        assert contents is not None
        assert contents.entries == (BEGIN,)

    async def test_a_journal_that_was_full_is_fenced_as_well(
        self, backend: Backend, reopen: Callable[[], Backend], header: Header
    ) -> None:
        long = Failed(key="k", code="c", summary="s" * 70_000)
        await backend.journal.start(header)
        await backend.journal.append(long)
        await reopen().journal.fence()
        with pytest.raises(DiagnosticsError) as problem:
            await backend.journal.append(BEGIN)
        assert code_of(problem) == "lock-lost"
        contents = await reopen().journal.read()
        assert contents is not None
        assert contents.entries == (long,)

    async def test_of_many_who_write_at_once_one_succeeds(
        self, backend: Backend, reopen: Callable[[], Backend], full_state: State
    ) -> None:
        await backend.states.write(full_state, 0)
        rivals = [replace(full_state, serial=8, project=f"p{number}") for number in range(4)]
        done = await asyncio.gather(*(reopen().states.write(rival, 7) for rival in rivals), return_exceptions=True)
        if not self.is_conditional:
            return
        assert [item for item in done if item is None] == [None]
        assert await backend.states.read() == rivals[done.index(None)]
        codes = {item.diagnostics[0].code for item in done if isinstance(item, DiagnosticsError)}
        assert codes == {"state-changed"}

    is_conditional = True
