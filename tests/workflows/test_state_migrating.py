"""A state goes to where the manifest keeps it by now; nothing is found empty, and nothing of others replaced."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.api.folder import AsyncFolder
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import State
from nexus.stores import Header, commit, local_backend
from nexus.wiring import new_holder
from nexus.workflows.outputs import backend_of
from nexus.workflows.state_migrating import Migrated
from tests import servers
from tests.stores.conformance import BEGIN

KEY = {name: base64.b64encode(os.urandom(32)).decode() for name in ("NEXUS_STATE_KEY", "OTHER_KEY")}
KNOWN = State(lineage="lin", project="shop")


@pytest.fixture
def terraform() -> Iterator[servers.TerraformServer]:
    with servers.terraform() as server:
        yield server


class Clone:
    """One person's copy of the project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.says("")

    def says(self, state: str) -> None:
        section = f"state: {state}\n" if state else ""
        (self.folder / "nexus.yaml").write_text(f"apiVersion: nexus/v1\nproject: shop\n{section}")

    def at(self) -> AsyncFolder:
        return AsyncFolder(self.folder, process=KEY)

    async def serial(self) -> int:
        return (await self.at().state()).serial

    async def writes(self, state: State) -> State:
        """As an apply does it."""
        backend = backend_of(self.folder, "default", KEY)
        await backend.lock.acquire(new_holder("apply"))
        written = await commit(backend, state)
        await backend.lock.release()
        return written

    async def migrate(self, confirm: Callable[[str], bool] | None = None) -> Migrated:
        return await self.at().migrate_state(confirm=confirm)


@pytest.fixture
def ann(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "ann")


@pytest.fixture
def bob(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "bob")


async def test_a_state_that_stayed_behind_is_not_forgotten(ann: Clone, terraform: servers.TerraformServer) -> None:
    await ann.writes(KNOWN)
    ann.says(f"{{backend: http, address: {terraform.address}}}")
    with pytest.raises(DiagnosticsError, match="state-moved") as problem:
        await ann.serial()
    assert "nexus state migrate" in problem.value.diagnostics[0].hint
    migrated = await ann.migrate()
    assert (migrated.copied, migrated.done) == (True, True)
    assert await ann.serial() == 1
    assert not terraform.locks
    ann.says("")
    with pytest.raises(DiagnosticsError, match="state-moved"):
        await ann.serial()


async def test_and_back_again_with_what_was_done_meanwhile(ann: Clone, terraform: servers.TerraformServer) -> None:
    first = await ann.writes(KNOWN)
    ann.says(f"{{backend: http, address: {terraform.address}}}")
    await ann.migrate()
    await ann.writes(first)
    ann.says("")
    migrated = await ann.migrate()
    assert migrated.state is not None
    assert (migrated.state.serial, await ann.serial()) == (2, 2)


@pytest.mark.parametrize("is_local", [True, False])
async def test_whoever_waited_for_the_lock_does_not_go_on_with_a_state_that_was_left(
    ann: Clone, terraform: servers.TerraformServer, *, is_local: bool
) -> None:
    """An apply that has read the manifest as it was."""
    there = f"{{backend: http, address: {terraform.address}}}"
    before, after = ("", there) if is_local else (there, "")
    ann.says(before)
    await ann.writes(KNOWN)
    backend = backend_of(ann.folder, "default", KEY)
    waiting: list[asyncio.Task[object]] = []

    def confirm(question: str) -> bool:
        waiting.append(asyncio.create_task(backend.lock.acquire(new_holder("apply"), patience=60)))
        return True

    ann.says(after)
    await ann.migrate(confirm)
    with pytest.raises(DiagnosticsError, match="state-moved"):
        await waiting[0]
    assert await backend.lock.holder() is None
    assert await ann.serial() == 1


async def test_a_journal_that_a_crash_left_goes_along(ann: Clone, terraform: servers.TerraformServer) -> None:
    state = await ann.writes(KNOWN)
    journal = local_backend(ann.folder, "default").journal
    await journal.start(Header.of(state))
    await journal.append(BEGIN)
    ann.says(f"{{backend: http, address: {terraform.address}}}")
    await ann.migrate()
    state = await ann.at().state()
    assert [intent.key for intent in state.pending] == [BEGIN.intent.key]


