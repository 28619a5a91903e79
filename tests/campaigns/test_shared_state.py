"""A team on one state: applies of two people at once, on machines of their own, killed at random moments.

However they end, there is one lineage, nothing is made twice or forgotten, and either of them can go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from nexus.local.daemon import Endpoint
from nexus.model.state import State
from nexus.schema.state_place import StatePlace
from nexus.stores import Backend, load, remote_backend
from nexus.stores.remote.lease import LOCK
from tests import servers
from tests.lifecycle import proxy
from tests.lifecycle.proxy import Requests
from tests.lifecycle.scenario import Scenario
from tests.processes import Outcome

ROUNDS = int(os.environ.get("NEXUS_CAMPAIGN_TEAM_ROUNDS", "1"))
MANY_ROUNDS = max(ROUNDS, 25)
LEASE = 5

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(max(300, MANY_ROUNDS * 40))]

_ENDINGS = (0, 1, 3, -9)
"""Exit codes of an apply in such company: done, refused, partly done, killed."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[servers.PostgresServer]:
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[servers.S3Server]:
    with servers.s3() as server:
        yield server


class Team:
    """One project in the folders of several people, with one state. Draws everything from ``chance``."""

    def __init__(
        self, root: Path, engine: Endpoint, backend: str, fields: Mapping[str, str], credentials: Mapping[str, str]
    ) -> None:
        target = {"E2B_API_KEY": engine.api_key, "E2B_API_URL": engine.api_url, "E2B_SANDBOX_URL": engine.sandbox_url}
        settings = {"NEXUS_TARGET": "e2b", **target, **credentials}
        self.people = [Scenario(root / name, engine, settings) for name in ("ann", "bob")]
        self.people[1].project = self.people[0].project
        self.fields = {**fields, "prefix": uuid.uuid4().hex}
        self.backend = backend
        self.said: list[str] = []

    def says(self, person: Scenario, counts: Mapping[str, int]) -> None:
        """The manifest of one of them."""
        state = {"backend": self.backend, **self.fields, "lease": LEASE}
        if "port" in self.fields:
            state["port"] = int(self.fields["port"])
        blocks = {name: {"template": "base", "timeout": "1h", "count": count} for name, count in counts.items()}
        person.write(f"state: {json.dumps(state)}\nsandboxes: {json.dumps(blocks)}\n")

    def stores(self, folder: Path) -> Backend:
        return remote_backend(StatePlace(backend=self.backend, fields=self.fields), folder, "default", {})

    def state(self) -> State:
        return asyncio.run(load(self.stores(self.people[0].folder), State(lineage=""))).state

    def disturbed(self, person: Scenario, requests: Requests) -> Outcome:
        """An apply that may be killed at one of its requests: to the engine, or to an object store."""
        engine, through = person.engine, {"E2B_API_URL": "", "E2B_SANDBOX_URL": "", "AWS_ENDPOINT_URL": ""}
        servers = (engine.api_url, engine.sandbox_url, person.environment.get("AWS_ENDPOINT_URL", ""))
        with ExitStack() as stack:
            for name, server in zip(through, servers, strict=True):
                through[name] = stack.enter_context(proxy.proxy(server, requests)) if server else ""
            run = person.start("apply", "-y", "--lock-timeout", "60s", **through)
            requests.aim(run.pid)
            return person.heard(run.wait(200))

    def round(self, chance: random.Random) -> None:
        """Both apply what each of them thinks is right."""
        for person in self.people:
            self.says(person, {name: chance.randint(0, 2) for name in ("web", "worker")})
        last = 14 if self.backend == "postgres" else 40  # requests to PostgreSQL are not counted
        fates = [Requests(chance.randint(1, last), chance.choice(list(proxy.Moment))) for _ in self.people]
        with ThreadPoolExecutor(2) as hands:
            outcomes = list(hands.map(self.disturbed, self.people, fates))
        self.said.append(f"{[outcome.code for outcome in outcomes]}")
        for outcome in outcomes:
            assert outcome.code in _ENDINGS, outcome.text
            assert "Traceback" not in outcome.text, outcome.text
            assert "This is a bug in nexus" not in outcome.text, outcome.text

    def converge(self) -> None:
        """Left alone, either of them brings it to what the manifest says, and the other one sees that."""
        counts = {"web": 2, "worker": 1}
        for person in self.people:
            self.says(person, counts)
        self.people[0].apply("--lock-timeout", "60s").expect(0)
        for person in self.people:
            person.expect_no_changes()
        state = self.state()
        wanted = {str(address): item.id for address, item in state.resources.items() if address.kind == "sandbox"}
        assert sorted(wanted) == ['sandbox.web["0"]', 'sandbox.web["1"]', 'sandbox.worker["0"]']
        live = {info.sandbox_id: info for found in self.people[0].live().values() for info in found}
        assert set(wanted.values()) <= live.keys()
        for sandbox_id in live.keys() - set(wanted.values()):  # what was made and never recorded ends by itself
            assert (live[sandbox_id].end_at - live[sandbox_id].started_at).total_seconds() <= 121

    def take_down(self) -> None:
        self.people[1].destroy().expect(0)
        state = self.state()
        assert (dict(state.resources), state.deposed) == ({}, ())


