"""What plans cost: by the formula that E2B publishes, exact, additive, and honest where a size is not known."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus.costs import E2B_RATES, cost_of, cost_of_plan
from nexus.costs.sizes import BUILT
from nexus.model.costs import FREE, Cost, PlanCost, Size
from nexus.model.observation import Observation, Presence
from nexus.planning import make_plan
from nexus.planning.situation import SIZE_FACT
from nexus.render.costs import cost_lines, cost_rows, cost_to_json
from tests.fakes.applier import World

HOUR_OF_BUILT = Decimal("0.117")  # 2 x 0.0504 + 1 x 0.0162


def costs(world: World, manifest: str, observation: Observation | None = None, **options: object) -> PlanCost:
    request = world.request(manifest, observation, **options)
    planned = make_plan(request)
    return cost_of_plan(planned.plan, planned.evaluation, world.state, request.observation, now=world.now, billed=False)


def test_the_formula_gives_the_published_example() -> None:
    assert cost_of(Size(2, 512), 3600).hour == Decimal("0.1089")
    assert cost_of(Size(8, 4096), 60).hour == Decimal("0.468")
    assert cost_of(Size(2, 512), 60).until_end == Decimal("0.001815")
    assert cost_of(Size(2, 512), 60).month == Decimal("79.497")


@given(
    sizes=st.lists(
        st.tuples(st.integers(1, 32), st.integers(64, 32768).map(lambda half: 2 * half), st.integers(0, 10**7)),
        max_size=20,
    )
)
def test_cost_is_additive_and_nothing_is_rounded(sizes: list[tuple[int, int, int]]) -> None:
    each = [cost_of(Size(cpus, memory), seconds) for cpus, memory, seconds in sizes]
    whole = sum(each, FREE)
    cpus = sum(cpus for cpus, _, _ in sizes)
    mebibytes = sum(memory for _, memory, _ in sizes)
    assert whole.hour == 3600 * (cpus * E2B_RATES.vcpu_second + Decimal(mebibytes) / 1024 * E2B_RATES.gib_second)
    assert whole.month * 3600 == whole.hour * 730 * 3600
    assert whole - sum(each[1:], FREE) == (each[0] if each else FREE)


@settings(max_examples=25, deadline=None)
@given(counts=st.tuples(st.integers(0, 4), st.integers(0, 4)), others=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_what_a_plan_adds_is_what_the_account_then_costs(counts: tuple[int, int], others: tuple[int, int]) -> None:
    def manifest(pair: tuple[int, int]) -> str:
        return f"sandboxes: {{a: {{count: {pair[0]}, template: python}}, b: {{count: {pair[1]}, timeout: 10m}}}}"

    world = World()
    world.apply(manifest(counts))
    cost = costs(world, manifest(others))
    assert cost.before + cost.change == cost.after
    assert cost.after == sum((item.after for item in cost.sandboxes), FREE)
    assert cost.before.hour == sum(counts) * HOUR_OF_BUILT
    assert cost.after.hour == sum(others) * HOUR_OF_BUILT
    world.apply(manifest(others))
    assert costs(world, manifest(others)).before == cost.after


def test_sizes_are_those_of_the_templates() -> None:
    manifest = """
templates: {big: {cpu: 8, memory: 4GiB}, small: {memory: 512MiB}}
sandboxes:
  a: {template: "${{ template.big }}"}
  b: {template: "${{ template.small }}"}
  c: {template: nextjs}
"""
    found = {item.address.name: item.size for item in costs(World(), manifest).sandboxes}
    assert found == {"a": Size(8, 4096), "b": Size(2, 512), "c": Size(2, 2048)}
    assert costs(World(), manifest).assumed == ()


def test_the_size_of_a_template_that_is_not_known_yet_is_taken_from_its_block() -> None:
    manifest = """
