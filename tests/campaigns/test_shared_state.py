"""A team on one state: two people who apply and a controller, on machines of their own, killed at random moments.

However they end, there is one lineage, nothing is made twice or forgotten, and any of them can go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from nexus.local.daemon import Endpoint
from nexus.model.state import State
from nexus.schema.state_place import StatePlace
from nexus.stores import Backend, load, remote_backend
from nexus.stores.remote.lease import LOCK
from tests import servers
from tests.gcs import gcs
from tests.lifecycle import proxy
from tests.lifecycle.proxy import Requests
from tests.lifecycle.scenario import Scenario
from tests.processes import Outcome, Run

ROUNDS = int(os.environ.get("NEXUS_CAMPAIGN_TEAM_ROUNDS", "1"))
MANY_ROUNDS = max(ROUNDS, 25)
LEASE = 5

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(max(300, MANY_ROUNDS * 40))]

_ENDINGS = (0, 1, 3, -signal.SIGKILL, -signal.SIGTERM)
"""How a run ends in such company: done, refused, partly done, killed, or asked to end before it had begun."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[servers.PostgresServer]:
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[servers.S3Server]:
    with servers.s3() as server:
        yield server


class Suspension(Requests):
    """Suspends the run at one of its requests, for longer than its lease, instead of killing it."""

    def is_time(self, moment: proxy.Moment) -> bool:
        if moment is self._moment and self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGSTOP)
                threading.Timer(LEASE + 2, self._go_on).start()
        return False

    def _go_on(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)


class Team:
    """One project in the folders of several people and of a controller, with one state."""

    def __init__(
        self, root: Path, engine: Endpoint, backend: str, fields: Mapping[str, str], credentials: Mapping[str, str]
    ) -> None:
        target = {"E2B_API_KEY": engine.api_key, "E2B_API_URL": engine.api_url, "E2B_SANDBOX_URL": engine.sandbox_url}
        settings = {"NEXUS_TARGET": "e2b", **target, **credentials}
        *self.people, self.robot = (Scenario(root / name, engine, settings) for name in ("ann", "bob", "robot"))
        for other in (self.people[1], self.robot):
            other.project = self.people[0].project
        self.fields = {**fields, "prefix": uuid.uuid4().hex}
        self.backend = backend
        self.said: list[str] = []

    @property
    def last_request(self) -> int:
        """Of an apply, about: those to PostgreSQL are not counted."""
        return 14 if self.backend == "postgres" else 45

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

    @contextmanager
    def through(self, person: Scenario, requests: Requests) -> Iterator[dict[str, str]]:
        """The environment of a run whose requests, to the engine and to an object store, are counted."""
        engine, ways = person.engine, {"E2B_API_URL": "", "E2B_SANDBOX_URL": "", "AWS_ENDPOINT_URL": ""}
        servers = (engine.api_url, engine.sandbox_url, person.environment.get("AWS_ENDPOINT_URL", ""))
        with ExitStack() as stack:
            for name, server in zip(ways, servers, strict=True):
                ways[name] = stack.enter_context(proxy.proxy(server, requests)) if server else ""
            yield ways

    def disturbed(self, person: Scenario, requests: Requests) -> Outcome:
        """An apply that may be killed, or suspended, at one of its requests."""
        with self.through(person, requests) as ways:
            run = person.start("apply", "-y", "--lock-timeout", "60s", **ways)
            requests.aim(run.pid)
            return self.sound(person.heard(run.wait(200)))

    def sound(self, outcome: Outcome) -> Outcome:
        self.said.append(f"{outcome.code}")
        assert outcome.code in _ENDINGS, outcome.text
        assert "Traceback" not in outcome.text, outcome.text
        assert "This is a bug in nexus" not in outcome.text, outcome.text
        return outcome

    def round(self, chance: random.Random, *, suspended: bool) -> None:
        """All of them do what each thinks is right."""
        for person in (*self.people, self.robot):
            self.says(person, {name: chance.randint(0, 2) for name in ("web", "worker")})
        kinds = [Suspension if suspended and chance.random() < 0.25 else Requests for _ in self.people]
        moments = list(proxy.Moment)
        fates = [kind(chance.randint(1, self.last_request), chance.choice(moments)) for kind in kinds]
        with ThreadPoolExecutor(2) as hands:
            list(hands.map(self.disturbed, self.people, fates))

    def converge(self) -> None:
        """Left alone, the controller brings it to what the manifest says; everybody sees that, it itself as well."""
        counts = {"web": 2, "worker": 1}
        for person in (*self.people, self.robot):
            self.says(person, counts)
        with Controller(self):
            deadline = time.monotonic() + 120
            while self.people[0].run("plan", "--detailed-exitcode").expect(0, 1, 2).code:
                assert time.monotonic() < deadline, self.people[0].said[-1]
        looked = self.robot.run("reconcile", "--once", "--no-web", "--log", "json").expect(0)
        assert '"event": "applied"' not in looked.stderr, looked.stderr
        for person in self.people:
            person.expect_no_changes()
        self._expect_as_remembered(['sandbox.web["0"]', 'sandbox.web["1"]', 'sandbox.worker["0"]'])

    def _expect_as_remembered(self, addresses: list[str]) -> None:
        """What lives is what the state knows, one for each address."""
        state = self.state()
        known = {str(address): item.id for address, item in state.resources.items() if address.kind == "sandbox"}
        assert sorted(known) == addresses
        assert not state.pending
        live = {info.sandbox_id: info for found in self.robot.live().values() for info in found}
        assert set(known.values()) <= live.keys()
        for sandbox_id in live.keys() - set(known.values()):  # what was made and never recorded ends by itself
            assert (live[sandbox_id].end_at - live[sandbox_id].started_at).total_seconds() <= 121

    def take_down(self) -> None:
        self.people[1].destroy().expect(0)
        state = self.state()
        assert (dict(state.resources), state.deposed) == ({}, ())

    def clean_up(self) -> None:
        for person in (*self.people, self.robot):
            person.clean_up()


