"""One resource of the manifest: what is to happen to it, and why, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from nexus.graph.desired import Import
from nexus.kinds.field_paths import parse_path, touches
from nexus.model.addresses import Address
from nexus.model.changes import Action, Effect, FieldDiff, Verb
from nexus.model.diagnostics import Diagnostic, Diagnostics, Severity
from nexus.model.observation import Presence
from nexus.model.resources import FieldPath, ResourceSpec, Stage
from nexus.model.state import ResourceRecord, Tree
from nexus.model.values import Value
from nexus.planning.adopting import record_of_live, refusal
from nexus.planning.diff import field_diffs, is_rotation, new_fields, top
from nexus.planning.drift import lost_fields
from nexus.planning.evaluate import Evaluated, Evaluation
from nexus.planning.lowering import LOWERINGS
from nexus.planning.lowering.step import UNIT, is_due
from nexus.planning.pools import Vacancies, too_old
from nexus.planning.removal import destroyed_as
from nexus.planning.request import PlanRequest
from nexus.planning.situation import Situation, believed, presence_unknown, situation_of
from nexus.planning.work import Decision, Work

CATALOGUE: Final = "catalogue"
STEP: Final = "step"
VOLUME: Final = "volume"


@dataclass(slots=True)
class Deciding:
    """The way through the graph, needed resources first; each decision sees those before it.

    ``trees`` are upload trees by digest: recorded ones, and new ones as they are met. ``waiting`` are steps that have
    not run and will not run now, because they, or what they take, must be asked for. ``vacancies`` are the empty places
    of pools.
    """

    request: PlanRequest
    evaluation: Evaluation
    diagnostics: Diagnostics
    decisions: dict[Address, Decision] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    waiting: set[Address] = field(default_factory=set)
    vacancies: Vacancies = field(init=False)

    def __post_init__(self) -> None:
        self.vacancies = Vacancies(self.request)

    def decide(self, address: Address, evaluated: Evaluated) -> Decision:
        """What happens to ``address``; its outputs are published for those that need it."""
        self.trees.update(evaluated.trees)
        record = self.request.state.resources.get(address)
        decision = self._decision(address, evaluated, record)
        self.decisions[address] = decision
        if decision.anew:
            self.evaluation.made_anew.add(address)
        unknown = decision.anew or decision.action is Action.RUN
        known = None if unknown else self._known(address, decision, record)
        self.evaluation.publish(address, known)
        if evaluated.spec.lifecycle.conditions:
            self._check(decision, known)
        return decision

    def _check(self, decision: Decision, known: ResourceRecord | None) -> None:
        """Conditions that can be told now are looked at now, the others by the apply.

        What is done to a resource may be what makes its postconditions hold, so then they are looked at afterwards.
        """
        address, works = decision.address, bool(decision.work)
        before = self.evaluation.verdict(address, Stage.PRECONDITION, known)
        self.diagnostics.extend(before.diagnostics)
        after = self.evaluation.verdict(address, Stage.POSTCONDITION, known)
        if not works:
            self.diagnostics.extend(after.diagnostics)
        if before.is_open:
            decision.work.insert(0, Work(Verb.CHECK, Stage.PRECONDITION, "not known before apply"))
        if after.is_open or (works and self._demands(decision, Stage.POSTCONDITION)):
            decision.work.append(Work(Verb.CHECK, Stage.POSTCONDITION, "once everything is done"))

    @staticmethod
    def _demands(decision: Decision, stage: Stage) -> bool:
        return decision.evaluated is not None and stage in decision.evaluated.spec.lifecycle.conditions

    def _decision(self, address: Address, evaluated: Evaluated, record: ResourceRecord | None) -> Decision:
        decision = Decision(address=address, source=evaluated.spec.source, evaluated=evaluated)
        if address.kind == CATALOGUE:
            return self._catalogue(decision, evaluated)
        if address.kind == STEP:
            return self._step(decision, evaluated, record)
        if record is None:
            wanted = self.request.graph.imports.get(address)
            if wanted is not None:
                return self._adopt(decision, evaluated, wanted)
            return self._create(decision, evaluated, self.vacancies.cause(address) or "not in state")
        situation = decision.situation = situation_of(record, self.request.observation)
        if situation.presence is Presence.UNKNOWN:
            self.diagnostics.add(presence_unknown(situation).at(decision.source))
            return decision
        if situation.missing:
            decision.removed, decision.removal = record, Verb.FORGET
            return self._create(decision, evaluated, situation.missing)
        return self._existing(decision, evaluated, situation)

    # ---- what exists

    def _existing(self, decision: Decision, evaluated: Evaluated, situation: Situation) -> Decision:
        wanted = self.evaluation.with_ignored(evaluated, situation.record)
        ignored = evaluated.spec.lifecycle.ignore_changes
        if ignored and situation.lost:
            situation = decision.situation = believed(situation, ignored, wanted.units)
        fields = self._fields(wanted, situation)
        reason = self._reason_to_replace(wanted, fields, situation.record)
        if reason is not None:
            decision.removed = situation.record
            decision.on_destroy = destroyed_as(self.request, situation.record)
            decision.action, decision.cause, decision.fields = Action.REPLACE, reason, fields
            decision.data_loss = decision.address.kind == VOLUME
            decision.work = LOWERINGS[decision.address.kind].create(evaluated, reason)
            return decision
        self._waits(wanted, Severity.ERROR)
        decision.evaluated = wanted
        work = LOWERINGS[decision.address.kind].update(wanted, situation, fields)
        if work:
            decision.action, decision.work, decision.fields = Action.UPDATE, work, (*fields, *_mended(situation))
            decision.cause = _reason_to_update(situation, fields, work)
        return decision

    def _fields(self, evaluated: Evaluated, situation: Situation) -> tuple[FieldDiff, ...]:
        kind = self.request.kinds[evaluated.spec.address.kind]
        before, after = situation.record.attributes, evaluated.concealed
        fields = () if before == after else field_diffs(kind, before, after, self.trees)
        return (*fields, *_block_diffs(evaluated.spec, situation.record))

    def _reason_to_replace(
        self, evaluated: Evaluated, fields: tuple[FieldDiff, ...], record: ResourceRecord
    ) -> str | None:
        address, lifecycle = evaluated.spec.address, evaluated.spec.lifecycle
        if any(asked.covers(address) for asked in self.request.options.replace):
            return "asked for by --replace"
        forcing = [diff for diff in fields if diff.effect is Effect.REPLACE or _asked_for(diff, lifecycle.replace_on)]
        if forcing:
            return _changed(forcing)
        return self._new_volume(evaluated) or too_old(evaluated.spec.pool, record, self.request.now)

    def _new_volume(self, evaluated: Evaluated) -> str | None:
        """A volume that is made anew has the old one's name: no field tells that it must be mounted again."""
        mounted = evaluated.concealed.get("volumes")
        if not isinstance(mounted, dict) or not mounted:
            return None
        upstream = (self.decisions.get(needed) for needed in evaluated.spec.depends_on if needed.kind == VOLUME)
        for volume in upstream:
            if volume is None or volume.evaluated is None or not volume.anew:
                continue
            if volume.evaluated.concealed.get("name") in mounted.values():
                return f"{volume.address} is made anew"
        return None

    # ---- what is taken over

    def _adopt(self, decision: Decision, evaluated: Evaluated, wanted: Import) -> Decision:
        """A live sandbox of other hands: remembered by its id, then changed to what its block says."""
        seen = self.request.observation.imports.get(decision.address)
        refused = refusal(evaluated, wanted, seen, self.request.state)
        if refused is not None or seen is None:
            self.diagnostics.extend(() if refused is None else (refused,))
            return decision
        record = record_of_live(evaluated, wanted.id, seen)
        situation = Situation(record=record, presence=seen.presence, expires_at=seen.expires_at)
        fields = self._fields(evaluated, situation)
        decision.situation, decision.fields = situation, fields
        decision.action, decision.cause = Action.ADOPT, f"import of {wanted.id}"
        work = LOWERINGS[decision.address.kind].update(evaluated, situation, fields)
        decision.work = [Work(Verb.ADOPT, wanted.id, decision.cause), *work]
        return decision

    # ---- what is made

    def _create(self, decision: Decision, evaluated: Evaluated, cause: str) -> Decision:
        kind = self.request.kinds[decision.address.kind]
        self._waits(evaluated, Severity.ERROR)
        decision.action, decision.cause = Action.CREATE, cause
        decision.fields = new_fields(kind, evaluated.concealed, self.trees)
        decision.work = LOWERINGS[decision.address.kind].create(evaluated, cause)
        return decision

    def _catalogue(self, decision: Decision, evaluated: Evaluated) -> Decision:
        """Builds of the catalogue belong to the account: made where they are missing, never changed, never in state."""
        if decision.address in self.request.observation.catalogue or not self.request.observation.complete:
            return decision
        cause = "not built yet in this account"
        decision.action, decision.cause = Action.CREATE, cause
        decision.work = LOWERINGS[CATALOGUE].create(evaluated, cause)
        return decision

    def _known(self, address: Address, decision: Decision, record: ResourceRecord | None) -> ResourceRecord | None:
        seen = self.request.observation.catalogue.get(address)
        if seen is not None:
            outputs = {name: value for name, value in seen.facts.items() if isinstance(value, str)}
            return ResourceRecord(address=address, id=seen.id, uid="", outputs=outputs)
        situation = decision.situation
        return record if situation is None else situation.record

    # ---- steps

    def _step(self, decision: Decision, evaluated: Evaluated, record: ResourceRecord | None) -> Decision:
        address, on = decision.address, evaluated.concealed.get("on")
        forced = any(asked.covers(address) for asked in self.request.options.replace)
        asked = forced or any(named.covers(address) for named in self.request.options.run)
        situation = None if record is None else situation_of(record, self.request.observation)
        due = situation is None or is_due(evaluated, situation)
        decision.situation = situation
        if due and not asked and (on == "manual" or self._waits(evaluated, Severity.WARNING)):
            if situation is None or not all(unit.digest for unit in evaluated.units):
                self.waiting.add(address)
            return decision
        fields = () if situation is None else self._fields(evaluated, situation)
        if due or (asked and on == "manual") or forced or on == "always":
            cause = self._reason_to_run(evaluated, situation, fields, forced=forced, due=due)
            decision.action, decision.cause = Action.RUN, cause
            kind = self.request.kinds[STEP]
            decision.fields = fields if situation is not None else new_fields(kind, evaluated.concealed, self.trees)
            decision.work = [Work(Verb.RUN_STEP, cause=cause, force=forced or (asked and on == "manual"))]
        elif situation is not None and (work := LOWERINGS[STEP].update(evaluated, situation, fields)):
            decision.action, decision.cause, decision.fields, decision.work = (
                Action.UPDATE,
                _changed(fields),
                fields,
                work,
            )
        return decision

    def _waits(self, evaluated: Evaluated, severity: Severity) -> bool:
        """Whether it takes outputs of a step that has not run, and runs only when asked for."""
        blocking = () if evaluated.is_known else [item for item in evaluated.spec.depends_on if item in self.waiting]
        if not blocking:
            return False
        step = blocking[0]
        self.diagnostics.add(
            Diagnostic(
                severity=severity,
                code="waits-for-manual-step",
                summary="Something waits for a step that runs only when it is asked for",
                detail=f"{evaluated.spec.address} takes outputs of {step}, which has not run.",
                hint=f"run it first: nexus run {step.name.replace('.', ' ')}",
                address=str(evaluated.spec.address),
                range=evaluated.spec.source,
            )
        )
        return True

    def _reason_to_run(
        self,
        evaluated: Evaluated,
        situation: Situation | None,
        fields: tuple[FieldDiff, ...],
        *,
        forced: bool,
        due: bool,
    ) -> str:
        if forced:
            return f"asked for by {'--force' if self.request.options.run else '--replace'}"
        if situation is None:
            return "not run yet"
        if not due:
            return "on: always" if evaluated.concealed.get("on") == "always" else "asked for"
        if UNIT not in situation.record.setup:
            return "the last run failed"
        upstream = [self.decisions[needed] for needed in evaluated.spec.depends_on if needed in self.decisions]
        for one in upstream:
            if one.anew:
                return f"{one.address} is made anew"
        known = [diff for diff in fields if not diff.unknown]
        if known:
            return _changed(known)
        return "upstream runs" if any(one.action is Action.RUN for one in upstream) else "what it takes may change"


