"""Keeps one environment as it is written: look, plan, do what the policy says, rest; and again.

The only place where the controller acts. What to change, and how, is the project's own to say: ``nexus.api``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, assert_never

from nexus import ApplyError, StalePlanError
from nexus.controller.approvals import Approvals, Waiting
from nexus.controller.deciding import Step, decide
from nexus.controller.faults import OnBug, bug
from nexus.controller.leadership import LEASE, Leadership
from nexus.controller.ledger import Ledger
from nexus.controller.projects import Applying, Load, Managed
from nexus.controller.schedule import Schedule
from nexus.controller.settings import EnvironmentSettings, Key, Policy
from nexus.controller.sources import Revision
from nexus.controller.status import Board, Phase, Standing, Tell
from nexus.controller.traces import Traces
from nexus.controller.watching import Watch
from nexus.model.changes import Plan
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.events import Event
from nexus.providers.base import ProviderError
from nexus.stores import LockInfo

STANDBY_PAUSE: Final = 5.0
"""Seconds after which one that does not lead tries again to, at the latest."""

LOCK_PATIENCE: Final = 10.0
"""Seconds that an apply waits for a person's run to end; after that it is tried again later."""

OpenApprovals = Callable[[Key, Managed], Approvals]
"""Where plans of an environment wait, as its files are now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all keepers share. ``turns`` bounds how many of them work at once; ``on_bug`` hears of our own faults."""

    load: Load
    board: Board
    approvals: OpenApprovals
    tell: Tell
    on_event: Callable[[Key, Event], None]
    on_bug: OnBug
    holder: Callable[[str], LockInfo]
    turns: asyncio.Semaphore
    traces: Traces = field(default_factory=Traces)
    chance: Callable[[], float] = random.random