templates: {big: {cpu: 8, env_vars: {ID: "${{ sandbox.a.id }}"}}}
sandboxes: {a: {}, b: {template: "${{ template.big }}"}}
"""
    item = costs(World(), manifest).sandboxes[1]
    assert (item.size, item.assumed) == (Size(8, 1024), False)


def test_a_template_of_somebody_else_is_assumed_until_it_runs() -> None:
    world, manifest = World(), "sandboxes: {a: {template: code-interpreter-v1}}"
    cost = costs(world, manifest)
    assert (cost.sandboxes[0].size, cost.assumed) == (BUILT, (cost.sandboxes[0].address,))
    assert cost_to_json(cost)["exact"] is False
    assert list(cost_lines(cost))[-1] == "Assumed for it: the size of sandbox.a."
    world.apply(manifest)
    world.find_as("sandbox.a", Presence.RUNNING, facts={SIZE_FACT: [4, 8192]})
    seen = costs(world, manifest)
    assert (seen.sandboxes[0].size, seen.assumed) == (Size(4, 8192), ())


def test_what_a_sandbox_costs_until_its_end_shrinks_as_time_goes_by() -> None:
    world, manifest = World(), "sandboxes: {a: {timeout: 1h}}"
    assert costs(world, manifest).after.until_end == HOUR_OF_BUILT
    world.apply(manifest)
    world.now += timedelta(minutes=30)
    cost = costs(world, manifest)
    assert cost.before == cost.after == Cost(HOUR_OF_BUILT, HOUR_OF_BUILT / 2, HOUR_OF_BUILT * 730)
    assert costs(world, "sandboxes: {a: {timeout: 3h}}").after.until_end == 3 * HOUR_OF_BUILT


@pytest.mark.parametrize("presence", [Presence.PAUSED, Presence.GONE, Presence.EXPIRED])
def test_what_does_not_run_costs_nothing(presence: Presence) -> None:
    world, manifest = World(), "sandboxes: {a: {on_timeout: pause}}"
    world.apply(manifest)
    world.find_as("sandbox.a", presence)
    cost = costs(world, manifest)
    assert not cost.before
    assert bool(cost.after) == (presence is not Presence.PAUSED)  # what is gone is made again


def test_what_is_resumed_costs_again() -> None:
    world = World()
    manifest = "sandboxes: {a: {on_timeout: pause, timeout: 1h}}"
    world.apply(manifest)
    world.find_as("sandbox.a", Presence.PAUSED)
    cost = costs(world, manifest.replace("timeout: 1h", "timeout: 1h, env_vars: {A: b}"))
    assert (cost.before, cost.after.until_end) == (FREE, HOUR_OF_BUILT)


def test_a_destroy_and_what_is_forgotten_cost_nothing_any_more() -> None:
    world, manifest = World(), "sandboxes: {a: {count: 2}}"
    world.apply(manifest)
    cost = costs(world, manifest, destroy=True)
    assert (cost.before.hour, cost.after) == (2 * HOUR_OF_BUILT, FREE)
    kept = costs(world, "removed: [{from: sandbox.a, lifecycle: {destroy: false}}]")
    assert (kept.before.hour, kept.after) == (2 * HOUR_OF_BUILT, FREE)


def test_what_is_replaced_counts_once() -> None:
    world = World()
    world.apply("sandboxes: {a: {template: base}}")
    cost = costs(world, "templates: {t: {cpu: 8}}\nsandboxes: {a: {template: '${{ template.t }}'}}")
    (item,) = cost.sandboxes
    assert (item.before.hour, item.after.hour) == (HOUR_OF_BUILT, Decimal("0.4194"))


def test_what_was_not_selected_stays_as_it_is() -> None:
    world, manifest = World(), "sandboxes: {a: {}, b: {}}"
    cost = costs(world, manifest, targets=(world.request(manifest).graph.dag.order()[-1],))
    assert len(cost.sandboxes) == 1


def test_nothing_is_said_where_nothing_changes_by_the_plan() -> None:
    assert list(cost_lines(costs(World(), "volumes: {data: {}}"))) == []
    world = World()
    world.apply("sandboxes: {a: {}}")
    assert list(cost_lines(costs(world, "sandboxes: {a: {env_vars: {B: c}}}"))) == []


def test_the_sentence_tells_what_is_charged_and_the_difference() -> None:
    world = World()
    world.apply("sandboxes: {a: {count: 10}}")
    cost = costs(world, "sandboxes: {a: {count: 9}}")
    assert list(cost_lines(cost)) == [
        "Cost at E2B (nothing here): $1.05 an hour (-$0.1170), $1.05 until timeout, $768.69 a month."
    ]
    billed = PlanCost(rates=cost.rates, billed=True, sandboxes=cost.sandboxes)
    assert next(cost_lines(billed)).startswith("Cost: $1.05 an hour")
    assert cost_rows(cost)[0] == ("an hour", "$1.17", "$1.05", "-$0.1170")
