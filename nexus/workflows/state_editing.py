"""The use cases `state mv`, `rm`, `pull`, `push` and `unlock`: what is remembered changes, and nothing out there.

Each is one write of the state under its lock, with what an interrupted run left in the journal taken in: a crash leaves
the state before or the state after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.state import ResourceRecord, State
from nexus.model.suggestions import did_you_mean
from nexus.planning import moved
from nexus.stores import Backend, Loaded, LockInfo, commit, decode_state, encode_state, load
from nexus.workflows.locking import locked
from nexus.workflows.outputs import NO_LINEAGE
from nexus.workflows.session import Stores

Confirm = Callable[[str], bool]
"""Asked with a question before something is done that can't be taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """``state`` as written, or as it was where nothing had to be done. ``done`` is False where it was not approved."""

    state: State
    done: bool = True
    moves: Sequence[tuple[Address, Address]] = ()
    removed: Sequence[ResourceRecord] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


async def move(stores: Stores, source: Address, destination: Address, patience: float = 0.0) -> Edited:
    """Remember what is at ``source`` (all instances, where it has no key) under ``destination``.

    Raises DiagnosticsError when nothing is there, something is at the destination, or the kind does not allow it.
    """
    async with locked(stores, "state mv", patience) as note:
        loaded = await _load(stores.backend)
        _known(loaded.state, [source])
        after = moved(loaded.state, {source: destination})
        moves = [(old, new.address) for old, new in zip(loaded.state.resources, after.resources.values(), strict=True)]
        state = await commit(stores.backend, after)
    changed = [(old, new) for old, new in moves if old != new]
    return Edited(state=state, moves=changed, diagnostics=_notes(loaded, note))


async def remove(stores: Stores, addresses: Sequence[Address], confirm: Confirm, patience: float = 0.0) -> Edited:
    """Forget resources without destroying them. An address without a key means all instances of its block."""
    async with locked(stores, "state rm", patience) as note:
        loaded = await _load(stores.backend)
        _known(loaded.state, addresses)
        before = loaded.state
        gone = [item for item in before.resources.values() if _covers(addresses, item.address)]
        notes = _notes(loaded, note)
        names = ", ".join(str(item.address) for item in gone)
        if not confirm(f"Forget {names}? They stay where they are, and nexus does not know of them any more."):
            return Edited(state=before, done=False, diagnostics=notes)
        after = replace(
            before,
            resources={address: item for address, item in before.resources.items() if not _covers(addresses, address)},
            deposed=tuple(item for item in before.deposed if not _covers(addresses, item.address)),
        )
        state = await commit(stores.backend, after)
    return Edited(state=state, removed=gone, diagnostics=notes)


async def pull(backend: Backend) -> bytes:
    """The state as a file, with an interrupted run's journal taken in. Changes nothing, takes no lock."""
    loaded = await _load(backend)
    if not loaded.state.serial and not loaded.interrupted:
        raise DiagnosticsError(error("no-state", "There is no state yet", hint="«nexus apply» makes the first one"))
    # A run that was interrupted before the first write has left a journal alone: what it holds is a state to be.
    return encode_state(replace(loaded.state, serial=max(loaded.state.serial, 1)))


