"""Holds a plan against the rules, and what was not known then against them again while it is applied. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from nexus.expressions import Places, Scope, resolve
from nexus.model.addresses import Address
from nexus.model.changes import Opening, Plan
from nexus.model.costs import FREE
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, SourceRange, error
from nexus.model.state import State
from nexus.model.values import Sensitive, Unknown, Value
from nexus.planning import Evaluated, Evaluation
from nexus.planning.conditions import message_of
from nexus.policy.facts import of_change, of_plan, of_resource
from nexus.policy.findings import Answer, Finding, diagnostics_of
from nexus.policy.places import offending_place
from nexus.policy.rules import Rule, Subject


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Case:
    """A plan with what it was made from. ``scope`` is what expressions may use beside ``self``.

    Never printed: the evaluation knows secrets.
    """

    plan: Plan
    evaluation: Evaluation
    state: State
    scope: Scope
    places: Places


@dataclass(frozen=True, slots=True, repr=False)
class _Seen:
    """One thing that a rule looks at: what ``self`` is, and where a message about it points."""

    address: Address | None
    this: Value
    place: SourceRange | None


class Guard:
    """The judge of one plan. What it has to leave open, it looks at again before anything is done to the resource."""

    def __init__(self, rules: Sequence[Rule], case: Case) -> None:
        self._rules = rules
        self._case = case
        # Where a leftover of a resource is deleted besides, the resource's own change comes first.
        self._changes = {change.address: change for change in reversed(case.plan.changes)}
        costs = () if case.plan.cost is None else case.plan.cost.sandboxes
        self._costs = {item.address: item.after for item in costs}
        self._open: dict[Address, list[Rule]] = {}
        self.late: list[Diagnostic] = []
        """Warnings that came up while applying."""

    def judge(self) -> tuple[Diagnostic, ...]:
        """All that the rules have to say of the plan, errors and warnings.

        Nothing of one that only takes into the state what is out there: that is as it is already.
        """
        if self._case.plan.options.refresh_only:
            return ()
        findings: list[Finding] = []
        problems = Diagnostics()
        for rule in self._rules:
            for finding in self._found(rule, self._subjects(rule), problems):
                findings.append(finding)
                if finding.answer is Answer.OPEN and finding.address is not None and rule.subject.is_kind:
                    self._open.setdefault(finding.address, []).append(rule)
        return (*diagnostics_of(findings), *problems)

    def check(self, evaluated: Evaluated) -> None:
        """What was left open of a resource, by when all of it is known. Raises DiagnosticsError where it is denied."""
        found = Diagnostics()
        for rule in self._open.get(evaluated.spec.address, ()):
            findings = list(self._found(rule, [self._resource(rule, evaluated)], found))
            found.extend(diagnostics_of(findings, at_apply=True))
        found.raise_if_errors()
        self.late.extend(found)

    # ---- what is looked at

    def _subjects(self, rule: Rule) -> Iterator[_Seen]:
        match rule.subject:
            case Subject.PLAN:
                yield _Seen(None, of_plan(self._case.plan), rule.condition_source or rule.source)
            case Subject.CHANGE:
                yield from self._all_changes(rule)
            case kind:
                for evaluated in self._case.evaluation.evaluated():
                    if evaluated.spec.address.kind == kind and not rule.spares(evaluated.spec.address):
                        yield self._resource(rule, evaluated)

    def _all_changes(self, rule: Rule) -> Iterator[_Seen]:
        wanted = {item.spec.address: item for item in self._case.evaluation.evaluated()}
        opened: dict[Address, list[Opening]] = {}
        for opening in self._case.plan.openings:
            opened.setdefault(opening.address, []).append(opening)
        for change in self._case.plan.changes:
            if not rule.spares(change.address):
                opens = [] if change.goes else opened.get(change.address, [])
                record = self._case.state.resources.get(change.address)
                after = None if change.goes else wanted.get(change.address)
                this = of_change(change, after, record, opens)
                place = opens[0].source if opens and ("opens",) in rule.asked else None
                yield _Seen(change.address, this, place or change.source or rule.source)

    def _resource(self, rule: Rule, evaluated: Evaluated) -> _Seen:
        address = evaluated.spec.address
        record = self._case.state.resources.get(address)
        this = of_resource(evaluated, self._changes.get(address), record, self._costs.get(address, FREE))
        return _Seen(address, this, offending_place(rule, evaluated.spec, self._case.places))

    # ---- what the rule says

    def _found(self, rule: Rule, subjects: Iterable[_Seen], problems: Diagnostics) -> Iterator[Finding]:
        for seen in subjects:
            try:
                answer, message = self._answer(rule, seen.this)
            except DiagnosticsError as problem:
                address = "" if seen.address is None else str(seen.address)
                problems.extend(item.at(rule.source, address) for item in problem.diagnostics)
                return  # the next one would most likely say the same
            if answer is not Answer.KEPT:
                yield Finding(rule=rule, answer=answer, message=message, address=seen.address, place=seen.place)

    def _answer(self, rule: Rule, this: Value) -> tuple[Answer, str]:
        """What the rule says of one subject, and in which words. Raises DiagnosticsError where that can't be told."""
        scope = replace(self._case.scope, this=this)
        if rule.parameters is not None:
            scope = replace(scope, variables=rule.parameters)
        value = resolve(rule.condition, scope)
        match value.value if isinstance(value, Sensitive) else value:
            case False:
                return Answer.KEPT, ""
            case True:
                return Answer.BROKEN, message_of(rule.message, scope, f"The policy {rule.name} is broken")
            case Unknown():
                return Answer.OPEN, ""
            case _:
                raise DiagnosticsError(_no_answer(rule))


def _no_answer(rule: Rule) -> Diagnostic:
    return error(
        "wrong-type",
        f"The condition of the policy {rule.name} must be true or false",
        hint="compare with something, as in ${{ self.timeout > 3600 }}",
        range=rule.condition_source or rule.source,
    )
