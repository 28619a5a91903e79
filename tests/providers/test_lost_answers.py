"""Failures of the control plane: what is said of their effect, and how a repeated create ends."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nexus.local.daemon import Endpoint
from nexus.model.changes import Verb
from nexus.model.state import Intent, State
from nexus.providers.base import Certainty, Found, ProviderError, TooFast
from nexus.providers.e2b import E2BProvider
from tests.providers.conftest import Make
from tests.providers.subject import Subject

pytestmark = pytest.mark.engine
Script = Callable[..., None]


@pytest.fixture
def faults(engine: Endpoint) -> Iterator[Script]:
    """Scripts failures of the engine: ``faults({"method": …, "path": …, "action": …})``."""

    def script(*rules: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{engine.api_url}/nexus/faults",
            data=json.dumps(rules).encode(),
            headers={"X-API-KEY": engine.api_key, "Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=60).close()

    yield script
    script()


CREATE = {"method": "POST", "path": "/v2/sandboxes$"}


async def found_of(provider: E2BProvider, web: Subject, intent: Intent) -> tuple[Found, ...]:
    """What a create has made, once it can be seen: a list may omit a sandbox that is just starting."""
    state = State(lineage="l", project=web.project)
    async with asyncio.timeout(60):
        while not (found := (await provider.find(state, [intent]))[intent.key]):  # noqa: ASYNC110 - asks a server
            await asyncio.sleep(0.05)
    return found


async def test_a_lost_answer_is_of_unknown_effect_and_the_same_key_finds_the_sandbox(
    make: Make, provider: E2BProvider, faults: Script
) -> None:
    web = make("sandbox.web").declare()
    faults({**CREATE, "action": "drop"})
    with pytest.raises(ProviderError) as caught:
        await web.do(Verb.CREATE, key="lost-answer")
    assert caught.value.certainty is Certainty.UNKNOWN
    intent = Intent(key="lost-answer", address=web.address, verb="create", uid=web.uid)
    (found,) = await found_of(provider, web, intent)
    await web.do(Verb.CREATE, key="lost-answer")
    assert web.record.id == found.id
    assert len(await provider.operator.list({"nexus.project": web.project})) == 1


async def test_a_request_to_slow_down_is_left_to_the_executor_which_knows_what_else_waits(
    make: Make, faults: Script
) -> None:
    web = make("sandbox.web").declare()
    faults({**CREATE, "action": "status", "status": 429, "headers": {"Retry-After": "1"}})
    with pytest.raises(TooFast) as caught:
        await web.do(Verb.CREATE)
    assert caught.value.certainty is Certainty.NOT_DONE
    await web.do(Verb.CREATE)


@pytest.mark.parametrize(
    ("status", "certainty", "code"),
    [
        (429, Certainty.NOT_DONE, "QUOTA_EXCEEDED"),
        (503, Certainty.NOT_DONE, "INSUFFICIENT_RESOURCES"),
        (500, Certainty.UNKNOWN, None),
        (403, Certainty.PERMANENT, "PERMISSION_DENIED"),
    ],
)
async def test_every_status_says_what_is_known_of_the_effect(
    make: Make, faults: Script, status: int, certainty: Certainty, code: str | None
) -> None:
    web = make("sandbox.web").declare()
    faults({**CREATE, "action": "status", "status": status, "nth": None})
    with pytest.raises(ProviderError) as caught:
        await web.do(Verb.CREATE)
    assert caught.value.certainty is certainty
    assert caught.value.diagnostic.error_code == code
    assert caught.value.diagnostic.address == "sandbox.web"


async def test_one_sandbox_that_cannot_be_read_is_unknown_and_the_others_are_not(
    make: Make, provider: E2BProvider, faults: Script
) -> None:
    web, other = make("sandbox.web").declare(), make("sandbox.other").declare()
    for subject in (web, other):
        await subject.do(Verb.CREATE)
    state = State(lineage="l", project="elsewhere", resources={item.address: item.record for item in (web, other)})
    faults({"method": "GET", "path": f"/sandboxes/{web.record.id}$", "action": "status", "status": 500, "nth": None})
    observation = await provider.observe(state, {})
    assert observation.records[web.uid].presence.value == "unknown"
    assert observation.records[other.uid].presence.value == "running"
    assert [item.address for item in observation.diagnostics] == ["sandbox.web"]


async def test_a_list_that_fails_is_no_observation(make: Make, provider: E2BProvider, faults: Script) -> None:
    web = make("sandbox.web").declare()
    await web.do(Verb.CREATE)
    state = State(lineage="l", project=web.project, resources={web.address: web.record})
    faults({"method": "GET", "path": "/v2/sandboxes$", "action": "status", "status": 500, "nth": None})
    with pytest.raises(ProviderError):
        await provider.observe(state, {})


async def test_a_lost_answer_to_a_volume_is_found_by_its_name(make: Make, faults: Script) -> None:
    data = make("volume.data").declare()
    faults({"method": "POST", "path": "/volumes$", "action": "drop"})
    with pytest.raises(ProviderError) as caught:
        await data.do(Verb.CREATE)
    assert caught.value.certainty is Certainty.UNKNOWN
    assert (await data.do(Verb.CREATE)).unchanged
