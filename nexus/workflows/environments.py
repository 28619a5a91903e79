"""The use cases about environments as a whole: which there are, which of them are over, and how two differ."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from nexus.kinds.registry import KINDS
from nexus.manifest import declared_environments, environment_called, find_project, read
from nexus.model.environments import Environment, Standing
from nexus.model.observation import Observation
from nexus.model.state import State, Target
from nexus.model.values import fingerprinter
from nexus.planning import Difference, PlanRequest, compare
from nexus.stores import Backend, fingerprint_key, remembered_environments
from nexus.workflows.loading import Project, ttl_of
from nexus.workflows.outputs import NO_LINEAGE, backend_of, read_state


async def standings(folder: Path, process: Mapping[str, str]) -> tuple[Standing, ...]:
    """All environments that the project declares, and those that have a state here; branches after what they are of.

    ``process`` is the environment that the state's credentials are in. Raises DiagnosticsError outside of a project.
    """
    manifest = read(find_project(folder))
    declared = declared_environments(manifest)
    known = {Environment(name) for name in declared}
    known.update(environment_called(name, declared) for name in remembered_environments(manifest.root))
    found = [
        await _standing(manifest.root, item, process, declared=item.name in declared) for item in sorted(known, key=str)
    ]
    return tuple(item for item in found if item.declared or item.resources)


async def _standing(root: Path, environment: Environment, process: Mapping[str, str], *, declared: bool) -> Standing:
    backend = backend_of(root, str(environment), process)
    state = await read_state(backend)
    ends = [_moment(item.expires_at) for item in state.resources.values() if item.expires_at]
    return Standing(
        environment=environment,
        declared=declared,
        serial=None if state.lineage == NO_LINEAGE else state.serial,
        resources=len(state.resources),
        last_used=await _last_used(backend, state),
        sandboxes_end=max(ends, default=None),
        ttl=ttl_of(read(root, environment=environment.base)),
    )


async def _last_used(backend: Backend, state: State) -> datetime | None:
    runs = [_moment(run.head.started_at if run.end is None else run.end.ended_at) for run in await backend.runs.list()]
    made = [_moment(item.created_at) for item in state.resources.values() if item.created_at]
    return max([*runs[:1], *made], default=None)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def differences(first: Project, second: Project) -> tuple[Difference, ...]:
    """What two environments of a project ask for, by address. Touches no network, and reads no secrets.

    Raises DiagnosticsError.
    """
    return compare(_request(first), _request(second))


def _request(project: Project) -> PlanRequest:
    key = fingerprint_key("")
    target = Target("")
    return PlanRequest(
        graph=project.desired,
        kinds=KINDS,
        state=State(lineage="", project=project.name, target=target),
        observation=Observation(complete=False),
        files=project.files.with_key(key),
        fingerprint=fingerprinter(key),
        now=datetime.fromtimestamp(0, UTC),
        project=project.name,
        environment=project.environment,
        target=target,
        variables=project.variables,
        process_environment=project.process,
        longest_life=project.ttl,
    )
