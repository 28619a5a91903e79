"""One project on a real engine that is changed, disturbed, killed and mended, and what must be true after that.

Faults are the whole engine's: whoever plays says when they hold. What is checked here holds when there are none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import httpx
from e2b import Sandbox, SandboxInfo, SandboxState, Template
from e2b.exceptions import NotFoundException, SandboxException

from nexus.local.daemon import Endpoint
from nexus.model.addresses import Address
from nexus.model.state import State
from nexus.planning import moved
from nexus.stores import load, local_backend
from tests.campaigns.drafts import Draft
from tests.campaigns.traffic import surprises
from tests.lifecycle import killing, proxy
from tests.lifecycle.killing import DiskDeath
from tests.lifecycle.proxy import Requests
from tests.lifecycle.scenario import Scenario
from tests.local.waiting import wait_until
from tests.processes import Outcome

SECRET: Final = 'Zq7/+s33d&"é <v4lue>\\x'
ROTATED: Final = 'Kw9/+t0ken&"ü <oth3r>\\y'
LEFT_PAUSED: Final = "192.0.2.119"
"""The address whose denial marks a sandbox that ``on_destroy: pause`` has left in the account."""

_ENDINGS: Final = (0, 1, 3, -9)
"""Exit codes of an apply that is disturbed: done, refused, partly done, killed."""


class Player:
    """Draws everything from ``chance``. ``story`` tells what happened, for the message of a failure."""

    def __init__(self, folder: Path, engine: Endpoint, chance: random.Random) -> None:
        self.scenario = Scenario(folder, engine)
        self.scenario.environment |= {
            "NEXUS_TARGET": "e2b",
            "E2B_API_KEY": engine.api_key,
            "E2B_API_URL": engine.api_url,
            "E2B_SANDBOX_URL": engine.sandbox_url,
            "E2B_VOLUME_API_URL": engine.api_url,
            "TOKEN": SECRET,
        }
        self.chance = chance
        self.draft = Draft()
        self.story: list[str] = []
        self.kills = 0
        self._disturbed_inside = False
        self._saved: str | None = None
        self._write()

    # ---- the manifest

    def edit(self, times: int) -> None:
        for _ in range(times):
            self.story.append(self.draft.change(self.chance))
        self._write()

    def rotate(self) -> None:
        now = ROTATED if self.scenario.environment["TOKEN"] == SECRET else SECRET
        self.scenario.environment["TOKEN"] = now
        self.story.append("rotate the secret")

    def _write(self) -> None:
        self.scenario.write(self.draft.text())

    # ---- runs that are disturbed

    def apply(self, *arguments: str) -> Outcome:
        """While faults may strike: it may fail, but not fall."""
        return self._sound(self.scenario.apply(*self._hands(), *arguments), f"apply {' '.join(arguments)}")

    def killed(self, command: str = "apply") -> Outcome:
        """A run that ends at a random moment: at a request, or at something it does to its files."""
        arguments = [command, "-y", *self._hands()]
        if self.chance.random() < 0.3:
            moment = self.chance.choice(list(killing.Moment))
            number = self.chance.randint(1, 24)
            told = f"{command} killed at file {number} {moment}"
            death = DiskDeath(number, moment, self.scenario.folder.with_suffix(".tally"))
            outcome = self.scenario.heard(self.scenario.start(*arguments, prepare=death).wait())
        else:
            at = self.chance.choice(list(proxy.Moment))
            number = int(self.chance.choice([1, 1, 1, 2]) * self.chance.triangular(1, 28, 5))
            told = f"{command} killed at request {number} {at}"
            outcome = self._through(Requests(number, at), *arguments)
        self.kills += outcome.code == -9
        return self._sound(outcome, told)

    def save_plan(self) -> None:
        """To be applied later, when it may not be right any more."""
        path = str(self.scenario.folder / "saved.plan")
        if self.scenario.run("plan", "--out", path).code == 0:
            self._saved = path
            self.story.append("save a plan")

    def apply_saved(self) -> None:
        if self._saved is not None:
            self._sound(self.scenario.run("apply", self._saved), "apply the saved plan")
            self._saved = None

    def _hands(self) -> tuple[str, ...]:
        return ("--parallelism", self.chance.choice(["1", "4", "10"]))

    def _through(self, requests: Requests, *arguments: str) -> Outcome:
        """A run whose requests all go through a proxy that may kill it."""
        engine = self.scenario.engine
        with ExitStack() as stack:
            api = stack.enter_context(proxy.proxy(engine.api_url, requests))
            inside = stack.enter_context(proxy.proxy(engine.sandbox_url, requests))
            run = self.scenario.start(*arguments, E2B_API_URL=api, E2B_SANDBOX_URL=inside, E2B_VOLUME_API_URL=api)
            requests.aim(run.pid)
            return self.scenario.heard(run.wait(300))

    def _sound(self, outcome: Outcome, told: str) -> Outcome:
        self.story.append(f"{told}: {outcome.code}")
        assert outcome.code in _ENDINGS, f"exit code {outcome.code}\n{outcome.text}"
        assert "Traceback" not in outcome.text, outcome.text
        assert "This is a bug in nexus" not in outcome.text, outcome.text
        return outcome

    # ---- what others do

    def disturb(self) -> None:
        """Something that nexus has no part in."""
        deeds: list[Callable[[], str]] = [self._kill, self._pause, self._shorten, *[self._edit_inside] * 3]
        deeds += [self._remove_tag, self._remove_snapshot, self._remove_volume]
        with suppress(NotFoundException, SandboxException, httpx.HTTPStatusError):
            self.story.append(self.chance.choice(deeds)())

    def _victim(self, *, running: bool = True) -> SandboxInfo | None:
        ids = {record.id for record in self.state().resources.values()}
        found = [
            info
            for info in self.live().values()
            if info.sandbox_id in ids and (not running or info.state is SandboxState.RUNNING)
        ]
        return self.chance.choice(sorted(found, key=lambda info: info.started_at)) if found else None

    def _kill(self) -> str:
        info = self._victim(running=False)
        if info is None:
            return "nothing to kill"
        Sandbox.kill(info.sandbox_id, **self.scenario.options)
        return f"kill {info.metadata['nexus.address']}"

    def _pause(self) -> str:
        info = self._victim()
        if info is None:
            return "nothing to pause"
        Sandbox.pause(info.sandbox_id, **self.scenario.options)
        return f"pause {info.metadata['nexus.address']}"

    def _shorten(self) -> str:
        info = self._victim()
        if info is None:
            return "nothing to shorten"
        Sandbox.set_timeout(info.sandbox_id, 600, **self.scenario.options)
        self._disturbed_inside = True
        return f"shorten {info.metadata['nexus.address']}"

    def _edit_inside(self) -> str:
        info = self._victim()
        if info is None:
            return "nothing to edit"
        deed = self.chance.choice(
            [
                "echo other > /srv/note",
                "rm -f /srv/note /srv/other",
                "chmod 600 /srv/note",
                "pkill sleep || true",
                "echo export A=other > /run/nexus/env",
                "rm -f /var/lib/nexus/receipt.json",
            ]
        )
        sandbox = Sandbox.connect(info.sandbox_id, **self.scenario.options)
        sandbox.commands.run(f"{{ {deed}; }} 2>/dev/null || true", user="root")
        self._disturbed_inside = True
        return f"in {info.metadata['nexus.address']}: {deed}"

    def _remove_tag(self) -> str:
        templates = self.scenario.templates()
        if not templates:
            return "no tag to remove"
        name = next(name for name in templates[0]["names"] if "--" in name)
        tags = [item["tag"] for item in self.scenario.tags(templates[0]["templateID"])]
        if not tags:
            return "no tag to remove"
        tag = self.chance.choice(sorted(tags))
        Template.remove_tags(name, [tag], **self._account)
        return f"remove tag {tag}"

    def _remove_snapshot(self) -> str:
        names = sorted(self.snapshots())
        if not names:
            return "no snapshot to remove"
        name = self.chance.choice(names)
        Sandbox.delete_snapshot(name.rpartition(":")[0] or name, **self._account)
        return f"remove snapshot {name}"

    def _remove_volume(self) -> str:
        engine = self.scenario.engine
        with httpx.Client(base_url=engine.api_url, headers={"X-API-KEY": engine.api_key}, timeout=60) as client:
            for volume in client.get("/volumes").json():
                if volume["name"].startswith(f"{self.scenario.project}--"):
                    client.delete(f"/volumes/{volume['volumeID']}").raise_for_status()
                    return f"remove volume {volume['name']}"
        return "no volume to remove"

    # ---- what is there

    @property
    def _account(self) -> dict[str, Any]:
        return {"api_key": self.scenario.engine.api_key, "api_url": self.scenario.engine.api_url}

    def state(self) -> State:
        fresh = State(lineage="", project=self.scenario.project)
        return asyncio.run(load(local_backend(self.scenario.folder, "default"), fresh)).state

    def live(self) -> dict[str, SandboxInfo]:
        """All sandboxes that carry this project's mark, by id."""
        return {info.sandbox_id: info for found in self.scenario.live().values() for info in found}

    def snapshots(self) -> set[str]:
        """Of shared setups."""
        prefix = f"nexus-setup--{self.scenario.project}--"
        found: set[str] = set()
        pages = Sandbox.list_snapshots(**self.scenario.options)
        while pages.has_next:
            for item in pages.next_items():
                found.update(name for name in [item.snapshot_id, *item.names] if prefix in name)
        return found

    def _left_behind(self, info: SandboxInfo) -> bool:
        """Whether it was left paused on purpose."""
        if info.state is not SandboxState.PAUSED:
            return False
        rules = Sandbox.get_info(info.sandbox_id, **self.scenario.options).network or {}
        return any(LEFT_PAUSED in rule for rule in rules.get("deny_out", ()))

    # ---- what must be true

    def converge(self) -> None:
        """No faults any more: one apply, exactly as planned, and all is as the manifest says."""
        deep = ("--deep",) if self._disturbed_inside else ()
        moves = {Address.parse(old): Address.parse(new) for old, new in self.draft.moved.items()}
        before, planned = moved(self.state(), moves), self.scenario.plan(*deep)
        paused = any(info.state is SandboxState.PAUSED for info in self.live().values())
        requests = Requests()
        outcome = self._through(requests, "apply", "-y", *self._hands(), *deep)
        self.story.append("converge")
        outcome.expect(0)
        if deep and paused:  # nobody can look into what is paused
            self.scenario.apply("--deep").expect(0)
        self._disturbed_inside = False
        unplanned = surprises(requests.heads, planned["operations"], before, self.state(), deep=bool(deep))
        # What a killed run has left open is decided before planning, so the plan that is shown first knows less.
        assert before.pending or not unplanned, f"{unplanned}\nplanned: {planned['operations']}"
        self.expect_converged()

    def expect_converged(self) -> None:
        self.scenario.run("plan", "--detailed-exitcode").expect(0)
        self.scenario.run("plan", "--deep", "--detailed-exitcode").expect(0)
        state = self.state()
        _same((state.deposed, state.verify()), ((), ()), "what is open")
        _same(
            {intent.verb for intent in state.pending} - {"create"}, set(), "what is under way"
        )  # these may turn up yet
        wanted = {str(address): record.id for address, record in state.resources.items() if address.kind == "sandbox"}
        _same(set(wanted), self.draft.addresses(), "sandboxes of the state")
        _same(set(wanted.values()) - self.live().keys(), set(), "lost")
        self._expect_only(set(wanted.values()))
        project = self.scenario.project
        self._expect_names(
            {f"{project}--default--{name}" for name in self.draft.volumes},
            {f"{project}--default--{name}" for name in self.draft.templates},
            {str(item.attributes["name"]) for address, item in state.resources.items() if address.kind == "setup"},
        )

    def _expect_names(self, volumes: set[str], templates: set[str], setups: set[str]) -> None:
        """Nothing less and nothing else, but for what a sandbox that was left on purpose may need."""
        listed = {name for item in self.scenario.templates() for name in item["names"] if name.count("--") == 2}
        found = (
            set(self.scenario.volumes()),
            {name.rpartition("/")[2] for name in listed},
            {_name_of(name) for name in self.snapshots()},
        )
        keeps = any(map(self._left_behind, self.live().values()))
        for some, wanted, what in zip(found[:2], (volumes, templates), ("volumes", "templates"), strict=True):
            if not (keeps and some >= wanted):
                _same(some, wanted, what)
        # A snapshot that somebody removed is made again when it is needed, and not before.
        if not keeps:
            _same(found[2] - setups, set(), "leaked snapshots")

    def _expect_only(self, wanted: set[str]) -> None:
        """Everything else was left on purpose, or ends with its lease."""
        for sandbox_id, info in self.live().items():
            if sandbox_id in wanted or self._left_behind(info):
                continue
            lease = (info.end_at - info.started_at).total_seconds()
            assert lease <= 121, f"leaked: {info}"

    def expect_no_leases(self) -> None:
        """Once the time of all leases is over, as soon as the engine has looked at its clock."""
        wanted = {record.id for record in self.state().resources.values()}
        left: list[SandboxInfo] = []

        def nothing_is_left() -> bool:
            live = self.live().items()
            left[:] = [info for key, info in live if key not in wanted and not self._left_behind(info)]
            return not left

        with suppress(AssertionError):
            wait_until(nothing_is_left, "the end of all leases")
        assert not left, f"leaked: {left}"

    def take_down(self) -> None:
        self.story.append("destroy")
        self.scenario.destroy().expect(0)
        state = self.state()
        _same((dict(state.resources), state.deposed), ({}, ()), "what is remembered")
        _same({intent.verb for intent in state.pending} - {"create"}, set(), "what is under way")
        self._expect_only(set())
        self._expect_names(set(), set(), set())

    def told(self) -> Iterator[str]:
        yield from self.scenario.said


def _same(found: object, wanted: object, what: str) -> None:
    assert found == wanted, f"{what}: {found}\nwanted: {wanted}"


def _name_of(snapshot: str) -> str:
    """Without the tag, and without what the account puts before it."""
    return snapshot.partition(":")[0].rpartition("/")[2]
