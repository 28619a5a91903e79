"""Attributes of desired resources: expressions resolved, normalised, concealed.

The planner evaluates every resource once, needed ones first. The same evaluation serves the apply, which asks again for
what was not known yet, with the records that exist by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from nexus.expressions import Scope, resolve
from nexus.graph import DesiredGraph
from nexus.kinds.base import Normalising, Unit
from nexus.kinds.field_paths import with_part
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, error
from nexus.model.expressions import Expression, Raw
from nexus.model.resources import FieldPath, ResourceSpec, Stage
from nexus.model.state import OutputRecord, ResourceRecord, Tree
from nexus.model.values import (
    UNKNOWN,
    Attributes,
    Value,
    conceal,
    has_sensitive,
    is_wholly_known,
    reveal,
)
from nexus.planning.conditions import Verdict, judge, still_open
from nexus.planning.request import PlanRequest

_SAME_IN_ALL_INSTANCES: Final = frozenset({"vars", "secrets", "env"})

Lookup = Callable[[Address], ResourceRecord | None]
"""The current record of an address; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Evaluated:
    """One desired resource. ``attributes`` are normalised and may hold secrets; ``concealed`` is their recorded form.

    Never printed: ``attributes`` may hold secrets.
    """

    spec: ResourceSpec
    attributes: Attributes
    concealed: Attributes
    units: tuple[Unit, ...] = ()
    trees: Mapping[str, Tree] = field(default_factory=dict)
    is_known: bool = True

    @property
    def revealed(self) -> Attributes:
        """What ``kind.decode`` takes. Only for what goes to the provider."""
        return {name: reveal(value) for name, value in self.attributes.items()}


