"""Reads the section ``policies``: everything that can be told of a rule before there is a plan is told here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from nexus.expressions import Path, Places, Scope, interpret, parse, parse_tree, resolve
from nexus.graph.blocks import expressions_in
from nexus.graph.static import BEFORE_APPLY, is_static
from nexus.kinds.base import SourceFiles
from nexus.kinds.durations import parse_duration
from nexus.kinds.reading import InvalidValue
from nexus.kinds.registry import KINDS
from nexus.model.addresses import Address, AddressError
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, Severity, SourceRange, error
from nexus.model.expressions import Expression, Raw, Reference
from nexus.model.suggestions import did_you_mean
from nexus.model.values import Value
from nexus.policy.facts import OF_CHANGE, OF_PLAN, OF_RESOURCE
from nexus.policy.rules import Rule, Subject
from nexus.policy.shipped import SHIPPED, Meaning
from nexus.schema.policies import FIELDS, PARAMETERS, SHIPPED_RULES
from nexus.schema.walking import Walk

SECTION: Final = "policies"

_OWN: Final = ("for", "deny", "warn", "message")
_SEVERITIES: Final = {"deny": Severity.ERROR, "warn": Severity.WARNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a rule may build on before there is a plan.

    ``environment`` is the one that is asked for, ``environments`` those that there are.
    """

    environment: str
    environments: Collection[str]
    places: Places
    variables: Mapping[str, Value]
    process: Mapping[str, str]
    files: SourceFiles

    def scope(self) -> Scope:
        return Scope(variables=self.variables, environment=self.process, files=self.files)


