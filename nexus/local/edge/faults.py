"""Failures on purpose in front of machines: what the script says of one request to a sandbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from nexus.local.edge.addressing import Target
from nexus.local.edge.answers import Answer
from nexus.local.faults.endings import Ending, ending
from nexus.local.faults.model import Action, FaultScript, Surface


@dataclass(frozen=True, slots=True)
class Strike:
    """What becomes of one request: an answer instead of it, a connection reset before it, or its answer lost."""

    answer: Answer | None = None
    reset: bool = False
    lose_answer: bool = False


_NOTHING = Strike()


class EdgeFaults:
    """Asks the script about each request that means a sandbox."""

    def __init__(self, script: FaultScript, end: Ending) -> None:
        self._script = script
        self._end = end

    @contextlib.asynccontextmanager
    async def around(self, method: str, url: str, target: Target) -> AsyncIterator[Strike]:
        """Waits where a rule says so, and ends the sandbox where one says that, before or during the block."""
        rule = self._script.strike(Surface.SANDBOX, method, unquote(urlsplit(url).path), target.port)
        if rule is None:
            yield _NOTHING
            return
        match rule.action:
            case Action.STATUS:
                await asyncio.sleep(rule.seconds)
                yield Strike(answer=Answer(rule.status, rule.body, headers=rule.headers))
            case Action.RESET:
                await asyncio.sleep(rule.seconds)
                yield Strike(reset=True)
            case Action.DELAY:
                await asyncio.sleep(rule.seconds)
                yield _NOTHING
            case Action.DROP:
                yield Strike(lose_answer=True)
                await asyncio.sleep(rule.seconds)
            case Action.VANISH | Action.EXPIRE:
                async with ending(rule, target.sandbox_id, self._end):
                    yield _NOTHING
