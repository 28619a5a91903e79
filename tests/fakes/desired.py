"""Small worlds for the executor: what is wanted, a plan towards it made by hand, and its resolve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nexus.executor import Lookup, Resolved
from nexus.kinds.base import Unit
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, Verb
from nexus.model.state import State, Target, Tree
from nexus.model.values import Value, digest


class NoFiles:
    """A project without files."""

    def text(self, path: str) -> str:
        raise AssertionError

    def tree(self, source: str, exclude: Sequence[str]) -> tuple[str, Tree]:
        raise AssertionError

    def inline(self, content: str | bytes, mode: int | None = None, *, sensitive: bool = False) -> tuple[str, Tree]:
        raise AssertionError

    def content(self, digest: str, path: str) -> Iterator[bytes]:
        raise AssertionError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A sandbox that takes the ids of those it depends on into its template, and runs some commands."""

    address: Address
    depends_on: tuple[Address, ...] = ()
    commands: tuple[str, ...] = ()
    template: str = "base"


@dataclass(slots=True)
class World:
    """Everything that is wanted, in an order in which it may be made."""

    wanted: list[Wanted] = field(default_factory=list)

    def resolve(self, address: Address, lookup: Lookup) -> Resolved:
        item = next(item for item in self.wanted if item.address == address)
        upstream = [lookup(needed) for needed in item.depends_on]
        assert all(record is not None for record in upstream), f"{address} was resolved before what it needs"
        ids: list[Value] = [record.id for record in upstream if record is not None]
        commands: list[Value] = list(item.commands)
        attributes: dict[str, Value] = {"template": item.template, "needs": ids, "run_commands": commands}
        units = tuple(
            Unit(name=f"run_commands[{index}]", verb=Verb.RUN_COMMAND, field="run_commands", digest=digest(command))
            for index, command in enumerate(item.commands)
        )
        return Resolved(attributes=attributes, spec=item, units=units, depends_on=item.depends_on)

    def plan(self, state: State) -> Plan:
        """What is missing is created, set-up that is missing is done, what is not wanted is deleted."""
        operations: list[Operation] = []
        last: dict[Address, str] = {}
        for item in self.wanted:
            needs = tuple(last[needed] for needed in item.depends_on if needed in last)
            self._plan_one(state, item, needs, operations, last)
        wanted = {item.address for item in self.wanted}
        records = [*state.resources.values(), *state.deposed]
        doomed = [record for record in records if record.address not in wanted or record in state.deposed]
        for record in doomed:
            operations.append(_operation(operations, Verb.DELETE, record.address, (), uid=record.uid))
        return make_plan(state, operations)

    def _plan_one(
        self,
        state: State,
        item: Wanted,
        needs: tuple[str, ...],
        operations: list[Operation],
        last: dict[Address, str],
    ) -> None:
        record = state.resources.get(item.address)
        if record is None:
            operations.append(_operation(operations, Verb.CREATE, item.address, needs))
            needs, last[item.address] = (operations[-1].id,), operations[-1].id
        setup: Mapping[str, str] = {} if record is None else record.setup
        for index, command in enumerate(item.commands):
            unit = f"run_commands[{index}]"
            if setup.get(unit) != digest(command):
                operations.append(_operation(operations, Verb.RUN_COMMAND, item.address, needs, unit=unit))
                needs, last[item.address] = (operations[-1].id,), operations[-1].id


def _operation(
    before: list[Operation], verb: Verb, address: Address, needs: tuple[str, ...], unit: str = "", uid: str = ""
) -> Operation:
    return Operation(id=str(len(before) + 1), verb=verb, address=address, needs=needs, unit=unit, uid=uid)


def make_plan(state: State, operations: Sequence[Operation]) -> Plan:
    return Plan(
        project="shop",
        environment="default",
        target=Target("local"),
        lineage=state.lineage,
        base_serial=state.serial,
        operations=tuple(operations),
    )


def sandbox(name: str) -> Address:
    return Address("sandbox", name)
