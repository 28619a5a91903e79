"""Servers that are away, slow, or refuse: one clear message each, and nothing is lost."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import State
from nexus.schema.state_place import StatePlace
from nexus.stores import Backend, Begin, Header, load, remote, remote_backend
from nexus.stores.remote import states, web
from nexus.stores.remote.journal import JOURNAL, RemoteJournal
from nexus.stores.remote.objects import ConflictError, Steadfast, Stored
from nexus.stores.remote.states import RemoteStateStore, RemoteVersions
from tests.fakes.objects import MemoryObjects
from tests.servers import PostgresServer, S3Server, TerraformServer, free_port, postgres
from tests.stores.conformance import BEGIN, DONE, INFO


def opened(folder: Path, backend: str, fields: dict[str, str], **process: str) -> Backend:
    return remote_backend(StatePlace(backend=backend, fields=fields), folder, "prod", process, patience=0.2)


@contextmanager
def refused(code: str, *words: str) -> Iterator[None]:
    with pytest.raises(DiagnosticsError) as problem:
        yield
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == code
    for word in words:
        assert word in diagnostic.detail


async def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = str(free_port())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    for name, fields in {
        "postgres": {"host": "127.0.0.1", "port": port},
        "http": {"address": f"http://127.0.0.1:{port}"},
        "s3": {"bucket": "b", "endpoint": f"http://127.0.0.1:{port}", "region": "us-east-1"},
    }.items():
        with refused("state-unreachable", port):
            await opened(tmp_path, name, fields).states.read()


async def test_a_server_that_is_broken_is_away(terraform: TerraformServer, tmp_path: Path) -> None:
    terraform.status = 503
    with refused("state-unreachable", "503"):
        await opened(tmp_path, "http", {"address": terraform.address}).states.read()


async def test_a_server_that_is_slow_is_away(
    terraform: TerraformServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_TIMEOUT", 0.05)
    with terraform.turn, refused("state-unreachable", "timed out"):
        await opened(tmp_path, "http", {"address": terraform.address}).states.read()


async def test_a_server_wants_to_know_who_we_are(terraform: TerraformServer, tmp_path: Path) -> None:
    terraform.login = "Basic " + base64.b64encode(b"ann:secret").decode()
    fields = {"address": terraform.address}
    with refused("state-access-denied", "401"):
        await opened(tmp_path, "http", fields).states.read()
    known = opened(tmp_path, "http", fields, TF_HTTP_USERNAME="ann", TF_HTTP_PASSWORD="secret")
    assert await known.states.read() is None


async def test_an_address_without_a_server_of_state_is_refused(terraform: TerraformServer, tmp_path: Path) -> None:
    terraform.status = 405
    with refused("state-refused", "405"):
        await opened(tmp_path, "http", {"address": terraform.address}).states.read()


async def test_s3_refuses_strangers_and_what_is_not_there(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_state: State
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with refused("state-place-missing", "s3://nowhere"):
        await opened(tmp_path, "s3", s3.fields(bucket="nowhere")).states.write(full_state, 0)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(DiagnosticsError) as problem:
        await opened(tmp_path, "s3", s3.fields()).states.read()
    assert problem.value.diagnostics[0].code == "state-access-denied"
    assert "wrong" not in str(problem.value)


async def test_postgres_refuses_strangers(postgres: PostgresServer, tmp_path: Path) -> None:
    with refused("state-access-denied", "does not exist"):
        await opened(tmp_path, "postgres", postgres.fields(user="stranger")).states.read()
    with refused("state-access-denied", "does not exist"):
        await opened(tmp_path, "postgres", postgres.fields(database="nowhere")).states.read()


async def test_a_postgres_that_knows_no_encoding_keeps_versions_too(
    postgres: PostgresServer, tmp_path: Path, full_state: State
) -> None:
    with psycopg.connect(autocommit=True, host="127.0.0.1", port=postgres.port, user="nexus", dbname="postgres") as own:
        own.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    backend = opened(tmp_path, "postgres", postgres.fields(database="plain"))
    await backend.states.write(full_state, 0)
    await backend.states.write(replace(full_state, serial=8), 7)
    assert [version.serial for version in await backend.versions.list()] == [7]


async def test_a_postgres_that_only_reads_for_the_moment_is_asked_again(
    postgres: PostgresServer, tmp_path: Path, full_state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server that another one has taken the place of: until its name leads to that one."""
    fields = postgres.fields(prefix="read-only")
    await opened(tmp_path, "postgres", fields).states.write(full_state, 0)
    later = replace(full_state, serial=8)
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    backend = opened(tmp_path, "postgres", fields)
    with refused("state-unreachable", "read-only"):
        await backend.states.write(later, 7)
    monkeypatch.delenv("PGOPTIONS")
    await backend.states.write(later, 7)


