"""Listing: filters, order and pages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from e2b import AsyncSandbox, Sandbox
from e2b.exceptions import SandboxException
from e2b.sandbox.sandbox_api import SandboxQuery, SandboxState
from hypothesis import given
from hypothesis import strategies as st

from nexus.local.control_plane.sandbox_requests import parse_metadata
from nexus.local.daemon import Endpoint
from nexus.local.errors import InvalidRequestError
from nexus.local.sandboxes.listing import SandboxQuery as Query
from nexus.local.sandboxes.listing import page_of
from nexus.local.sandboxes.model import Bootable, Lifecycle, NetworkSettings, SandboxRecord
from nexus.local.sandboxes.model import SandboxState as State
from tests.local.engine_client import rest, sdk

START = datetime(2026, 1, 1, tzinfo=UTC)


def record(name: str, second: int, state: State = State.RUNNING, **metadata: str) -> SandboxRecord:
    started = START + timedelta(seconds=second)
    return SandboxRecord(
        id=name,
        state=state,
        bootable=Bootable(template_id="t", build_id="b", alias=None, layers=(), cpu_count=1, memory_mb=128),
        started_at=started,
        end_at=started,
        timeout=1,
        metadata=metadata,
        network=NetworkSettings(),
        lifecycle=Lifecycle(),
        volume_mounts=(),
        layers=(),
    )


def walk(records: list[SandboxRecord], *, ascending: bool, limit: int) -> list[str]:
    token, seen = None, []
    while True:
        page = page_of(records, Query(ascending=ascending, limit=limit, next_token=token))
        seen += [item.id for item in page.records]
        token = page.next_token
        if token is None:
            return seen


def test_newest_come_first_and_ids_break_ties() -> None:
    records = [record("b", 1), record("a", 1), record("c", 2)]
    assert walk(records, ascending=False, limit=100) == ["c", "a", "b"]
    assert walk(records, ascending=True, limit=100) == ["b", "a", "c"]


@given(
    seconds=st.lists(st.integers(0, 3), max_size=12),
    limit=st.integers(1, 5),
    ascending=st.booleans(),
)
def test_pages_together_are_the_whole_list(seconds: list[int], limit: int, ascending: bool) -> None:
    records = [record(f"s{number:02}", second) for number, second in enumerate(seconds)]
    whole = walk(records, ascending=ascending, limit=100)
    assert sorted(whole) == sorted(item.id for item in records)
    assert walk(records, ascending=ascending, limit=limit) == whole


def test_page_goes_on_where_it_stopped_when_its_last_sandbox_is_gone() -> None:
    records = [record(name, second) for second, name in enumerate("abcd")]
    first = page_of(records, Query(limit=2))
    rest_of_it = page_of([item for item in records if item.id != "c"], Query(limit=2, next_token=first.next_token))
    assert [item.id for item in rest_of_it.records] == ["b", "a"]


def test_token_of_another_order_or_garbage_is_refused() -> None:
    records = [record(name, second) for second, name in enumerate("abc")]
    token = page_of(records, Query(limit=1)).next_token
    for query in (Query(ascending=True, next_token=token), Query(next_token="garbage"), Query(next_token="W10=")):
        with pytest.raises(InvalidRequestError, match="Invalid next token"):
            page_of(records, query)


def test_total_counts_running_matches_of_all_pages() -> None:
    records = [record("a", 1, k="v"), record("b", 2, k="v"), record("c", 3, State.PAUSED, k="v"), record("d", 4)]
    assert page_of(records, Query(metadata={"k": "v"}, limit=1)).total_running == 2
    assert page_of(records, Query(states=frozenset({State.PAUSED}))).total_running is None


def test_metadata_filter_is_decoded_once_more_than_a_query() -> None:
    assert parse_metadata("a%2520b=c%253Dd&k=v") == {"a b": "c=d", "k": "v"}
    assert parse_metadata("") == {}


@pytest.mark.engine
def test_a_hundred_and_twenty_sandboxes_come_in_two_pages(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)

    async def create_all() -> list[str]:
        made: list[str] = []
        for _ in range(6):
            batch = await asyncio.gather(*(AsyncSandbox.create(timeout=600, **options) for _ in range(20)))
            made += [sandbox.sandbox_id for sandbox in batch]
        return made

    made = asyncio.run(create_all())
    paginator = Sandbox.list(**options)
    first = paginator.next_items()
    assert len(first) == 100
    assert paginator.has_next
    second = paginator.next_items()
    assert not paginator.has_next
    listed = [item.sandbox_id for item in [*first, *second]]
    assert sorted(listed) == sorted(made)
    starts = [item.started_at for item in [*first, *second]]
    assert starts == sorted(starts, reverse=True)
    with rest(clean_engine) as client:
        assert client.get("/v2/sandboxes?limit=1").headers["X-Total-Running"] == "120"
        assert len(client.get("/sandboxes").json()) == 120


@pytest.mark.engine
def test_filters_reach_the_engine_as_the_sdk_sends_them(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    odd = Sandbox.create(metadata={"a b": "c=d&e", "ü/?": "100% ß"}, **options)
    plain = Sandbox.create(metadata={"a b": "other"}, **options)

    def found(**query: object) -> set[str]:
        return {item.sandbox_id for item in Sandbox.list(query=SandboxQuery(**query), **options).next_items()}  # type: ignore[arg-type]

    assert found(metadata={"a b": "c=d&e"}) == {odd.sandbox_id}
    assert found(metadata={"a b": "c=d&e", "ü/?": "100% ß"}) == {odd.sandbox_id}
    assert found(metadata={"a b": "c=d&e", "ü/?": "no"}) == set()
    plain.pause()
    assert found(state=[SandboxState.PAUSED]) == {plain.sandbox_id}
    assert found(state=[SandboxState.RUNNING]) == {odd.sandbox_id}
    assert found(template="no-such-template") == set()
    assert found(started_after=plain.get_info().started_at) == {plain.sandbox_id}
    with pytest.raises(SandboxException, match="without a tag"):
        found(template="base:v1")
