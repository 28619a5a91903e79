"""What a deep look finds changed inside a sandbox, and that the units it names mend it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from nexus.model.changes import Verb
from nexus.model.state import State
from nexus.providers.e2b import E2BProvider
from tests.providers.conftest import Make
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


async def lost(provider: E2BProvider, subject: Subject) -> set[str]:
    state = State(
        lineage="l", project=subject.project, resources={subject.address: subject.record}, trees=subject.trees
    )
    observation = await provider.look_inside(state, await provider.observe(state, {}))
    assert observation.diagnostics == ()
    return set(subject.record.setup) - set(observation.records[subject.uid].facts["setup"])


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