def _block_diffs(spec: ResourceSpec, record: ResourceRecord) -> Iterator[FieldDiff]:
    """What is remembered of the block itself: it decides what may be deleted, and in which order."""
    protected = spec.lifecycle.prevent_destroy
    if record.protected != protected:
        path = "lifecycle.prevent_destroy"
        yield FieldDiff(path=path, before=record.protected, after=protected, effect=Effect.NONE)
    on_destroy = spec.lifecycle.on_destroy
    if record.on_destroy != on_destroy:
        before, after = record.on_destroy.value, on_destroy.value
        yield FieldDiff(path="lifecycle.on_destroy", before=before, after=after, effect=Effect.NONE)
    if record.depends_on != spec.depends_on and set(record.depends_on) != set(spec.depends_on):
        needed: list[Value] = [str(address) for address in record.depends_on]
        needs: list[Value] = [str(address) for address in spec.depends_on]
        yield FieldDiff(path="depends_on", before=needed, after=needs, effect=Effect.NONE)


def _asked_for(diff: FieldDiff, replace_on: Collection[FieldPath]) -> bool:
    """Whether ``replace_on`` names what differs, or a part of it."""
    return bool(replace_on) and diff.effect is not Effect.NONE and touches(replace_on, parse_path(diff.path))


def _reason_to_update(situation: Situation, fields: tuple[FieldDiff, ...], work: list[Work]) -> str:
    record = situation.record
    changed = {top(diff.path) for diff in fields}
    if situation.lost and changed <= situation.drifted:
        return _changed_inside(situation)
    unfinished = {top(diff.path) for diff in fields if top(diff.path) not in record.attributes}
    if unfinished & {"timeout", *(top(item.unit) for item in work)} or not fields:
        return "setup was not finished"
    if all(map(is_rotation, fields)):
        return "secret rotated"
    if changed <= situation.drifted:
        return f"{', '.join(sorted(changed))} changed outside nexus"
    return _changed(fields)


def _mended(situation: Situation) -> Iterator[FieldDiff]:
    """What was found inside, and what it will be again."""
    for lost in lost_fields(situation):
        yield replace(lost, before=lost.after, after="as declared")


def _changed_inside(situation: Situation) -> str:
    """The first thing that was found, and how much there is besides."""
    sentences = [sentence for unit in situation.record.setup for sentence in situation.findings.get(unit, ())]
    if not sentences:
        return f"changed inside: {', '.join(sorted(situation.lost))}"
    more = f" and {len(sentences) - 1} more" if len(sentences) > 1 else ""
    return f"changed inside: {sentences[0]}{more}"


def _changed(fields: list[FieldDiff] | tuple[FieldDiff, ...]) -> str:
    names = list(dict.fromkeys(top(diff.path) for diff in fields))
    certain = any(not diff.unknown for diff in fields)
    return f"{', '.join(names)} {'changed' if certain else 'may change'}" if names else "changed"
