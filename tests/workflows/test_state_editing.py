"""Changing what is remembered: on stores in memory, with what an interrupted run has left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import Intent, State, Target
from nexus.stores import Begin, Done, Header, LockInfo, Memory, decode_state, encode_state, load
from nexus.workflows.session import Stores
from nexus.workflows.state_editing import Push, move, pull, push, remove, unlock
from tests.fakes.records import WEB, WORKER, make_record

STATE = State(
    lineage="lin",
    serial=3,
    project="shop",
    target=Target("local", "engine-1"),
    resources={WEB: make_record(WEB, "u1"), WORKER: make_record(WORKER, "u2", depends_on=(WEB,))},
)
API = Address("sandbox", "api")


def yes(question: str) -> bool:
    return True


def no(question: str) -> bool:
    return False


@pytest.fixture
def memory() -> Memory:
    return Memory(state=STATE)


def stores(memory: Memory) -> Stores:
    return Stores(
        backend=memory.backend(),
        holder=lambda operation: LockInfo(holder="ann@host", pid=1, operation=operation, since="", id="l1"),
    )


async def state_of(memory: Memory) -> State:
    return (await load(memory.backend(), State(lineage="none"))).state


async def interrupt(memory: Memory) -> None:
    """A run that had made a sandbox, was creating another, and died."""
    journal = memory.backend().journal
    await journal.start(Header.of(STATE))
    await journal.append(Done(key="k0", record=make_record(Address("sandbox", "late"), "u3")))
    await journal.append(Begin(Intent(key="k1", address=Address("sandbox", "open"), verb="create", uid="u4")))


async def test_a_moved_resource_keeps_its_record_and_those_that_need_it_follow(memory: Memory) -> None:
    edited = await move(stores(memory), WEB, API)
    assert edited.moves == [(WEB, API)]
    state = await state_of(memory)
    assert state.serial == 4
    assert set(state.resources) == {API, WORKER}
    assert state.resources[API].uid == "u1"
    assert state.resources[WORKER].depends_on == (API,)
    assert memory.lock is None


@pytest.mark.parametrize(
    ("source", "destination", "code"),
    [(API, WEB, "not-in-state"), (WEB, WORKER, "cannot-move"), (WEB, Address("volume", "web"), "cannot-move")],
)
async def test_a_move_that_can_not_be_is_refused_and_changes_nothing(
    memory: Memory, source: Address, destination: Address, code: str
) -> None:
    with pytest.raises(DiagnosticsError) as problem:
        await move(stores(memory), source, destination)
    assert problem.value.diagnostics[0].code == code
    assert memory.state == STATE
    assert memory.lock is None


async def test_a_removed_resource_is_forgotten_when_it_is_approved(memory: Memory) -> None:
    refused = await remove(stores(memory), [WEB], no)
    assert not refused.done
    assert memory.state == STATE
    edited = await remove(stores(memory), [WEB], yes)
    assert [item.id for item in edited.removed] == ["id-u1"]
    assert set((await state_of(memory)).resources) == {WORKER}


async def test_an_unknown_address_names_the_nearest_and_removes_nothing(memory: Memory) -> None:
    with pytest.raises(DiagnosticsError) as problem:
        await remove(stores(memory), [WEB, Address("sandbox", "wbe")], yes)
    assert "sandbox.web" in problem.value.diagnostics[0].hint
    assert memory.state == STATE


async def test_what_an_interrupted_run_left_is_taken_in_and_its_open_create_stays_open(memory: Memory) -> None:
    await interrupt(memory)
    edited = await remove(stores(memory), [WEB], yes)
    assert [item.code for item in edited.diagnostics] == ["run-interrupted"]
    state = await state_of(memory)
    assert set(map(str, state.resources)) == {str(WORKER), "sandbox.late"}
    assert [intent.key for intent in state.pending] == ["k1"]
    assert await memory.backend().journal.read() is None


async def test_a_second_one_is_refused_while_the_state_is_locked(memory: Memory) -> None:
    memory.lock = LockInfo(holder="bob@there", pid=9, operation="apply", since="2026-01-02T03:04:05Z", id="l9")
    work: list[Callable[[], object]] = [
        lambda: move(stores(memory), WEB, API),
        lambda: remove(stores(memory), [WEB], yes),
        lambda: push(stores(memory), a_push(replace(STATE, serial=9)), yes),
    ]
    for begin in work:
        with pytest.raises(DiagnosticsError, match="state-locked") as problem:
            await begin()  # type: ignore[misc]
        assert "bob@there (process 9) is running «nexus apply»" in problem.value.diagnostics[0].detail
        assert "nexus state unlock l9" in problem.value.diagnostics[0].hint
    assert memory.state == STATE
    assert await unlock(memory.backend(), "l9") is not None
    await move(stores(memory), WEB, API)


# ---- pull and push


def a_push(state: State, *, force: bool = False, environment: str = "default") -> Push:
    return Push(content=encode_state(state), name="f.json", environment=environment, force=force)


async def test_what_was_pulled_can_be_pushed_and_changes_nothing(memory: Memory) -> None:
    content = await pull(memory.backend())
    assert decode_state(content) == STATE
    edited = await push(stores(memory), Push(content=content, name="-", environment="default"), no)
    assert edited.done
    assert memory.state == STATE


async def test_what_is_pulled_holds_what_an_interrupted_run_left(memory: Memory) -> None:
    await interrupt(memory)
    pulled = decode_state(await pull(memory.backend()))
    assert Address("sandbox", "late") in pulled.resources
    assert [intent.key for intent in pulled.pending] == ["k1"]


async def test_a_newer_state_of_the_same_lineage_is_put_in_place(memory: Memory) -> None:
    newer = replace(STATE, serial=8, resources={WEB: STATE.resources[WEB]})
    assert (await push(stores(memory), a_push(newer), no)).state == newer
    assert memory.state == newer


@pytest.mark.parametrize(
    ("pushed", "said"),
    [
        (replace(STATE, lineage="other", serial=9), "lineage"),
        (replace(STATE, serial=2), "older"),
        (replace(STATE, resources={}), "the same"),
        (replace(STATE, project="other", serial=9), "project"),
        (replace(STATE, target=Target("e2b"), serial=9), "lives on e2b; what is there, on local (engine-1)"),
        (replace(STATE, environment="prod", serial=9), "environment"),
    ],
)
async def test_a_state_that_does_not_belong_here_is_refused_unless_forced(
    memory: Memory, pushed: State, said: str
) -> None:
    with pytest.raises(DiagnosticsError, match="push-refused") as problem:
        await push(stores(memory), a_push(pushed), yes)
    assert said in problem.value.diagnostics[0].detail
    assert memory.state == STATE
    assert not (await push(stores(memory), a_push(pushed, force=True), no)).done
    assert memory.state == STATE
    edited = await push(stores(memory), a_push(pushed, force=True), yes)
    assert memory.state == edited.state
    assert replace(edited.state, serial=pushed.serial) == pushed
    assert (edited.state.lineage, edited.state.serial) > (STATE.lineage, STATE.serial) or pushed.lineage != "lin"


async def test_a_journal_that_the_file_knows_nothing_of_refuses_a_push(memory: Memory) -> None:
    await interrupt(memory)
    with pytest.raises(DiagnosticsError, match="push-refused"):
        await push(stores(memory), a_push(replace(STATE, serial=9)), yes)
    await push(stores(memory), a_push(replace(STATE, lineage="other", serial=2), force=True), yes)
    assert (await state_of(memory)).lineage == "other"
    assert await memory.backend().journal.read() is None


async def test_a_file_that_is_no_state_is_refused(memory: Memory) -> None:
    with pytest.raises(DiagnosticsError, match="state-damaged"):
        await push(stores(memory), Push(content=b"{}", name="f.json", environment="default", force=True), yes)
    assert memory.state == STATE
