from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.executor.pacing import Lane
from nexus.executor.scheduling import Schedule
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.diagnostics import DiagnosticsError


def op(id: str, *needs: str, address: str = "") -> Operation:
    return Operation(id=id, verb=Verb.CREATE, address=Address("sandbox", address or f"s{id}"), needs=needs)


def schedule(*operations: Operation, paced: str = "", seconds: dict[str, float] | None = None) -> Schedule:
    return Schedule(
        operations,
        lambda item: (seconds or {}).get(item.id, 1.0),
        lambda item: Lane.START if item.id in paced.split() else None,
    )


def ids(operations: list[Operation]) -> list[str]:
    return [operation.id for operation in operations]


def take_all(plan: Schedule, *closed: Lane) -> list[Operation]:
    taken = []
    while (operation := plan.take(set(Lane) - set(closed))) is not None:
        taken.append(operation)
    return taken


def test_the_longest_way_goes_first() -> None:
    plan = schedule(op("short"), op("a"), op("b", "a"), op("long"), seconds={"long": 1.5})
    assert ids(take_all(plan)) == ["a", "long", "short"]


def test_equals_go_in_the_order_of_the_plan() -> None:
    assert ids(take_all(schedule(op("2"), op("1"), op("3")))) == ["2", "1", "3"]


def test_what_needs_another_waits_for_its_success() -> None:
    plan = schedule(op("a"), op("b"), op("c", "a", "b"))
    a, b = take_all(plan)
    assert plan.finish(a, True) == []
    assert take_all(plan) == []
    plan.finish(b, True)
    assert ids(take_all(plan)) == ["c"]


def test_a_failure_drops_everything_behind_it_and_nothing_else() -> None:
    plan = schedule(op("a"), op("b"), op("c", "a"), op("d", "c", "b"), op("e", "b"))
    a, b = take_all(plan)
    assert ids(plan.finish(a, False)) == ["c", "d"]
    plan.finish(b, True)
    assert ids(take_all(plan)) == ["e"]


def test_operations_on_one_address_never_overlap() -> None:
    plan = schedule(op("a", address="x"), op("b", address="x"), op("c"))
    first = take_all(plan)
    assert ids(first) == ["a", "c"]
    plan.finish(first[0], True)
    assert ids(take_all(plan)) == ["b"]


def test_paced_operations_hold_up_no_others() -> None:
    plan = schedule(op("a"), op("b"), op("c"), paced="a b")
    assert plan.waiting() == [Lane.START]
    assert ids(take_all(plan, Lane.START)) == ["c"]
    assert ids(take_all(plan)) == ["a", "b"]
    assert plan.waiting() == []


def test_what_is_left_is_the_longest_way_or_the_work_over_all_hands_or_what_the_rate_allows() -> None:
    def no_rate(lane: Lane) -> float | None:
        return None

    plan = schedule(op("a"), op("b", "a"), op("c"), op("d"), paced="c d", seconds={"a": 2.0, "b": 3.0})
    assert plan.seconds_left(10, no_rate) == 5.0
    assert plan.seconds_left(1, no_rate) == 7.0
    assert plan.seconds_left(10, lambda lane: 0.25) == 8.0
    taken = {operation.id: operation for operation in take_all(plan)}
    assert plan.seconds_left(10, lambda lane: 0.25) == 5.0
    plan.finish(taken["c"], True)
    assert plan.seconds_left(1, no_rate) == 6.0
    plan.finish(taken["a"], False)
    assert plan.seconds_left(1, no_rate) == 1.0
    plan.finish(taken["d"], True)
    assert plan.seconds_left(1, no_rate) == 0.0


@pytest.mark.parametrize("operations", [[op("a", "b"), op("b")], [op("a", "nowhere")], [op("a"), op("a")]])
def test_what_is_not_in_order_is_no_plan(operations: list[Operation]) -> None:
    with pytest.raises(DiagnosticsError, match="plan-damaged"):
        schedule(*operations)


@given(st.data())
def test_every_operation_starts_once_or_is_dropped_and_none_before_what_it_needs(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    operations = [
        op(
            str(index),
            *(
                str(need)
                for need in data.draw(st.sets(st.integers(0, index - 1), max_size=3) if index else st.just([]))
            ),
            address=data.draw(st.sampled_from("abcdefgh")),
        )
        for index in range(count)
    ]
    plan = schedule(*operations)
    running: list[Operation] = []
    succeeded: set[str] = set()
    ended: list[str] = []
    while True:
        while (taken := plan.take(set(Lane))) is not None:
            assert set(taken.needs) <= succeeded
            assert taken.address not in {other.address for other in running}
            running.append(taken)
        if not running:
            break
        operation = running.pop(data.draw(st.integers(0, len(running) - 1)))
        good = data.draw(st.booleans())
        succeeded |= {operation.id} if good else set()
        ended += [operation.id, *ids(plan.finish(operation, good))]
    assert sorted(ended) == sorted(operation.id for operation in operations)
    assert list(plan.remaining()) == []
