"""Templates that are promoted: the build that another environment has is taken over, and nothing is built anew.

A build is named by a digest of all that went into it. What the files ask for in this environment is evaluated once
more as the origin would, whose names it then has: that tells which of the origin's builds is the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from nexus.kinds.template import BUILD_INPUTS, build_env_vars
from nexus.kinds.template_fields import PROMOTED_FROM
from nexus.model.addresses import Address
from nexus.model.changes import Effect, FieldDiff, Verb
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, SourceRange, error
from nexus.model.environments import Environment
from nexus.model.state import ResourceRecord, State, Target
from nexus.model.values import Attributes, Value
from nexus.planning.diff import field_diffs, top
from nexus.planning.evaluate import Evaluated, Evaluation
from nexus.planning.request import Origin, PlanRequest
from nexus.planning.work import Decision

KIND: Final = "template"
_BUILDS: Final = (Verb.CREATE, Verb.BUILD)


def origins_named(request: PlanRequest) -> Mapping[str, SourceRange | None]:
    """The environments that builds are to be taken from, as options and blocks call them, and where a block does.

    A block that names the environment it is in means that this is where it is built.
    """
    if request.options.promote_from:
        return {request.options.promote_from: None}
    says_so = any(spec.attributes.get(PROMOTED_FROM.name) is not None for spec in request.graph.resources.values())
    if request.options.destroy or not says_so:
        return {}
    named = {_origin_in(item): item.spec.field_sources.get(PROMOTED_FROM.name) for item in _here(request).values()}
    return {
        name: place for name, place in named.items() if name and Environment.parse(name).name != request.environment
    }


def references(request: PlanRequest) -> tuple[str, ...]:
    """What the promoted templates are called here and in their origins: whoever looks finds out which are there."""
    there = Promotions(request).references
    here = {address: _reference(item) for address, item in _here(request).items() if address in there}
    return tuple(sorted({*there.values(), *here.values()} - {""}))


class Promotions:
    """Which templates of one plan are promoted, and what their builds are called where they come from."""

    def __init__(self, request: PlanRequest) -> None:
        self._request = request
        self._origins = dict(_origins(request)) if request.origins else {}
        self._there: dict[Address, Evaluated] = {}
        for origin in request.origins.values():
            found = _templates(request, origin.environment, origin.state)
            self._there.update(
                (item, found[item]) for item, its in self._origins.items() if its is origin and item in found
            )

    @property
    def references(self) -> Mapping[Address, str]:
        """By address; "" while that is not known."""
        return {address: _reference(item) for address, item in self._there.items()}

    def carry(self, decision: Decision, diagnostics: Diagnostics) -> None:
        """Have a build that is to be made be the origin's, or say why that can't be.

        What this environment has from before is left to be found: the provider never builds the same again.
        """
        origin, evaluated = self._origins.get(decision.address), decision.evaluated
        if origin is None or evaluated is None or not any(item.verb in _BUILDS for item in decision.work):
            return
        reference = _reference(self._there[decision.address]) if decision.address in self._there else ""
        if _reference(evaluated) in origin.builds:
            _take_over(decision, "", "its build is there from before")
        elif reference in origin.builds and not self._own_inputs(evaluated):
            _take_over(decision, reference, f"promoted from {origin.name}")
        else:
            refusal = self._refusal(evaluated, origin, reference)
            diagnostics.add(refusal.at(decision.source, str(decision.address)))

    def _own_inputs(self, here: Evaluated) -> list[str]:
        """Inputs that have another value here than in the origin, such as the name of a volume.

        The base is called something else in each environment; whether it is the same is told by its reference.
        """
        one, other = _inputs(here.concealed), _inputs(self._there[here.spec.address].concealed)
        return [name for name in one if name != "base_template" and one[name] != other[name]]

    def _refusal(self, here: Evaluated, origin: Origin, reference: str) -> Diagnostic:
        """Why the build that is called ``reference`` in the origin can't be taken."""
        address = here.spec.address
        remembered = origin.state.resources.get(address)
        if not reference or not _reference(here):
            return _untold(address)
        if own := self._own_inputs(here):
            return _bound(address, self._request.environment, own)
        if origin.state.target not in (None, self._request.target) and not origin.state.is_empty:
            return _elsewhere(origin, self._request.target, self._request.environment)
        if remembered is None:
            return _missing(origin, f"{origin.name} has not built {address}, as far as its state tells.", address)
        if remembered.attributes.get("reference") == reference:
            detail = f"{reference} is not in this account: it was removed, or the API key opens another account."
            return _missing(origin, detail, address)
        return self._other_build(address, origin, remembered)

    def _other_build(self, address: Address, origin: Origin, remembered: ResourceRecord) -> Diagnostic:
        request, there = self._request, self._there[address]
        kind = request.kinds[KIND]
        trees = {**origin.state.trees, **there.trees}
        diffs = field_diffs(kind, _inputs(remembered.attributes), _inputs(there.concealed), trees)
        notes = (f"{top(diff.path)} ({diff.note})" if diff.note else top(diff.path) for diff in diffs)
        names = ", ".join(dict.fromkeys(notes)) or "what it builds on"
        return error(
            "promotion-differs",
            f"The files ask for another build than {origin.name} has",
            detail=f"Of {address}, this differs between the build of {origin.name} and what the files ask for "
            f"in {request.environment}: {names}.",
            hint=f"apply these files in {origin.name} first: nexus apply -e {origin.name}; what the two environments "
            f"ask for differently: nexus env diff {origin.name} {request.environment}",
        )


