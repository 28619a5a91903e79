"""What is not usable any more while something is left of it: made anew where it is wanted, and else deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus.model.observation import Presence
from nexus.planning.situation import REMAINS_FACT
from tests.fakes.applier import World, actions, verbs

TEMPLATE = "templates: {tool: {base_template: base, run_commands: [make]}}"


@pytest.fixture
def world() -> World:
    made = World()
    made.apply(TEMPLATE)
    made.find_as("template.tool", Presence.GONE, facts={REMAINS_FACT: True})
    return made


def test_what_is_left_of_a_template_without_its_tag_is_deleted_with_its_block(world: World) -> None:
    plan = world.plan("{}")
    assert actions(plan)["template.tool"] == "delete"
    assert verbs(plan) == ["delete template.tool"]
    assert plan.changes[-1].cause == "no longer in the manifest; its tag is gone: removed outside nexus"


def test_a_template_without_its_tag_is_built_again(world: World) -> None:
    assert actions(world.plan(TEMPLATE)) == {"template.tool": "create"}


def test_taking_in_what_is_out_there_does_not_forget_what_is_left(world: World) -> None:
    assert world.plan(TEMPLATE, refresh_only=True).is_empty


def test_what_is_wholly_gone_is_only_forgotten(world: World) -> None:
    world.find_as("template.tool", Presence.GONE)
    assert verbs(world.plan("{}")) == ["forget template.tool"]


def test_a_leftover_that_is_the_current_object_under_another_uid_is_forgotten(world: World) -> None:
    world.presences.clear()
    current = world.record("template.tool")
    world.state = replace(world.state, deposed=(replace(current, uid="former"),))
    assert verbs(world.plan(TEMPLATE)) == ["forget template.tool"]
