"""Who leads: by a lease in the store of the state, wherever that is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import nexus
from nexus.controller.leadership import LEASE, Leadership
from nexus.stores import LockInfo
from tests import servers


@pytest.fixture(scope="module")
def postgres() -> Iterator[servers.PostgresServer]:
    with servers.postgres() as server:
        yield server


def machine(folder: Path, state: dict[str, object] | None = None) -> nexus.AsyncProject:
    """One checkout of the same project."""
    folder.mkdir(exist_ok=True)
    manifest = {"apiVersion": "nexus/v1", "project": "shop", **({} if state is None else {"state": state})}
    (folder / "nexus.yaml").write_text(json.dumps(manifest))
    return nexus.AsyncProject.load(folder, process={"NEXUS_TARGET": "local"})


def leadership(project: nexus.AsyncProject, name: str) -> Leadership:
    return Leadership(project.lock_beside(LEASE), lambda operation: info(name, operation))


def info(name: str, operation: str = "apply") -> LockInfo:
    return LockInfo(holder=name, pid=1, operation=operation, since="2026-01-02T03:04:05Z", id=name)


async def one_leads(projects: tuple[nexus.AsyncProject, nexus.AsyncProject]) -> None:
    first, second = leadership(projects[0], "one"), leadership(projects[1], "two")
    assert await first.hold()
    assert await first.hold(), "and goes on to"
    assert not await second.hold()
    assert second.leader.startswith("one ")
    await first.give_up()
    assert await second.hold()
    assert second.leader == ""
    await second._lock.break_open(None)
    assert await first.hold(), "a lease that was taken away can be had"
    assert not await second.hold(), "and who had it finds out"
    await first.give_up()


async def test_in_a_folder_one_leads(tmp_path: Path) -> None:
    await one_leads((machine(tmp_path / "a"), machine(tmp_path / "a")))


async def test_on_a_server_one_machine_leads(postgres: servers.PostgresServer, tmp_path: Path) -> None:
    state: dict[str, object] = {"backend": "postgres", **postgres.fields(), "port": postgres.port}
    await one_leads((machine(tmp_path / "a", state), machine(tmp_path / "b", state)))


async def test_the_lease_keeps_nobody_from_the_state(tmp_path: Path) -> None:
    project = machine(tmp_path / "a")
    leading = leadership(project, "one")
    assert await leading.hold()
    own = project._open_backend().lock
    assert await own.acquire(info("somebody")) is None
    await own.release()
    await leading.give_up()
