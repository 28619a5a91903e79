from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus.model.addresses import Address
from nexus.model.state import Commit, FileEntry, HistoryEntry, Intent, OutputRecord, State, Taken, Target
from nexus.model.values import Fingerprint
from nexus.stores import Header
from tests import gcs as google
from tests import servers
from tests.fakes.records import WEB, WORKER, make_record

TAKEN = Address("sandbox", "web", "taken-id-u3")


@pytest.fixture
def full_state() -> State:
    """A state that uses everything a state can hold."""
    web = make_record(
        WEB,
        "u1",
        attributes={
            "env_vars": {"KEY": Fingerprint("abcd"), "PLAIN": "ü\n"},
            "uploads": [{"path": "/a", "tree": "t1"}],
        },
        outputs={"id": "id-u1", "ports": {"api": 8000}},
        setup={"env": "e1", "run_commands[0]": "c1"},
        depends_on=(Address("volume", "data"), WORKER),
        protected=True,
        created_at="2026-01-02T03:04:05.000Z",
        expires_at="2026-01-02T04:04:05.000Z",
    )
    taken = make_record(TAKEN, "u3", taken=Taken(place="0", by="ann@host", at="2026-01-02T03:04:05.000Z", purpose="x"))
    return State(
        lineage="lin",
        serial=7,
        project="shop",
        environment="prod",
        target=Target("local", "engine-1"),
        resources={WEB: web, WORKER: make_record(WORKER, "u2"), TAKEN: taken},
        deposed=(make_record(WEB, "u0"),),
        trees={"t1": {"": FileEntry("f" * 64, 0o644, 3), "lib/x.py": FileEntry("e" * 64, 0o755, 0)}},
        pending=(
            Intent(key="k1", address=WEB, verb="create", uid="u9", body="b", draft=make_record(WEB, "u9")),
            Intent(key="k2", address=WORKER, verb="install", unit="apt", started_at="2026-01-02T03:04:05Z"),
        ),
        outputs={"api": OutputRecord("http://x", False, "where"), "token": OutputRecord(None, True)},
        history=(
            HistoryEntry(serial=6, command="destroy", at="2026-01-02T03:04:05Z", holder="", complete=False),
            HistoryEntry(
                serial=7,
                command="apply",
                at="2026-01-03T03:04:05Z",
                holder="ann@host",
                changes={"create": 2},
                commit=Commit("c" * 40, "Begin", modified=True),
            ),
        ),
    )


@pytest.fixture
def fresh() -> State:
    return State(lineage="lin", project="shop")


@pytest.fixture
def header() -> Header:
    return Header(lineage="lin", serial=0, project="shop")


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.PostgresServer]:
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[servers.S3Server]:
    with servers.s3() as server:
        yield server


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[google.GcsServer]:
    with google.gcs() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def terraform() -> Iterator[servers.TerraformServer]:
    with servers.terraform() as server:
        yield server
