"""Live sandboxes without a project: what is in an account."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from nexus.api.live import Grounds
from nexus.api.sandboxes import AsyncSandboxHandle
from nexus.wiring import choose_target
from nexus.workflows import listing, status
from nexus.workflows.listing import Listed, Selection, SortBy
from nexus.workflows.status import Load

Target = Literal["local", "e2b"]
SandboxStatus = Literal["running", "paused"]


def process_for(target: Target | None) -> Mapping[str, str]:
    """The process environment, with the target that a program asks for. Raises NexusError when there is no such one."""
    process = dict(os.environ)
    if target is not None:
        process["NEXUS_TARGET"] = target
        choose_target(process, {})
    return process


class AsyncLive:
    """What a project and an account have in common: the live sandboxes in them."""

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds

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


class AsyncAccount(AsyncLive):
    """The live sandboxes of an account, whichever project made them, and those that none did.

    ``target`` is ``local`` or ``e2b``; if not said, it is chosen from the process environment.
    """

    def __init__(self, *, target: Target | None = None) -> None:
        super().__init__(Grounds(process=process_for(target)))