class Keeper:
    """One environment. ``project`` is None until its files could be read."""

    def __init__(self, environment: EnvironmentSettings, watch: Watch, around: Surroundings) -> None:
        self.environment = environment
        self.key = environment.key
        self.project: Managed | None = None
        self._watch = watch
        self._around = around
        self._ledger = Ledger(environment.key, around.board, around.tell)
        self._schedule = Schedule(environment.interval)
        self._woken = asyncio.Event()
        self._loaded = ""
        self._leadership: Leadership | None = None
        self._is_leading = False
        self._stopping = False
        self._ongoing: Applying | None = None
        watch.on_change(self._woken.set)

    async def keep(self) -> None:
        """Until :meth:`stop`. Gives up the lease at the end."""
        try:
            while not self._stopping:
                self._woken.clear()
                await self.turn()
                await self._rest()
        finally:
            await self.retire()

    async def retire(self) -> None:
        """Let another controller lead. A lease that can't be given back ends by itself."""
        self._is_leading = False
        if self._leadership is not None:
            with suppress(DiagnosticsError):
                await self._leadership.give_up()

    @property
    def is_applying(self) -> bool:
        return self._ongoing is not None

    async def turn(self) -> Standing:
        """One look, and what comes of it. Whatever goes wrong is in the standing, and not raised."""
        async with self._around.turns:
            try:
                if not self._stopping:
                    await self._reconcile()
            except DiagnosticsError as problem:
                self._ledger.failed(problem.diagnostics)
            except ProviderError as problem:
                self._ledger.failed((problem.diagnostic,))
            except Exception as problem:
                self._around.on_bug(problem)
                self._ledger.failed((bug(problem),))
        return self._ledger.standing

    def stop(self) -> None:
        """Begin nothing new. An apply finishes what is in flight; asked again, it gives that up."""
        self._stopping = True
        self._woken.set()
        if self._ongoing is not None:
            self._ongoing.interrupt()

    # ---- one turn

    async def _reconcile(self) -> None:
        seen = self._watch.seen
        if seen.revision is None:
            if seen.problems:  # otherwise the first look at the source is under way, and wakes us
                self._ledger.failed(seen.problems)
            return
        revision = seen.revision
        if revision.is_settling:
            return  # the next look wakes us
        self._ledger.files(revision)
        project = await self._project(revision)
        if not await self._leads():
            return
        self._ledger.keeps(revision, seen.problems)
        with self._around.traces.span("nexus.reconcile", self.key, revision=revision.id):
            plan = await self._observe(project)
            await self._act(project, plan, revision.id)

    async def _project(self, revision: Revision) -> Managed:
        """Loaded once for each revision. Another one may keep its state elsewhere, so it is led anew."""
        if self.project is None or self._loaded != revision.id:
            with self._around.traces.span("nexus.load", self.key, revision=revision.id):
                self.project = await self._around.load(self.environment, revision)
            self._loaded = revision.id
            if self._leadership is not None:
                await self._leadership.give_up()
            self._leadership = Leadership(self.project.lock_beside(LEASE), self._around.holder)
        return self.project

    async def _leads(self) -> bool:
        """Whether this controller leads the environment; whoever does not changes nothing, and tells nothing."""
        assert self._leadership is not None
        led, self._is_leading = self._is_leading, await self._leadership.hold()
        if not self._is_leading:
            self._ledger.stands_by(self._leadership.leader)
        elif not led:
            self._ledger.leads()
            if self.environment.policy is not Policy.APPROVE:
                await self._approvals().clear()  # a plan that waited under another policy waits for nobody now
        return self._is_leading

    async def _observe(self, project: Managed) -> Plan:
        """What differs, and what would be done about it. How it came about is asked only where something differs."""
        deep = self.environment.deep
        with self._around.traces.span("nexus.plan", self.key):
            plan = await project.plan(deep=deep)
        self._ledger.planned(plan)
        if not plan.is_empty and plan.base_serial > 0:
            with self._around.traces.span("nexus.drift", self.key):
                self._ledger.drifted(await project.drift(deep=deep))
        return plan

    async def _act(self, project: Managed, plan: Plan, revision: str) -> None:
        standing = self._ledger.standing
        waiting = await self._let_wait(plan)
        approval = None if waiting is None else waiting.approval
        match decide(standing.policy, plan, settled=standing.applied == revision, approved=approval is not None):
            case Step.REST:
                self._ledger.in_sync()
            case Step.REFUSE:
                self._ledger.failed(plan.diagnostics)
            case Step.REPORT:
                self._ledger.differs(plan)
            case Step.WAIT:
                assert waiting is not None
                self._ledger.waits(waiting.plan, waiting.short)
            case Step.APPLY:
                await self._apply(project, None, revision)
            case Step.APPLY_APPROVED:
                assert waiting is not None
                assert approval is not None
                self._ledger.approved(approval, waiting.short)
                await self._apply_approved(project, waiting.plan, revision)
            case step:
                assert_never(step)

    def _approvals(self) -> Approvals:
        """Opened for each use: a hundred environments should not hold a connection each for a plan that may wait."""
        assert self.project is not None
        return self._around.approvals(self.key, self.project)

    async def _let_wait(self, plan: Plan) -> Waiting | None:
        if self.environment.policy is not Policy.APPROVE:
            return None
        if plan.is_empty or plan.is_denied:
            await self._approvals().clear()
            return None
        return await self._approvals().put(plan)

    async def _apply_approved(self, project: Managed, plan: Plan, revision: str) -> None:
        """Whatever comes of it, the approval is used up."""
        try:
            await self._apply(project, plan, revision)
        except StalePlanError as stale:
            self._ledger.refused(stale.differences)
            self._woken.set()  # so that what is right by now waits at once
        finally:
            await self._approvals().clear()

    async def _apply(self, project: Managed, plan: Plan | None, revision: str) -> None:
        """``plan`` None applies what is planned under the lock."""
        self._ledger.applies()
        begun = time.monotonic()
        deep = plan is None and self.environment.deep
        try:
            with self._around.traces.applying(self.key) as trace:
                async with project.applying(plan, deep=deep, lock_timeout=LOCK_PATIENCE) as ongoing:
                    self._ongoing = ongoing
                    if self._stopping:
                        ongoing.interrupt()
                    async for event in ongoing:
                        trace(event)
                        self._around.on_event(self.key, event)
                    applied = await ongoing.result()
        except ApplyError as problem:
            if not self._stopping:  # if so, it was interrupted: what was done is on record, and the next one goes on
                self._ledger.failed(problem.diagnostics, time.monotonic() - begun)
            return
        finally:
            self._ongoing = None
        self._ledger.applied(applied.plan, revision, time.monotonic() - begun)

    # ---- rest

    async def _rest(self) -> None:
        """Until it is time, something has changed, or an approval came."""
        standing = self._ledger.standing
        pause = self._schedule.pause(standing.failures, self._around.chance())
        if standing.phase is Phase.STANDBY:
            pause = min(pause, STANDBY_PAUSE)
        self._ledger.rests(pause)
        loop = asyncio.get_running_loop()
        until = loop.time() + pause
        waits = self._approvals() if standing.phase is Phase.WAITING else None
        while not self._woken.is_set() and (left := until - loop.time()) > 0 and not await _is_given(waits):
            with suppress(TimeoutError):
                async with asyncio.timeout(left if waits is None else min(left, waits.glance)):
                    await self._woken.wait()


async def _is_given(approvals: Approvals | None) -> bool:
    """Whether the plan that waits is approved. Where that can't be told just now, the next glance may tell."""
    if approvals is None:
        return False
    try:
        waiting = await approvals.get()
    except DiagnosticsError:
        return False
    return waiting is not None and waiting.approval is not None