def play(team: Team, rounds: int, seed: int) -> None:
    chance, lineages, serials = random.Random(seed), set[str](), [0]
    try:
        for _ in range(rounds):
            team.round(chance)
            state = team.state()
            if state.serial or state.resources or state.pending:
                lineages.add(state.lineage)
            serials.append(state.serial)
        team.converge()
        assert len(lineages | {team.state().lineage}) == 1
        assert serials == sorted(serials)
        team.take_down()
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{team.said}") from None


@pytest.fixture(params=["postgres", "s3"])
def team(
    request: pytest.FixtureRequest, own_engine: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        made = Team(tmp_path, own_engine, "postgres", server.fields(), {})
    else:
        server = request.getfixturevalue("s3")
        # The way to it is the environment's, so that a run may go through a proxy and yet find the same state.
        ways = {**server.environment, "AWS_ENDPOINT_URL": server.endpoint, "AWS_ALLOW_HTTP": "true"}
        for name, value in ways.items():
            monkeypatch.setenv(name, value)
        fields = {name: text for name, text in server.fields().items() if name != "endpoint"}
        made = Team(tmp_path, own_engine, "s3", fields, ways)
    yield made
    for person in made.people:
        person.clean_up()


def test_two_appliers_on_one_state_lose_nothing(team: Team) -> None:
    play(team, ROUNDS, seed=1)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [2, 3])
def test_two_appliers_on_one_state_lose_nothing_however_often_they_are_killed(team: Team, seed: int) -> None:
    play(team, MANY_ROUNDS, seed)


@pytest.mark.parametrize("team", ["postgres"], indirect=True)
def test_what_crashed_on_one_machine_is_healed_from_another(team: Team) -> None:
    ann, bob = team.people
    for person in team.people:
        team.says(person, {"web": 2})
    killed = team.disturbed(ann, Requests(6, proxy.Moment.ANSWERED))
    assert killed.code == -9, killed.text
    assert team.state().pending
    _make_strange(team)
    bob.apply().expect(1)
    healed = bob.apply("--lock-timeout", "60s").expect(0)
    assert "lock-taken-over" in healed.text
    bob.expect_no_changes()
    ann.expect_no_changes()
    assert sorted(bob.live()) == ['sandbox.web["0"]', 'sandbox.web["1"]']
    assert all(len(found) == 1 for found in bob.live().values())


class Outage(Requests):
    """The server of the state dies at one of the requests to the engine."""

    def __init__(self, count: int, server: servers.PostgresServer) -> None:
        super().__init__(count, proxy.Moment.BEFORE)
        self._server = server

    def is_time(self, moment: proxy.Moment) -> bool:
        if moment is proxy.Moment.BEFORE:
            self._server.end()
        return False


@pytest.mark.thorough
@pytest.mark.parametrize("count", [3, 6, 9])
@pytest.mark.parametrize("team", ["postgres"], indirect=True)
def test_an_apply_whose_state_server_dies_loses_nothing(
    team: Team, postgres: servers.PostgresServer, count: int
) -> None:
    ann, bob = team.people
    for person in team.people:
        team.says(person, {"web": 2, "worker": 1})
    outcome = team.disturbed(ann, Outage(count, postgres))
    postgres.begin()
    outcome.expect(1, 3)
    assert "The server of the state does not answer" in outcome.text
    assert "This is a bug in nexus" not in outcome.text
    bob.apply("--lock-timeout", "60s").expect(0)
    ann.expect_no_changes()
    made = {info.sandbox_id for found in bob.live().values() for info in found}
    known = {item.id for address, item in team.state().resources.items() if address.kind == "sandbox"}
    assert made == known


def _make_strange(team: Team) -> None:
    """As if the holder of the lock was a process of another machine: whether it lives can't be seen from here."""
    lock = team.stores(team.people[0].folder).lock
    book = lock._book  # type: ignore[attr-defined]
    found = book.read()
    data = json.loads(found.content)
    assert data["held"], LOCK
    book.write(json.dumps({**data, "process": "another-machine/1/1"}).encode(), found.version)