def promotable(request: PlanRequest, chosen: Collection[Address] | None, diagnostics: Diagnostics) -> set[Address]:
    """The templates that a promotion is about, of what was asked for; anything else that was named is an error."""
    for named in request.options.targets:
        if named.kind != KIND:
            diagnostics.add(
                error(
                    "not-promotable",
                    "Only templates are promoted",
                    detail=f"{named} is none: what is made from a template follows with the next apply.",
                    hint=f"promote the template, then: nexus apply -e {request.environment}",
                    address=str(named),
                )
            )
    return {
        address for address in request.graph.resources if address.kind == KIND and (chosen is None or address in chosen)
    }


def _origins(request: PlanRequest) -> Iterator[tuple[Address, Origin]]:
    """The origin of each template that has one. What the options say goes before what blocks say."""
    for address, item in _here(request).items():
        origin = request.origins.get(request.options.promote_from or _origin_in(item))
        if origin is not None:
            yield address, origin


def _here(request: PlanRequest) -> dict[Address, Evaluated]:
    return _templates(request, request.environment, request.state)


def _templates(request: PlanRequest, environment: str, state: State) -> dict[Address, Evaluated]:
    """All templates as an environment with that state calls them. What is wrong with one is the planner's to say."""
    dag = request.graph.dag
    needed = dag.with_needs({address for address in request.graph.resources if address.kind == KIND})
    evaluation, found = Evaluation(replace(request, environment=environment)), {}
    for address in (item for item in dag.order() if item in needed):
        try:
            found[address] = evaluation.evaluate(address)
        except DiagnosticsError:
            continue
        evaluation.publish(address, state.resources.get(address))
    return {address: item for address, item in found.items() if address.kind == KIND}


def _origin_in(evaluated: Evaluated) -> str:
    """What the block itself says."""
    name = evaluated.concealed.get(PROMOTED_FROM.name)
    return name if isinstance(name, str) else ""


def _reference(evaluated: Evaluated) -> str:
    reference = evaluated.concealed.get("reference")
    return reference if isinstance(reference, str) else ""


def _inputs(attributes: Attributes) -> dict[str, Value]:
    found = {name: attributes[name] for name in BUILD_INPUTS if name in attributes}
    return {**found, "env_vars": build_env_vars(found.get("env_vars", {}))}


def _take_over(decision: Decision, reference: str, cause: str) -> None:
    """No build is made: one is taken from ``reference``, or where there is none, the one that is there is found."""
    decision.cause = cause
    decision.work = [
        replace(item, unit=reference, cause=cause) if item.verb in _BUILDS else item for item in decision.work
    ]
    decision.fields = tuple(map(_not_rebuilt, decision.fields))


def _not_rebuilt(diff: FieldDiff) -> FieldDiff:
    return replace(diff, effect=Effect.IN_PLACE) if diff.effect is Effect.REBUILD else diff


def _untold(address: Address) -> Diagnostic:
    return error(
        "promotion-differs",
        "It can't be told yet which build the files ask for",
        detail=f"{address} depends on what only the apply will tell.",
        hint="apply what it depends on first",
    )


def _elsewhere(origin: Origin, target: Target, environment: str) -> Diagnostic:
    return error(
        "promotion-elsewhere",
        "The two environments are in different places",
        detail=f"{origin.name} lives on {origin.state.target}, {environment} on {target}: a build can't be taken from "
        "one to the other.",
        hint=f"apply the same files in {environment}; with «nexus lock», it gets the same versions",
    )


def _bound(address: Address, environment: str, names: list[str]) -> Diagnostic:
    return error(
        "promotion-differs",
        "The build belongs to one environment",
        detail=f"Of {address}, this is made of what only {environment} has: {', '.join(names)}.",
        hint="give it to the sandboxes instead, in their env_vars, uploads or run_commands",
    )


def _missing(origin: Origin, detail: str, address: Address) -> Diagnostic:
    return error(
        "promotion-missing",
        "There is no build to promote",
        detail=detail,
        hint=f"build it there first: nexus apply -e {origin.name} --target '{address}'",
    )
