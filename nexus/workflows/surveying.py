"""What a plan needs to know of the outside: state, leftovers of an interrupted run, what is out there, secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from nexus.executor import recover
from nexus.kinds import catalogue_builds
from nexus.kinds.definitions import DEFINITIONS
from nexus.manifest import resolve_secrets
from nexus.model.addresses import Address
from nexus.model.changes import PlanOptions
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, Severity, error, warning
from nexus.model.expressions import Expression, Raw
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import ResourceRecord, State, Target
from nexus.model.values import Value
from nexus.planning import TAKE, moved, without_ended, without_taken
from nexus.providers.base import ProviderError
from nexus.stores import Loaded, LockInfo, commit, load
from nexus.workflows.limits import account_limits
from nexus.workflows.loading import Project
from nexus.workflows.session import Session

_THERE: Final = frozenset({Presence.READY, Presence.RUNNING, Presence.PAUSED})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Survey:
    """One frozen picture of the outside. Never printed: ``secrets`` are in it.

    ``unwritten`` says that ``state`` is not the stored one: what is ``moved`` in the manifest lies at its new address
    already, another key was used, or what was taken from a pool has ended. An apply writes it once it is approved;
    until then, a saved plan still is for the state that it was made for. ``builds`` are those that the lock file's
    names of templates mean now.
    """

    state: State
    target: Target
    observation: Observation
    secrets: Mapping[str, Value]
    diagnostics: tuple[Diagnostic, ...] = ()
    unwritten: bool = False
    builds: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def explained() -> AsyncIterator[None]:
    """A provider's refusal outside of an operation, as what is wrong."""
    try:
        yield
    except ProviderError as problem:
        raise DiagnosticsError(problem.diagnostic) from problem


async def survey(project: Project, session: Session, options: PlanOptions, *, lineage: str, for_apply: bool) -> Survey:
    """Look once at everything. Only for an apply (under its lock) are leftovers resolved and secrets demanded.

    ``lineage`` is that of the first state, where there is none yet.
    """
    async with explained():
        target = await session.provider.identity()
        known, notes = await _known_state(project, session, target, lineage, for_apply=for_apply)
        check_target(known, target)
        state = moved(known, moves_of(project))
        is_moved, has_new_key = state is not known, _has_new_key(known, target)
        state = replace(state, target=target)
        wanted = {} if options.destroy else catalogue_of(project)
        is_bounded = account_limits(project).concurrent_sandboxes is not None
        observation = await _look(session, state, wanted, options, count_all=is_bounded)
        observation = replace(observation, imports=await _examined(project, session, state, options))
        builds = await _builds(project, session, target, options)
    # In another account everything would seem to have ended; and what is to be destroyed is named one by one.
    if not has_new_key and not options.destroy:
        state = without_ended(state, observation)
    suspicions = _check_account(without_taken(known), target, observation, options)
    secrets, missing = _secrets(project, destroy=options.destroy, demanded=for_apply)
    session.keep_secret(secrets.values())
    return Survey(
        state=state,
        target=target,
        observation=observation,
        secrets=secrets,
        diagnostics=(*notes, *suspicions, *missing),
        unwritten=is_moved or has_new_key or len(state.resources) < len(known.resources),
        builds=builds,
    )


async def _look(
    session: Session, state: State, catalogue: Mapping[Address, str], options: PlanOptions, *, count_all: bool
) -> Observation:
    if not options.refresh:
        return Observation(complete=False)
    seen = await session.provider.observe(state, catalogue, count_all=count_all)
    return await session.provider.look_inside(without_taken(state), seen) if options.deep else seen


async def _examined(
    project: Project, session: Session, state: State, options: PlanOptions
) -> Mapping[Address, Observed]:
    """What the section ``import`` takes over for the first time: what is in the state has been taken over."""
    open_ = {item.address: item.id for item in project.desired.imports.values() if item.address not in state.resources}
    return {} if options.destroy or not open_ else await session.provider.examine(open_)


async def _builds(project: Project, session: Session, target: Target, options: PlanOptions) -> Mapping[str, str]:
    locked = {} if project.lock is None else project.lock.of(project.base_environment).builds
    if not locked or options.destroy or target.kind != "e2b":
        return {}
    return await session.provider.build_ids(tuple(locked))


def _has_new_key(state: State, target: Target) -> bool:
    return state.target is not None and state.target.access not in ("", target.access)


def _check_account(
    state: State, target: Target, observation: Observation, options: PlanOptions
) -> tuple[Diagnostic, ...]:
    """Another key is no reason for suspicion, and neither is that things are gone; both together are.

    E2B does not tell whose account a key opens. Nothing of the state in it is what another account looks like, and
    then everything would be made a second time, and what there is be forgotten. With the key that was used before, it
    is only worth a warning.
    """
    if options.allow_missing or not observation.complete:
        return ()
    seen = [
        (record, found.presence)
        for record in (*state.resources.values(), *state.deposed)
        if record.address.kind != "step" and (found := observation.records.get(record.uid)) is not None
    ]
    missing = [record for record, presence in seen if presence is Presence.GONE]
    if not missing or any(presence in _THERE for _, presence in seen):
        return ()
    if _has_new_key(state, target):
        raise DiagnosticsError(_other_account(len(seen), missing))
    return (_all_gone(missing),) if len(missing) > 1 else ()


def _other_account(seen: int, missing: list[ResourceRecord]) -> Diagnostic:
    return error(
        "account-mismatch",
        "Nothing that the state knows is in this account",
        detail=f"The API key is not the one that was used last, and none of the {seen} objects of the state can be "
        f"found with it, although {len(missing)} of them should be there, such as {missing[0].address} "
        f"({missing[0].id}). Most likely the key belongs to another account.",
        hint="use a key of the account that the state was made in; if everything is gone, say --allow-missing",
        address=str(missing[0].address),
    )