async def test_s3_tells_credentials_that_have_expired_from_a_wrong_request(
    terraform: TerraformServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    terraform.status = 400
    fields = {"bucket": "b", "endpoint": terraform.address, "region": "us-east-1"}
    with refused("state-refused", "400"):
        await opened(tmp_path, "s3", fields).states.read()
    terraform.says = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    with refused("state-access-denied"):
        await opened(tmp_path, "s3", fields).states.read()


async def test_a_postgres_that_dies_and_comes_back_has_lost_nothing(
    tmp_path: Path, header: Header, full_state: State
) -> None:
    with postgres() as server:
        backend = opened(tmp_path, "postgres", server.fields())
        await backend.lock.acquire(INFO)
        await backend.states.write(full_state, 0)
        await backend.journal.start(Header.of(full_state))
        await backend.journal.append(BEGIN)
        server.end()
        with refused("state-unreachable"):
            await backend.journal.append(DONE)
        with refused("state-unreachable"):
            await backend.lock.verify()
        await backend.lock.release()
        server.begin()
        healed = opened(tmp_path / "elsewhere", "postgres", server.fields())
        loaded = await load(healed, State(lineage="other"))
        assert loaded.interrupted
        assert BEGIN.intent.key in {intent.key for intent in loaded.state.pending}


@pytest.fixture
def server() -> MemoryObjects:
    return MemoryObjects()


async def test_a_write_whose_answer_was_lost_is_not_done_twice(server: MemoryObjects, full_state: State) -> None:
    store = RemoteStateStore(Steadfast(server, patience=5.0))
    server.lost_answers = 1
    await store.write(full_state, 0)
    assert await store.read() == full_state


async def test_an_entry_whose_answer_was_lost_is_kept_once(server: MemoryObjects, header: Header) -> None:
    journal = RemoteJournal(Steadfast(server, patience=5.0))
    await journal.start(header)
    server.lost_answers = 1
    await asyncio.gather(journal.append(BEGIN), journal.append(DONE))
    contents = await journal.read()
    assert contents is not None
    assert contents.entries == (BEGIN, DONE)
    await journal.clear()


def test_a_refusal_for_the_moment_is_asked_again() -> None:
    """Object stores may answer a conditional write with a conflict when another request for the same is under way."""

    class Busy(MemoryObjects):
        times = 2

        def put(self, name: str, content: bytes, expected: str | None) -> str:
            if self.times:
                self.times -= 1
                raise ConflictError
            return super().put(name, content, expected)

    objects = Steadfast(Busy(), patience=5.0)
    version = objects.put("a", b"1", None)
    assert objects.get("a") == Stored(b"1", version)
    with pytest.raises(ConflictError):
        objects.put("a", b"2", None)


async def test_after_an_entry_that_was_not_kept_no_other_one_is(server: MemoryObjects, header: Header) -> None:
    journal = RemoteJournal(Steadfast(server, patience=0.05))
    await journal.start(header)
    server.away = True
    with refused("state-unreachable"):
        await journal.append(BEGIN)
    server.away = False
    with refused("state-unreachable"):
        await journal.append(DONE)
    await journal.clear()


async def test_many_entries_share_few_writes(server: MemoryObjects, header: Header) -> None:
    journal = RemoteJournal(Steadfast(server))
    await journal.start(header)
    before = server.asked
    await asyncio.gather(*(journal.append(Begin(BEGIN.intent, str(number))) for number in range(500)))
    assert server.asked - before <= 10
    await journal.clear()
    assert list(server.documents) == [JOURNAL]
    assert await journal.read() is None


async def test_only_so_many_versions_are_kept(server: MemoryObjects, full_state: State) -> None:
    store, versions = RemoteStateStore(server), RemoteVersions(server)
    for serial in range(1, states.KEPT_VERSIONS + 25):
        await store.write(replace(full_state, serial=serial), serial - 1)
    kept = await versions.list()
    assert states.KEPT_VERSIONS <= len(kept) < states.KEPT_VERSIONS + 10
    assert kept[0].serial == states.KEPT_VERSIONS + 23


async def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "nexus.stores.remote.cloud", raising=False)
    monkeypatch.delattr(remote, "cloud", raising=False)
    with refused("state-library-missing", "obstore"):
        opened(tmp_path, "s3", {"bucket": "b"})
