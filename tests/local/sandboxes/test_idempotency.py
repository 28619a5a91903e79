"""Idempotency keys: lost answers, repeated requests, and the end of the daemon in between."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from e2b import Sandbox

from nexus.local.daemon import Endpoint
from nexus.local.errors import BusyError, ConflictError, InvalidRequestError
from nexus.local.sandboxes.idempotency import LIFETIME, IdempotencyLedger
from tests.local.engine_client import advance, faults, rest, sdk
from tests.local.fakes.clock import ManualClock
from tests.local.fakes.threads import HeldThreads


@pytest.fixture
def ledger(tmp_path: Path) -> IdempotencyLedger:
    made = IdempotencyLedger(tmp_path / "keys", ManualClock())
    made.open()
    return made


async def test_finished_claim_is_replayed_also_by_the_next_daemon(ledger: IdempotencyLedger, tmp_path: Path) -> None:
    claim = await ledger.claim("key-1", "print", "isandbox")
    await ledger.finish(claim, 201, {"sandboxID": "isandbox"})
    again = IdempotencyLedger(tmp_path / "keys", ManualClock())
    again.open()
    for each in (ledger, again):
        replayed = await each.claim("key-1", "print", "iother")
        assert (replayed.status, replayed.answer) == (201, {"sandboxID": "isandbox"})
    assert again.unfinished() == []


async def test_claim_is_on_disk_before_it_is_finished(ledger: IdempotencyLedger, tmp_path: Path) -> None:
    await ledger.claim("key-1", "print", "isandbox")
    again = IdempotencyLedger(tmp_path / "keys", ManualClock())
    again.open()
    assert [claim.sandbox_id for claim in again.unfinished()] == ["isandbox"]


async def test_other_request_and_unfinished_request_conflict(ledger: IdempotencyLedger) -> None:
    claim = await ledger.claim("key-1", "print", "isandbox")
    with pytest.raises(ConflictError) as in_progress:
        await ledger.claim("key-1", "print", "iother")
    assert in_progress.value.error_code == "idempotency_in_progress"
    await ledger.finish(claim, 400, {})
    with pytest.raises(ConflictError) as mismatch:
        await ledger.claim("key-1", "another print", "iother")
    assert mismatch.value.error_code == "idempotency_request_mismatch"


async def test_released_key_starts_afresh_and_bad_keys_are_refused(ledger: IdempotencyLedger) -> None:
    await ledger.release(await ledger.claim("key-1", "print", "isandbox"))
    assert (await ledger.claim("key-1", "another", "iother")).status is None
    for bad in ("", "UPPER", "a" * 256, "a_b"):
        with pytest.raises(InvalidRequestError):
            await ledger.claim(bad, "print", "isandbox")


async def test_keys_are_forgotten_after_a_day(tmp_path: Path) -> None:
    clock = ManualClock()
    ledger = IdempotencyLedger(tmp_path, clock)
    ledger.open()
    await ledger.finish(await ledger.claim("key-1", "print", "isandbox"), 201, {})
    await clock.advance((LIFETIME + timedelta(seconds=1)).total_seconds())
    assert (await ledger.claim("key-1", "another", "iother")).status is None


async def test_a_key_used_again_while_others_are_forgotten_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry of the second use would make a second sandbox."""
    clock = ManualClock()
    ledger = IdempotencyLedger(tmp_path, clock)
    ledger.open()
    for key in ("key-1", "key-2"):
        await ledger.finish(await ledger.claim(key, "print", "isandbox"), 201, {})
    await clock.advance((LIFETIME + timedelta(seconds=1)).total_seconds())
    threads = HeldThreads(monkeypatch)
    slow = asyncio.create_task(ledger.claim("key-3", "print", "ithird"))
    await threads.settle()
    quick = asyncio.create_task(ledger.claim("key-2", "print", "inew"))
    await threads.settle()
    while not quick.done():
        threads.let_one(-1)
        await threads.settle()
    await threads.finish(slow)
    with pytest.raises(ConflictError, match="in progress"):
        await ledger.claim("key-2", "print", "ianother")
    assert _kept_on_disk(tmp_path) == {"ithird", "inew"}