class Controller:
    """``nexus reconcile`` in the folder of the robot. With a ``chance`` it is killed now and then, and begun anew."""

    _kept: Future[None]

    def __init__(self, team: Team, chance: random.Random | None = None) -> None:
        self._team = team
        self._chance = chance
        self._stopping = threading.Event()
        self._run: Run | None = None
        self._hands = ThreadPoolExecutor(1)

    def __enter__(self) -> Controller:
        self._kept = self._hands.submit(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        asked = set[int]()
        while not self._kept.done():
            if self._run is not None and self._run.pid not in asked:  # asked twice, it gives up what is in flight
                asked.add(self._run.pid)
                with suppress(ProcessLookupError):
                    os.kill(self._run.pid, signal.SIGTERM)
            time.sleep(0.05)
        self._hands.shutdown()
        self._kept.result()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            fate = Requests()
            if self._chance is not None:
                last = 3 * self._team.last_request
                fate = Requests(self._chance.randint(1, last), self._chance.choice(list(proxy.Moment)))
            robot = self._team.robot
            with self._team.through(robot, fate) as ways:
                self._run = robot.start("reconcile", "--interval", "1s", "--no-web", "--log", "json", **ways)
                fate.aim(self._run.pid)
                self._team.sound(robot.heard(self._run.wait(1200)))


class Witness:
    """Looks at the state all the time: its lineage, and whether its serial ever goes back."""

    def __init__(self, team: Team) -> None:
        self._states = team.stores(team.people[0].folder).states
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._look()))
        self.lineages = set[str]()
        self.serials = list[int]()

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    async def _look(self) -> None:
        while not self._ended.wait(0.1):
            state = await self._states.read()
            if state is not None:
                self.lineages.add(state.lineage)
                self.serials.append(state.serial)


def play(team: Team, rounds: int, seed: int, *, suspended: bool = False) -> None:
    chance = random.Random(seed)
    try:
        with Witness(team) as witness:
            team.says(team.robot, {"web": 1})
            with Controller(team, random.Random(seed)):
                for _ in range(rounds):
                    team.round(chance, suspended=suspended)
            team.converge()
            team.take_down()
        assert len(witness.lineages) == 1
        assert witness.serials == sorted(witness.serials)
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
    made.clean_up()


def test_two_appliers_and_a_controller_on_one_state_lose_nothing(team: Team) -> None:
    play(team, ROUNDS, seed=1)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [2, 3])
def test_they_lose_nothing_however_often_they_are_killed_or_suspended(team: Team, seed: int) -> None:
    play(team, MANY_ROUNDS, seed, suspended=True)


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
    """At one of the requests to the engine, something ``happens`` to the server of the state."""

    def __init__(self, count: int, happens: Callable[[], None]) -> None:
        super().__init__(count, proxy.Moment.BEFORE)
        self._happens = happens

    def is_time(self, moment: proxy.Moment) -> bool:
        if moment is proxy.Moment.BEFORE:
            self._happens()
        return False


def _play_an_outage(team: Team, outage: Outage, end: Callable[[], None], says: str) -> None:
    ann, bob = team.people
    for person in team.people:
        team.says(person, {"web": 2, "worker": 1})
    outcome = team.disturbed(ann, outage)
    end()
    outcome.expect(1, 3)
    assert says in outcome.text
    bob.apply("--lock-timeout", "60s").expect(0)
    ann.expect_no_changes()
    made = {info.sandbox_id for found in bob.live().values() for info in found}
    known = {item.id for address, item in team.state().resources.items() if address.kind == "sandbox"}
    assert made == known


@pytest.mark.thorough
@pytest.mark.parametrize("count", [3, 6, 9])
@pytest.mark.parametrize("team", ["postgres"], indirect=True)
def test_an_apply_whose_state_server_dies_loses_nothing(
    team: Team, postgres: servers.PostgresServer, count: int
) -> None:
    _play_an_outage(team, Outage(count, postgres.end), postgres.begin, "The server of the state does not answer")


@pytest.mark.thorough
@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_an_apply_whose_credentials_expire_loses_nothing(
    own_engine: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    with gcs() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        team = Team(tmp_path, own_engine, "gcs", server.fields(), server.environment)
        try:
            outage = Outage(count, lambda: setattr(server, "status", 401))
            _play_an_outage(team, outage, lambda: setattr(server, "status", 0), "does not let us in")
        finally:
            team.clean_up()


def _make_strange(team: Team) -> None:
    """As if the holder of the lock was a process of another machine: whether it lives can't be seen from here."""
    lock = team.stores(team.people[0].folder).lock
    book = lock._book  # type: ignore[attr-defined]
    found = book.read()
    data = json.loads(found.content)
    assert data["held"], LOCK
    book.write(json.dumps({**data, "process": "another-machine/1/1"}).encode(), found.version)
