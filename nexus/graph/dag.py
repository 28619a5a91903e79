"""A directed graph without cycles over anything hashable: who needs whom. The only user of networkx.

Everything here is iterative and linear, or nearly so, and keeps to the order in which nodes came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

import networkx as nx

N = TypeVar("N", bound=Hashable)


class CycleError(ValueError):
    """The graph has a cycle. ``path`` begins and ends with the same node; each needs the next."""

    def __init__(self, path: tuple[object, ...]) -> None:
        super().__init__(" → ".join(map(str, path)))
        self.path = path


class Dag(Generic[N]):
    """Built from «node: what it needs». Needed nodes that are no keys are added."""

    def __init__(self, needs: Mapping[N, Iterable[N]]) -> None:
        self._graph: nx.DiGraph[N] = nx.DiGraph()
        self._graph.add_nodes_from(needs)
        self._graph.add_edges_from((node, needed) for node, all_needed in needs.items() for needed in all_needed)

    def __contains__(self, node: object) -> bool:
        return node in self._graph

    def __iter__(self) -> Iterator[N]:
        return iter(self._graph)

    def __len__(self) -> int:
        return len(self._graph)

    @property
    def edges(self) -> Iterator[tuple[N, N]]:
        """Pairs of a node and one that it needs."""
        return iter(self._graph.edges())

    def needs(self, node: N) -> tuple[N, ...]:
        """What ``node`` needs directly; nothing when it is not in the graph."""
        return tuple(self._graph.successors(node)) if node in self._graph else ()

    def needed_by(self, node: N) -> tuple[N, ...]:
        """Those that need ``node`` directly."""
        return tuple(self._graph.predecessors(node)) if node in self._graph else ()

    def order(self) -> list[N]:
        """All nodes, needed ones first, else as they came. Raises CycleError."""
        rank = {node: index for index, node in enumerate(self._graph)}
        try:
            return list(nx.lexicographical_topological_sort(self._graph.reverse(copy=False), key=rank.__getitem__))
        except nx.NetworkXUnfeasible:
            raise CycleError(self.cycles()[0]) from None

    def cycles(self) -> list[tuple[N, ...]]:
        """One cycle of every knot of the graph, each as a path that ends where it begins."""
        found: list[tuple[N, ...]] = []
        for knot in nx.strongly_connected_components(self._graph):
            first = min(knot, key=str)
            if len(knot) == 1 and not self._graph.has_edge(first, first):
                continue
            edges = nx.find_cycle(self._graph.subgraph(knot), first)
            found.append((*(edge[0] for edge in edges), edges[0][0]))
        return sorted(found, key=str)

    def with_needs(self, nodes: Iterable[N]) -> set[N]:
        """``nodes`` and everything that they need, directly or not."""
        return self._reach(nodes, self.needs)

    def with_dependants(self, nodes: Iterable[N]) -> set[N]:
        """``nodes`` and everything that needs them, directly or not."""
        return self._reach(nodes, self.needed_by)

    def _reach(self, nodes: Iterable[N], step: Callable[[N], Iterable[N]]) -> set[N]:
        reached = {node for node in nodes if node in self._graph}
        waiting = deque(reached)
        while waiting:
            for node in step(waiting.popleft()):
                if node not in reached:
                    reached.add(node)
                    waiting.append(node)
        return reached

    def reversed(self) -> Dag[N]:
        """The same nodes with every edge turned round."""
        turned: Dag[N] = Dag({})
        turned._graph = self._graph.reverse(copy=True)
        return turned

    def reduced(self) -> Dag[N]:
        """Without edges that longer paths imply: for showing. Raises CycleError."""
        self.order()
        slim: Dag[N] = Dag({node: () for node in self._graph})
        slim._graph.add_edges_from(nx.transitive_reduction(self._graph).edges())
        return slim
