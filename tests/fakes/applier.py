"""An account in memory that applies plans to state, operation by operation, as the executor and a provider would."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from nexus.graph import build
from nexus.kinds.registry import KINDS
from nexus.kinds.shared_setup import KIND as SETUP
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, PlanOptions, Verb
from nexus.model.diagnostics import Diagnostic
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.resources import Stage
from nexus.model.state import Intent, ResourceRecord, State, Target
from nexus.model.values import Attributes, Fingerprint, Value, fingerprinter
from nexus.planning import Evaluated, Planned, PlanRequest, make_plan
from nexus.planning.situation import MADE_FROM_FACT
from nexus.providers.base import Call
from nexus.providers.recording import record_after, shared_setup
from tests.fakes.manifests import MemoryFiles, inputs_of

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


class _Silent:
    def progress(self, message: str) -> None: ...

    def log(self, stream: str, text: str) -> None: ...


@dataclass
class World:
    """One project and its account. ``presences`` overrides, by address, how an object is found.

    ``made_from`` tells, by uid, which shared setup's snapshot a sandbox was made from, ``snapshots`` which there are.
    """

    state: State = field(default_factory=lambda: State(lineage="lineage", project="demo", target=Target("local")))
    files: MemoryFiles = field(default_factory=MemoryFiles)
    variables: dict[str, Value] = field(default_factory=dict)
    secrets: dict[str, Value] = field(default_factory=dict)
    catalogue: dict[Address, Observed] = field(default_factory=dict)
    presences: dict[str, Observed] = field(default_factory=dict)
    now: datetime = NOW
    done: list[Operation] = field(default_factory=list)
    checked: tuple[Diagnostic, ...] = ()
    counter: int = 0
    made_from: dict[str, str] = field(default_factory=dict)
    snapshots: set[str] = field(default_factory=set)
    fingerprint: Callable[[Value], Fingerprint] = field(default_factory=lambda: fingerprinter(b"key of the state"))

    # ---- planning

    def request(self, manifest: str, observation: Observation | None = None, **options: object) -> PlanRequest:
        inputs = inputs_of(manifest, variables=self.variables, secrets=list(self.secrets), files=self.files)
        graph = build(inputs)
        assert not graph.has_errors, graph.diagnostics
        return PlanRequest(
            graph=graph,
            kinds=KINDS,
            state=self.state,
            observation=observation or self.observe(),
            files=self.files,
            fingerprint=self.fingerprint,
            now=self.now,
            project="demo",
            environment="default",
            target=Target("local"),
            variables=self.variables,
            secrets=self.secrets,
            options=PlanOptions(**options),  # type: ignore[arg-type]
        )

    def plan(self, manifest: str, observation: Observation | None = None, **options: object) -> Plan:
        return make_plan(self.request(manifest, observation, **options)).plan

    def apply(self, manifest: str, observation: Observation | None = None, **options: object) -> Plan:
        planned = make_plan(self.request(manifest, observation, **options))
        assert not any(item.severity == "error" for item in planned.plan.diagnostics), planned.plan.diagnostics
        self.perform(planned, planned.plan.operations)
        return planned.plan

    def observe(self) -> Observation:
        records: dict[str, Observed] = {}
        for record in (*self.state.resources.values(), *self.state.deposed):
            running = Presence.RUNNING if record.address.kind == "sandbox" else Presence.READY
            facts = {MADE_FROM_FACT: self.made_from.get(record.uid, "other")} if running is Presence.RUNNING else {}
            seen = Observed(id=record.id, presence=running, expires_at=record.expires_at, facts=facts)
            records[record.uid] = self.presences.get(str(record.address), seen)
        return Observation(records=records, catalogue=self.catalogue)

    # ---- applying

    def perform(self, planned: Planned, operations: Iterable[Operation]) -> None:
        for operation in operations:
            self._one(planned, operation)
            self.done.append(operation)

    def _one(self, planned: Planned, operation: Operation) -> None:
        address = operation.address
        if operation.verb in (Verb.DELETE, Verb.FORGET):
            self._remove(operation)
            return
        if operation.verb is Verb.CHECK:
            self.checked += planned.evaluation.verdict_at_apply(
                address, Stage(operation.unit), self.state.resources.get
            )
            return
        evaluated = planned.evaluation.at_apply(address, self.state.resources.get)
        current = self.state.resources.get(address)
        if current is None or operation.verb is Verb.CREATE:
            assert operation.verb in (Verb.CREATE, Verb.BUILD, Verb.RUN_STEP), operation
        creates = operation.verb is Verb.CREATE
        record = None if creates else current
        uid = self._new("uid") if record is None else record.uid
        call = Call(
            operation=operation,
            key=self._new("key"),
            uid=uid,
            project="demo",
            environment="default",
            report=_Silent(),
            files=self.files,
            upstream=self.state.resources.get,
            spec=KINDS[address.kind].decode(evaluated.revealed),
            attributes=evaluated.concealed,
            units=evaluated.units,
            record=record,
            trees=evaluated.trees,
            prior_trees=self.state.trees,
        )
        self._keep(self._called(call, evaluated))
        if address.kind == SETUP and operation.verb in (Verb.CREATE, Verb.BUILD):
            self.snapshots.add(str(evaluated.concealed["name"]))
        if (setup := shared_setup(call)) is not None:
            self.made_from[uid] = str(setup.attributes["name"])
            assert self.made_from[uid] in self.snapshots, operation

    def _called(self, call: Call, evaluated: Evaluated) -> ResourceRecord:
        identity = self._new("id") if call.record is None else call.record.id
        record = record_after(
            call,
            id=identity,
            outputs=self._outputs(call, identity),
            expires_at=self._expiry(call),
        )
        spec = evaluated.spec
        self.state = replace(self.state, trees={**self.state.trees, **evaluated.trees})
        lifecycle = spec.lifecycle
        return replace(
            record,
            depends_on=spec.depends_on,
            protected=lifecycle.prevent_destroy,
            on_destroy=lifecycle.on_destroy,
        )

    def _outputs(self, call: Call, identity: str) -> Attributes:
        match call.address.kind:
            case "sandbox":
                ports = call.attributes["ports"]
                assert isinstance(ports, dict)
                return {"urls": {name: f"http://{port}-{identity}" for name, port in ports.items()}}
            case "template":
                builds = call.operation.verb in (Verb.CREATE, Verb.BUILD)
                old = {} if call.record is None else call.record.outputs
                return {"build_id": self._new("build")} if builds else old
            case "step" if call.operation.verb is Verb.RUN_STEP:
                return {"exit_code": 0, "outputs": self._artefacts(call)}
            case _:
                return {} if call.record is None else call.record.outputs

    def _artefacts(self, call: Call) -> dict[str, Value]:
        outputs, sandbox = call.attributes["outputs"], call.attributes["sandbox"]
        assert isinstance(outputs, dict)
        assert isinstance(sandbox, dict)
        unit = next(unit.digest for unit in call.units)
        return {
            name: {
                "sandbox": sandbox["id"],
                "address": sandbox["address"],
                "path": path,
                "sha256": f"{unit}-{name}",
                "size": 1,
            }
            for name, path in outputs.items()
        }

    def _expiry(self, call: Call) -> str | None:
        if call.operation.verb in (Verb.ARM, Verb.EXTEND, Verb.RESUME):
            timeout = call.attributes["timeout"]
            assert isinstance(timeout, int)
            self.presences.pop(str(call.address), None)
            return (self.now + timedelta(seconds=timeout)).isoformat()
        return None

    def _keep(self, record: ResourceRecord) -> None:
        if record.address.kind == "catalogue":
            self.catalogue[record.address] = Observed(id=record.id, presence=Presence.READY)
            return
        current = self.state.resources.get(record.address)
        deposed = self.state.deposed
        if current is not None and current.uid != record.uid:
            deposed = (*deposed, current)
        self.state = replace(self.state, resources={**self.state.resources, record.address: record}, deposed=deposed)

    def _remove(self, operation: Operation) -> None:
        resources = dict(self.state.resources)
        if operation.address in resources and resources[operation.address].uid == operation.uid:
            del resources[operation.address]
        deposed = tuple(record for record in self.state.deposed if record.uid != operation.uid)
        assert len(resources) + len(deposed) < len(self.state.resources) + len(self.state.deposed), operation
        known = (*self.state.resources.values(), *self.state.deposed)
        removed = next(record for record in known if record.uid == operation.uid)
        self.presences.pop(str(operation.address), None)
        self.state = replace(self.state, resources=resources, deposed=deposed)
        if operation.verb is Verb.DELETE and operation.address.kind == "volume":
            self._expect_unused(operation.address)
        if operation.verb is Verb.DELETE and operation.address.kind == SETUP:
            self._delete_snapshot(str(removed.attributes["name"]))

    def _delete_snapshot(self, name: str) -> None:
        """E2B deletes none that a sandbox stands on."""
        for record in (*self.state.resources.values(), *self.state.deposed):
            seen = self.presences.get(str(record.address))
            is_there = seen is None or seen.presence not in (Presence.GONE, Presence.EXPIRED)
            assert self.made_from.get(record.uid) != name or not is_there, f"{record.address} stands on {name}"
        self.snapshots.remove(name)

    def _expect_unused(self, volume: Address) -> None:
        """E2B deletes no volume that a sandbox has mounted."""
        for record in (*self.state.resources.values(), *self.state.deposed):
            assert volume not in record.depends_on or record.address.kind != "sandbox", f"{record.address} has it still"

    def _new(self, word: str) -> str:
        self.counter += 1
        return f"{word}-{self.counter}"

    # ---- tests' shorthands

    def record(self, text: str) -> ResourceRecord:
        return self.state.resources[Address.parse(text)]

    def find_as(self, text: str, presence: Presence, **seen: object) -> None:
        """From now on the object is found like this, until something brings it back."""
        self.presences[text] = Observed(id=self.record(text).id, presence=presence, **seen)  # type: ignore[arg-type]


def verbs(plan: Plan) -> list[str]:
    """The operations in short: ``create sandbox.a``, ``install pip sandbox.a``."""
    return [str(operation).partition(" ")[2] for operation in plan.operations]


def actions(plan: Plan) -> dict[str, str]:
    """Actions by address."""
    return {str(change.address): change.action.value for change in plan.changes}


def causes(plan: Plan) -> dict[str, str]:
    return {str(change.address): change.cause for change in plan.changes}


__all__ = ["NOW", "Intent", "World", "actions", "causes", "verbs"]


def assert_order(operations: Sequence[Operation], needs: Mapping[str, Sequence[str]] | None = None) -> None:
    """Every operation comes after those that it needs."""
    seen: set[str] = set()
    for operation in operations:
        assert set(operation.needs) <= seen, operation
        seen.add(operation.id)
