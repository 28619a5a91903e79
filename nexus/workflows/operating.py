"""The use cases on live sandboxes: run code, list, read logs. They change no state, and need no valid manifest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from nexus import manifest
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.state import ResourceRecord, State
from nexus.model.suggestions import did_you_mean
from nexus.providers.base import Gone, ProviderError
from nexus.providers.failures import SANDBOX_NOT_FOUND
from nexus.providers.operating import Executed, Execution, LiveSandbox, LogEntry, Operator, Usage
from nexus.stores import local_backend
from nexus.workflows.outputs import read_state, sandbox_named

_LOOKS_LIKE_AN_ID: Final = re.compile(r"[a-z0-9]{15,}(-[a-z0-9]+)?")
_LOG_PAGE: Final = 1000
_AT_ONCE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command stands: in a project's environment, or (then all is empty) outside of any."""

    project: str = ""
    environment: str = ""
    provider_settings: Mapping[str, object] = field(default_factory=dict)
    state: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The sandbox that a person meant. ``user`` is the one that things run as in it; ``address`` "" for a stranger."""

    id: str
    address: str = ""
    user: str = "user"

    def __str__(self) -> str:
        return self.address or self.id


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
    key: Callable[[LiveSandbox], object]
    descending: bool = False


async def find_place(folder: Path, environment: str) -> Place:
    """The project at ``folder`` (or above it), as far as it can be read; none is no error."""
    try:
        root = manifest.find_project(folder).parent.resolve()
    except DiagnosticsError:
        return Place()
    state = await read_state(local_backend(root, environment))
    try:
        read = manifest.read(root)
    except DiagnosticsError:
        # A manifest that can't be read now must not keep anybody from looking at what it made.
        return Place(project=state.project, environment=environment, state=state)
    section = read.values.get("provider")
    return Place(
        project=read.project or state.project,
        environment=environment,
        provider_settings=section if isinstance(section, dict) else {},
        state=state,
    )


async def find_sandbox(place: Place, operator: Operator, text: str) -> Sandbox:
    """The sandbox that ``text`` means: a name, ``name[key]`` or an address of the project, or any id at E2B.

    Raises DiagnosticsError with the nearest name when there is none.
    """
    state = place.state or State(lineage="")
    record = sandbox_named(state, text)
    if record is not None:
        user = record.attributes.get("user")
        return Sandbox(id=record.id, address=str(record.address), user=user if isinstance(user, str) else "user")
    if _LOOKS_LIKE_AN_ID.fullmatch(text):
        try:
            live = await operator.look(text)
        except Gone as problem:
            raise DiagnosticsError(_not_found(place, text)) from problem
        except ProviderError as problem:
            raise DiagnosticsError(problem.diagnostic) from problem
        return Sandbox(id=live.id, address=live.address)
    raise DiagnosticsError(_not_found(place, text))


def _not_found(place: Place, text: str) -> Diagnostic:
    known = _sandboxes(place)
    instances = [name_of(address) for address in known if address.name == text.removeprefix("sandbox.")]
    if instances:
        hint = f"it has several instances: {', '.join(instances)}"
    elif place.state is None:
        hint = "outside of a project a sandbox is named by its id; «nexus list» shows them"
    else:
        names = [name_of(address) for address in known]
        hint = did_you_mean(text.removeprefix("sandbox."), names) or "«nexus list» shows what there is"
    detail = f"The state of {place.project}, environment {place.environment}, has none." if place.state else ""
    return error(SANDBOX_NOT_FOUND, f"There is no sandbox «{text}»", detail=detail, hint=hint)


def _sandboxes(place: Place) -> list[Address]:
    return [] if place.state is None else sorted(item for item in place.state.resources if item.kind == "sandbox")


def name_of(address: Address) -> str:
    """What a person calls a sandbox: ``web``, ``worker[0]``."""
    return address.name if address.key is None else f"{address.name}[{address.key}]"


async def execute(
    operator: Operator, sandbox: Sandbox, execution: Execution, on_output: Callable[[str, str], None]
) -> Executed:
    """Run code to its end. Being cancelled ends it in the sandbox too."""
    with _about(sandbox):
        return await operator.execute(sandbox.id, execution, on_output)


async def list_sandboxes(
    place: Place, operator: Operator, selection: Selection, *, everything: bool, with_usage: bool
) -> Listed:
    """The sandboxes of the project's environment; all of the account outside of one, or for ``everything``."""
    labels: dict[str, str] = {}
    if place.project and not everything:
        labels = {"nexus.project": place.project, "nexus.environment": place.environment}
    with _about(None):
        found = await operator.list(labels)
        chosen = sorted(
            (item for item in found if _matches(item, selection)),
            key=lambda item: (selection.key(item), item.id),  # type: ignore[arg-type,return-value]
            reverse=selection.descending,
        )[: selection.limit]
        usage = await _usage(operator, chosen) if with_usage else {}
    running = sum(item.status == "running" for item in found)
    return Listed(
        sandboxes=chosen, usage=usage, total=len(found), running=running, stopped=len(found) - running
    )


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