async def test_whoever_comes_later_takes_what_is_there(
    ann: Clone, bob: Clone, terraform: servers.TerraformServer
) -> None:
    first = await ann.writes(KNOWN)
    await bob.writes(KNOWN)
    for clone in (ann, bob):
        clone.says(f"{{backend: http, address: {terraform.address}}}")
    await ann.migrate()
    await ann.writes(first)
    questions: list[str] = []
    migrated = await bob.migrate(lambda question: questions.append(question) is None)
    assert "as new, or newer (serial 2)" in questions[0]
    assert not migrated.copied
    assert await bob.serial() == 2


async def test_the_state_of_another_lineage_stays(ann: Clone, bob: Clone, terraform: servers.TerraformServer) -> None:
    await ann.writes(KNOWN)
    await bob.writes(replace(KNOWN, lineage="other"))
    for clone in (ann, bob):
        clone.says(f"{{backend: http, address: {terraform.address}}}")
    await ann.migrate()
    with pytest.raises(DiagnosticsError, match="migrate-refused"):
        await bob.migrate()
    assert (await ann.at().state()).lineage == "lin"


async def test_nothing_is_done_that_was_not_approved(ann: Clone, terraform: servers.TerraformServer) -> None:
    await ann.writes(KNOWN)
    ann.says(f"{{backend: http, address: {terraform.address}}}")
    assert not (await ann.migrate(lambda _: False)).done
    assert "/states/default" not in terraform.states
    with pytest.raises(DiagnosticsError, match="state-moved"):
        await ann.serial()


async def test_a_new_clone_needs_no_migration(ann: Clone, bob: Clone, terraform: servers.TerraformServer) -> None:
    for clone in (ann, bob):
        clone.says(f"{{backend: http, address: {terraform.address}}}")
    assert await ann.serial() == 0
    first = await ann.writes(KNOWN)
    assert await bob.serial() == 1
    await bob.writes(first)
    assert await ann.serial() == 2
    assert not (await ann.migrate()).copied


async def test_a_state_is_encrypted_where_it_is_and_opened_again(
    ann: Clone, terraform: servers.TerraformServer
) -> None:
    place = f"backend: http, address: {terraform.address}"
    ann.says(f"{{{place}}}")
    first = await ann.writes(KNOWN)
    ann.says(f"{{{place}, encryption: {{key: {{env: NEXUS_STATE_KEY}}}}}}")
    with pytest.raises(DiagnosticsError, match="state-moved"):
        await ann.serial()
    await ann.migrate()
    assert b'"lineage"' not in terraform.states["/states/default"]
    assert (await ann.at().state()) == first
    ann.says(f"{{{place}, encryption: {{key: {{env: OTHER_KEY}}, previous: [{{env: NEXUS_STATE_KEY}}]}}}}")
    await ann.writes(first)
    ann.says(f"{{{place}}}")
    await ann.migrate()
    assert b'"lineage"' in terraform.states["/states/default"]
    assert await ann.serial() == 2


async def test_one_place_by_two_names_is_found_out(ann: Clone, terraform: servers.TerraformServer) -> None:
    ann.says(f"{{backend: http, address: {terraform.address}}}")
    await ann.writes(KNOWN)
    ann.says(f"{{backend: http, address: {terraform.address.replace('127.0.0.1', 'localhost')}}}")
    migrated = await ann.migrate()
    assert not migrated.copied
    assert await ann.serial() == 1
    assert not terraform.locks


async def test_another_way_to_the_same_place_needs_no_migration(ann: Clone, terraform: servers.TerraformServer) -> None:
    ann.says(f"{{backend: http, address: {terraform.address}}}")
    await ann.writes(KNOWN)
    ann.says(f"{{backend: http, address: {terraform.address}, lock_suffix: /lock, lock_method: POST}}")
    assert await ann.serial() == 1


async def test_where_the_manifest_is_broken_the_state_is_where_it_was(
    ann: Clone, terraform: servers.TerraformServer
) -> None:
    ann.says(f"{{backend: http, address: {terraform.address}}}")
    await ann.writes(KNOWN)
    (ann.folder / "nexus.yaml").write_text("{ torn")
    assert await ann.serial() == 1


async def test_older_states_can_be_had(ann: Clone) -> None:
    first = await ann.writes(KNOWN)
    await ann.writes(first)
    assert [item.serial for item in await ann.at().versions()] == [1]
    assert b'"serial":1' in await ann.at().pull(1)
    with pytest.raises(DiagnosticsError, match="no-such-version"):
        await ann.at().pull(7)
