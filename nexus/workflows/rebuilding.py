"""The use case `state rebuild`: the state as the live objects tell it, whatever is remembered.

The state is a cache. Sandboxes bear marks and carry receipts of what was done in them, templates and volumes have names
that come of their addresses; the manifest says what the digests in all of these mean. What nothing tells is kept from
the state that there was, if it can be read, and else said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nexus.kinds.naming import e2b_name
from nexus.kinds.registry import KINDS
from nexus.kinds.shared_setup import KIND as SETUP
from nexus.kinds.shared_setup import setup_name
from nexus.model.addresses import Address
from nexus.model.changes import Verb
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, Severity
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import Intent, OutputRecord, ResourceRecord, State, Taken, Target, Tree
from nexus.model.values import fingerprinter
from nexus.planning import Evaluated, Evaluation, PlanRequest, as_taken, differences
from nexus.planning.restoring import Remains, agreement, restored
from nexus.providers.base import Inventory, Live, ProviderError
from nexus.stores import Backend, commit, fingerprint_key, load
from nexus.workflows import rebuild_messages as messages
from nexus.workflows.claims import claims, copies_left_alone
from nexus.workflows.loading import Project
from nexus.workflows.locking import locked
from nexus.workflows.outputs import NO_LINEAGE
from nexus.workflows.session import Session
from nexus.workflows.state_editing import Confirm
from nexus.workflows.surveying import available_secrets, catalogue_of, check_target, explained, moves_of

_NAMED = ("template", "volume", SETUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """``state`` as written; ``before`` is what was remembered, None where that could not be read or was nothing.

    ``done`` is False where it was not approved.
    """

    state: State
    before: State | None = None
    done: bool = True
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class _Prior:
    """What is remembered now. ``is_sound`` is False for files that can't be read or don't belong together."""

    state: State | None
    is_sound: bool
    notes: tuple[Diagnostic, ...] = ()


async def rebuild(
    project: Project, session: Session, confirm: Confirm, patience: float = 0.0, *, sure: bool
) -> Rebuilt:
    """Look at everything that is out there, and write the state that it tells.

    ``sure`` is the answer that was given beforehand: without it, a state is not replaced by nothing at all. Raises
    DiagnosticsError for another target than that of the state that there is.
    """
    async with locked(session, "state rebuild", patience) as note:
        prior = await _prior(session.backend)
        async with explained():
            target = await session.provider.identity()
            if prior.state is not None:
                check_target(prior.state, target)
            names = {
                address: _name(project, address) for address in project.desired.resources if address.kind in _NAMED
            }
            adopted = {address: item.id for address, item in project.desired.imports.items()}
            inventory = await session.provider.inventory(project.name, project.environment, names, adopted)
            catalogue = await session.provider.observe(State(lineage=NO_LINEAGE), catalogue_of(project))
            rebuilding = _Rebuilding(project, session, prior.state, inventory, target)
            state = await rebuilding.run(catalogue.catalogue)
        notes = (*prior.notes, *(() if note is None else (note,)), *rebuilding.diagnostics.sorted())
        messages.refuse_nothing(state, prior.state, sure=sure)
        if not confirm(messages.question(state, prior.state)):
            return Rebuilt(state=state, before=prior.state, done=False, diagnostics=notes)
        await session.backend.lock.verify()
        return Rebuilt(state=await _write(session.backend, state, prior), before=prior.state, diagnostics=notes)


async def _prior(backend: Backend) -> _Prior:
    try:
        loaded = await load(backend, State(lineage=NO_LINEAGE))
    except DiagnosticsError as problem:
        told = "; ".join(item.detail or item.summary for item in problem.diagnostics)
        return _Prior(None, is_sound=False, notes=(messages.unreadable(told),))
    known = loaded.state.serial > 0 or loaded.interrupted
    return _Prior(loaded.state if known else None, is_sound=True, notes=loaded.diagnostics)


async def _write(backend: Backend, state: State, prior: _Prior) -> State:
    """So that at no moment a journal stands beside a state that it does not belong to."""
    before = prior.state
    if before is not None and before.lineage == state.lineage:
        return await commit(backend, replace(state, serial=before.serial))
    if before is not None or not prior.is_sound:
        await backend.journal.set_aside()
    written = replace(state, serial=(0 if before is None else before.serial) + 1)
    await backend.states.write(written, expected_serial=None)
    return written


class _Rebuilding:
    """The way through the graph, needed resources first, as a plan goes it."""

    def __init__(
        self, project: Project, session: Session, prior: State | None, inventory: Inventory, target: Target
    ) -> None:
        self._project = project
        self._session = session
        self._prior = prior
        self._target = target
        self._unclaimed = inventory.unclaimed
        found = claims(inventory.live, prior, moves_of(project), project.desired.resources)
        self._live, self._copies = found.live, found.copies
        before = () if prior is None else prior.resources.values()
        self._known_uids = {(record.address.kind, record.id): record.uid for record in before}
        self._keys = {item.key for item in inventory.live if item.key}
        self._records: dict[Address, ResourceRecord] = {}
        self._deposed: list[ResourceRecord] = []
        self._trees: dict[str, Tree] = {}
        self.diagnostics = Diagnostics()

    async def run(self, catalogue: Mapping[Address, Observed]) -> State:
        project = self._project
        empty = State(
            lineage=self._lineage(), project=project.name, environment=project.environment, target=self._target
        )
        evaluation = self._evaluation(empty, catalogue)
        for address in project.desired.dag.order():
            await self._one(address, evaluation, catalogue)
        for address, live in self._live.items():
            if live[0].is_taken:
                self._taken(address, live[0])
            elif address not in project.desired.resources:
                self._unwanted(address, live)
        self.diagnostics.extend(copies_left_alone(self._copies))
        if self._unclaimed:
            self.diagnostics.add(messages.unclaimed(self._unclaimed))
        state = replace(
            empty,
            resources=self._records,
            deposed=tuple(self._deposed),
            trees=self._trees,
            pending=tuple(self._still_open()),
        )
        return replace(state, outputs=self._outputs(evaluation))

    def _lineage(self) -> str:
        """That of the sandboxes: digests of secrets in them are keyed by it."""
        told = Counter(item.lineage for items in self._live.values() for item in items if item.lineage)
        if told:
            return told.most_common(1)[0][0]
        return self._session.ids() if self._prior is None else self._prior.lineage

    def _evaluation(self, empty: State, catalogue: Mapping[Address, Observed]) -> Evaluation:
        project, key = self._project, fingerprint_key(empty.lineage)
        secrets, missing = available_secrets(project)
        self.diagnostics.extend(missing)
        self._session.keep_secret(secrets.values())
        return Evaluation(
            PlanRequest(
                graph=project.desired,
                kinds=KINDS,
                state=empty,
                observation=Observation(catalogue=catalogue, complete=False),
                files=project.files.with_key(key),
                fingerprint=fingerprinter(key),
                now=self._session.clock.now(),
                project=project.name,
                environment=project.environment,
                target=self._target,
                variables=project.variables,
                secrets=secrets,
                process_environment=project.process,
                lock=project.lock,
                longest_life=project.ttl,
            )
        )

    async def _one(self, address: Address, evaluation: Evaluation, catalogue: Mapping[Address, Observed]) -> None:
        live = self._live.get(address, [])
        try:
            evaluated = evaluation.evaluate(address)
        except DiagnosticsError as problem:
            self.diagnostics.extend(replace(item, severity=Severity.WARNING) for item in problem.diagnostics)
            self._unwanted(address, live)
            return
        if address.kind == "catalogue":
            evaluation.publish(address, _seen(address, catalogue))
            return
        record = self._step(address) if address.kind == "step" else await self._restore(evaluated, live)
        if record is not None:
            self._records[address] = record
            self._trees.update(evaluated.trees)
        evaluation.publish(address, record)

    async def _restore(self, evaluated: Evaluated, live: Sequence[Live]) -> ResourceRecord | None:
        if not live:
            return None
        address = evaluated.spec.address
        fitting = {item.id: self._remains(evaluated, item) for item in live}
        # Lists are oldest first, and the first of equals stays first.
        kept, *others = sorted(live, key=lambda item: agreement(evaluated, fitting[item.id]), reverse=True)
        for other in others if address.kind != SETUP else ():  # the snapshots of a setup come and go together
            # One that was made twice has the uid of the other, and no two records may share one.
            uid = self._session.ids() if other.uid == kept.uid else self._uid(other)
            self._deposed.append(_bare(address, other, uid))
            self.diagnostics.add(messages.double(address, kept, other))
        if not kept.looked_inside and evaluated.units:
            self.diagnostics.add(messages.not_looked_into(address, kept))
        record = restored(evaluated, fitting[kept.id])
        try:
            return replace(record, outputs=await self._session.provider.outputs_of(record))
        except ProviderError:
            if kept.running:
                raise
            return record  # a paused sandbox may not tell its URLs

    def _remains(self, evaluated: Evaluated, live: Live) -> Remains:
        is_sandbox = evaluated.spec.address.kind == "sandbox"
        fits = self._fits(evaluated, live)
        return Remains(
            id=live.id,
            uid=self._uid(live),
            fits=fits,
            setup=live.setup if live.looked_inside or not is_sandbox else None,
            lifetime=live.lifetime,
            created_at=live.created_at,
            expires_at=live.expires_at,
            facts=live.facts,
        )

    def _fits(self, evaluated: Evaluated, live: Live) -> bool:
        if evaluated.spec.address.kind == SETUP:
            return live.facts["reference"] == evaluated.concealed["reference"]
        if evaluated.spec.address.kind != "sandbox":
            return True
        if live.spec:
            return live.spec == self._session.provider.spec_digest(evaluated.concealed)
        return not differences(evaluated.concealed, live.facts)  # it was imported, and bears no marks

    def _uid(self, live: Live) -> str:
        """That of the state before, if it knows the object: forks bear another's, templates and volumes none at all."""
        return self._known_uids.get((live.address.kind, live.id)) or live.uid or self._session.ids()

    def _step(self, address: Address) -> ResourceRecord | None:
        """Nothing out there tells that a step ran. The state before does, for as long as its sandbox is the same; one
        of its own was gone as soon as it had run."""
        record = None if self._prior is None else self._prior.resources.get(address)
        if record is not None:
            sandbox_id = _sandbox_id(record)
            if sandbox_id is None or sandbox_id in {item.id for item in self._records.values()}:
                return record
        self.diagnostics.add(messages.run_lost(address))
        return None

    def _unwanted(self, address: Address, live: Sequence[Live]) -> None:
        """What the manifest does not know any more: enough to delete it."""
        for index, item in enumerate(live[:1] if address.kind == SETUP else live):
            before = None if self._prior is None else self._prior.resources.get(address)
            record = _bare(address, item, self._uid(item))
            if before is not None and before.id == item.id:
                record = before
            if index == 0:
                self._records[address] = record
                if address.kind != SETUP:  # it goes with the last sandbox that stands on it
                    self.diagnostics.add(messages.not_in_manifest(record))
            else:
                self._deposed.append(record)

    def _taken(self, address: Address, live: Live) -> None:
        """What was taken from a pool. Whose it is, nothing out there tells."""
        known = [] if self._prior is None else list(self._prior.resources.values())
        record = next((item for item in known if item.id == live.id), None)
        if record is None or record.taken is None:
            spec = self._project.desired.resources.get(live.address)
            needed = () if spec is None else spec.depends_on
            bare = replace(_bare(live.address, live, self._uid(live)), depends_on=needed)
            record = as_taken(record or bare, Taken(place=live.address.key or ""))
        self._records[address] = replace(record, address=address)
        if address.group not in self._project.desired.pools:
            self.diagnostics.add(messages.not_in_manifest(self._records[address]))

    def _still_open(self) -> Iterator[Intent]:
        """Creates of an interrupted run that nothing was seen of yet: the next apply finds out."""
        for intent in () if self._prior is None else self._prior.pending:
            if intent.verb == Verb.CREATE and intent.key not in self._keys:
                yield intent

    def _outputs(self, evaluation: Evaluation) -> Mapping[str, OutputRecord]:
        try:
            return evaluation.project_outputs(self._records.get)
        except DiagnosticsError as problem:
            self.diagnostics.extend(replace(item, severity=Severity.WARNING) for item in problem.diagnostics)
            return {} if self._prior is None else self._prior.outputs


def _name(project: Project, address: Address) -> str:
    called = setup_name if address.kind == SETUP else e2b_name
    return called(project.name, project.environment, address)


def _bare(address: Address, live: Live, uid: str) -> ResourceRecord:
    return ResourceRecord(
        address=address,
        id=live.id,
        uid=uid,
        attributes={name: value for name, value in live.facts.items() if name in ("template", "metadata", "name")},
        outputs={"address": str(address), "id": live.id},
        setup=live.setup,
        created_at=live.created_at,
        expires_at=live.expires_at,
    )


def _seen(address: Address, catalogue: Mapping[Address, Observed]) -> ResourceRecord | None:
    seen = catalogue.get(address)
    if seen is None or seen.presence is not Presence.READY:
        return None
    outputs = {name: value for name, value in seen.facts.items() if isinstance(value, str)}
    return ResourceRecord(address=address, id=seen.id, uid="", outputs=outputs)


def _sandbox_id(record: ResourceRecord) -> str | None:
    """Where a step ran; None for a sandbox of its own."""
    sandbox = record.attributes.get("sandbox")
    if not isinstance(sandbox, dict):
        return ""
    return str(sandbox["id"]) if "id" in sandbox else None
