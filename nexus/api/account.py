"""Live sandboxes, of a project or of a whole account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Literal, Self

from nexus.api.events import OnEvent, ignore
from nexus.api.given import process_or_own
from nexus.api.live import Grounds, Target, Whereabouts
from nexus.api.sandboxes import AsyncSandboxHandle
from nexus.providers.operating import LiveSandbox
from nexus.stores import memory_backend
from nexus.wiring import open_session
from nexus.workflows import creating, lifetimes, listing, status
from nexus.workflows.creating import Created
from nexus.workflows.lifetimes import Deletion
from nexus.workflows.listing import Listed, Selection, SortBy
from nexus.workflows.operating import DEFAULT_TIMEOUT
from nexus.workflows.status import Load

SandboxStatus = Literal["running", "paused"]

DEFAULT_LIFETIME: Final = DEFAULT_TIMEOUT
"""Seconds that a sandbox lives if nothing else is said."""


class AsyncLive:
    """What a project, a folder and an account have in common: the live sandboxes in them.

    As an asynchronous context, it lets all commands in the block share one connection; without, each opens its own.
    """

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds

    async def __aenter__(self) -> Self:
        await self._grounds.hold()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._grounds.release()

    async def where(self) -> Whereabouts:
        """Which target it is, and what decided that. Asks nothing of it."""
        return await self._grounds.where()

    async def identity(self) -> str:
        """The account at the target, in words. Raises NexusError when the target can't be used."""
        async with self._grounds.open() as ground:
            return str(await ground.connected.identity())

    def sandbox(self, name: str) -> AsyncSandboxHandle:
        """The sandbox that ``name`` means: its name, ``name[key]``, its address, or any id at E2B.

        Nothing is asked until the handle is used, and then anew for each command: it stays good when an apply replaces
        the sandbox.
        """
        return AsyncSandboxHandle(self._grounds, name)

    async def list(
        self,
        *,
        status: SandboxStatus | None = None,
        template: str | None = None,
        limit: int | None = None,
        sort_by: SortBy | str = "created_at",
        descending: bool = True,
        everything: bool = False,
        with_usage: bool = False,
    ) -> Listed:
        """The live sandboxes; of a project those of its environment, unless ``everything`` asks for the account's.

        ``sort_by`` is created_at, expires_at, name, template or status. ``with_usage`` measures those that run.
        """
        selection = Selection(
            status=status, template=template, limit=limit, sort_by=SortBy(sort_by), descending=descending
        )
        async with self._grounds.open() as ground:
            return await listing.list_sandboxes(
                ground.place, ground.operator, selection, everything=everything, with_usage=with_usage
            )

    async def usage(self, *, everything: bool = False) -> Load:
        """What all of them use right now, the busiest first."""
        async with self._grounds.open() as ground:
            return await status.load_of(ground.place, ground.operator, everything=everything)

    async def create(
        self,
        template: str = "base",
        *,
        name: str = "",
        lifetime: int = DEFAULT_LIFETIME,
        env_vars: Mapping[str, str] | None = None,
        install: Sequence[str] = (),
        startup_script: str = "",
        metadata: Mapping[str, str] | None = None,
        on_event: OnEvent | None = None,
    ) -> Created:
        """Make a sandbox at once, which no project knows of. It lives for ``lifetime`` seconds.

        ``template`` is one of the catalogue, built on first use, or of the account. The values of ``env_vars`` are
        secrets. Packages are written as in a manifest: ``httpx``, ``apt:jq``. What fails leaves nothing behind. The
        answer says how a project takes it over.
        """
        wish = creating.Wish(
            template=template,
            name=name,
            timeout=lifetime,
            env_vars=dict(env_vars or {}),
            install_packages=install,
            startup_script=startup_script,
            metadata=dict(metadata or {}),
        )
        async with self._grounds.open() as ground:
            process = self._grounds.process
            project = creating.project_of(wish, process)
            target: Target = "local" if ground.place.target == "local" else "e2b"
            async with open_session(project, process, memory_backend(), target=target) as session:
                return await creating.create_sandbox(project, session, ground.operator, on_event or ignore)

    async def find(self, *names: str) -> Sequence[LiveSandbox]:
        """These sandboxes as they are now, each once; without names, every one of the project's environment.

        Outside of a project, that is every one of the account. Raises NexusError if one of the names means none.
        """
        async with self._grounds.open() as ground:
            if not names:
                return await lifetimes.find_all(ground.place, ground.operator)
            meant = [await ground.find(name) for name in names]
            return await lifetimes.find_each(ground.operator, meant)

    async def delete(self, sandboxes: Sequence[LiveSandbox]) -> Deletion:
        """Remove sandboxes that :meth:`find` has found, for good. A failure of one does not keep the others."""
        async with self._grounds.open() as ground:
            return await lifetimes.delete(ground.operator, sandboxes)


class AsyncAccount(AsyncLive):
    """The live sandboxes of an account, whichever project made them, and those that none did.

    ``target`` is ``local`` or ``e2b``; if not said, it is chosen from the process environment, for which ``process``
    may stand.
    """

    def __init__(self, *, target: Target | None = None, process: Mapping[str, str] | None = None) -> None:
        super().__init__(Grounds(process=process_or_own(process), target=target))