async def test_a_forgotten_key_used_again_is_on_disk_whichever_thread_is_quicker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    ledger = IdempotencyLedger(tmp_path, clock)
    ledger.open()
    await ledger.finish(await ledger.claim("key-1", "print", "isandbox"), 201, {})
    await clock.advance((LIFETIME + timedelta(seconds=1)).total_seconds())
    threads = HeldThreads(monkeypatch)
    forgetting = asyncio.create_task(ledger.claim("key-2", "print", "isecond"))
    await threads.settle()
    await threads.finish(forgetting, asyncio.create_task(ledger.claim("key-1", "print", "inew")))
    assert _kept_on_disk(tmp_path) == {"isecond", "inew"}


def _kept_on_disk(folder: Path) -> set[str]:
    """The sandboxes of keys whose requests the next daemon finds under way."""
    ledger = IdempotencyLedger(folder, ManualClock())
    ledger.open()
    return {claim.sandbox_id for claim in ledger.unfinished()}


async def test_key_that_cannot_be_kept_makes_nothing(ledger: IdempotencyLedger, tmp_path: Path) -> None:
    (tmp_path / "keys").rmdir()
    with pytest.raises(BusyError, match="could not be kept"):
        await ledger.claim("key-1", "print", "isandbox")
    (tmp_path / "keys").mkdir()
    assert (await ledger.claim("key-1", "another", "iother")).status is None


@pytest.mark.engine
def test_create_whose_answer_was_lost_is_replayed(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    lost = {"method": "POST", "path": "^/v2/sandboxes$", "action": "drop"}
    with faults(clean_engine, lost), pytest.raises(httpx.TransportError):
        Sandbox.create(envs={"A": "1"}, idempotency_key="lost-answer", **options)
    [made] = Sandbox.list(**options).next_items()
    again = Sandbox.create(envs={"A": "1"}, idempotency_key="lost-answer", **options)
    assert again.sandbox_id == made.sandbox_id
    assert again.commands.run("echo $A").stdout == "1\n"
    assert len(Sandbox.list(**options).next_items()) == 1


@pytest.mark.engine
def test_same_key_with_another_body_conflicts_and_refusals_are_replayed(clean_engine: Endpoint) -> None:
    with rest(clean_engine) as client:

        def create(body: object, key: str) -> httpx.Response:
            return client.post("/v2/sandboxes", content=json.dumps(body), headers={"Idempotency-Key": key})

        first = create({"templateID": "base", "timeout": 60, "unknown": 1}, "same")
        reordered = create({"timeout": 60, "templateID": "base"}, "same")
        assert first.status_code == reordered.status_code == 201
        assert first.json() == reordered.json()
        other = create({"templateID": "base", "timeout": 61}, "same")
        assert other.status_code == 409
        assert other.json()["error_code"] == "idempotency_request_mismatch"
        refused = create({"templateID": "missing"}, "refused")
        assert refused.status_code == 404
        assert create({"templateID": "missing"}, "refused").json() == refused.json()


@pytest.mark.engine
def test_key_is_free_again_after_a_day(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    first = Sandbox.create(timeout=3600, idempotency_key="daily", **options).sandbox_id
    assert Sandbox.create(timeout=3600, idempotency_key="daily", **options).sandbox_id == first
    advance(clean_engine, 24 * 3600 + 1)
    assert Sandbox.create(timeout=3600, idempotency_key="daily", **options).sandbox_id != first


@pytest.mark.engine
def test_one_key_used_many_times_at_once_makes_one_sandbox(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)

    def create(_number: int) -> str:
        # The SDK repeats what is answered with Should-Retry.
        return Sandbox.create(idempotency_key="raced", **options).sandbox_id

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(create, range(8)))
    assert len(ids) == 1
    assert [item.sandbox_id for item in Sandbox.list(**options).next_items()] == list(ids)


async def test_manual_clock_wakes_sleepers() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(10))
    await clock.advance(9)
    assert not sleeper.done()
    await clock.advance(1)
    await sleeper
