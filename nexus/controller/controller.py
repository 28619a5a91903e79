"""The controller itself: watches, keepers, those who listen, and the window, from their start to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nexus.controller.faults import OnBug
from nexus.controller.keeping import Keeper, OpenApprovals, Surroundings
from nexus.controller.logs import Log
from nexus.controller.metrics import Metrics
from nexus.controller.projects import Load, Managed
from nexus.controller.settings import Key, ProjectSettings, Settings
from nexus.controller.sources import Source
from nexus.controller.status import Board, tell_all
from nexus.controller.traces import Traces
from nexus.controller.watching import Watch
from nexus.controller.web import Serving, Window, make_app
from nexus.controller.webhooks import Webhook
from nexus.model.events import Event
from nexus.stores import LockInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the outside gives a controller: files, projects, approvals, those who listen, and what a lease says."""

    source: Callable[[ProjectSettings], Source]
    load: Load
    approvals: OpenApprovals
    log: Log
    on_bug: OnBug
    traces: Traces
    holder: Callable[[str], LockInfo]


class Controller:
    """Keeps every environment of ``settings`` until it is asked to :meth:`stop`."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._settings = settings
        self._log = parts.log
        self._on_bug = parts.on_bug
        self.board = Board(settings.environments)
        self._metrics = Metrics(self.board)
        self._webhooks = [Webhook(item, self._delivered) for item in settings.webhooks]
        around = Surroundings(
            load=parts.load,
            board=self.board,
            approvals=parts.approvals,
            tell=tell_all([self._log.notice, self._metrics.notice, *(hook.tell for hook in self._webhooks)]),
            on_event=self._event,
            on_bug=parts.on_bug,
            turns=asyncio.Semaphore(settings.concurrency),
            traces=parts.traces,
            holder=parts.holder,
        )
        self._watches: list[Watch] = []
        self._keepers: dict[Key, Keeper] = {}
        for project in settings.projects:
            watch = Watch(parts.source(project), project.interval, self._looked(project.name), parts.on_bug)
            self._watches.append(watch)
            for environment in project.environments:
                self._keepers[environment.key] = Keeper(environment, watch, around)
        self._serving = self._window()
        self._background: list[asyncio.Task[None]] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._is_stopping = False

    @property
    def port(self) -> int | None:
        """Where the window is; None where there is none."""
        return None if self._serving is None else self._serving.port

    async def run(self) -> None:
        """Keep everything, until :meth:`stop`."""
        if self._serving is not None:
            self._log.line("listening", host=self._settings.host, port=self._serving.port)
        async with self._attended([*(watch.keep() for watch in self._watches)]):
            self._keeping = [asyncio.create_task(keeper.keep()) for keeper in self._keepers.values()]
            try:
                ends = await asyncio.gather(*self._keeping, return_exceptions=True)
            finally:
                for task in self._keeping:
                    task.cancel()
                await asyncio.gather(*self._keeping, return_exceptions=True)
        for problem in ends:
            if isinstance(problem, Exception):
                self._on_bug(problem)
        self._log.line("stopped")

    async def once(self) -> Board:
        """Look at everything once, do what is to be done, and end."""
        async with self._attended([]):
            await asyncio.gather(*(watch.look() for watch in self._watches))
            await asyncio.gather(*(keeper.turn() for keeper in self._keepers.values()))
            await asyncio.gather(*(keeper.retire() for keeper in self._keepers.values()))
        return self.board

    def stop(self) -> None:
        """Begin nothing new, and end. What is in flight is finished; asked again, that is given up too."""
        self._log.line("stopping at once" if self._is_stopping else "stopping")
        for keeper, task in zip(self._keepers.values(), self._keeping, strict=False):
            keeper.stop()
            if self._is_stopping and not keeper.is_applying:
                task.cancel()
        self._is_stopping = True

    def _window(self) -> Serving | None:
        if not self._settings.host:
            return None
        window = Window(self.board, self._project, self._metrics.text, self._is_alive)
        return Serving(make_app(window, self._settings.host), self._settings.host, self._settings.port)

    @asynccontextmanager
    async def _attended(self, watching: list[Coroutine[None, None, None]]) -> AsyncIterator[None]:
        """The window and the webhooks work in here, and what is ``watching``; at the end webhooks get a moment."""
        serving = [] if self._serving is None else [self._serving.serve()]
        work = [*watching, *serving, *(hook.deliver() for hook in self._webhooks)]
        self._background = [asyncio.create_task(item) for item in work]
        try:
            yield
            for hook, left in zip(
                self._webhooks, await asyncio.gather(*(hook.finish() for hook in self._webhooks)), strict=True
            ):
                if left:
                    self._log.line("webhooks were not delivered", receiver=hook.name, count=left)
        finally:
            for task in self._background:
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)

    def _is_alive(self) -> bool:
        return not any(task.done() for task in (*self._background, *self._keeping))

    def _project(self, key: Key) -> Managed | None:
        return self._keepers[key].project

    def _event(self, key: Key, event: Event) -> None:
        self._metrics.event(key, event)
        self._log.event(key, event)

    def _looked(self, project: str) -> Callable[[bool], None]:
        return lambda succeeded: self._metrics.looked(project, succeeded)

    def _delivered(self, receiver: str, succeeded: bool) -> None:
        self._metrics.delivered(succeeded)
        if not succeeded:
            self._log.line("a webhook was not delivered", receiver=receiver)