class Evaluation:
    """Evaluates the resources of one graph, and knows their outputs as far as they were published."""

    def __init__(self, request: PlanRequest) -> None:
        self._request = request
        self._graph: DesiredGraph = request.graph
        self._outputs: dict[Address, Attributes] = {}
        self._families: dict[Address, dict[str, Value]] = {}
        self._evaluated: dict[Address, Evaluated] = {}
        self._constants: dict[int, dict[str, Value]] = {}
        self.warnings: list[Diagnostic] = []
        self.made_anew: set[Address] = set()  # what ignore_changes means nothing to

    # ---- what expressions may ask

    def outputs(self, address: Address) -> Value:
        """See :class:`nexus.expressions.Resources`."""
        instances = self._graph.instances.get(address)
        if instances is None:
            found = self._outputs.get(address)
            if found is None:
                if address in self._graph.resources:
                    return UNKNOWN
                raise KeyError(address)
            return found if isinstance(found, dict) else dict(found)
        family = self._families.get(address)
        if family is None:
            family = self._families[address] = {key: self.outputs(item) for key, item in instances.items()}
        return family

    def evaluated(self) -> Iterable[Evaluated]:
        """All resources that could be evaluated, as they are for the plan."""
        return self._evaluated.values()

    def fields(self, address: Address) -> Attributes:
        return self._evaluated[address].attributes

    # ---- what the planner and the apply ask

    def evaluate(self, address: Address) -> Evaluated:
        """With the outputs published so far; remembered. Raises DiagnosticsError with all that is wrong."""
        spec = self._graph.resources[address]
        diagnostics = Diagnostics()
        resolved = self._resolved(spec, diagnostics)
        if diagnostics.has_errors:
            raise DiagnosticsError(diagnostics)
        request = self._request
        context = Normalising(
            spec=spec,
            files=request.files,
            project=request.project,
            environment=request.environment,
            diagnostics=diagnostics,
            fingerprint=request.fingerprint,
            lock=request.lock,
            longest_life=request.longest_life,
        )
        kind = request.kinds[address.kind]
        attributes = kind.normalise(resolved, context)
        if diagnostics.has_errors:
            raise DiagnosticsError(_placed(diagnostics, spec))
        concealed, known = self._concealed(attributes)
        evaluated = Evaluated(
            spec=spec,
            attributes=attributes,
            concealed=concealed,
            units=kind.units(concealed),
            trees=context.trees,
            is_known=known,
        )
        self._evaluated[address] = evaluated
        self.warnings.extend(_placed(diagnostics, spec))
        return evaluated

    def publish(self, address: Address, record: ResourceRecord | None) -> None:
        """Make the outputs of an evaluated resource known: those of ``record``, or of one that is still to be made."""
        evaluated = self._evaluated.get(address)
        if evaluated is not None:
            kept = self.with_ignored(evaluated, None if address in self.made_anew else record)
            self._outputs[address] = self._request.kinds[address.kind].outputs(kept.attributes, record)
        elif record is not None:
            self._outputs[address] = record.outputs
        self._families.pop(address.group, None)

    def with_ignored(self, evaluated: Evaluated, record: ResourceRecord | None) -> Evaluated:
        """The same, with fields of ``ignore_changes`` as they were applied once."""
        ignored = evaluated.spec.lifecycle.ignore_changes
        if record is None or not ignored:
            return evaluated
        concealed = as_recorded(evaluated.concealed, record.attributes, ignored)
        if concealed == evaluated.concealed:
            return evaluated
        # A secret's old value is nowhere to be had: where the field is sent at all, the new one goes along.
        kept = {name for name, value in concealed.items() if value != evaluated.concealed[name]}
        plain = {name: concealed[name] for name in kept if not has_sensitive(concealed[name])}
        units = self._request.kinds[evaluated.spec.address.kind].units(concealed)
        return replace(evaluated, attributes={**evaluated.attributes, **plain}, concealed=concealed, units=units)

    def verdict(self, address: Address, stage: Stage, own: ResourceRecord | None) -> Verdict:
        """What the conditions of a resource say by now. ``own`` is what is known of itself, for ``self``."""
        spec = self._graph.resources[address]
        conditions = spec.lifecycle.conditions.get(stage, ())
        if not conditions:
            return Verdict()
        scope = self._scope(spec)
        if stage is Stage.POSTCONDITION:
            self.publish(address, own)
            scope = replace(scope, this={**self.fields(address), **self._outputs[address]})
        return judge(conditions, stage, scope, str(address))

    def verdict_at_apply(self, address: Address, stage: Stage, lookup: Lookup) -> tuple[Diagnostic, ...]:
        """The same with what exists by now. What still can't be told is wrong, too."""
        for needed in self._graph.dag.needs(address):
            self._publish_found(needed, lookup(needed))
        if stage is Stage.POSTCONDITION and not self._evaluated[address].is_known:
            self.evaluate(address)
        verdict = self.verdict(address, stage, lookup(address))
        return (*verdict.diagnostics, *((still_open(stage, str(address)),) if verdict.is_open else ()))

    def at_apply(self, address: Address, lookup: Lookup) -> Evaluated:
        """With what exists by now. Cheap when asked again for the same address.

        Raises DiagnosticsError when it can't be evaluated, when something is still unknown, or when something that the
        plan knew has another value: what was approved may be refined, never altered.
        """
        planned = self._evaluated.get(address)
        evaluated = planned
        if planned is None or not planned.is_known:
            for needed in self._graph.dag.needs(address):
                self._publish_found(needed, lookup(needed))
            evaluated = self.evaluate(address)
        if evaluated is None or not evaluated.is_known:
            raise DiagnosticsError(_still_unknown(address, evaluated))
        if planned is not None and planned is not evaluated:
            altered = _altered(planned.concealed, evaluated.concealed)
            if altered:
                self._evaluated[address] = planned
                raise DiagnosticsError(_contradiction(address, altered))
        return self.with_ignored(evaluated, None if address in self.made_anew else lookup(address))

    def project_outputs(self, lookup: Lookup) -> Mapping[str, OutputRecord]:
        """The manifest's outputs with what exists by now; those that are not known yet are left out.

        Raises DiagnosticsError when one can't be evaluated.
        """
        for address in self._graph.resources:
            self._publish_found(address, lookup(address))
        found: dict[str, OutputRecord] = {}
        diagnostics = Diagnostics()
        for name, output in self._graph.outputs.items():
            try:
                value = resolve(output.value, self._scope(None))
            except DiagnosticsError as problem:
                diagnostics.extend(item.at(output.source, f"output.{name}") for item in problem.diagnostics)
                continue
            if has_sensitive(value):
                found[name] = OutputRecord(None, sensitive=True, description=output.description)
            elif is_wholly_known(value):
                found[name] = OutputRecord(value, description=output.description)
        diagnostics.raise_if_errors()
        return found

    # ---- how

    def _publish_found(self, address: Address, record: ResourceRecord | None) -> None:
        """What is in no state, because it belongs to the account, stays as it was seen."""
        if record is not None or address.kind != "catalogue":
            self.publish(address, record)

    def _scope(self, spec: ResourceSpec | None) -> Scope:
        request = self._request
        return Scope(
            variables=request.variables,
            secrets=request.secrets,
            environment=request.process_environment,
            files=request.files,
            each=None if spec is None else spec.each,
            resources=self,
        )

    def _resolved(self, spec: ResourceSpec, diagnostics: Diagnostics) -> dict[str, Value]:
        """Fields that are the same in all instances of a block are resolved once and shared."""
        key = id(spec.attributes)
        constants = self._constants.get(key)
        if constants is None:
            constants = self._constants[key] = self._resolve_fields(
                spec, {name: raw for name, raw in spec.attributes.items() if _is_shared(raw)}, diagnostics
            )
        if len(constants) == len(spec.attributes):
            return constants
        varying = {name: raw for name, raw in spec.attributes.items() if name not in constants}
        return {**constants, **self._resolve_fields(spec, varying, diagnostics)}

    def _resolve_fields(
        self, spec: ResourceSpec, fields: Mapping[str, Raw], diagnostics: Diagnostics
    ) -> dict[str, Value]:
        scope = self._scope(spec)
        found: dict[str, Value] = {}
        for name, raw in fields.items():
            try:
                found[name] = resolve(raw, scope)
            except DiagnosticsError as problem:
                place = spec.field_sources.get(name, spec.source)
                diagnostics.extend(item.at(place, str(spec.address)) for item in problem.diagnostics)
        return found

    def _concealed(self, attributes: Attributes) -> tuple[Attributes, bool]:
        """What is not secret is shared with ``attributes``; and whether everything is known."""
        found: dict[str, Value] = {}
        known = True
        for name, value in attributes.items():
            if isinstance(value, str | int | None):
                found[name] = value
                continue
            found[name] = conceal(value, self._request.fingerprint) if has_sensitive(value) else value
            known = known and is_wholly_known(value)
        return found, known