def read_policies(blocks: Mapping[str, Value], known: Known) -> tuple[tuple[Rule, ...], Diagnostics]:
    """The rules that hold in this environment, out of the blocks of the section, and what is wrong with any.

    What has the wrong shape is left out: the schema reports it.
    """
    diagnostics = Diagnostics()
    rules: list[Rule] = []
    for name, block in blocks.items():
        if isinstance(block, dict):
            reading = _Reading(name, known, diagnostics)
            rules.extend(reading.rules(reading.parsed(block)))
    return tuple(rules), diagnostics


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of one policy."""

    name: str
    known: Known
    diagnostics: Diagnostics

    def parsed(self, block: Mapping[str, Value]) -> dict[str, Raw]:
        parsed = parse_tree(dict(block), (SECTION, self.name), self.known.places, self.diagnostics)
        return {} if not isinstance(parsed, dict) else {key: item for key, item in parsed.items() if item is not None}

    def rules(self, block: Mapping[str, Raw]) -> Iterator[Rule]:
        for word in ("use", "for"):
            if isinstance(block.get(word), Expression):
                self._refuse("expression-not-allowed", word, f"{word} is written without expressions", "")
        found = [*(self._shipped(block) if "use" in block else self._own(block))]
        environments = self._texts(block, "environments")
        self._check_environments(environments)
        if not environments or self.known.environment in environments:
            yield from found

    # ---- the two sorts

    def _own(self, block: Mapping[str, Raw]) -> Iterator[Rule]:
        for field in (*PARAMETERS, "level"):
            if field in block:
                self._refuse("unknown-field", field, f"{field} belongs to a shipped rule", "say use, or take it away")
        said = [word for word in _SEVERITIES if word in block]
        if len(said) != 1:
            summary = "A policy denies or warns, one of both" if said else "A policy says what it denies"
            hint = "make two policies of it" if said else "add deny: or warn: with a condition, or use: a shipped rule"
            self._refuse("conflicting-fields" if said else "missing-field", said[-1] if said else "", summary, hint)
            return
        if "message" not in block:
            self._refuse("missing-field", "", "A policy needs a message", "add message: what to say where it is broken")
            return
        subject = block.get("for", "sandbox")
        if subject not in set(Subject):
            return
        self._check_expressions(block, said[0], Subject(str(subject)))
        yield Rule(
            name=self.name,
            subject=Subject(str(subject)),
            severity=_SEVERITIES[said[0]],
            condition=block[said[0]],
            message=block["message"],
            excepted=self._excepted(block),
            source=self._place(),
            condition_source=self._place(said[0]),
        )

    def _shipped(self, block: Mapping[str, Raw]) -> Iterator[Rule]:
        use = str(block["use"])
        if use not in SHIPPED_RULES:
            return
        takes = SHIPPED_RULES[use].parameters
        for field in block:
            if field in _OWN or (field in PARAMETERS and field not in takes):
                hint = f"it takes {', '.join(takes)}" if takes else "it takes no parameters"
                self._refuse("unknown-field", field, f"The rule {use} has no {field}", hint)
        parameters = {name: self._parameter(block, name) for name in takes}
        lacking = [name for name in SHIPPED_RULES[use].required if name not in block]
        if lacking or (use == "budget" and not any(name in block for name in takes)):
            self._refuse("missing-field", "use", f"The rule {use} needs {' or '.join(lacking or takes)}", "")
            return
        level = self._static(block, "level")
        severity = _SEVERITIES.get(str(level), Severity.ERROR)
        excepted = self._excepted(block)
        for meaning in SHIPPED[use]:
            yield self._meant(use, meaning, severity, parameters, excepted)

    def _meant(
        self,
        use: str,
        meaning: Meaning,
        severity: Severity,
        parameters: Mapping[str, Value],
        excepted: tuple[Address, ...],
    ) -> Rule:
        condition, _ = interpret(meaning.condition)
        asked = (str(item.path[0]) for item in condition.references if item.root == "vars")
        said = next((name for name in asked if parameters.get(name) is not None), "")
        return Rule(
            name=self.name,
            use=use,
            subject=meaning.subject,
            severity=severity,
            condition=Expression((condition,)),
            message=parse(meaning.message, None, Diagnostics()),
            hint=meaning.hint,
            parameters=parameters,
            excepted=excepted,
            source=self._place(),
            condition_source=self._place(said),
        )

    # ---- values that have to be known

    def _parameter(self, block: Mapping[str, Raw], name: str) -> Value:
        value = self._static(block, name)
        if name != "maximum" or value is None:
            return value
        try:
            return parse_duration(value)
        except InvalidValue as problem:
            self._refuse(problem.code, name, f"{name} must be {problem}", problem.hint)
            return None

    def _static(self, block: Mapping[str, Raw], name: str) -> Value:
        raw = block.get(name)
        if not is_static(raw):
            hint = "use vars, env and functions here"
            self._refuse("not-known-before-apply", name, f"{name} may only use what is known before apply", hint)
            return None
        try:
            value = resolve(raw, self.known.scope())
        except DiagnosticsError as problem:
            self.diagnostics.extend(item.at(self._place(name)) for item in problem.diagnostics)
            return None
        if isinstance(raw, Expression):  # what is written plainly was checked with the rest of the manifest
            walk = Walk(expressions=False)
            walk.check(FIELDS[name], value, (name,))
            for finding in walk.findings:
                self._refuse(finding.code, name, finding.message, finding.hint)
        return value

    def _texts(self, block: Mapping[str, Raw], name: str) -> tuple[str, ...]:
        value = self._static(block, name)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def _excepted(self, block: Mapping[str, Raw]) -> tuple[Address, ...]:
        found: list[Address] = []
        for text in self._texts(block, "except"):
            try:
                found.append(Address.parse(text))
            except AddressError as problem:
                self._refuse("invalid-value", "except", str(problem), "")
        return tuple(found)

    def _check_environments(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self.known.environments:
                hint = did_you_mean(name, self.known.environments) or "declare it under environments"
                self._refuse("unknown-environment", "environments", f"There is no environment «{name}»", hint)

    # ---- expressions

    def _check_expressions(self, block: Mapping[str, Raw], verb: str, subject: Subject) -> None:
        for expression in expressions_in([block[verb], block["message"]]):
            for reference in expression.references:
                problem = self._problem(reference, subject)
                if problem is not None:
                    part = expression.using(reference)
                    self.diagnostics.add(problem.at(expression.range if part is None else expression.place_of(part)))

    def _problem(self, reference: Reference, subject: Subject) -> Diagnostic | None:
        first = str(reference.path[0]) if reference.path else ""
        match reference.root:
            case "vars" if first and first not in self.known.variables:
                hint = did_you_mean(first, self.known.variables)
                return error("unknown-variable", f"There is no variable «{first}»", hint=hint)
            case "self" if first and first not in (facts := facts_of(subject)):
                hint = did_you_mean(first, facts) or f"it has {', '.join(facts)}"
                return error("unknown-field", f"What a rule for {subject} looks at has no {first}", hint=hint)
            case "self" | "vars" | "env":
                return None
            case other:
                hint = f"self is what the rule looks at; {', '.join(sorted(BEFORE_APPLY))} are known, too"
                return error("invalid-value", f"«{other}» has no meaning in a policy", hint=hint)

    # ---- places

    def _place(self, field: str = "") -> SourceRange | None:
        path: Path = (SECTION, self.name, field) if field else (SECTION, self.name)
        return self.known.places(path)

    def _refuse(self, code: str, field: str, summary: str, hint: str) -> None:
        detail = f"It is about the policy {self.name}."
        place = self._place(field)
        self.diagnostics.add(error(code, summary, detail=detail, hint=hint, range=place))


def facts_of(subject: Subject) -> tuple[str, ...]:
    """The names that ``self`` has for a subject."""
    match subject:
        case Subject.PLAN:
            return OF_PLAN
        case Subject.CHANGE:
            return OF_CHANGE
        case _:
            fields = (field.name for field in KINDS[subject].fields if not field.meta and not field.folds_into)
            return tuple(dict.fromkeys((*fields, *OF_RESOURCE)))
