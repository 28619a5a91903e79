"""Templates that are promoted: the build that another environment has is taken over, and nothing is built anew.

A build is named by a digest of all that went into it. What the files ask for in this environment is evaluated once
more as the origin would, whose names it then has: that tells which of the origin's builds is the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    return tuple(sorted(Promotions(request).references))


class Promotions:
    """Which templates of one plan are promoted, and what their builds are called where they come from."""

    def __init__(self, request: PlanRequest) -> None:
        self._request = request
        self._here = _here(request) if request.origins else {}
        self._there = {
            name: _templates(request, origin.environment, origin.state) for name, origin in request.origins.items()
        }

    @property
    def references(self) -> set[str]:
        """All names of builds that matter, as far as they are known."""
        found: set[str] = set()
        for address, here in self._here.items():
            origin = self._origin_of(address)
            if origin is not None:
                found |= {_reference(here), self._reference_in(origin, address)}
        return found - {""}

    def carry(self, decision: Decision, diagnostics: Diagnostics) -> None:
        """Have a build that is to be made be the origin's, or say why that can't be.

        What this environment has from before is left to be found: the provider never builds the same again.
        """
        address, origin = decision.address, self._origin_of(decision.address)
        if origin is None or not any(item.verb in _BUILDS for item in decision.work):
            return
        reference = self._reference_in(origin, address)
        if _reference(self._here[address]) in origin.builds:
            _take_over(decision, "", "its build is there from before")
        elif reference in origin.builds and not self._own(origin, address):
            _take_over(decision, reference, f"promoted from {origin.name}")
        else:
            diagnostics.add(self._refusal(origin, address).at(decision.source, str(address)))

    def _origin_of(self, address: Address) -> Origin | None:
        """What the options say goes before what the block says."""
        here = self._here.get(address)
        asked = self._request.options.promote_from
        return None if here is None else self._request.origins.get(asked or _origin_in(here))

    def _reference_in(self, origin: Origin, address: Address) -> str:
        """What the build is called in the origin; "" while that is not known."""
        there = self._there[origin.name].get(address)
        return "" if there is None else _reference(there)

    def _own(self, origin: Origin, address: Address) -> list[str]:
        """What the build is made of that only this environment has, such as the name of a volume.

        Inputs of the template, and templates that it builds on. These are called something else in each environment,
        and that alone is no difference.
        """
        needed = self._request.graph.dag.with_needs([address]) & self._here.keys() - {address}
        bases = [str(base) for base in sorted(needed) if self._own_inputs(origin, base)]
        return [*self._own_inputs(origin, address), *bases]

    def _own_inputs(self, origin: Origin, address: Address) -> list[str]:
        there = self._there[origin.name].get(address)
        one, other = _inputs(self._here[address].concealed), {} if there is None else _inputs(there.concealed)
        return [name for name in one if name != "base_template" and one[name] != other.get(name)]

    def _refusal(self, origin: Origin, address: Address) -> Diagnostic:
        """Why the origin's build can't be taken."""
        reference, remembered = self._reference_in(origin, address), origin.state.resources.get(address)
        if not reference or not _reference(self._here[address]):
            return _untold(address)
        if own := self._own(origin, address):
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
        request, there = self._request, self._there[origin.name][address]
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
