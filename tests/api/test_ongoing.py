"""Events of an apply under way, one after the other, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from nexus import Applied, ApplyFinished, Event, Plan
from nexus.api.ongoing import under_way
from nexus.model.state import Target
from nexus.workflows.applying import BindInterrupt

PLAN = Plan(project="p", environment="default", target=Target("local"), lineage="", base_serial=0)
APPLIED = Applied(plan=PLAN, approved=True)
EVENTS = [ApplyFinished(seconds=float(number)) for number in range(3)]


async def tells(tell: Callable[[Event], None], bind: BindInterrupt) -> Applied:
    for event in EVENTS:
        tell(event)
        await asyncio.sleep(0)
    return APPLIED


async def fails(tell: Callable[[Event], None], bind: BindInterrupt) -> Applied:
    tell(EVENTS[0])
    raise LookupError("it failed")


async def test_the_iteration_ends_with_the_run() -> None:
    async with under_way(tells) as ongoing:
        assert [event async for event in ongoing] == EVENTS
        assert [event async for event in ongoing] == []
        assert await ongoing.result() is APPLIED
    assert await ongoing.result() is APPLIED


async def test_a_block_that_reads_nothing_waits_for_the_end() -> None:
    async with under_way(tells) as ongoing:
        pass
    assert [event async for event in ongoing] == EVENTS


async def test_a_failure_is_raised_where_the_block_ends() -> None:
    with pytest.raises(LookupError, match="it failed"):
        async with under_way(fails) as ongoing:
            assert [event async for event in ongoing] == EVENTS[:1]


async def test_a_failure_that_was_told_is_not_raised_again() -> None:
    async with under_way(fails) as ongoing:
        with pytest.raises(LookupError):
            await ongoing.result()


async def test_what_is_raised_in_the_block_cancels_the_run_and_waits_for_its_end() -> None:
    ended = asyncio.Event()

    async def takes_for_ever(tell: Callable[[Event], None], bind: BindInterrupt) -> Applied:
        tell(EVENTS[0])
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()
        return APPLIED

    async def leaves_early() -> None:
        async with under_way(takes_for_ever) as ongoing:
            raise KeyError(await anext(ongoing))

    with pytest.raises(KeyError):
        await leaves_early()
    assert ended.is_set()


async def test_an_interrupt_reaches_the_run_even_before_it_can_be_interrupted() -> None:
    asked = 0

    def interrupted() -> None:
        nonlocal asked
        asked += 1

    async def binds(tell: Callable[[Event], None], bind: BindInterrupt) -> Applied:
        bind(interrupted)
        return APPLIED

    async with under_way(binds) as ongoing:
        ongoing.interrupt()
    ongoing.interrupt()
    assert asked == 2
