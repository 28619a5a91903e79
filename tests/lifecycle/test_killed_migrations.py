"""``nexus state migrate``, killed at any of its requests: nothing is lost, and run again it comes to its end."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from nexus.api.folder import AsyncFolder
from nexus.model.state import State
from nexus.stores import Begin, Header
from nexus.wiring import new_holder
from nexus.workflows.outputs import backend_of
from tests import servers
from tests.fakes.records import WEB, make_record
from tests.lifecycle import proxy
from tests.lifecycle.proxy import Moment, Requests
from tests.processes import Outcome, start
from tests.stores.conformance import BEGIN

KEYS = {"NEXUS_STATE_KEY": base64.b64encode(os.urandom(32)).decode()}
ENCRYPTED = "encryption: {key: {env: NEXUS_STATE_KEY}}"


class Shots(Requests):
    """One proxy for many runs: the address is a part of where the state is."""

    def load(self, count: int, moment: Moment) -> None:
        self.seen.clear()
        self._count, self._moment = count, moment
        self._known.clear()


@pytest.fixture(scope="module")
def s3() -> Iterator[servers.S3Server]:
    with servers.s3() as server:
        yield server


class Places:
    """What can stand under «state», and how it is reached: by way of a proxy."""

    def __init__(self, stack: ExitStack, s3: servers.S3Server | None = None) -> None:
        self.shots = Shots()
        terraform = stack.enter_context(servers.terraform())
        address = stack.enter_context(proxy.proxy(terraform.address.removesuffix("/states"), self.shots))
        own = ("NEXUS_", "E2B_", "AWS_")
        around = {name: text for name, text in os.environ.items() if not name.startswith(own)}
        self.credentials: dict[str, str] = {}
        if s3 is not None:
            way = stack.enter_context(proxy.proxy(s3.endpoint, self.shots))
            self.credentials = {**s3.environment, "AWS_ENDPOINT_URL": way, "AWS_ALLOW_HTTP": "true"}
        self.process = {**around, **KEYS, **self.credentials, "NO_COLOR": "1"}
        name = uuid.uuid4().hex
        web = f"backend: http, address: {address}/{name}"
        bucket = f"backend: s3, bucket: {servers.BUCKET}, region: us-east-1, prefix: {name}"
        self.says = {
            "local": "",
            "http": f"{{{web}}}",
            "http, sealed": f"{{{web}, {ENCRYPTED}}}",
            "s3": f"{{{bucket}}}",
            "s3, sealed": f"{{{bucket}, {ENCRYPTED}}}",
        }


class Project:
    """One that has a state, and an intent of an interrupted run in the journal."""

    def __init__(self, folder: Path, process: Mapping[str, str]) -> None:
        self.folder = folder
        self.process = process
        folder.mkdir()

    def says(self, state: str) -> None:
        section = f"state: {state}\n" if state else ""
        (self.folder / "nexus.yaml").write_text(f"apiVersion: nexus/v1\nproject: shop\n{section}")

    async def begin(self) -> None:
        backend = backend_of(self.folder, "default", self.process)
        state = State(lineage="lin", serial=1, project="shop").with_records([make_record(WEB, "u1")])
        await backend.lock.acquire(new_holder("apply"))
        await backend.states.write(state, 0)
        await backend.journal.start(Header.of(state))
        await backend.journal.append(Begin(BEGIN.intent))
        await backend.lock.release()

    def migrate(self, shots: Shots, count: int = 0, moment: Moment = Moment.BEFORE) -> Outcome:
        shots.load(count, moment)
        run = start(("-C", str(self.folder), "state", "migrate", "-y", "--lock-timeout", "30s"), self.process)
        shots.aim(run.pid)
        return run.wait()

    async def state(self) -> State:
        return await AsyncFolder(self.folder, process=self.process).state()


async def play(places: Places, folder: Path, source: str, target: str, count: int, moment: Moment) -> bool:
    """Whether there was anything left to be killed at."""
    project = Project(folder, places.process)
    project.says(places.says[source])
    places.shots.load(0, Moment.BEFORE)
    await project.begin()
    project.says(places.says[target])
    killed = project.migrate(places.shots, count, moment)
    assert killed.code in (0, -9), killed.text
    again = project.migrate(places.shots)
    assert again.code == 0, f"killed at request {count}, {moment}: {again.text}"
    state = await project.state()
    assert (state.lineage, list(state.resources)) == ("lin", [WEB])
    assert [intent.key for intent in state.pending] == [BEGIN.intent.key]
    place = json.loads((folder / ".nexus" / "default" / "state-place.json").read_text())
    assert place["backend"] == target.removesuffix(", sealed")
    project.migrate(places.shots).expect(0)
    return killed.code == -9


WAYS = [("local", "http"), ("http", "s3"), ("s3", "local"), ("s3", "s3, sealed"), ("s3, sealed", "s3")]


@pytest.mark.parametrize(("source", "target"), [("local", "http"), ("http", "http, sealed")])
async def test_a_migration_that_is_killed_half_way_goes_on(tmp_path: Path, source: str, target: str) -> None:
    with ExitStack() as stack:
        assert await play(Places(stack), tmp_path / "shop", source, target, 13, Moment.ANSWERED)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("source", "target"), WAYS)
async def test_a_migration_may_be_killed_at_any_request(
    s3: servers.S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    count, was_killed = 0, True
    while was_killed:
        count, was_killed = count + 1, False
        for moment in Moment:
            with ExitStack() as stack:
                places = Places(stack, s3)
                for name, text in places.credentials.items():
                    monkeypatch.setenv(name, text)
                was_killed |= await play(places, tmp_path / f"{count}-{moment}", source, target, count, moment)
    assert count > 10
