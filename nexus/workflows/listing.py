"""The use case `list`: which live sandboxes there are, and what they use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from nexus.providers.base import Gone, ProviderError
from nexus.providers.operating import LiveSandbox, Operator, Usage
from nexus.workflows.operating import Place, about, as_known

_AT_ONCE: Final = 10
_PATIENCE: Final = 5.0
"""Seconds for one sandbox to answer."""


class SortBy(StrEnum):
    CREATED_AT = "created_at"
    EXPIRES_AT = "expires_at"
    NAME = "name"
    TEMPLATE = "template"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """``sandboxes`` is what was asked for; the counts are of all that there are, whatever was left out.

    ``usage`` and ``last_executions`` are by id, of those that run and answered.
    """

    sandboxes: Sequence[LiveSandbox]
    usage: Mapping[str, Usage]
    last_executions: Mapping[str, datetime]
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
        found = as_known(place, await operator.list(labels))
        chosen = sorted(
            (item for item in found if _matches(item, selection)),
            key=lambda item: (_rank(item, selection.sort_by), item.id),
            reverse=selection.descending,
        )[: selection.limit]
        looked_at = [item.id for item in chosen if item.status == "running"] if with_usage else []
        usage, last_executions = await asyncio.gather(
            operator.measure(looked_at), _last_executions(operator, looked_at)
        )
    running = sum(item.status == "running" for item in found)
    return Listed(
        sandboxes=chosen,
        usage=usage,
        last_executions=last_executions,
        total=len(found),
        running=running,
        stopped=len(found) - running,
    )


def _matches(item: LiveSandbox, selection: Selection) -> bool:
    wanted = selection.template
    names = {item.template, item.template.removeprefix("nexus-"), item.template.rpartition("--")[2]}
    return selection.status in (None, item.status) and (wanted is None or wanted in names)


async def _last_executions(operator: Operator, sandbox_ids: Sequence[str]) -> Mapping[str, datetime]:
    """Of those that answer: one that ended meanwhile, or hangs, does not keep the others from being listed."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def last(sandbox_id: str) -> tuple[str, datetime | None]:
        async with slots:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return sandbox_id, await operator.last_execution(sandbox_id)
            except (Gone, ProviderError, TimeoutError):
                return sandbox_id, None

    found = await asyncio.gather(*(last(sandbox_id) for sandbox_id in sandbox_ids))
    return {sandbox_id: time for sandbox_id, time in found if time is not None}


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
