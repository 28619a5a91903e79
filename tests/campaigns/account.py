"""An account in memory behind the Provider protocol, with everything that nexus makes in one, and its time.

It keeps the rules that E2B keeps: keys make creates safe to repeat, what is referred to has to exist, nothing can be
done in a sandbox that is paused, templates and volumes have one name each, and sandboxes end when their time is over.
It outlives the runs that talk to it. What goes wrong with a call is decided by ``trouble``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from nexus.executor.clock import Clock, timestamp
from nexus.kinds.naming import e2b_name
from nexus.kinds.shared_setup import SetupSpec
from nexus.kinds.template import TemplateSpec
from nexus.kinds.volume import VolumeSpec
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.diagnostics import error
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.resources import OnDestroy
from nexus.model.state import Intent, ResourceRecord, State, Target
from nexus.model.values import Attributes, Value
from nexus.planning.situation import REMAINS_FACT
from nexus.providers.base import (
    LEASE_SECONDS,
    Call,
    Certainty,
    Found,
    Gone,
    Inventory,
    ProviderError,
    Result,
    TooFast,
)
from nexus.providers.operating import Usage
from nexus.providers.recording import record_after

_CALL_SECONDS: Final = 1.0


class Trouble(StrEnum):
    """What may go wrong with one call."""

    REFUSED = "refused"  # it is known that nothing was done
    TOO_FAST = "too fast"
    PERMANENT = "permanent"
    BROKEN = "broken"  # nothing was done, but that is not known
    LOST = "lost"  # it was done, and the answer is lost
    SLOW = "slow"  # it takes longer than a lease
    VANISHES = "vanishes"  # the sandbox ends under it


@dataclass(slots=True, kw_only=True)
class Box:
    """A sandbox. ``done`` are units, with digests of what is really inside; ``released`` ones were left on purpose."""

    id: str
    template: str
    ends: datetime
    created: datetime
    address: str = ""
    uid: str = ""
    key: str = ""
    pauses: bool = False
    paused: bool = False
    released: bool = False
    metadata: Mapping[str, Value] = field(default_factory=dict)
    network: Value = None
    volumes: tuple[str, ...] = ()
    done: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Built:
    """A template: builds by tag."""

    id: str
    builds: dict[str, str] = field(default_factory=dict)
    public: bool = False


@dataclass(slots=True)
class Account:
    """What is there. Names map to templates and volumes, references of snapshots to what was done in them."""

    boxes: dict[str, Box] = field(default_factory=dict)
    templates: dict[str, Built] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, dict[str, str]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    catalogue: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new(self, word: str) -> str:
        return f"{word}{next(self.numbers)}"

    def pass_to(self, now: datetime) -> None:
        """Sandboxes whose time is over end, or pause."""
        for box in [box for box in self.boxes.values() if box.ends <= now and not box.paused]:
            if box.pauses:
                box.paused = True
            else:
                del self.boxes[box.id]

    def running(self, id: str) -> Box | None:
        box = self.boxes.get(id)
        return None if box is None or box.paused else box


Troubles = Callable[[Operation], Trouble | None]


def no_trouble(operation: Operation) -> Trouble | None:
    return None


class AccountProvider:
    """One process's way to the account. ``alive`` is asked before and after every effect: it may end the process."""

    def __init__(
        self,
        account: Account,
        clock: Clock,
        *,
        trouble: Troubles = no_trouble,
        alive: Callable[[], None] = lambda: None,
        blind: Callable[[], bool] = lambda: False,
    ) -> None:
        self.account = account
        self.calls: list[Operation] = []
        self._clock = clock
        self._trouble = trouble
        self._alive = alive
        self._blind = blind

    # ---- looking

    async def identity(self) -> Target:
        return Target("local", "memory")

    async def observe(self, state: State, catalogue: Mapping[Address, str], *, count_all: bool = False) -> Observation:
        self._look()
        account = self.account
        seen = {
            record.uid: Observed(id=record.id, presence=Presence.UNKNOWN) if self._blind() else self._seen(record)
            for record in (*state.resources.values(), *state.deposed)
        }
        known = {
            address: Observed(
                id=account.catalogue[reference],
                presence=Presence.READY,
                facts={"reference": reference, "build_id": account.catalogue[reference]},
            )
            for address, reference in catalogue.items()
            if reference in account.catalogue
        }
        return Observation(records=seen, catalogue=known)

    def _seen(self, record: ResourceRecord) -> Observed:
        account, gone = self.account, Observed(id=record.id, presence=Presence.GONE)
        match record.address.kind:
            case "sandbox":
                return self._seen_box(record)
            case "volume":
                return replace(gone, presence=Presence.READY) if record.id in account.volumes.values() else gone
            case "template":
                return self._seen_template(record)
            case "setup":
                there = record.attributes.get("reference") in account.snapshots
                return replace(gone, presence=Presence.READY) if there else gone
            case _:
                return replace(gone, presence=Presence.READY)

    def _seen_box(self, record: ResourceRecord) -> Observed:
        box = self.account.boxes.get(record.id)
        if box is None:
            over = record.expires_at is not None and datetime.fromisoformat(record.expires_at) <= self._clock.now()
            return Observed(id=record.id, presence=Presence.EXPIRED if over else Presence.GONE)
        facts = {"metadata": dict(box.metadata)}
        if box.paused:
            return Observed(id=record.id, presence=Presence.PAUSED, facts=facts)
        return Observed(id=record.id, presence=Presence.RUNNING, expires_at=timestamp(box.ends), facts=facts)

    def _seen_template(self, record: ResourceRecord) -> Observed:
        built = next((item for item in self.account.templates.values() if item.id == record.id), None)
        tag = str(record.attributes.get("reference", "")).rpartition(":")[2]
        if built is None or tag not in built.builds:
            return Observed(id=record.id, presence=Presence.GONE, facts={REMAINS_FACT: built is not None})
        own = sorted(
            other for other, build in built.builds.items() if build == built.builds[tag] and not _is_own_tag(other)
        )
        return Observed(id=record.id, presence=Presence.READY, facts={"tags": own, "public": built.public})

    async def look_inside(self, state: State, observation: Observation) -> Observation:
        self._look()
        records = dict(observation.records)
        for record in state.resources.values():
            box = self.account.running(record.id) if record.address.kind == "sandbox" else None
            if box is None or record.uid not in records:
                continue
            setup = {unit: digest for unit, digest in record.setup.items() if box.done.get(unit) == digest}
            facts: dict[str, object] = {**records[record.uid].facts, "setup": setup, "findings": {}}
            if box.network != record.attributes.get("network"):
                facts["network"] = box.network
            records[record.uid] = replace(records[record.uid], facts=facts)
        return replace(observation, records=records, deep=True)

    async def measure(self, ids: Sequence[str]) -> Mapping[str, Usage]:
        return {}

    async def inventory(
        self, project: str, environment: str, named: Mapping[Address, str], adopted: Mapping[Address, str]
    ) -> Inventory:
        return Inventory()

    def spec_digest(self, attributes: Attributes) -> str:
        return ""

    async def outputs_of(self, record: ResourceRecord) -> Attributes:
        return record.outputs

    async def examine(self, wanted: Mapping[Address, str]) -> Mapping[Address, Observed]:
        return {}

    async def find(self, state: State, intents: Sequence[Intent]) -> Mapping[str, tuple[Found, ...]]:
        self._look()
        return {intent.key: tuple(self._made_by(state, intent)) for intent in intents}

    def _made_by(self, state: State, intent: Intent) -> Iterator[Found]:
        account = self.account
        attributes = {} if intent.draft is None else intent.draft.attributes
        match intent.address.kind:
            case "sandbox":
                for box in account.boxes.values():
                    if box.key == intent.key:
                        yield Found(
                            id=box.id,
                            outputs={"id": box.id},
                            created_at=timestamp(box.created),
                            expires_at=timestamp(box.ends),
                        )
            case "volume":
                name = e2b_name(state.project, state.environment, intent.address)
                if name in account.volumes:
                    yield Found(id=account.volumes[name], outputs={"id": account.volumes[name], "name": name})
            case "template":
                name, _, tag = str(attributes.get("reference", "")).rpartition(":")
                if built := account.templates.get(name):
                    yield Found(id=built.id, outputs={"id": built.id, "name": name}, complete=tag in built.builds)
            case "setup":
                reference = str(attributes.get("reference", ""))
                if reference in account.snapshots:
                    yield Found(id=reference, outputs={"id": reference})

    def _look(self) -> None:
        self._alive()
        self.account.pass_to(self._clock.now())
        if self._blind():
            raise ProviderError(error("unreachable", "Nobody answers"), Certainty.UNKNOWN)

    # ---- doing

    async def execute(self, call: Call) -> Result:
        self._alive()
        self.calls.append(call.operation)
        trouble = self._trouble(call.operation)
        match trouble:
            case Trouble.REFUSED:
                raise ProviderError(error("unavailable", "Not now"), Certainty.NOT_DONE)
            case Trouble.TOO_FAST:
                raise TooFast(error("too-fast", "Slowly"), retry_after=1.0)
            case Trouble.PERMANENT:
                raise ProviderError(error("refused", "Never"), Certainty.PERMANENT)
            case Trouble.BROKEN:
                raise ProviderError(error("broken", "Who knows"), Certainty.UNKNOWN)
            case Trouble.SLOW:
                await self._pass(LEASE_SECONDS * 1.5)
            case Trouble.VANISHES if call.record is not None:
                self.account.boxes.pop(call.record.id, None)
        await self._pass(_CALL_SECONDS / 2)
        result = self._effect(call)
        self._alive()
        await self._pass(_CALL_SECONDS / 2)
        if trouble is Trouble.VANISHES and result.record is not None:
            self.account.boxes.pop(result.record.id, None)
        if trouble is Trouble.LOST:
            raise ProviderError(error("lost", "The answer was lost"), Certainty.UNKNOWN)
        return result

    @property
    def _moment(self) -> str:
        return timestamp(self._clock.now())

    async def _pass(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._alive()
        self.account.pass_to(self._clock.now())

    def _effect(self, call: Call) -> Result:
        if call.operation.verb is Verb.RECORD:
            return Result(record_after(call))
        match call.address.kind:
            case "sandbox":
                return self._sandbox(call)
            case "setup":
                return self._setup(call)
            case "template":
                return self._template(call)
            case "volume":
                return self._volume(call)
            case "catalogue":
                reference = str(call.attributes["reference"])
                made = self.account.catalogue.setdefault(reference, self.account.new("cat"))
                return Result(record_after(call, id=made, outputs={"reference": reference}))
            case _:
                return self._step(call)

    def _sandbox(self, call: Call) -> Result:
        match call.operation.verb:
            case Verb.CREATE:
                return self._create(call)
            case Verb.DELETE:
                return self._end(call)
            case Verb.RESUME:
                box = self._there(call)
                box.paused = False
                return Result(record_after(call, expires_at=self._give_time(box, call)))
            case Verb.ARM | Verb.EXTEND:
                return Result(record_after(call, expires_at=self._give_time(self._awake(call), call)))
            case Verb.SET_NETWORK:
                self._awake(call).network = call.attributes["network"]
                return Result(record_after(call))
            case _:
                return self._unit(call, self._awake(call))

    def _create(self, call: Call) -> Result:
        account, now = self.account, self._clock.now()
        box = next((box for box in account.boxes.values() if box.key == call.key), None)
        if box is None:
            box = Box(
                id=account.new("box"),
                template=str(call.attributes["template"]),
                ends=now + timedelta(seconds=min(LEASE_SECONDS, _timeout(call))),
                created=now,
                address=str(call.address),
                uid=call.uid,
                key=call.key,
                pauses=call.attributes["on_timeout"] == "pause",
                metadata=_mapping(call.attributes["metadata"]),
                network=call.attributes["network"],
                volumes=self._mounted(call),
                done=self._brought(call),
            )
            account.boxes[box.id] = box
        made, ends = timestamp(box.created), timestamp(box.ends)
        return Result(record_after(call, id=box.id, outputs={"id": box.id}, created_at=made, expires_at=ends))

    def _mounted(self, call: Call) -> tuple[str, ...]:
        names = tuple(str(name) for name in _mapping(call.attributes["volumes"]).values())
        if missing := [name for name in names if name not in self.account.volumes]:
            raise _never(f"there is no volume {missing[0]}")
        return names

    def _brought(self, call: Call) -> dict[str, str]:
        """What a new sandbox comes with: its environment, and what its snapshot holds."""
        done = {unit.name: str(unit.digest) for unit in call.units if unit.verb is Verb.SET_ENV}
        if not call.operation.unit:
            self._check_template(str(call.attributes["template"]))
            return done
        setup = call.upstream(Address.parse(call.operation.unit))
        reference = "" if setup is None else str(setup.attributes.get("reference"))
        if reference not in self.account.snapshots:
            raise _never(f"there is no snapshot {reference}")
        return {**self.account.snapshots[reference], **done}

    def _check_template(self, reference: str) -> None:
        name, _, tag = reference.rpartition(":")
        built = self.account.templates.get(name)
        if reference not in self.account.catalogue and (built is None or tag not in built.builds):
            raise _never(f"there is no template {reference}")

    def _end(self, call: Call) -> Result:
        assert call.record is not None
        box = self.account.boxes.get(call.record.id)
        if box is None:
            return Result(None, unchanged=True)
        if call.operation.unit == OnDestroy.PAUSE:
            box.paused = box.released = True
            return Result(None)
        if call.operation.unit == OnDestroy.SNAPSHOT:
            self.account.kept.append(box.id)
        del self.account.boxes[box.id]
        return Result(None)

    def _unit(self, call: Call, box: Box) -> Result:
        unit = call.unit
        box.done = {name: done for name, done in box.done.items() if name not in (call.operation.unit, *call.outdated)}
        if unit is not None and unit.digest is not None:
            box.done[unit.name] = unit.digest
        return Result(record_after(call))

    def _there(self, call: Call) -> Box:
        assert call.record is not None
        box = self.account.boxes.get(call.record.id)
        if box is None:
            raise Gone(error("sandbox-gone", "The sandbox is gone"))
        return box

    def _awake(self, call: Call) -> Box:
        box = self._there(call)
        if box.paused:
            raise _never(f"{box.address} is paused")
        return box

    def _give_time(self, box: Box, call: Call) -> str:
        box.ends = self._clock.now() + timedelta(seconds=_timeout(call))
        return timestamp(box.ends)

    def _setup(self, call: Call) -> Result:
        spec = call.spec
        if call.operation.verb is Verb.DELETE:
            assert call.record is not None
            name = str(call.record.attributes["name"])
            for reference in [item for item in self.account.snapshots if item.rpartition(":")[0] == name]:
                del self.account.snapshots[reference]
            return Result(None)
        assert isinstance(spec, SetupSpec)
        self._check_template(spec.sandbox.template)
        if call.record is not None:
            self.account.snapshots.pop(str(call.record.attributes.get("reference")), None)
        units = {unit.name: str(unit.digest) for unit in call.units}
        self.account.snapshots[spec.reference] = units
        outputs: dict[str, Value] = {"id": spec.reference}
        return Result(record_after(call, id=spec.reference, outputs=outputs, created_at=self._moment))

    def _template(self, call: Call) -> Result:
        account, spec = self.account, call.spec
        if call.operation.verb is Verb.DELETE:
            assert call.record is not None
            identity = call.record.id
            account.templates = {name: built for name, built in account.templates.items() if built.id != identity}
            return Result(None)
        assert isinstance(spec, TemplateSpec)
        match call.operation.verb:
            case Verb.CREATE | Verb.BUILD:
                built = account.templates.setdefault(spec.name, Built(account.new("tpl")))
                built.builds.setdefault(spec.tag, account.new("build"))
                outputs = {"id": built.id, "build_id": built.builds[spec.tag]}
                return Result(record_after(call, id=built.id, outputs=outputs, created_at=self._moment))
            case Verb.SET_TAGS:
                built = self._built(spec)
                before = call.record.attributes.get("tags") if call.record is not None else None
                for tag in before if isinstance(before, list) else ():
                    built.builds.pop(str(tag), None)
                built.builds.update(dict.fromkeys(spec.tags, built.builds[spec.tag]))
            case _:
                self._built(spec).public = spec.public
        return Result(record_after(call))

    def _built(self, spec: TemplateSpec) -> Built:
        built = self.account.templates.get(spec.name)
        if built is None or spec.tag not in built.builds:
            raise _never(f"there is no build {spec.reference}")
        return built

    def _volume(self, call: Call) -> Result:
        account = self.account
        if call.operation.verb is Verb.DELETE:
            assert call.record is not None
            account.volumes = {name: id for name, id in account.volumes.items() if id != call.record.id}
            return Result(None)
        assert isinstance(call.spec, VolumeSpec)
        made = account.volumes.setdefault(call.spec.name, account.new("vol"))
        outputs: dict[str, Value] = {"id": made, "name": call.spec.name}
        return Result(record_after(call, id=made, outputs=outputs, created_at=self._moment))

    def _step(self, call: Call) -> Result:
        sandbox = _mapping(call.attributes["sandbox"])
        if self.account.running(str(sandbox["id"])) is None:
            if str(sandbox["id"]) in self.account.boxes:
                raise _never(f"{sandbox['address']} is paused")
            raise Gone(error("sandbox-gone", "The sandbox is gone"))
        return Result(record_after(call, id=f"run-{call.key}", outputs={"exit_code": 0, "outputs": _artefacts(call)}))

    async def discard(self, intent: Intent, found: Found) -> None:
        self._alive()
        self.account.boxes.pop(found.id, None)

    async def aclose(self) -> None:
        pass


def _artefacts(call: Call) -> dict[str, Value]:
    sandbox = _mapping(call.attributes["sandbox"])
    unit = next(unit for unit in call.units)
    return {
        name: {**sandbox, "path": path, "sha256": f"{unit.digest}-{name}", "size": 1}
        for name, path in _mapping(call.attributes["outputs"]).items()
    }


def _never(why: str) -> ProviderError:
    return ProviderError(error("not-possible", why), Certainty.PERMANENT)


def _mapping(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _timeout(call: Call) -> int:
    timeout = call.attributes["timeout"]
    assert isinstance(timeout, int)
    return timeout


def _is_own_tag(tag: str) -> bool:
    return tag == "default" or tag.startswith("spec-")
