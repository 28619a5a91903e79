"""Servers that cut connections and refuse for the moment: what was told to be safe is safe, and there once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import State
from nexus.schema.state_place import StatePlace
from nexus.stores import Backend, Failed, Header, commit, load, remote_backend
from nexus.stores.remote import objects
from tests.cutting import cutting
from tests.gcs import GcsServer
from tests.servers import PostgresServer, S3Server, TerraformServer
from tests.stores.conformance import BEGIN, DONE, take

ROUNDS, ENTRIES = 2, 12


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_FIRST_PAUSE", 0.002)
    monkeypatch.setattr(objects, "_LONGEST_PAUSE", 0.02)


@contextmanager
def stormy(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[tuple[Backend, Backend]]:
    """The same stores twice: by way of a relay that cuts connections, and straight."""
    prefix = uuid.uuid4().hex
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    match request.getfixturevalue(kind):
        case PostgresServer() as postgres:
            fields, port = postgres.fields(prefix=prefix), postgres.port
        case S3Server() as s3:
            for name, value in s3.environment.items():
                monkeypatch.setenv(name, value)
            fields, port = s3.fields(prefix=prefix), urlsplit(s3.endpoint).port or 0
        case TerraformServer() as terraform:
            fields, port = {"address": terraform.address}, urlsplit(terraform.address).port or 0
        case other:
            raise AssertionError(other)
    with cutting(port, seed=1, share=0.03 if kind == "postgres" else 0.1) as cuts:
        cut = {name: text.replace(str(port), str(cuts.port)) for name, text in fields.items()}
        backend = "http" if kind == "terraform" else kind
        through, straight = (
            remote_backend(StatePlace(backend=backend, fields=each), folder, "prod", {}) for each in (cut, fields)
        )
        yield through, straight
        assert cuts.count


async def work(through: Backend, straight: Backend) -> None:
    """As applies do it, one after the other."""
    serial = 0
    for number in range(ROUNDS):
        await take(through, f"run{number}")
        state = (await load(through, State(lineage="lin", project="shop"))).state
        assert state.serial == serial
        await through.journal.start(Header.of(state))
        entries = [Failed(key=f"{number}-{one}", code="c", summary="s" * 9000) for one in range(ENTRIES)]
        for first in range(0, ENTRIES, 3):
            await through.lock.verify()
            await asyncio.gather(*(through.journal.append(entry) for entry in entries[first : first + 3]))
        contents = await straight.journal.read()
        assert contents is not None
        assert list(contents.entries) == entries
        serial = (await commit(through, state)).serial
        assert await straight.journal.read() is None
        await through.lock.release()
        assert await straight.lock.holder() is None
    kept = [version.serial for version in await straight.versions.list()]
    assert kept == list(range(serial - 1, 0, -1)) or not kept


@pytest.mark.parametrize("kind", ["postgres", "s3", "terraform"])
async def test_connections_that_are_cut_lose_nothing_and_double_nothing(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    with stormy(request, kind, tmp_path) as (through, straight):
        await work(through, straight)


def on_gcs(server: GcsServer, folder: Path) -> Backend:
    place = StatePlace(backend="gcs", fields=server.fields(prefix="p"))
    return remote_backend(place, folder, "prod", {}, patience=5.0)


async def test_writes_that_come_too_fast_for_the_server_are_all_kept(gcs: GcsServer, tmp_path: Path) -> None:
    gcs.pause = 0.05
    await work(on_gcs(gcs, tmp_path), on_gcs(gcs, tmp_path))
    assert "SlowDown" in gcs.refused


async def test_refusals_for_the_moment_and_lost_answers_are_gone_through(gcs: GcsServer, tmp_path: Path) -> None:
    gcs.moods = [500, 0, 503, 429, 0, 0, 502, 504, 408, 0]
    gcs.lost_answers = 20
    await work(on_gcs(gcs, tmp_path), on_gcs(gcs, tmp_path))
    assert not gcs.lost_answers


async def test_credentials_that_expire_stop_a_run_and_what_was_safe_is_taken_up(gcs: GcsServer, tmp_path: Path) -> None:
    backend = on_gcs(gcs, tmp_path)
    await take(backend, "first")
    state = await commit(backend, State(lineage="lin", project="shop"))
    await backend.journal.start(Header.of(state))
    await backend.journal.append(BEGIN)
    gcs.status = 401
    for refused in (backend.journal.append(DONE), backend.lock.verify(), backend.states.write(state, 1)):
        with pytest.raises(DiagnosticsError, match="state-access-denied"):
            await refused
    await backend.lock.release()
    gcs.status = 0
    later = on_gcs(gcs, tmp_path)
    holder = await later.lock.holder()
    assert holder is not None
    await later.lock.break_open(holder.id)
    await take(later, "second")
    loaded = await load(later, State(lineage="other"))
    assert [intent.key for intent in loaded.state.pending] == [BEGIN.intent.key]
    await commit(later, loaded.state)
    await later.lock.release()
