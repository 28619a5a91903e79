"""The use case `list`: which live sandboxes there are, and what they use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from nexus.providers.base import Gone
from nexus.providers.operating import LiveSandbox, Operator, Usage
from nexus.workflows.operating import Place, about

_AT_ONCE: Final = 10


class SortBy(StrEnum):
    CREATED_AT = "created_at"
    EXPIRES_AT = "expires_at"
    NAME = "name"
    TEMPLATE = "template"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """``sandboxes`` is what was asked for; the counts are of all that there are, whatever was left out."""

    sandboxes: Sequence[LiveSandbox]
    usage: Mapping[str, Usage]
    total: int
    running: int
    stopped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which sandboxes to list, and in which order. ``limit`` None lists all."""

    status: str | None = None
    template: str | None = None
    limit: int | None = None
    sort_by: SortBy = SortBy.CREATED_AT
    descending: bool = False


async def list_sandboxes(
    place: Place, operator: Operator, selection: Selection, *, everything: bool, with_usage: bool
) -> Listed:
    """The sandboxes of the project's environment; all of the account outside of one, or for ``everything``."""
    labels: dict[str, str] = {}
    if place.project and not everything:
        labels = {"nexus.project": place.project, "nexus.environment": place.environment}
    with about(None):
        found = await operator.list(labels)
        chosen = sorted(
            (item for item in found if _matches(item, selection)),
            key=lambda item: (_rank(item, selection.sort_by), item.id),
            reverse=selection.descending,
        )[: selection.limit]
        usage = await _usage(operator, chosen) if with_usage else {}
    running = sum(item.status == "running" for item in found)
    return Listed(sandboxes=chosen, usage=usage, total=len(found), running=running, stopped=len(found) - running)


def _matches(item: LiveSandbox, selection: Selection) -> bool:
    wanted = selection.template
    names = {item.template, item.template.removeprefix("nexus-"), item.template.rpartition("--")[2]}
    return selection.status in (None, item.status) and (wanted is None or wanted in names)


async def _usage(operator: Operator, sandboxes: Sequence[LiveSandbox]) -> Mapping[str, Usage]:
    """The newest measurement of each that runs. One that ended meanwhile has none."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def newest(item: LiveSandbox) -> tuple[str, Sequence[Usage]]:
        async with slots:
            try:
                return item.id, await operator.usage(item.id)
            except Gone:
                return item.id, ()

    found = await asyncio.gather(*(newest(item) for item in sandboxes if item.status == "running"))
    return {sandbox_id: measured[-1] for sandbox_id, measured in found if measured}


def _rank(item: LiveSandbox, by: SortBy) -> tuple[float, str]:
    match by:
        case SortBy.CREATED_AT:
            return item.started_at.timestamp(), ""
        case SortBy.EXPIRES_AT:
            return item.expires_at.timestamp(), ""
        case SortBy.NAME:
            return 0, item.address or item.id
        case SortBy.TEMPLATE:
            return 0, item.template
        case SortBy.STATUS:
            return 0, item.status
        case _:
            assert_never(by)
