"""A directed graph without cycles over anything hashable: who needs whom.

Everything here is iterative and linear, or nearly so, and keeps to the order in which nodes came. networkx finds cycles
and reduces what is shown; most runs need neither, so it is imported only then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
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
        self._needs: dict[N, dict[N, None]] = {node: dict.fromkeys(needed) for node, needed in needs.items()}
        self._needed_by: dict[N, dict[N, None]] = {node: {} for node in needs}
        for node, all_needed in list(self._needs.items()):
            for needed in all_needed:
                if needed not in self._needs:
                    self._needs[needed], self._needed_by[needed] = {}, {}
                self._needed_by[needed][node] = None

    def __contains__(self, node: object) -> bool:
        return node in self._needs

    def __iter__(self) -> Iterator[N]:
        return iter(self._needs)

    def __len__(self) -> int:
        return len(self._needs)

    @property
    def edges(self) -> Iterator[tuple[N, N]]:
        """Pairs of a node and one that it needs."""
        return ((node, needed) for node, all_needed in self._needs.items() for needed in all_needed)

    def needs(self, node: N) -> tuple[N, ...]:
        """What ``node`` needs directly; nothing when it is not in the graph."""
        return tuple(self._needs.get(node, ()))

    def needed_by(self, node: N) -> tuple[N, ...]:
        """Those that need ``node`` directly."""
        return tuple(self._needed_by.get(node, ()))

    def order(self) -> list[N]:
        """All nodes, needed ones first, else as they came. Raises CycleError."""
        if len(self._sorted) < len(self):
            raise CycleError(self.cycles()[0])
        return list(self._sorted)

    @cached_property
    def _sorted(self) -> tuple[N, ...]:
        """The nodes in order, but for those in a cycle and those that need them."""
        nodes = list(self._needs)
        rank = {node: index for index, node in enumerate(nodes)}
        missing = [len(needed) for needed in self._needs.values()]
        ready = [index for index, count in enumerate(missing) if count == 0]
        heapify(ready)
        found: list[N] = []
        while ready:
            node = nodes[heappop(ready)]
            found.append(node)
            for dependant in self._needed_by[node]:
                index = rank[dependant]
                missing[index] -= 1
                if missing[index] == 0:
                    heappush(ready, index)
        return tuple(found)

    def cycles(self) -> list[tuple[N, ...]]:
        """One cycle of every knot of the graph, each as a path that ends where it begins."""
        if len(self._sorted) == len(self):
            return []
        import networkx as nx

        graph = self._networkx()
        found: list[tuple[N, ...]] = []
        for knot in nx.strongly_connected_components(graph):
            first = min(knot, key=str)
            if len(knot) == 1 and not graph.has_edge(first, first):
                continue
            edges = nx.find_cycle(graph.subgraph(knot), first)
            found.append((*(edge[0] for edge in edges), edges[0][0]))
        return sorted(found, key=str)

    def with_needs(self, nodes: Iterable[N]) -> set[N]:
        """``nodes`` and everything that they need, directly or not."""
        return self._reach(nodes, self.needs)

    def with_dependants(self, nodes: Iterable[N]) -> set[N]:
        """``nodes`` and everything that needs them, directly or not."""
        return self._reach(nodes, self.needed_by)

    def _reach(self, nodes: Iterable[N], step: Callable[[N], Iterable[N]]) -> set[N]:
        reached = {node for node in nodes if node in self._needs}
        waiting = deque(reached)
        while waiting:
            for node in step(waiting.popleft()):
                if node not in reached:
                    reached.add(node)
                    waiting.append(node)
        return reached

    def reversed(self) -> Dag[N]:
        """The same nodes with every edge turned round."""
        return Dag(self._needed_by)

    def reduced(self) -> Dag[N]:
        """Without edges that longer paths imply: for showing. Raises CycleError."""
        self.order()
        import networkx as nx

        slim = nx.transitive_reduction(self._networkx())
        kept = set(slim.edges)  # in an order of its own; pictures are to be the same every time
        return Dag({node: [need for need in needs if (node, need) in kept] for node, needs in self._needs.items()})

    def _networkx(self) -> nx.DiGraph[N]:
        import networkx as nx

        graph: nx.DiGraph[N] = nx.DiGraph()
        graph.add_nodes_from(self._needs)
        graph.add_edges_from(self.edges)
        return graph
