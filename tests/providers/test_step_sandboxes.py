"""Steps with a sandbox of their own, and steps that are not run again because an earlier run stands for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from e2b.exceptions import SandboxNotFoundException

from nexus.local.daemon import Endpoint
from nexus.model.addresses import Address
from nexus.model.changes import Verb
from nexus.model.diagnostics import error
from nexus.model.state import LOST
from nexus.providers.base import LimitReached, ProviderError, TooFast
from nexus.providers.e2b import E2BProvider
from nexus.stores import LocalResults
from tests.providers.conftest import Make, settings_of
from tests.providers.subject import Subject, secret

pytestmark = pytest.mark.engine
Inside = Callable[..., Awaitable[str]]
OWN = {"template": "base:default", "env_vars": {"WHERE": "own"}}


@pytest.fixture
async def provider(engine: Endpoint, tmp_path: Path) -> AsyncIterator[E2BProvider]:
    """One that keeps what steps left."""
    provider = E2BProvider(settings_of(engine), results=LocalResults(tmp_path / "cache"))
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def web(make: Make) -> Subject:
    subject = make("sandbox.web").declare()
    await subject.do(Verb.CREATE)
    await subject.do(Verb.ARM)
    return subject


def on(subject: Subject) -> dict[str, object]:
    return {"address": str(subject.address), "id": subject.record.id, "user": "user"}


async def is_gone(provider: E2BProvider, sandbox_id: str) -> bool:
    try:
        await provider._world.connection.client.AsyncSandbox.get_info(sandbox_id)
    except SandboxNotFoundException:
        return True
    return False


async def test_a_sandbox_of_its_own_lives_on_a_lease_and_ends_with_the_step(make: Make, provider: E2BProvider) -> None:
    step = make("step.p.own").declare(
        sandbox=OWN, run="echo $WHERE; echo up; until [ -e /tmp/go ]; do sleep 0.1; done", timeout=60
    )
    running = asyncio.create_task(step.do(Verb.RUN_STEP, "run"))
    await step.report.until(("stdout", "up"))
    client = provider._world.connection.client.AsyncSandbox
    (sandbox_id,) = [name for name in provider._world.sandboxes._known if name]
    info = await client.get_info(sandbox_id)
    assert (info.end_at - datetime.now(UTC)).total_seconds() <= 121
    assert info.metadata["nexus.step"] == "step.p.own"
    assert "nexus.address" not in info.metadata
    await (await client.connect(sandbox_id, timeout=120)).files.write("/tmp/go", "")
    await running
    assert step.report.lines[0] == ("stdout", "own")
    assert step.record.outputs["sandbox_id"] == sandbox_id
    assert await is_gone(provider, sandbox_id)


async def test_a_sandbox_of_its_own_ends_however_the_step_does(make: Make, provider: E2BProvider) -> None:
    failing = make("step.p.own").declare(sandbox=OWN, run="echo $E2B_SANDBOX_ID; exit 3", retries=1)
    with pytest.raises(ProviderError):
        await failing.do(Verb.RUN_STEP, "run")
    first, second = (text for _, text in failing.report.lines)
    assert first != second, "each try has a new one"
    assert await is_gone(provider, first)
    assert await is_gone(provider, second)

    cancelled = make("step.p.other").declare(sandbox=OWN, run="echo $E2B_SANDBOX_ID; echo up; sleep 60")
    running = asyncio.create_task(cancelled.do(Verb.RUN_STEP, "run"))
    await cancelled.report.until(("stdout", "up"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await is_gone(provider, cancelled.report.lines[0][1])


async def test_what_a_step_left_outlives_its_own_sandbox(make: Make, web: Subject, inside: Inside) -> None:
    maker = make("step.p.make").declare(
        sandbox=OWN, run="head -c 3000000 /dev/urandom > /tmp/x", outputs={"x": "/tmp/x"}
    )
    await maker.do(Verb.RUN_STEP, "run")
    made = maker.record.outputs["outputs"]["x"]
    taker = make("step.p.take").declare(
        sandbox=on(web), run="sha256sum < /tmp/in | cut -c1-64", inputs={"/tmp/in": made}
    )
    await taker.do(Verb.RUN_STEP, "run")
    assert taker.report.lines == [("stdout", made["sha256"])]


async def test_a_file_with_a_secret_is_never_kept(make: Make, web: Subject, tmp_path: Path) -> None:
    leak = "printf '%*s' 70000 | tr ' ' x > /tmp/x; printf %s $TOKEN >> /tmp/x"
    variables = {"TOKEN": secret("a-seeded-secret")}
    step = make("step.p.own").declare(sandbox=OWN, run=leak, env_vars=variables, outputs={"x": "/tmp/x"})
    with pytest.raises(ProviderError) as caught:
        await step.do(Verb.RUN_STEP, "run")
    assert caught.value.diagnostic.code == "secret-in-output"
    cached = make("step.p.cached").declare(
        sandbox=on(web), run=leak, env_vars=variables, outputs={"x": "/tmp/x"}, cache=True
    )
    cached.others = {web.address: web.record}
    await cached.do(Verb.RUN_STEP, "run")
    assert any("not kept for later runs" in line for _, line in cached.report.lines)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


async def test_an_earlier_run_stands_for_an_equal_one_in_an_equal_sandbox(
    make: Make, web: Subject, inside: Inside
) -> None:
    fields = {"run": "date +%N > /tmp/x; echo ran", "outputs": {"x": "/tmp/x"}, "cache": True}
    first = make("step.p.one").declare(sandbox=on(web), **fields)
    first.others = {web.address: web.record}
    await first.do(Verb.RUN_STEP, "run")
    assert first.report.lines == [("stdout", "ran")]

    twin = make("sandbox.web").declare()
    await twin.do(Verb.CREATE)
    await twin.do(Verb.ARM)
    again = make("step.p.one").declare(sandbox=on(twin), **fields)
    again.others = {twin.address: twin.record}
    result = await again.do(Verb.RUN_STEP, "run")
    assert result.unchanged
    assert again.report.lines == []
    assert again.record.outputs["cached"] is True
    assert again.record.outputs["outputs"]["x"] == {
        **first.record.outputs["outputs"]["x"],
        "sandbox": twin.record.id,
    }
    assert await inside(twin, "cat /tmp/x; stat -c %U /tmp/x") == await inside(web, "cat /tmp/x; stat -c %U /tmp/x")

    other = replace(twin.record, setup={**twin.record.setup, "pip": "another"})
    lost = replace(twin.record, setup={"env": LOST})
    for record in (other, lost):
        again.others = {Address("sandbox", "web"): record}
        again.report.lines.clear()
        assert not (await again.do(Verb.RUN_STEP, "run")).unchanged
        assert again.report.lines == [("stdout", "ran")]


async def test_a_full_account_is_waited_for_while_own_sandboxes_will_make_room(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make("step.p.first").declare(sandbox=OWN, run="echo up; until [ -e /tmp/go ]; do sleep 0.1; done")
    running = asyncio.create_task(first.do(Verb.RUN_STEP, "run"))
    await first.report.until(("stdout", "up"))

    async def full(*_: object, **__: object) -> None:
        raise LimitReached(error("sandbox-limit", "The account is full"))

    monkeypatch.setattr("nexus.providers.e2b.own_sandbox.make", full)
    second = make("step.p.second").declare(sandbox=OWN, run="true")
    with pytest.raises(TooFast) as waiting:
        await second.do(Verb.RUN_STEP, "run")
    assert waiting.value.retry_after
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(LimitReached):
        await second.do(Verb.RUN_STEP, "run")
