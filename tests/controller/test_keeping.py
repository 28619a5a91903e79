"""One environment, kept by its policy, through all that may happen to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from nexus.controller.controller import Controller
from nexus.controller.settings import Policy
from nexus.controller.status import Phase
from nexus.model.diagnostics import error
from tests.controller.fakes import KEY, WEB, World

BROKEN = error("exec-failed", "It does not work")


@asynccontextmanager
async def running(controller: Controller) -> AsyncIterator[None]:
    task = asyncio.create_task(controller.run())
    try:
        yield
    finally:
        controller.stop()
        async with asyncio.timeout(60):
            await task


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what is awaited are plain values of what is tested
            await asyncio.sleep(0.005)


def events(world: World) -> list[str]:
    lines = [json.loads(line) for line in world.text.getvalue().splitlines()]
    return [line["event"] for line in lines if line["event"] not in ("controller", "operation")]


async def test_what_differs_is_applied_and_then_left_alone(world: World) -> None:
    settings = world.settings()
    project = world.projects[KEY]
    board = await Controller(settings, world.parts()).once()
    assert (board[KEY].phase, board[KEY].applied, board[KEY].pending) == (Phase.SYNCED, "r1", ())
    assert project.asked == [None], "what is planned under the lock is applied"
    assert events(world) == ["leading", "revision", "drift", "applied"]


async def test_a_change_of_files_is_applied_at_once_and_what_vanishes_at_the_next_look(world: World) -> None:
    controller = Controller(world.settings(interval=0.05), world.parts())
    project = world.projects[KEY]
    async with running(controller):
        await eventually(lambda: len(project.applied) == 1)
        world.source.id, project.missing = "r2", (WEB,)
        await eventually(lambda: project.missing == () and controller.board[KEY].applied == "r2")
        looks = project.plans
        project.missing = (WEB,)
        await eventually(lambda: project.missing == ())
        assert project.plans <= looks + 2, "at the next observation, or at the one that was under way"
    assert controller.board[KEY].phase is Phase.SYNCED
    assert not world.bugs


async def test_plan_only_tells_once_and_changes_nothing(world: World) -> None:
    controller = Controller(world.settings(policy=Policy.PLAN_ONLY, interval=0.02), world.parts())
    project = world.projects[KEY]
    async with running(controller):
        await eventually(lambda: project.plans > 4)
        assert (controller.board[KEY].phase, len(controller.board[KEY].pending)) == (Phase.PENDING, 1)
        project.missing = ()
        await eventually(lambda: controller.board[KEY].phase is Phase.SYNCED)
    assert project.asked == []
    assert events(world).count("pending") == 1


@pytest.mark.parametrize("serial", [0, 7], ids=["never applied", "applied before"])
async def test_a_plan_waits_until_it_is_approved_and_is_then_applied_exactly(world: World, serial: int) -> None:
    controller = Controller(world.settings(policy=Policy.APPROVE, interval=0.05), world.parts())
    project = world.projects[KEY]
    project.serial = serial
    async with running(controller):
        await eventually(lambda: project.plans > 3)
        assert controller.board[KEY].phase is Phase.WAITING
        waiting = await world.waiting()
        assert waiting is not None
        assert controller.board[KEY].digest == waiting.short
        assert project.asked == []
        await world.approve()
        await eventually(lambda: project.applied)
        assert project.asked == [waiting.plan]
        await eventually(lambda: controller.board[KEY].phase is Phase.SYNCED)
    assert await world.waiting() is None
    assert events(world).count("waiting") == 1, "the same plan is told once, whatever its state will be called"
    (told,) = [item for item in map(json.loads, world.text.getvalue().splitlines()) if item["event"] == "approved"]
    assert (told["digest"], told["message"]) == (waiting.short, "by approver@there at 2026-01-02T03:04:05Z")


async def test_an_approval_is_heard_before_the_next_look(world: World) -> None:
    controller = Controller(world.settings(policy=Policy.APPROVE), world.parts())
    async with running(controller):
        await eventually(lambda: controller.board[KEY].phase is Phase.WAITING)
        await world.approve()
        await eventually(lambda: world.projects[KEY].applied)


async def test_an_approval_of_another_plan_is_worth_nothing(world: World) -> None:
    settings = world.settings(policy=Policy.APPROVE)
    await Controller(settings, world.parts()).once()
    first = await world.waiting()
    await world.approve()
    world.projects[KEY].serial += 1
    board = await Controller(settings, world.parts()).once()
    second = await world.waiting()
    assert first is not None
    assert second is not None
    assert first.digest != second.digest
    assert second.approval is None
    assert (board[KEY].phase, world.projects[KEY].asked) == (Phase.WAITING, [])


async def test_what_waited_under_another_policy_waits_no_more(world: World) -> None:
    await Controller(world.settings(policy=Policy.APPROVE), world.parts()).once()
    assert await world.waiting() is not None
    await Controller(world.settings(policy=Policy.PLAN_ONLY), world.parts()).once()
    assert await world.waiting() is None


async def test_an_approved_plan_that_is_out_of_date_waits_anew(world: World) -> None:
    controller = Controller(world.settings(policy=Policy.APPROVE), world.parts())
    project = world.projects[KEY]
    project.stale = True
    async with running(controller):
        await eventually(lambda: controller.board[KEY].phase is Phase.WAITING)
        await world.approve()
        await eventually(lambda: project.asked and controller.board[KEY].digest)
        assert project.applied == []
        waiting = await world.waiting()
        assert waiting is not None
        assert waiting.approval is None
    assert controller.board[KEY].phase is Phase.WAITING
    assert "sandbox.web: another cause." in world.text.getvalue()


async def test_failures_are_told_once_and_backed_off_until_the_files_change(world: World) -> None:
    controller = Controller(world.settings(interval=0.02), world.parts())
    project = world.projects[KEY]
    project.plan_problem = ValueError("the text of a fault may hold anything")
    async with running(controller):
        await eventually(lambda: controller.board[KEY].failures == 3)
        assert controller.board[KEY].phase is Phase.FAILED
        assert events(world).count("failed") == 1
        project.plan_problem = None
        world.source.id = "r2"
        await eventually(lambda: controller.board[KEY].phase is Phase.SYNCED)
        assert controller.board[KEY].failures == 0
    assert "may hold anything" not in world.text.getvalue()
    assert isinstance(world.bugs[0], ValueError)


async def test_an_apply_that_fails_is_tried_again_and_recovers(world: World) -> None:
    controller = Controller(world.settings(interval=0.02), world.parts())
    project = world.projects[KEY]
    project.problem = BROKEN
    async with running(controller):
        await eventually(lambda: controller.board[KEY].failures == 2)
        assert controller.board[KEY].diagnostics == (BROKEN,)
        project.problem = None
        await eventually(lambda: controller.board[KEY].phase is Phase.SYNCED)
    assert events(world)[-2:] == ["recovered", "applied"]


async def test_files_that_can_not_be_had_do_not_keep_from_healing(world: World) -> None:
    controller = Controller(world.settings(interval=0.02), world.parts())
    project = world.projects[KEY]
    async with running(controller):
        await eventually(lambda: len(project.applied) == 1)
        world.source.problem = error("source-unavailable", "The repository can't be read")
        await eventually(lambda: controller.board[KEY].source_problems)
        project.missing = (WEB,)
        await eventually(lambda: len(project.applied) == 2)
        assert (controller.board[KEY].phase, controller.board[KEY].failures) == (Phase.SYNCED, 0)
        world.source.problem = None
        await eventually(lambda: not controller.board[KEY].source_problems)
    assert events(world).count("failed") == 1
    assert events(world)[-1] == "recovered"


async def test_a_manifest_that_is_wrong_changes_nothing(world: World) -> None:
    settings = world.settings()
    world.load_problem = error("unknown-field", "There is no field")
    board = await Controller(settings, world.parts()).once()
    assert (board[KEY].phase, board[KEY].diagnostics[0].code) == (Phase.FAILED, "unknown-field")
    assert world.projects[KEY].plans == 0


async def test_of_two_controllers_one_leads_and_the_other_takes_over(world: World) -> None:
    settings = world.settings(interval=0.05)
    project = world.projects[KEY]
    first, second = (Controller(settings, world.parts(name)) for name in ("one@here", "two@there"))
    async with running(second):
        async with running(first):
            await eventually(lambda: {first.board[KEY].phase, second.board[KEY].phase} == {Phase.SYNCED, Phase.STANDBY})
            leading = first if first.board[KEY].phase is Phase.SYNCED else second
            standby = second if leading is first else first
            assert standby.board[KEY].leader.startswith("one@here" if leading is first else "two@there")
            assert len(project.applied) == 1
        await eventually(lambda: second.board[KEY].phase is Phase.SYNCED)
        project.missing = (WEB,)
        await eventually(lambda: len(project.applied) == 2)


async def test_who_lost_the_lease_stands_by(world: World) -> None:
    controller = Controller(world.settings(interval=0.02), world.parts())
    async with running(controller):
        await eventually(lambda: controller.board[KEY].phase is Phase.SYNCED)
        taken = world.projects[KEY].memory
        assert taken.lock is not None
        taken.lock = replace(taken.lock, holder="other@there", id="other")
        await eventually(lambda: controller.board[KEY].phase is Phase.STANDBY)
        assert "other@there" in controller.board[KEY].leader
        taken.lock = None


async def test_the_end_waits_for_what_is_in_flight_and_is_no_failure(world: World) -> None:
    controller = Controller(world.settings(), world.parts())
    project = world.projects[KEY]
    project.gate.clear()
    async with running(controller):
        await eventually(lambda: controller.board[KEY].phase is Phase.APPLYING)
    assert project.applied == []
    assert "failed" not in events(world)
    assert world.projects[KEY].memory.lock is None, "another one may lead now"


async def test_a_hundred_environments_go_their_ways_at_once_but_not_all_at_the_same_time(world: World) -> None:
    settings = replace(world.settings(*(f"e{number}" for number in range(100))), concurrency=7)
    at_once, most = 0, 0

    async def load(environment, revision):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        return world.projects[environment.key]

    board = await Controller(settings, replace(world.parts(), load=load)).once()
    assert {item.phase for item in board.all} == {Phase.SYNCED}
    assert all(len(project.applied) == 1 for project in world.projects.values())
    assert most == 7
    assert world.source.looks == 1, "their files are the same"
