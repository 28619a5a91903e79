"""What the start_command of a sandbox prints: a file in it, since no log of E2B's has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from nexus.kinds.readiness import START_LOG
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.output import Lines
from nexus.providers.e2b.sandbox.processes import PID_FILE
from nexus.providers.operating import StartOutput

_ROUND: Final = 60
"""Seconds that a look at the file goes on for, so that of one that nobody waits for any more nothing stays behind."""

_PATIENCE: Final = 10
"""Seconds for which a sandbox that does not answer is waited for: the rest of its log is to be shown all the same."""


async def read(inside: Inside, lines: int, shown: Callable[[str], str]) -> StartOutput | None:
    """See :meth:`nexus.providers.operating.Operator.start_output`. ``shown`` takes secrets out."""
    command = (
        f"[ -f {PID_FILE} ] || exit 0\n"
        f"stat -c '%Y %s' {START_LOG} && wc -l < {START_LOG} && tail -n {lines} {START_LOG}"
    )
    async with asyncio.timeout(_PATIENCE):
        told = await inside.check(command, user=ROOT, summary="The output of start_command could not be read")
    if not told:
        return None
    about, count, text = told.split("\n", 2)
    moment, size = map(int, about.split())
    return StartOutput(
        lines=shown(text).splitlines(),
        total=int(count),
        size=size,
        written_at=datetime.fromtimestamp(moment, UTC),
    )


async def follow(inside: Inside, skip: int, on_line: Callable[[int, str], None]) -> None:
    """See :meth:`nexus.providers.operating.Operator.follow_start_output`."""
    command = (
        f"skip={skip}; [ $(cat {START_LOG} 2>/dev/null | wc -l) -ge $skip ] || skip=0\n"
        f"echo $skip; timeout {_ROUND} tail -n +$((skip + 1)) -F {START_LOG}"
    )
    await inside.run(command, user=ROOT, cwd="/", output=_Numbered(on_line))


class _Numbered:
    """Takes the file's lines as they come, after a first one: how many of the file are before them."""

    def __init__(self, on_line: Callable[[int, str], None]) -> None:
        self._on_line = on_line
        self._number: int | None = None
        self._lines = Lines(self._emit)

    def _emit(self, line: str) -> None:
        if self._number is None:
            self._number = int(line)
            return
        self._number += 1
        self._on_line(self._number, line)

    def stdout(self, chunk: str) -> None:
        self._lines.feed(chunk)

    def stderr(self, chunk: str) -> None:
        if "truncated" in chunk:  # the command was started again
            self._number = 0
            self._lines = Lines(self._emit)

    def close(self) -> None:
        """A line whose end has not come is not handed on: the next look shows it whole."""
