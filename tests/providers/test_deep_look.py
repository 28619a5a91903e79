"""What a deep look finds changed inside a sandbox, and that the units it names mend it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from nexus.local.daemon import Endpoint
from nexus.model.changes import Verb
from nexus.model.observation import Observed
from nexus.model.state import State
from nexus.providers.base import Certainty
from nexus.providers.e2b import E2BProvider, errors, probe
from tests.lifecycle.proxy import Requests, proxy
from tests.providers.conftest import Make, settings_of
from tests.providers.subject import MemoryFiles, Subject, secret

pytestmark = pytest.mark.engine
Inside = Callable[..., Awaitable[str]]


@pytest.fixture
async def web(make: Make) -> Subject:
    files = MemoryFiles(folders={"src": {"a.txt": b"a", "b/c.txt": b"", "it's ü.txt": b"u"}})
    subject = make("sandbox.web", files).declare(
        env_vars={"KEY": secret("x-secret")},
        packages={"pip": ["iniconfig==2.0.0"], "npm": ["is-number@7.0.0"], "apt": ["sl"]},
        uploads=[{"path": "/app/src", "source": "src"}, {"path": "/app/key", "content": secret("k"), "mode": "0600"}],
        run_commands=["true"],
        start_command="sleep 100000",
    )
    await subject.bring_up()
    return subject


async def looked(provider: E2BProvider, subject: Subject) -> Observed:
    state = State(
        lineage="l", project=subject.project, resources={subject.address: subject.record}, trees=subject.trees
    )
    observation = await provider.look_inside(state, await provider.observe(state, {}))
    assert observation.diagnostics == ()
    return observation.records[subject.uid]


async def lost(provider: E2BProvider, subject: Subject) -> set[str]:
    return set(subject.record.setup) - set((await looked(provider, subject)).facts["setup"])


@pytest.mark.slow
async def test_every_kind_of_damage_is_found_and_mended(provider: E2BProvider, web: Subject, inside: Inside) -> None:
    assert await lost(provider, web) == set()
    damages = {
        "uploads": ("echo other > /app/src/a.txt", Verb.UPLOAD),
        "pip": ("pip uninstall -y -q iniconfig --break-system-packages 2>&1", Verb.INSTALL),
        "npm": ("npm uninstall -g is-number", Verb.INSTALL),
        "apt": ("apt-get remove -y sl", Verb.INSTALL),
        "start": ("pkill -f 'sleep 10000[0]'", Verb.START),
    }
    for unit, (damage, verb) in damages.items():
        await inside(web, damage, user="root")
        assert await lost(provider, web) == {unit}
        await web.do(verb, unit)
        assert await lost(provider, web) == set()


@pytest.mark.parametrize(
    "damage", ["chmod 600 /app/src/a.txt", "rm /app/src/b/c.txt", "rm '/app/src/it'\\''s ü.txt'", "rm /app/key"]
)
async def test_files_of_every_sort_are_looked_at(
    make: Make, provider: E2BProvider, inside: Inside, damage: str
) -> None:
    files = MemoryFiles(folders={"src": {"a.txt": b"a", "b/c.txt": b"", "it's ü.txt": b"u"}})
    web = make("sandbox.web", files).declare(
        uploads=[{"path": "/app/src", "source": "src"}, {"path": "/app/key", "content": secret("k")}]
    )
    await web.bring_up()
    await inside(web, damage)
    assert await lost(provider, web) == {"uploads"}


async def test_a_sandbox_that_does_not_answer_is_left_as_it_was_seen(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare(startup_script="true")
    await web.bring_up()
    state = State(lineage="l", project=web.project, resources={web.address: web.record})
    seen = await provider.observe(state, {})
    await provider.operator.kill(web.record.id)
    after = await provider.look_inside(state, seen)
    assert after.records == seen.records
    assert [item.address for item in after.diagnostics] == ["sandbox.web"]


async def up(subject: Subject) -> Subject:
    await subject.bring_up()
    return subject


ODD_NAMES = (
    "two\nlines.txt",
    "back\\slash",
    "-n",
    " spaces ",
    "ünïcode \u202e.txt",
    "'quotes\"$(x)`y`",
)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("printf other > $'two\\nlines.txt'", r"'/app/src/two\nlines.txt' was edited"),
        ("rm 'back\\slash'", r"/app/src/back\slash was deleted"),
        ("chmod 600 ' spaces '", "/app/src/ spaces  has mode 600 instead of 644"),
        ("ln -sf ./-n 'ünïcode \u202e.txt'", r"'/app/src/\xfcn\xefcode \u202e.txt' was replaced by a link"),
        ("rm -- -n; mkdir -- -n", "/app/src/-n is not a file any more"),
    ],
)
async def test_files_are_told_apart_whatever_their_names(
    make: Make, provider: E2BProvider, inside: Inside, damage: str, sentence: str
) -> None:
    web = make("sandbox.web", MemoryFiles(folders={"src": {name: name.encode() for name in ODD_NAMES}}))
    await web.declare(uploads=[{"path": "/app/src", "source": "src"}]).bring_up()
    assert await lost(provider, web) == set()
    assert await inside(web, f"cd /app/src && {damage}") == ""
    assert (await looked(provider, web)).facts["findings"] == {"uploads": [sentence]}


async def test_a_deep_look_makes_two_requests_for_a_sandbox_however_much_was_done_in_it(
    make: Make, provider: E2BProvider, engine: Endpoint
) -> None:
    files = MemoryFiles(folders={"src": {f"module_{i % 50}/part_{i}.py": b"x = 1\n" for i in range(4000)}})
    full = make("sandbox.full", files).declare(
        env_vars={"A": "b"},
        uploads=[{"path": "/app/src", "source": "src"}],
        run_commands=["true"],
        startup_script="true",
    )
    bare = make("sandbox.bare", files)
    for subject in (full, bare.declare()):
        await subject.bring_up()
    state = State(
        lineage="l",
        project=full.project,
        resources={item.address: item.record for item in (full, bare)},
        trees=full.trees,
    )
    requests = Requests()
    with proxy(engine.api_url, requests) as api, proxy(engine.sandbox_url, requests) as inside:
        counted = E2BProvider(replace(settings_of(engine), api_url=api, sandbox_url=inside))
        try:
            seen = await counted.observe(state, {})
            listing = len(requests.seen)
            deep = await counted.look_inside(state, seen)
        finally:
            await counted.aclose()
    assert deep.diagnostics == ()
    assert set(deep.records[full.uid].facts["setup"]) == set(full.record.setup)
    assert (listing, len(requests.seen) - listing) == (1, 2 + 1), requests.seen


async def test_an_answer_that_is_not_whole_tells_nothing(
    make: Make, provider: E2BProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_ABOUT_REST", "kill -9 $$\n")
    web = await up(make("sandbox.web").declare(start_command="sleep 1000", startup_script="true"))
    state = State(lineage="l", project=web.project, resources={web.address: web.record})
    seen = await provider.observe(state, {})
    deep = await provider.look_inside(state, seen)
    assert [item.code for item in deep.diagnostics] == ["not-looked-into"]
    assert deep.records == seen.records


async def test_a_look_that_fails_by_chance_is_taken_once_more(
    make: Make, provider: E2BProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = await up(make("sandbox.web").declare(startup_script="true"))
    real, calls = provider._world.sandboxes.look_up, []

    async def shaky(sandbox_id: str, address: str) -> object:
        calls.append(sandbox_id)
        if len(calls) == 1:
            raise errors.failure("no-answer", "lost", certainty=Certainty.UNKNOWN)
        return await real(sandbox_id, address)

    monkeypatch.setattr(provider._world.sandboxes, "look_up", shaky)
    assert await lost(provider, web) == set()
    assert len(calls) == 2


async def test_a_list_of_files_that_no_variable_takes_travels_as_a_file(
    make: Make, provider: E2BProvider, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_PIECE", 60)
    monkeypatch.setattr(probe, "_PIECES", 1)
    files = MemoryFiles(folders={"src": {f"{name}.txt": name.encode() for name in ("one", "two", "three", "four")}})
    web = make("sandbox.web", files).declare(uploads=[{"path": "/app/src", "source": "src"}])
    await web.bring_up()
    assert await lost(provider, web) == set()
    await inside(web, "rm /app/src/four.txt")
    assert (await looked(provider, web)).facts["findings"] == {"uploads": ["/app/src/four.txt was deleted"]}
    assert await inside(web, "ls /run/nexus/jobs", user="root") == ""
