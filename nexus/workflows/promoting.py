"""Where promoted templates come from: what another environment of the project remembers, and which builds are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nexus import planning
from nexus.manifest import declared_environments
from nexus.model.diagnostics import DiagnosticsError, SourceRange, error
from nexus.model.environments import Environment
from nexus.model.state import State
from nexus.model.suggestions import did_you_mean
from nexus.planning import Origin, PlanRequest
from nexus.workflows.loading import Project
from nexus.workflows.outputs import read_state
from nexus.workflows.session import Session
from nexus.workflows.surveying import explained


async def with_origins(project: Project, session: Session, request: PlanRequest) -> PlanRequest:
    """The same with the environments that templates are promoted from. Asks nothing where none is.

    Raises DiagnosticsError where there is no such environment.
    """
    named = planning.origins_named(request)
    found = {name: await _origin(project, session, name, place) for name, place in named.items()}
    if not found:
        return request
    if request.options.refresh:
        names = planning.references(replace(request, origins=found))
        async with explained():
            builds = frozenset(await session.provider.build_ids(names))
    else:
        states = (request.state, *(origin.state for origin in found.values()))
        builds = frozenset(name for state in states for name in _believed(state))
    return replace(request, origins={name: replace(origin, builds=builds) for name, origin in found.items()})


async def _origin(project: Project, session: Session, name: str, place: SourceRange | None) -> Origin:
    """``place`` is where it is named, if that is in the manifest."""
    environment = Environment.parse(name)
    if environment.name == project.environment:
        raise DiagnosticsError(
            error(
                "not-promotable",
                "An environment has its own builds already",
                detail=f"What is to be promoted to {name} would come from {name}.",
                hint="name the environment that the builds are in, and the one that is to get them",
            )
        )
    state = await read_state(session.backend_of(environment))
    declared = declared_environments(project.manifest)
    if state.is_empty and environment.base not in declared:
        raise DiagnosticsError(
            error(
                "unknown-environment",
                f"There is no environment «{name}»",
                hint=did_you_mean(name, declared) or "«nexus env list» shows those that there are",
                range=place,
            )
        )
    return Origin(name=name, environment=environment.name, state=state)


def _believed(state: State) -> Iterator[str]:
    """The builds that a state knows, where nobody is to look."""
    for record in state.resources.values():
        reference = record.attributes.get("reference")
        if isinstance(reference, str):
            yield reference
