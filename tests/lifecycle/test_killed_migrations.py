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
        self.__init__(count, moment)  # type: ignore[misc]


@pytest.fixture(scope="module")
def s3() -> Iterator[servers.S3Server]:
    with servers.s3() as server:
        yield server


class Places:
    """What can stand under «state», and how it is reached: by way of a proxy."""

    def __init__(self, stack: ExitStack, s3: servers.S3Server) -> None:
        self.shots = Shots()
        self._terraform = stack.enter_context(servers.terraform())
        address = stack.enter_context(proxy.proxy(self._terraform.address.removesuffix("/states"), self.shots))
        self.process = {
            **{name: text for name, text in os.environ.items() if not name.startswith(("NEXUS_", "E2B_", "AWS_"))},
            **KEYS,
            **s3.environment,
            "AWS_ENDPOINT_URL": stack.enter_context(proxy.proxy(s3.endpoint, self.shots)),
            "AWS_ALLOW_HTTP": "true",
            "NO_COLOR": "1",
        }
        name = uuid.uuid4().hex
        bucket = f"backend: s3, bucket: {servers.BUCKET}, region: us-east-1"
        self.says = {
            "local": "",
            "http": f"{{backend: http, address: {address}/{name}}}",
            "s3": f"{{{bucket}, prefix: {name}}}",
            "sealed": f"{{{bucket}, prefix: {name}, {ENCRYPTED}}}",
        }


@pytest.fixture
def places(s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    with ExitStack() as stack:
        made = Places(stack, s3)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"):
            monkeypatch.setenv(name, made.process[name])
        yield made


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
    assert place["backend"] == {"sealed": "s3"}.get(target, target)
    project.migrate(places.shots).expect(0)
    return killed.code == -9


WAYS = [("local", "http"), ("http", "s3"), ("s3", "local"), ("s3", "sealed"), ("sealed", "s3")]


@pytest.mark.parametrize(("source", "target"), [("local", "http"), ("s3", "sealed")])
async def test_a_migration_that_is_killed_half_way_goes_on(
    places: Places, tmp_path: Path, source: str, target: str
) -> None:
    assert await play(places, tmp_path / "shop", source, target, 13, Moment.ANSWERED)


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("source", "target"), WAYS)
async def test_a_migration_may_be_killed_at_any_request(
    s3: servers.S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    count = 0
    while True:
        count += 1
        was_killed = False
        for moment in Moment:
            with ExitStack() as stack:
                places = Places(stack, s3)
                for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"):
                    monkeypatch.setenv(name, places.process[name])
                folder = tmp_path / f"{count}-{moment}"
                was_killed |= await play(places, folder, source, target, count, moment)
        if not was_killed:
            break
    assert count > 10
