"""The generic graph: order, cycles, reach, reduction; nothing of it recursive."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.graph import CycleError, Dag


def test_order_puts_needed_nodes_first_and_keeps_to_the_given_order() -> None:
    dag = Dag({"c": ["a"], "b": [], "a": [], "d": ["c", "b"]})
    order = dag.order()
    assert order.index("a") < order.index("c") < order.index("d")
    assert order == ["b", "a", "c", "d"]


def test_needed_nodes_without_an_entry_are_nodes() -> None:
    dag = Dag({"a": ["b"]})
    assert "b" in dag
    assert dag.needs("b") == ()
    assert dag.needed_by("b") == ("a",)


def test_cycles_are_named_by_their_path() -> None:
    dag = Dag({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["d"], "e": ["a"]})
    assert dag.cycles() == [("a", "b", "c", "a"), ("d", "d")]
    with pytest.raises(CycleError, match="a → b → c → a"):
        dag.order()


def test_reach_goes_both_ways() -> None:
    dag = Dag({"c": ["b"], "b": ["a"], "x": []})
    assert dag.with_needs(["b"]) == {"a", "b"}
    assert dag.with_dependants(["b"]) == {"b", "c"}
    assert dag.reversed().with_needs(["b"]) == {"b", "c"}


def test_reduction_drops_what_longer_paths_imply() -> None:
    dag = Dag({"c": ["b", "a"], "b": ["a"]})
    assert set(dag.reduced().edges) == {("c", "b"), ("b", "a")}


def test_thirty_thousand_nodes_in_a_chain_are_fast() -> None:
    began = time.process_time()
    dag = Dag({number: [number - 1] if number else [] for number in range(30_000)})
    assert dag.order() == list(range(30_000))
    assert not dag.cycles()
    assert len(dag.with_needs([29_999])) == 30_000
    assert time.process_time() - began < 5


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=3), max_size=9))
def test_either_an_order_or_a_cycle(needs: dict[int, list[int]]) -> None:
    dag = Dag(needs)
    try:
        order = dag.order()
    except CycleError as problem:
        path = problem.path
        assert path[0] == path[-1]
        assert all(b in needs[a] for a, b in pairwise(path))  # type: ignore[index]
    else:
        assert sorted(order) == sorted(set(needs) | {n for all_ in needs.values() for n in all_})
        assert all(order.index(needed) < order.index(node) for node, all_ in needs.items() for needed in all_)
        assert not dag.cycles()