async def pull_older(backend: Backend, serial: int) -> bytes:
    """A state that was replaced since, as a file. Raises DiagnosticsError when it is not kept."""
    versions = await backend.versions.list()
    found = next((version for version in versions if version.serial == serial), None)
    state = None if found is None else await backend.versions.read(found)
    if state is None:
        raise DiagnosticsError(
            error(
                "no-such-version",
                f"There is no older state with the serial {serial}",
                hint="«nexus state versions» lists those that are kept",
            )
        )
    return encode_state(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A state file to be put in place. ``name`` is what messages call it; ``force`` overrides what refuses it."""

    content: bytes
    name: str
    environment: str
    force: bool = False


async def push(stores: Stores, request: Push, confirm: Confirm, patience: float = 0.0) -> Edited:
    """Put a state file in place of what is remembered.

    Raises DiagnosticsError, unless forced, for a file of another lineage, project or environment, one that is older
    than what is there, and one of the same serial that says something else.
    """
    pushed = decode_state(request.content, request.name)
    damage = pushed.verify()
    if damage:
        raise DiagnosticsError(damage)
    async with locked(stores, "state push", patience) as note:
        there = await _there(stores.backend, force=request.force)
        if there is not None and there.state == pushed and not there.interrupted:
            return Edited(state=there.state, diagnostics=_notes(there, note))
        if not request.force:
            _check_push(pushed, there, request)
        elif not confirm(f"Put {request.name} in place of the state, whatever is there?"):
            return Edited(state=pushed if there is None else there.state, done=False)
        state = await _put(stores.backend, pushed, there)
    return Edited(state=state, diagnostics=() if there is None else _notes(there, note))


async def unlock(backend: Backend, lock_id: str | None) -> LockInfo | None:
    """Break the lock ``lock_id``, or any for None. Whoever held it begins nothing new from then on."""
    return await backend.lock.break_open(lock_id)


# ---- parts


async def _load(backend: Backend) -> Loaded:
    loaded = await load(backend, State(lineage=NO_LINEAGE))
    damage = loaded.state.verify()
    if damage:
        raise DiagnosticsError(damage)
    return loaded


async def _there(backend: Backend, *, force: bool) -> Loaded | None:
    """What would be replaced; None where it can't even be read, which only force may replace."""
    try:
        return await load(backend, State(lineage=NO_LINEAGE))
    except DiagnosticsError:
        if not force:
            raise
        return None


async def _put(backend: Backend, pushed: State, there: Loaded | None) -> State:
    """Write it so that at no moment a journal stands beside a state that it does not belong to."""
    if there is None:
        await backend.journal.set_aside()
        await backend.states.write(pushed, expected_serial=None)
        return pushed
    current = there.state
    if there.interrupted:
        current = await commit(backend, current)
    await backend.journal.clear()
    same = pushed.lineage == current.lineage
    written = pushed if not same or pushed.serial > current.serial else replace(pushed, serial=current.serial + 1)
    await backend.states.write(written, expected_serial=current.serial if same or not current.serial else None)
    return written


def _check_push(pushed: State, there: Loaded | None, request: Push) -> None:
    if pushed.environment != request.environment:
        what = f"It is the state of the environment «{pushed.environment}», and this is «{request.environment}»."
        raise _refused(request, what, "choose its environment with -e")
    if there is None or (not there.state.serial and not there.interrupted):
        return
    current = there.state
    if pushed.lineage != current.lineage:
        raise _refused(request, f"It is of lineage {pushed.lineage}; what is there is of {current.lineage}.")
    if current.project and pushed.project != current.project:
        raise _refused(request, f"It is the state of the project «{pushed.project}», not of «{current.project}».")
    if current.target not in (None, pushed.target) and not current.is_empty:
        raise _refused(request, f"What it knows lives on {pushed.target}; what is there, on {current.target}.")
    if pushed.serial < current.serial:
        raise _refused(
            request, f"It is older: its serial is {pushed.serial}, and that of what is there {current.serial}."
        )
    if pushed.serial == current.serial or there.interrupted:
        what = "A run that was interrupted has left more than the state tells." if there.interrupted else ""
        raise _refused(request, what or f"Both have the serial {current.serial}, and they are not the same.")


def _refused(request: Push, detail: str, hint: str = "") -> DiagnosticsError:
    return DiagnosticsError(
        error(
            "push-refused",
            f"{request.name} can't be put in place of the state",
            detail=detail,
            hint=hint or "look at both («nexus state pull»); --force puts it in place nevertheless",
        )
    )


def _known(state: State, addresses: Sequence[Address]) -> None:
    missing = [address for address in addresses if not any(address.covers(item) for item in state.resources)]
    if missing:
        raise DiagnosticsError(
            [
                error(
                    "not-in-state",
                    f"The state has no {address}",
                    hint=did_you_mean(str(address), map(str, state.resources))
                    or "«nexus state list» shows what there is",
                    address=str(address),
                )
                for address in missing
            ]
        )


def _covers(addresses: Sequence[Address], other: Address) -> bool:
    return any(address.covers(other) for address in addresses)


def _notes(loaded: Loaded, note: Diagnostic | None) -> tuple[Diagnostic, ...]:
    return (*loaded.diagnostics, *(() if note is None else (note,)))
