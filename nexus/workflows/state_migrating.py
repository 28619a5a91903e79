"""The use case `state migrate`: what is remembered goes to where the manifest keeps it by now.

Both places are locked meanwhile. The state that was left stays as it was; from here it is not used any more. It can be
killed at any instant: until the end it counts that the state is where it was, and run again it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from nexus.manifest import find_project, read
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.environments import Environment
from nexus.model.state import State
from nexus.schema.state_place import StatePlace
from nexus.stores import (
    Backend,
    LockInfo,
    commit,
    is_unreadable,
    last_place,
    load,
    local_backend,
    remember,
    remote_backend,
    resealed,
)
from nexus.workflows.locking import locked
from nexus.workflows.outputs import NO_LINEAGE, place_of
from nexus.workflows.session import Stores
from nexus.workflows.state_editing import Confirm


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """From where to where. ``copied`` is False where the state was there already; ``done``, where it was not approved.

    ``state`` is the one that is used from now on; None where there was none at all.
    """

    source: StatePlace
    target: StatePlace
    state: State | None
    done: bool = True
    copied: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What to migrate: the environment of the project at ``folder``. ``process`` is the environment for credentials.

    ``holder`` says how the one who locks calls itself.
    """

    folder: Path
    environment: str
    process: Mapping[str, str]
    holder: Callable[[str], LockInfo]
    patience: float = 0.0


async def migrate(migration: Migration, confirm: Confirm) -> Migrated:
    """Bring the state from where it was last used to where the manifest says.

    Raises DiagnosticsError (``migrate-refused``) when there is a state of another lineage, or one that an interrupted
    run has left unfinished.
    """
    wanted = Environment.parse(migration.environment)
    manifest = read(find_project(migration.folder), environment=wanted.base)
    migration = replace(migration, environment=wanted.name)
    target = place_of(manifest, migration.environment)
    source = last_place(manifest.root, migration.environment) or target
    if source.is_same_place(target):
        remember(target, manifest.root, migration.environment)
        return Migrated(source=source, target=target, state=None, copied=False)
    if _differ_in_keys(source, target):
        stores = resealed(source, target, manifest.root, migration.environment, migration.process)
    else:
        stores = _open(source, manifest.root, migration), _open(target, manifest.root, migration)
    async with _locked(stores[0], migration):
        if await _is_one(*stores):
            state = (await load(stores[1], State(lineage=NO_LINEAGE))).state
            migrated = Migrated(source=source, target=target, state=state, copied=False)
        elif stores[0].lock is stores[1].lock:
            migrated = await _copy(_Move(source, target, *stores), confirm)
        else:
            async with _locked(stores[1], migration):
                migrated = await _copy(_Move(source, target, *stores), confirm)
        if migrated.done:  # before the lock is free: whoever waits for it is not to go on with what was left
            remember(target, manifest.root, migration.environment)
    return migrated


def _locked(backend: Backend, migration: Migration) -> AbstractAsyncContextManager[object]:
    return locked(Stores(backend=backend, holder=migration.holder), "state migrate", migration.patience)


async def _is_one(source: Backend, target: Backend) -> bool:
    """Whether it is one place by two names: then our own lock is there, too."""
    if source.lock is target.lock:
        return False
    ours, there = await source.lock.holder(), await target.lock.holder()
    return ours is not None and ours == there


def _open(place: StatePlace, root: Path, migration: Migration) -> Backend:
    if place.is_local:
        return local_backend(root, migration.environment)
    return remote_backend(place, root, migration.environment, migration.process)


def _differ_in_keys(source: StatePlace, target: StatePlace) -> bool:
    """Whether it is the same place, encrypted by now or not any more."""
    return replace(source, keys=()).is_same_place(replace(target, keys=()))


@dataclass(frozen=True, slots=True)
class _Move:
    """What is to be brought from where to where."""

    source: StatePlace
    target: StatePlace
    from_: Backend
    to: Backend


async def _copy(move: _Move, confirm: Confirm) -> Migrated:
    source, target = move.source, move.target
    if _differ_in_keys(source, target) and await _was_rewritten(move):
        return await _tidied(move)
    loaded = await load(move.from_, State(lineage=NO_LINEAGE))
    state = await commit(move.from_, loaded.state) if loaded.interrupted else loaded.state
    if not state.serial:
        return Migrated(source=source, target=target, state=None, copied=False)
    there = None if _differ_in_keys(source, target) else (await load(move.to, State(lineage=NO_LINEAGE))).state
    if there is not None and there.serial:
        _check(state, there, target)
        if there.serial >= state.serial:
            question = f"The state in {target} is as new, or newer (serial {there.serial}). Use it from now on?"
            return Migrated(source=source, target=target, state=there, done=confirm(question), copied=False)
    if not confirm(f"Bring the state (serial {state.serial}) from {source} to {target}?"):
        return Migrated(source=source, target=target, state=state, done=False)
    if there is None:
        return await _rewrite(move, state)
    await move.to.states.write(state, there.serial)
    return Migrated(source=source, target=target, state=state)


async def _rewrite(move: _Move, state: State) -> Migrated:
    """The same documents, encrypted by now or not any more. Nothing that was written before stays beside them."""
    await move.from_.journal.clear()
    await move.to.states.fence()
    await move.to.lock.verify()
    await move.to.states.write(state, None)
    return await _tidied(move)


async def _was_rewritten(move: _Move) -> bool:
    """Whether one that was interrupted came as far as to write the state anew: only the keys of now open it then."""
    try:
        await move.from_.states.read()
    except DiagnosticsError as problem:
        if not is_unreadable(problem):
            raise
        await move.to.states.read()
        return True
    return False


async def _tidied(move: _Move) -> Migrated:
    await move.to.versions.clear()
    return Migrated(source=move.source, target=move.target, state=await move.to.states.read())


def _check(state: State, there: State, target: StatePlace) -> None:
    if there.lineage == state.lineage:
        return
    raise DiagnosticsError(
        error(
            "migrate-refused",
            "There is another state already",
            detail=f"In {target} is a state of lineage {there.lineage}, project «{there.project}»; "
            f"the one to be brought there is of {state.lineage}.",
            hint="say another prefix or place under «state», or look at what is there with «nexus state pull»",
        )
    )
