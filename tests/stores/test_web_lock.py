"""The lock of Terraform's protocol, which does not expire, and the sign of life beside it, by which it does."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import State
from nexus.schema.state_place import StatePlace
from nexus.stores import Backend, Failed, Header, LockInfo, commit, load, remote_backend
from nexus.stores.remote import web
from nexus.stores.remote.objects import UnreachableError
from nexus.stores.remote.states import STATE
from tests.servers import TerraformServer
from tests.stores.conformance import BEGIN, INFO, take

LOCKED, JOURNAL, LEASE = "/states/prod", "/states/prod-journal", "/states/prod-lease"
BOB = LockInfo(holder="bob@two", pid=2, operation="destroy", since="2026-01-02T03:05:05Z", id="bobs")


@pytest.fixture
def backend(terraform: TerraformServer, tmp_path: Path) -> Backend:
    return remote_backend(StatePlace(backend="http", fields={"address": terraform.address}), tmp_path, "prod", {})


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def change(terraform: TerraformServer, path: str, **fields: object) -> None:
    """What is in a document, as its holder would have written it elsewhere or earlier."""
    documents = terraform.states if path in terraform.states else terraform.locks
    documents[path] = json.dumps({**json.loads(documents[path]), **fields}).encode()


def strange(note: Mapping[str, object]) -> dict[str, object]:
    return {**note, "process": "another-machine/1/1"}


async def hold_elsewhere(terraform: TerraformServer, backend: Backend, age: float) -> None:
    await backend.lock.acquire(INFO)
    lease = json.loads(terraform.states[LEASE])
    change(terraform, LEASE, at=ago(age), note=strange(lease["note"]))


def another(terraform: TerraformServer, folder: Path) -> Backend:
    return remote_backend(StatePlace(backend="http", fields={"address": terraform.address}), folder, "prod", {})


async def test_the_server_itself_is_locked_and_told_who_it_is(
    terraform: TerraformServer, backend: Backend, full_state: State
) -> None:
    await backend.lock.acquire(INFO)
    held = json.loads(terraform.locks[LOCKED])
    assert (held["ID"], held["Who"], held["Operation"]) == ("lock1", "ann@host", "apply")
    await backend.states.write(full_state, 0)
    assert "POST /states/prod?ID=lock1" in terraform.asked
    await backend.lock.release()
    assert not terraform.locks


async def test_without_a_sign_of_life_for_a_lease_it_is_taken_over(
    terraform: TerraformServer, backend: Backend, tmp_path: Path
) -> None:
    await hold_elsewhere(terraform, backend, age=30)
    other = another(terraform, tmp_path)
    with pytest.raises(DiagnosticsError, match="state-locked"):
        await other.lock.acquire(BOB)
    change(terraform, LEASE, at=ago(90))
    assert await other.lock.acquire(BOB) == INFO
    assert {path: json.loads(lock)["ID"] for path, lock in terraform.locks.items()} == {LOCKED: "bobs", JOURNAL: "bobs"}
    with pytest.raises(DiagnosticsError, match="lock-lost"):
        await backend.lock.verify()
    await backend.lock.release()
    await other.lock.verify()
    await other.lock.release()
    assert not terraform.locks


async def test_who_lost_the_lock_is_refused_by_the_server(
    terraform: TerraformServer, backend: Backend, tmp_path: Path, full_state: State
) -> None:
    await hold_elsewhere(terraform, backend, age=90)
    other = another(terraform, tmp_path)
    await other.lock.acquire(BOB)
    with pytest.raises(DiagnosticsError, match="lock-lost"):
        await backend.states.write(full_state, 0)
    await other.states.write(full_state, 0)
    await other.lock.release()
    await backend.lock.release()


async def test_the_lock_of_another_tool_is_respected(terraform: TerraformServer, backend: Backend) -> None:
    terraform.locks[LOCKED] = json.dumps({"ID": "tf", "Who": "carol@three", "Operation": "OperationTypeApply"}).encode()
    with pytest.raises(DiagnosticsError, match="state-locked") as problem:
        await backend.lock.acquire(INFO)
    assert "carol@three" in problem.value.diagnostics[0].detail


async def test_who_ended_before_the_first_sign_of_life_is_not_waited_for_for_ever(
    terraform: TerraformServer, backend: Backend, tmp_path: Path
) -> None:
    await backend.lock.acquire(INFO)
    note = strange(json.loads(json.loads(terraform.locks[LOCKED])["Info"]))
    del terraform.states[LEASE]
    for lock in (LOCKED, JOURNAL):
        change(terraform, lock, Info=json.dumps(note), Created=ago(30))
    other = another(terraform, tmp_path)
    with pytest.raises(DiagnosticsError, match="state-locked"):
        await other.lock.acquire(BOB)
    for lock in (LOCKED, JOURNAL):
        change(terraform, lock, Created=ago(90))
    await other.lock.acquire(BOB)
    await other.lock.verify()
    await other.lock.release()
    await backend.lock.release()
    assert not terraform.locks


@pytest.mark.parametrize("size", [1, 70_000])
async def test_who_is_suspended_between_a_look_and_a_write_is_refused_by_the_server(
    terraform: TerraformServer,
    backend: Backend,
    tmp_path: Path,
    full_state: State,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    """The protocol has no conditional writes: what was as expected a moment ago may be another one's by now."""
    await take(backend, "late")
    await backend.states.write(full_state, 0)
    await backend.journal.start(Header.of(full_state))
    for _ in range(2):  # the second one goes to another document, where the first is large
        await backend.journal.append(Failed(key="k", code="c", summary="s" * size))
    post, successor = web.WebServer.post, another(terraform, tmp_path)

    async def take_it_over() -> None:
        assert await successor.lock.break_open("late")
        await take(successor, "successor")

    def post_late(server: web.WebServer, name: str, content: bytes, lock_id: str = "") -> None:
        monkeypatch.setattr(web.WebServer, "post", post)
        asyncio.run(take_it_over())
        server.post(name, content, lock_id)

    monkeypatch.setattr(web.WebServer, "post", post_late)
    with pytest.raises(DiagnosticsError, match="lock-lost"):
        await backend.journal.append(BEGIN)
    with pytest.raises(DiagnosticsError, match="lock-lost"):
        await backend.states.write(replace(full_state, serial=8), 7)
    loaded = await load(successor, State(lineage="other"))
    assert loaded.interrupted
    assert (await commit(successor, loaded.state)).serial == 8
    await successor.lock.release()
    await backend.lock.release()
    assert not terraform.locks


def test_an_answer_that_breaks_off_is_none_whatever_it_was() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def break_off() -> None:
            for status in ("200 OK", "423 Locked"):
                client, _ = listener.accept()
                with client, client.makefile("rb") as request:
                    # Whole: closed with something unread, the connection is reset, and the answer may be lost.
                    while request.readline().strip():
                        pass
                    assert request.read(2) == b"{}"
                    client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 380\r\n\r\n".encode())

        answering = threading.Thread(target=break_off)
        answering.start()
        server = web.WebServer(address=f"http://127.0.0.1:{listener.getsockname()[1]}/states/prod")
        for _ in range(2):
            with pytest.raises(UnreachableError, match="IncompleteRead"):
                server.lock(STATE, b"{}")
        answering.join()