def _all_gone(missing: list[ResourceRecord]) -> Diagnostic:
    return warning(
        "everything-gone",
        "Nothing that the state knows is there any more",
        detail=f"All {len(missing)} objects were removed before their time, such as {missing[0].address} "
        f"({missing[0].id}). The API key is the one that was used last, so this is the same account.",
    )


async def _known_state(
    project: Project, session: Session, target: Target, lineage: str, *, for_apply: bool
) -> tuple[State, tuple[Diagnostic, ...]]:
    fresh = State(lineage=lineage, project=project.name, environment=project.environment, target=target)
    loaded = await load(session.backend, fresh)
    # A state that knows of nothing is nowhere yet, or not any more.
    is_nowhere = loaded.state.is_empty or loaded.state.target is None
    state = replace(loaded.state, target=target) if is_nowhere else loaded.state
    damage = state.verify()
    if damage:
        raise DiagnosticsError(damage)
    _check_project(state, project)
    if not for_apply:
        return state, await _unfinished(session, loaded)
    check_target(state, target)
    recovered = await recover(session.provider, state, session.clock.now())
    if loaded.interrupted or recovered.state != state:
        return await commit(session.backend, recovered.state), (*loaded.diagnostics, *recovered.diagnostics)
    return state, ()


async def _unfinished(session: Session, loaded: Loaded) -> tuple[Diagnostic, ...]:
    """What to say of a state that is not whole: whether somebody works on it now, or was interrupted."""
    in_doubt = [intent for intent in loaded.state.pending if intent.verb != TAKE]
    if not loaded.interrupted and not in_doubt:
        return loaded.diagnostics
    running = await session.backend.lock.holder()
    if running is not None:
        return (_in_progress(running),)
    return (*loaded.diagnostics, *((_unresolved(),) if in_doubt else ()))


def moves_of(project: Project) -> dict[Address, Address]:
    """The manifest's section ``moved``: old addresses, and the new ones."""
    section = project.manifest.values.get("moved")
    moves = section.items() if isinstance(section, dict) else ()
    return {Address.parse(old): Address.parse(str(new)) for old, new in moves}


def _check_project(state: State, project: Project) -> None:
    if state.project in ("", project.name):
        return
    raise DiagnosticsError(
        error(
            "project-mismatch",
            "The state belongs to another project",
            detail=f"The state is that of «{state.project}»; the manifest says «{project.name}».",
            hint=f"set «project: {state.project}» again, or destroy the old project before its name changes",
            range=project.manifest.places(("project",)),
        )
    )


def check_target(state: State, target: Target) -> None:
    """Raises DiagnosticsError when what the state knows lives elsewhere."""
    if state.target in (None, target) or state.is_empty:
        return
    raise DiagnosticsError(
        error(
            "target-mismatch",
            "The state belongs to another target",
            detail=f"What it knows lives on {state.target}; this run would work on {target}.",
            hint="choose the target with --local or NEXUS_TARGET, use the API key of the same account, "
            "or another environment (-e) for another target",
        )
    )


def _in_progress(running: LockInfo) -> Diagnostic:
    return warning(
        "run-in-progress",
        "The state is being changed right now",
        detail=f"{running.holder} (process {running.pid}) has been running «nexus {running.operation}» since "
        f"{running.since}. What it has not done yet is missing here.",
        hint="look again once it has ended",
    )


def _unresolved() -> Diagnostic:
    return warning(
        "run-unresolved",
        "An apply was interrupted while it created something",
        detail="What became of it is found out by the next apply, before it plans.",
    )


def catalogue_of(project: Project) -> dict[Address, str]:
    """References of the catalogue's templates that the project uses."""
    return {
        address: catalogue_builds.reference(DEFINITIONS[address.name])
        for address in project.desired.resources
        if address.kind == "catalogue"
    }


def _secrets(project: Project, *, destroy: bool, demanded: bool) -> tuple[dict[str, Value], tuple[Diagnostic, ...]]:
    """Values of the secrets that the manifest uses. Where they are not demanded, a missing one is a warning."""
    if destroy:
        return {}, ()
    values, problems = resolve_secrets(project.manifest, project.process, only=set(_used_secrets(project)))
    if not demanded:
        return values, tuple(replace(problem, severity=Severity.WARNING) for problem in problems)
    if problems:
        raise DiagnosticsError(problems)
    return values, ()


def available_secrets(project: Project) -> tuple[dict[str, Value], tuple[Diagnostic, ...]]:
    """The secrets that the manifest uses, as far as they can be had; a warning for each that can't."""
    return _secrets(project, destroy=False, demanded=False)


def _used_secrets(project: Project) -> Iterator[str]:
    seen: set[int] = set()
    for spec in project.desired.resources.values():
        if id(spec.attributes) not in seen:  # instances of a block share them
            seen.add(id(spec.attributes))
            for raw in spec.attributes.values():
                yield from _secrets_in(raw)
            for condition in (item for some in spec.lifecycle.conditions.values() for item in some):
                yield from _secrets_in([condition.condition, condition.error_message])
    for output in project.desired.outputs.values():
        yield from _secrets_in(output.value)


def _secrets_in(raw: Raw) -> Iterator[str]:
    match raw:
        case Expression():
            yield from (str(ref.path[0]) for ref in raw.references if ref.root == "secrets" and ref.path)
        case dict():
            for item in raw.values():
                yield from _secrets_in(item)
        case list():
            for item in raw:
                yield from _secrets_in(item)
        case _:
            pass
