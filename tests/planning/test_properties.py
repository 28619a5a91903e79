"""What holds for every manifest: applying twice plans nothing, order respects needs, any prefix converges."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus.model.changes import Operation, Verb
from nexus.model.observation import Presence
from nexus.model.values import Sensitive
from nexus.planning import make_plan
from tests.fakes.applier import World, assert_order

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WORDS = st.sampled_from(["x", "y", "z"])
NAMES = ("a", "b", "c")


@st.composite
def sandboxes(draw: st.DrawFn, name: str, earlier: Sequence[tuple[str, int]]) -> dict[str, object]:
    """One block that may refer to those before it."""
    block: dict[str, object] = {}
    env: dict[str, str] = {}
    for other, count in draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else []:
        key = f'["{draw(st.integers(0, count - 1))}"]' if count else ""
        attribute = draw(st.sampled_from(["id", "urls.api", "template", "timeout"]))
        env[f"REF_{other}"] = f"${{{{ sandbox.{other}{key}.{attribute} }}}}"
    if draw(st.booleans()):
        env["SECRET"] = "${{ secrets.KEY }}"
    if draw(st.booleans()):
        env["PLAIN"] = draw(WORDS)
    if env:
        block["env_vars"] = env
    block["template"] = draw(st.sampled_from(["${{ template.t }}", "python", "elsewhere"]))
    block["ports"] = {"api": draw(st.integers(80, 82))}
    for field, values in {
        "timeout": st.sampled_from(["10m", 3600]),
        "packages": st.fixed_dictionaries({"pip": st.lists(WORDS, max_size=2, unique=True)}),
        "uploads": st.lists(st.builds(lambda w: {"path": "/app/f", "content": w}, WORDS), max_size=1),
        "run_commands": st.lists(WORDS, max_size=3),
        "startup_script": WORDS,
        "start_command": WORDS,
        "ready": st.fixed_dictionaries({"port": st.integers(80, 82)}),
        "metadata": st.fixed_dictionaries({"m": WORDS}),
        "volumes": st.just({"/data": "${{ volume.v }}"}),
        "network": st.fixed_dictionaries({"internet": st.booleans()}),
        "timeouts": st.fixed_dictionaries({"create": st.sampled_from(["5m", 60])}),
        "lifecycle": st.fixed_dictionaries(
            {"create_before_destroy": st.booleans()},
            optional={
                "on_destroy": st.sampled_from(["kill", "pause", "snapshot"]),
                "ignore_changes": st.sampled_from(["all", ["env_vars.PLAIN"], ["packages.pip", "metadata"]]),
                "replace_on": st.just(["packages"]),
                "precondition": st.just([{"condition": "${{ 1 < 2 }}", "error_message": "no"}]),
                "postcondition": st.just([{"condition": "${{ self.id != '' }}", "error_message": "no"}]),
            },
        ),
    }.items():
        if draw(st.booleans()):
            block[field] = draw(values)
    return block


@st.composite
def manifests(draw: st.DrawFn) -> str:
    boxes: dict[str, object] = {}
    earlier: list[tuple[str, int]] = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        block = draw(sandboxes(name, tuple(earlier)))
        count = draw(st.sampled_from([0, 0, 2]))
        if count:
            block["count"] = count
        boxes[name] = block
        earlier.append((name, count))
    first, count = earlier[0]
    fetched = "${{ step.p.one" + ("[each.key]" if count else "") + ".outputs.o }}"
    used = any("volumes" in block for block in boxes.values() if isinstance(block, dict))
    document = {
        "volumes": {"v": None} if used or draw(st.booleans()) else {},
        "templates": {"t": {"packages": [draw(WORDS)], "tags": draw(st.sampled_from([[], ["v1"], ["v2"]]))}},
        "sandboxes": boxes,
        "pipelines": {
            "p": {
                "steps": {
                    "one": {"sandbox": first, "run": draw(WORDS), "outputs": {"o": "/o"}},
                    "two": {
                        "sandbox": first,
                        "run": draw(WORDS),
                        "inputs": {"/i": fetched},
                        "timeout": draw(st.sampled_from([60, 90])),
                    },
                }
            }
        },
    }
    return yaml.safe_dump(document)


def world() -> World:
    made = World()
    made.secrets = {"KEY": Sensitive("first")}
    return made


def converged(made: World, manifest: str) -> None:
    again = made.plan(manifest)
    assert again.is_empty, again.describe()
    assert not again.changes, again.changes
    assert not made.state.verify()


@QUICK
@given(manifests())
def test_applying_twice_plans_nothing(manifest: str) -> None:
    made = world()
    plan = made.apply(manifest)
    assert_order(plan.operations)
    converged(made, manifest)


@QUICK
@given(manifests(), manifests())
def test_any_manifest_leads_to_any_other(before: str, after: str) -> None:
    made = world()
    made.apply(before)
    made.secrets = {"KEY": Sensitive("second")}
    plan = made.apply(after)
    assert_order(plan.operations)
    assert not made.state.deposed
    converged(made, after)


@QUICK
@given(manifests())
def test_destroy_leaves_nothing(manifest: str) -> None:
    made = world()
    made.apply(manifest)
    needed = {address: record.depends_on for address, record in made.state.resources.items()}
    plan = made.apply(manifest, destroy=True)
    assert made.state.is_empty
    gone = [operation.address for operation in plan.operations]
    for address, needs in needed.items():
        for need in needs:
            if need in needed:
                assert gone.index(address) < gone.index(need)


def some_prefix(operations: Sequence[Operation], chance: random.Random) -> list[Operation]:
    """Any set of operations that is closed under needs, in any order that respects them."""
    done: set[str] = set()
    chosen: list[Operation] = []
    open_ = list(operations)
    stop = chance.randint(0, len(operations))
    while open_ and len(chosen) < stop:
        startable = [
            operation
            for operation in open_
            if set(operation.needs) <= done
            and all(
                other.address != operation.address or other is operation for other in open_[: open_.index(operation)]
            )
        ]
        operation = chance.choice(startable)
        open_.remove(operation)
        done.add(operation.id)
        chosen.append(operation)
    return chosen


@QUICK
@given(manifests(), manifests(), st.randoms(use_true_random=False))
def test_any_part_of_an_apply_converges_afterwards(before: str, after: str, chance: random.Random) -> None:
    made = world()
    made.apply(before)
    planned = make_plan(made.request(after))
    made.perform(planned, some_prefix(planned.plan.operations, chance))
    made.apply(after)
    converged(made, after)


@QUICK
@given(manifests(), manifests(), st.randoms(use_true_random=False))
def test_the_order_among_independent_operations_does_not_matter(before: str, after: str, chance: random.Random) -> None:
    made = world()
    made.apply(before)
    planned = make_plan(made.request(after))
    total = len(planned.plan.operations)
    order: list[Operation] = []
    done: set[str] = set()
    open_ = list(planned.plan.operations)
    while open_:
        operation = chance.choice([item for item in open_ if set(item.needs) <= done])
        open_.remove(operation)
        done.add(operation.id)
        order.append(operation)
    assert len(order) == total
    made.perform(planned, order)
    assert not made.state.deposed
    converged(made, after)


@QUICK
@given(manifests(), st.sampled_from([Presence.GONE, Presence.EXPIRED]), st.integers(0, 20))
def test_what_is_gone_comes_back(manifest: str, presence: Presence, which: int) -> None:
    made = world()
    made.apply(manifest)
    lost = [address for address in made.state.resources if address.kind != "step"]
    made.find_as(str(lost[which % len(lost)]), presence)
    plan = made.apply(manifest)
    assert not plan.is_empty
    assert_order(plan.operations)
    converged(made, manifest)


@QUICK
@given(manifests(), manifests())
def test_operations_respect_the_edges_of_the_graph(before: str, after: str) -> None:
    made = world()
    made.apply(before)
    request = made.request(after)
    plan = make_plan(request).plan
    position = {operation.id: index for index, operation in enumerate(plan.operations)}
    works = [op for op in plan.operations if op.verb not in (Verb.DELETE, Verb.FORGET)]
    for address, spec in request.graph.resources.items():
        mine = [position[op.id] for op in works if op.address == address]
        for needed in spec.depends_on:
            theirs = [position[op.id] for op in works if op.address == needed]
            if mine and theirs:
                assert max(theirs) < min(mine)


@QUICK
@given(manifests(), manifests())
def test_the_same_request_makes_the_same_plan(before: str, after: str) -> None:
    made = world()
    made.apply(before)
    first, second = made.plan(after), made.plan(after)
    assert first == second
    shuffled = dict(reversed(made.state.resources.items()))
    made.state = replace(made.state, resources=shuffled)
    third = made.plan(after)
    assert {str(op).partition(" ")[2] for op in third.operations} == {
        str(op).partition(" ")[2] for op in first.operations
    }