@dataclass(frozen=True, slots=True)
class Logs:
    """The newest ``entries``, the oldest first; the rest is about all that are kept."""

    entries: Sequence[LogEntry]
    total: int
    size: int
    oldest: datetime | None


async def read_logs(operator: Operator, sandbox: Sandbox, lines: int, level: str | None) -> Logs:
    """The last ``lines`` entries at or above ``level``, and how much there is of them."""
    with _about(sandbox):
        entries = await _all_logs(operator, sandbox, level)
    return Logs(
        entries=entries[-lines:],
        total=len(entries),
        size=sum(len(entry.message.encode()) + 1 for entry in entries),
        oldest=entries[0].time if entries else None,
    )


async def _all_logs(operator: Operator, sandbox: Sandbox, level: str | None) -> list[LogEntry]:
    first = await operator.logs(sandbox.id, limit=_LOG_PAGE, level=level)
    if len(first) < _LOG_PAGE:
        return list(first)
    from datetime import UTC

    news = _News(datetime.fromtimestamp(0, UTC))
    found: list[LogEntry] = []
    while page := news.of(await operator.logs(sandbox.id, limit=_LOG_PAGE, level=level, since=news.since)):
        found += page
    return found


async def follow_logs(
    operator: Operator,
    sandbox: Sandbox,
    level: str | None,
    shown: Sequence[LogEntry],
    started: datetime,
    pause: Callable[[], object],
) -> AsyncIterator[LogEntry]:
    """What is written after ``shown``, as it comes, until the sandbox is gone. ``pause`` is awaited between looks."""
    news = _News(shown[-1].time if shown else started - timedelta(seconds=1))
    news.of(shown)
    while True:
        try:
            with _about(sandbox):
                page = news.of(await operator.logs(sandbox.id, limit=_LOG_PAGE, level=level, since=news.since))
        except DiagnosticsError as problem:
            if problem.diagnostics[0].code == SANDBOX_NOT_FOUND:
                return
            raise
        for entry in page:
            yield entry
        if not page:
            await asyncio.sleep(1)


class _News:
    """Tells entries apart that were seen: a look from a moment on shows those of that moment again."""

    def __init__(self, since: datetime) -> None:
        self.since = since
        self._seen: set[tuple[datetime, str]] = set()

    def of(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        fresh = [entry for entry in entries if (entry.time, entry.message) not in self._seen]
        if entries:
            self.since = max(self.since, entries[-1].time)
        edge = self.since - timedelta(milliseconds=1)
        self._seen = {item for item in self._seen if item[0] >= edge}
        self._seen |= {(entry.time, entry.message) for entry in entries if entry.time >= edge}
        return fresh


@contextmanager
def _about(sandbox: Sandbox | None) -> Iterator[None]:
    """A provider's refusal as what is wrong, under the name that the person used."""
    try:
        yield
    except ProviderError as problem:
        named = problem.diagnostic
        if sandbox is not None and sandbox.address:
            detail = named.detail.replace(sandbox.id, sandbox.address)
            named = replace(named, address=sandbox.address, detail=detail)
        raise DiagnosticsError(named) from problem


def check_target(place: Place, kind: str) -> None:
    """Raises DiagnosticsError when the state's sandboxes live elsewhere than where we would look for them."""
    state = place.state
    if state is None or state.target is None or state.is_empty or state.target.kind == kind:
        return
    raise DiagnosticsError(
        error(
            "target-mismatch",
            "The state belongs to another target",
            detail=f"What it knows lives on {state.target}; this command would look at {kind}.",
            hint="choose the target with --local or NEXUS_TARGET, or another environment with -e",
        )
    )


def record_named(state: State, text: str) -> ResourceRecord | None:
    """See :func:`nexus.workflows.outputs.sandbox_named`."""
    return sandbox_named(state, text)