def _is_shared(raw: Raw) -> bool:
    match raw:
        case Expression():
            return all(reference.root in _SAME_IN_ALL_INSTANCES for reference in raw.references)
        case dict():
            return all(_is_shared(item) for item in raw.values())
        case list():
            return all(_is_shared(item) for item in raw)
        case _:
            return True


def _placed(diagnostics: Diagnostics, spec: ResourceSpec) -> list[Diagnostic]:
    return [item.at(spec.source, str(spec.address)) for item in diagnostics]


def as_recorded(wanted: Attributes, recorded: Attributes, paths: Iterable[FieldPath]) -> Attributes:
    """``wanted`` with everything at ``paths`` as it is recorded; what was never applied is as wanted."""
    found = dict(wanted)
    for path in paths:
        for name in (path[0],) if path else tuple(wanted):
            if name in recorded and name in found:
                found[name] = with_part(found[name], path[1:], recorded[name])
    return found


def _altered(planned: Attributes, found: Attributes) -> list[str]:
    return [name for name, value in planned.items() if not refines(value, found.get(name))]


def refines(planned: Value, found: Value) -> bool:
    """Whether ``found`` is ``planned`` with what was unknown filled in."""
    if planned is UNKNOWN:
        return True
    match planned, found:
        case dict(), dict():
            return planned.keys() == found.keys() and all(refines(item, found[key]) for key, item in planned.items())
        case list(), list():
            return len(planned) == len(found) and all(map(refines, planned, found))
        case _:
            return planned == found


def _still_unknown(address: Address, evaluated: Evaluated | None) -> Diagnostic:
    attributes = {} if evaluated is None else evaluated.concealed
    names = [name for name, value in attributes.items() if not is_wholly_known(value)]
    return error(
        "unknown-at-apply",
        "Something is not known although everything needed was done",
        detail=f"{', '.join(names) or 'A field'} of {address} depends on what does not exist.",
        hint="a step with on: manual must run before what takes its outputs",
        address=str(address),
        range=None if evaluated is None else evaluated.spec.source,
    )


def _contradiction(address: Address, names: list[str]) -> Diagnostic:
    return error(
        "plan-contradicted",
        "A value is not what the plan said",
        detail=f"{', '.join(names)} of {address} changed between plan and apply.",
        hint="plan and apply again",
        address=str(address),
    )
