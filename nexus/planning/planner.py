"""From what is wanted, remembered and seen to a plan. Pure: the same request always makes the same plan."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Operation, Plan
from nexus.model.diagnostics import Diagnostics, DiagnosticsError
from nexus.planning.cascade import keep_up, order_replacements
from nexus.planning.decide import CATALOGUE, Deciding
from nexus.planning.drift import drift_of, taken_in
from nexus.planning.evaluate import Evaluation
from nexus.planning.limits import bounded
from nexus.planning.lowering import LOWERINGS
from nexus.planning.ordering import Assembly
from nexus.planning.pools import count_replaced
from nexus.planning.promoting import Promotions, promotable
from nexus.planning.removal import check_protected, leftovers, removals
from nexus.planning.request import PlanRequest
from nexus.planning.select import recorded_needs, selected
from nexus.planning.sharing import share
from nexus.planning.work import Decision


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and the evaluation that it was made with: the apply goes on with that one."""

    plan: Plan
    evaluation: Evaluation


def plan(request: PlanRequest) -> Plan:
    """The plan alone; see :func:`make_plan`."""
    return make_plan(request).plan


def make_plan(request: PlanRequest) -> Planned:
    """Never raises for what the user did: the plan's diagnostics say it. A plan with errors must not be applied."""
    diagnostics = Diagnostics(list(request.observation.diagnostics))
    evaluation = Evaluation(request)
    chosen = selected(request, diagnostics)
    if request.options.promote_from:
        chosen = promotable(request, chosen, diagnostics)
    if request.options.refresh_only:
        found = drift_of(request.state, request.observation, graph=request.graph, kinds=request.kinds, now=request.now)
        changes, operations = taken_in(tuple(item for item in found if chosen is None or item.address in chosen))
        return Planned(_plan(request, changes, operations, diagnostics), evaluation)
    order = [] if request.options.destroy else request.graph.dag.order()
    decisions = _decisions(request, evaluation, order, chosen, diagnostics)
    for removal in removals(request, chosen, list(decisions.values())):
        decisions[removal.address] = removal
    count_replaced(request, decisions)
    share(decisions, request.graph.dag)
    stirred = order_replacements(decisions, order, request.graph.dag)
    keep_up(decisions, request.graph.dag, request.now)
    remains = leftovers(request, chosen)
    check_protected(request, (*decisions.values(), *remains), diagnostics)
    diagnostics.extend(evaluation.warnings)
    assembly = Assembly(decisions, remains, request.graph.dag, order, stirred, recorded_needs(request))
    changes = tuple(_change(item) for item in (*decisions.values(), *remains) if item.action is not None)
    operations = bounded(assembly.operations(), request.graph)
    return Planned(_plan(request, changes, operations, diagnostics), evaluation)


def _plan(
    request: PlanRequest, changes: tuple[Change, ...], operations: tuple[Operation, ...], diagnostics: Diagnostics
) -> Plan:
    return Plan(
        project=request.project,
        environment=request.environment,
        target=request.target,
        lineage=request.state.lineage,
        base_serial=request.state.serial,
        changes=changes,
        operations=operations,
        options=request.options,
        variables=dict(request.variables),
        diagnostics=diagnostics.sorted(),
    )


def _decisions(
    request: PlanRequest,
    evaluation: Evaluation,
    order: list[Address],
    chosen: Collection[Address] | None,
    diagnostics: Diagnostics,
) -> dict[Address, Decision]:
    deciding = Deciding(request, evaluation, diagnostics, trees=dict(request.state.trees))
    promotions = Promotions(request)
    for address in order:
        try:
            evaluated = evaluation.evaluate(address)
        except DiagnosticsError as problem:
            diagnostics.extend(problem.diagnostics)
            continue
        if chosen is None or address in chosen:
            promotions.carry(deciding.decide(address, evaluated), diagnostics)
        else:
            evaluation.publish(address, request.state.resources.get(address))
    if not request.observation.complete:
        _add_catalogue(request, deciding.decisions)
    return deciding.decisions


def _add_catalogue(request: PlanRequest, decisions: dict[Address, Decision]) -> None:
    """Where nobody looked, the catalogue's templates are made sure of for what is made of them."""
    for address, decision in decisions.items():
        if address.kind != CATALOGUE or decision.action is not None or decision.evaluated is None:
            continue
        users = (decisions.get(user) for user in request.graph.dag.needed_by(address))
        if any(user is not None and user.anew for user in users):
            decision.action, decision.cause = Action.CREATE, "may not be built yet"
            decision.work = LOWERINGS[CATALOGUE].create(decision.evaluated, decision.cause)


def _change(decision: Decision) -> Change:
    return Change(
        address=decision.address,
        action=decision.action or Action.UPDATE,
        cause=decision.cause,
        fields=decision.fields,
        data_loss=decision.data_loss,
        source=decision.source,
    )
