"""Which sandboxes a list request shows, in which order, and where its next page begins. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nexus.local.errors import InvalidRequestError
from nexus.local.sandboxes.model import SandboxRecord, SandboxState

MAX_PAGE = 100
LISTED_STATES = frozenset({SandboxState.RUNNING, SandboxState.PAUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxQuery:
    """What a list request asks for. ``of_template`` decides by template id; None takes every template."""

    states: frozenset[SandboxState] = LISTED_STATES
    metadata: Mapping[str, str] = field(default_factory=dict)
    of_template: Callable[[str], bool] | None = None
    started_after: datetime | None = None
    ascending: bool = False
    limit: int = MAX_PAGE
    next_token: str | None = None


@dataclass(frozen=True, slots=True)
class SandboxPage:
    """``total_running`` counts all running matches, whatever the page; None when running ones were not asked for."""

    records: Sequence[SandboxRecord]
    next_token: str | None
    total_running: int | None


def page_of(records: Iterable[SandboxRecord], query: SandboxQuery) -> SandboxPage:
    """Filter, order by start time (newest first unless ascending), and cut one page."""
    matching = [record for record in records if _matches(record, query)]
    ordered = _ordered(matching, ascending=query.ascending)
    if query.next_token is not None:
        ordered = _after(ordered, query.next_token, ascending=query.ascending)
    shown, rest = ordered[: query.limit], ordered[query.limit :]
    return SandboxPage(
        records=shown,
        next_token=_token(shown[-1], ascending=query.ascending) if rest and shown else None,
        total_running=(
            sum(record.state is SandboxState.RUNNING for record in matching)
            if SandboxState.RUNNING in query.states
            else None
        ),
    )


def _matches(record: SandboxRecord, query: SandboxQuery) -> bool:
    return (
        record.state in query.states
        and all(record.metadata.get(key) == value for key, value in query.metadata.items())
        and (query.of_template is None or query.of_template(record.bootable.template_id))
        and (query.started_after is None or record.started_at >= query.started_after)
    )


def _ordered(records: Iterable[SandboxRecord], *, ascending: bool) -> list[SandboxRecord]:
    """By (start time descending, id ascending); ascending is the exact reverse."""
    by_id = sorted(records, key=lambda record: record.id)
    newest_first = sorted(by_id, key=lambda record: record.started_at, reverse=True)
    return newest_first[::-1] if ascending else newest_first


def _after(ordered: list[SandboxRecord], token: str, *, ascending: bool) -> list[SandboxRecord]:
    """What follows the sandbox the token names, which may itself be gone by now."""
    started_at, sandbox_id = _parse_token(token, ascending=ascending)

    def follows(record: SandboxRecord) -> bool:
        earlier = (record.started_at, _Reversed(record.id)) < (started_at, _Reversed(sandbox_id))
        same = (record.started_at, record.id) == (started_at, sandbox_id)
        return not same and earlier is not ascending

    return [record for record in ordered if follows(record)]


@dataclass(frozen=True, slots=True)
class _Reversed:
    """An id that sorts backwards, so that one comparison serves both parts of the key."""

    value: str

    def __lt__(self, other: _Reversed) -> bool:
        return self.value > other.value


def _token(record: SandboxRecord, *, ascending: bool) -> str:
    cursor = ["asc" if ascending else "desc", record.started_at.isoformat(), record.id]
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()


def _parse_token(token: str, *, ascending: bool) -> tuple[datetime, str]:
    try:
        order, started_at, sandbox_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        if order != ("asc" if ascending else "desc"):
            raise ValueError("token of the other order")
        moment = datetime.fromisoformat(started_at)
        if moment.tzinfo is None or not isinstance(sandbox_id, str):
            raise ValueError("incomplete token")
    except (ValueError, TypeError, binascii.Error):
        raise InvalidRequestError("Invalid next token") from None
    return moment, sandbox_id
