"""What of a sandbox's log is shown: the user's, or all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from nexus.model.diagnostics import error
from nexus.providers.base import Certainty, ProviderError
from nexus.providers.failures import SANDBOX_NOT_FOUND
from nexus.providers.operating import LogEntry, Operator, StartOutput
from nexus.workflows.logs import Wanted, follow_logs, read_logs
from nexus.workflows.operating import Sandbox

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WEB = Sandbox(id="i1", address="sandbox.web")


def line(second: int, message: str, operation: str = "", own: bool | None = None, level: str = "info") -> LogEntry:
    time = NOON + timedelta(seconds=second)
    return LogEntry(time=time, level=level, message=message, operation=operation, own=own)


class Log:
    """An operator that has these lines, and more of them at each look; the sandbox is gone when there are no more.

    ``printed`` are the lines of its start_command, of which ``so_far`` were printed by noon and one second.
    """

    def __init__(self, *looks: Sequence[LogEntry], printed: Sequence[str] = (), so_far: int = 0) -> None:
        self._lines: list[LogEntry] = []
        self._coming = list(looks)
        self._printed, self._so_far = printed, so_far

    async def logs(self, sandbox_id: str, *, limit: int = 1000, since: datetime | None = None) -> Sequence[LogEntry]:
        await asyncio.sleep(0)
        self._lines += self._coming.pop(0) if self._coming else ()
        return [entry for entry in self._lines if since is None or entry.time >= since][:limit]

    async def start_output(self, sandbox_id: str, lines: int) -> StartOutput | None:
        past = self._printed[: self._so_far]
        if not past:
            return None
        written_at = NOON + timedelta(seconds=1)
        return StartOutput(lines=past[-lines:], total=len(past), size=len("".join(past)), written_at=written_at)

    async def follow_start_output(self, sandbox_id: str, skip: int, on_line: Callable[[int, str], None]) -> None:
        for number in range(skip, len(self._printed)):
            on_line(number + 1, self._printed[number])

    async def look(self, sandbox_id: str) -> Any:
        raise ProviderError(error(SANDBOX_NOT_FOUND, "It is gone"), Certainty.PERMANENT)


def operator(*looks: Sequence[LogEntry], printed: Sequence[str] = (), so_far: int = 0) -> Operator:
    return cast(Operator, Log(*looks, printed=printed, so_far=so_far))


LINES = (
    line(0, "Sandbox created"),
    line(1, "Start (server stream start)", "1", level="debug"),
    line(2, "own started", "1", own=True),
    line(3, "user's started", "2", own=False),
    line(4, "own: a warning", "1", level="warn"),
    line(5, "user's: a warning", "2", level="warn"),
    line(6, "own ended", "1"),
    line(7, "user's ended", "2"),
)
USERS = ["Sandbox created", "user's started", "user's: a warning", "user's ended"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), USERS),
        (Wanted(own=True), [entry.message for entry in LINES]),
        (Wanted(level="warn"), ["user's: a warning"]),
        (Wanted(level="warn", own=True), ["own: a warning", "user's: a warning"]),
    ],
)
async def test_lines_of_an_operation_are_shown_or_not_by_the_one_that_tells_whose_it_is(
    wanted: Wanted, expected: list[str]
) -> None:
    logs = await read_logs(operator(LINES), WEB, 100, wanted)
    assert [entry.message for entry in logs.entries] == expected
    assert logs.total == len(expected)


async def test_the_last_lines_are_counted_without_what_is_left_out() -> None:
    logs = await read_logs(operator(LINES), WEB, 2, Wanted())
    assert [entry.message for entry in logs.entries] == USERS[-2:]


async def test_an_operation_that_is_counted_anew_is_another() -> None:
    again = (line(8, "another's started", "1", own=False), line(9, "another's output", "1"))
    logs = await read_logs(operator((*LINES, *again)), WEB, 100, Wanted())
    assert [entry.message for entry in logs.entries] == [*USERS, "another's started", "another's output"]


async def test_who_follows_is_not_shown_what_goes_on_of_nexus_own_work() -> None:
    log = operator(LINES[:4], LINES[4:6], LINES[6:])
    assert [entry.message async for entry in follow_logs(log, WEB, 1, Wanted())] == USERS[1:]


async def test_who_follows_from_now_on_is_shown_nothing_of_before() -> None:
    log = operator(LINES[:4], LINES[4:])
    assert [entry.message async for entry in follow_logs(log, WEB, 0, Wanted())] == USERS[2:]


async def test_what_start_command_printed_stands_where_it_printed_last() -> None:
    log = operator(LINES, printed=["listening", "GET /", "GET /later"], so_far=2)
    logs = await read_logs(log, WEB, 100, Wanted())
    assert [entry.message for entry in logs.entries] == [USERS[0], "listening", "GET /", *USERS[1:]]
    assert logs.total == len(USERS) + 2
    assert [entry.message for entry in (await read_logs(log, WEB, 100, Wanted(level="warn"))).entries] == [USERS[2]]


async def test_who_follows_is_shown_what_start_command_prints_from_then_on_once() -> None:
    log = operator(LINES[:4], LINES[4:], printed=["listening", "GET /", "GET /later"], so_far=2)
    shown = [entry.message async for entry in follow_logs(log, WEB, 1, Wanted())]
    assert shown[0] == USERS[1]
    assert sorted(shown[1:]) == sorted(["GET /later", *USERS[2:]])


async def test_a_sandbox_that_does_not_answer_shows_what_is_kept_of_it() -> None:
    class Stuck(Log):
        async def start_output(self, sandbox_id: str, lines: int) -> StartOutput | None:
            raise ProviderError(error("unavailable", "It does not answer"), Certainty.UNKNOWN)

    logs = await read_logs(cast(Operator, Stuck(LINES)), WEB, 100, Wanted())
    assert [entry.message for entry in logs.entries] == USERS
