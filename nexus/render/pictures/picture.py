"""What is drawn, whatever the format: a node for each block, its instances in it, and who needs whom.

Edges run between blocks, without those that longer ways imply, so that a hundred instances look like what they are: one
block. Where blocks need each other by turns (``a["0"]`` → ``b`` → ``a["1"]``), each instance is a node of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from nexus.executor import Estimate, usual_estimate
from nexus.graph import CycleError, Dag, DesiredGraph
from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Operation, Plan, Verb
from nexus.model.diagnostics import Diagnostic, SourceRange

_REDUCED_UP_TO: Final = 4_000
"""Edges. In larger graphs nobody follows single edges, and finding those to leave out takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One resource of a node, with what happens to it. Two changes are a new object and an old one that goes."""

    address: Address
    changes: tuple[Change, ...] = ()
    source: SourceRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A block with its instances. ``id`` is made of letters and digits only, whatever the block is called."""

    id: str
    address: Address
    members: tuple[Member, ...]
    critical: bool = False

    @property
    def has_instances(self) -> bool:
        return self.address.key is None and self.members[0].address.key is not None

    @property
    def actions(self) -> Mapping[Action, int]:
        """How often what happens to members, in the order of ``Action``."""
        counts = Counter(change.action for member in self.members for change in member.changes)
        return {action: counts[action] for action in Action if counts[action]}


@dataclass(frozen=True, slots=True)
class Edge:
    """Ids of a node that is needed and of one that needs it."""

    needed: str
    dependant: str
    critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """``plan`` is None for the bare graph. ``seconds`` is how long the critical path is thought to take."""

    project: str
    environment: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    plan: Plan | None = None
    seconds: float | None = None

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return () if self.plan is None else self.plan.diagnostics


def draw(
    project: str, environment: str, desired: DesiredGraph, plan: Plan | None = None, estimate: Estimate = usual_estimate
) -> Picture:
    """The picture of a graph, and of what a plan does to it."""
    members = _members(desired, plan)
    needs = _needs(members, desired, plan)
    blocks, dag = _blocks(members, needs)
    way, seconds = critical_path(() if plan is None else plan.operations, estimate)
    on_way, critical = _traced([blocks[operation.address] for operation in way if operation.address in blocks], dag)
    ids = {block: f"n{number}" for number, block in enumerate(dag)}
    held: dict[Address, list[Member]] = defaultdict(list)
    for address, member in members.items():
        held[blocks[address]].append(member)
    return Picture(
        project=project,
        environment=environment,
        nodes=tuple(
            Node(id=ids[block], address=block, members=tuple(held[block]), critical=block in on_way) for block in dag
        ),
        edges=tuple(
            Edge(ids[needed], ids[dependant], (needed, dependant) in critical) for dependant, needed in dag.edges
        ),
        plan=plan,
        seconds=seconds if way else None,
    )


def critical_path(operations: Iterable[Operation], estimate: Estimate) -> tuple[list[Operation], float]:
    """The chain of operations that takes longest, first one first, and its seconds. ``operations`` are in order."""
    until: dict[str, float] = {}
    before: dict[str, str | None] = {}
    known: dict[str, Operation] = {}
    for operation in operations:
        latest = max((need for need in operation.needs if need in until), key=lambda need: until[need], default=None)
        until[operation.id] = estimate(operation) + (0.0 if latest is None else until[latest])
        before[operation.id] = latest
        known[operation.id] = operation
    at = max(until, key=lambda id_: until[id_], default=None)
    seconds = 0.0 if at is None else until[at]
    way: list[Operation] = []
    while at is not None:
        way.append(known[at])
        at = before[at]
    return way[::-1], seconds


def _members(desired: DesiredGraph, plan: Plan | None) -> dict[Address, Member]:
    """What is wanted, in the manifest's order, then what is only left over."""
    changes: dict[Address, list[Change]] = defaultdict(list)
    for change in () if plan is None else plan.changes:
        changes[change.address].append(change)
    found = {
        address: Member(address=address, changes=tuple(changes.get(address, ())), source=spec.source)
        for address, spec in desired.resources.items()
    }
    for address, left in changes.items():
        if address not in found:
            found[address] = Member(address=address, changes=tuple(left), source=left[0].source)
    return found


def _needs(
    members: Mapping[Address, Member], desired: DesiredGraph, plan: Plan | None
) -> dict[Address, dict[Address, None]]:
    """Who needs whom. Of what is left over only the order of the deletions tells: dependants go first."""
    needs = {address: dict.fromkeys(n for n in desired.dag.needs(address) if n in members) for address in members}
    operations = {operation.id: operation for operation in (() if plan is None else plan.operations)}
    for operation in operations.values():
        for need in operation.needs:
            other = operations.get(need)
            if other is not None and _both_left_over(operation, other, members, desired):
                needs[other.address][operation.address] = None
    return needs


def _both_left_over(one: Operation, other: Operation, members: Mapping[Address, Member], desired: DesiredGraph) -> bool:
    return one.address != other.address and all(
        operation.verb in (Verb.DELETE, Verb.FORGET)
        and operation.address in members
        and operation.address not in desired.resources
        for operation in (one, other)
    )


def _blocks(
    members: Mapping[Address, Member], needs: Mapping[Address, Iterable[Address]]
) -> tuple[dict[Address, Address], Dag[Address]]:
    """The block of every member, and the graph of blocks."""
    blocks = {address: address.group for address in members}
    try:
        return blocks, _reduced(blocks, needs)
    except CycleError:
        blocks = {address: address for address in members}
        return blocks, _reduced(blocks, needs)


def _reduced(blocks: Mapping[Address, Address], needs: Mapping[Address, Iterable[Address]]) -> Dag[Address]:
    between: dict[Address, dict[Address, None]] = {block: {} for block in blocks.values()}
    for address, needed in needs.items():
        between[blocks[address]].update(
            dict.fromkeys(blocks[other] for other in needed if blocks[other] != blocks[address])
        )
    dag = Dag(between)
    if sum(len(needed) for needed in between.values()) > _REDUCED_UP_TO:
        dag.order()
        return dag
    return dag.reduced()


def _traced(way: Iterable[Address], dag: Dag[Address]) -> tuple[frozenset[Address], frozenset[tuple[Address, Address]]]:
    """The nodes of a way, those between its stations too, and its edges as pairs of needed and dependant."""
    stations = [block for block, after in pairwise([*way, None]) if block is not None and block != after]
    edges: set[tuple[Address, Address]] = set()
    for one, other in pairwise(stations):
        edges.update(_path(one, other, dag) or _path(other, one, dag))  # what is deleted goes the other way round
    return frozenset([*stations, *(block for edge in edges for block in edge)]), frozenset(edges)


def _path(start: Address, end: Address, dag: Dag[Address]) -> list[tuple[Address, Address]]:
    """The edges of a shortest way from ``start`` up to ``end``; none when there is no way."""
    came: dict[Address, Address] = {start: start}
    front = deque([start])
    while front and end not in came:
        block = front.popleft()
        for dependant in dag.needed_by(block):
            if dependant not in came:
                came[dependant] = block
                front.append(dependant)
    found: list[tuple[Address, Address]] = []
    while end in came and end != start:
        found.append((came[end], end))
        end = came[end]
    return found
