"""One look at everything that is recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nexus.local.daemon import Endpoint
from nexus.model.changes import Verb
from nexus.model.observation import Presence
from nexus.model.state import Intent, State
from nexus.providers.base import Certainty, ProviderError
from nexus.providers.e2b import E2BProvider, Settings
from tests.providers.conftest import Make, settings_of
from tests.providers.subject import Subject

pytestmark = pytest.mark.engine


def state_of(*subjects: Subject, **fields) -> State:
    return State(
        lineage="l",
        project=subjects[0].project,
        resources={subject.address: subject.record for subject in subjects},
        **fields,
    )


async def test_running_paused_killed_and_expired_are_told_apart(make: Make, provider: E2BProvider) -> None:
    subjects = {
        name: make(f"sandbox.{name}").declare(metadata={"n": name}) for name in ("up", "paused", "killed", "over")
    }
    for subject in subjects.values():
        await subject.do(Verb.CREATE)
        await subject.do(Verb.ARM)
    client = provider._world.connection.client.AsyncSandbox
    await client.pause(subjects["paused"].record.id)
    for name in ("killed", "over"):
        await client.kill(subjects[name].record.id)
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    subjects["over"].record = replace(subjects["over"].record, expires_at=past)
    observation = await provider.observe(state_of(*subjects.values()), {})
    presences = {name: observation.records[subject.uid].presence for name, subject in subjects.items()}
    assert presences == {
        "up": Presence.RUNNING,
        "paused": Presence.PAUSED,
        "killed": Presence.GONE,
        "over": Presence.EXPIRED,
    }
    up = observation.records[subjects["up"].uid]
    assert up.facts["metadata"] == {"n": "up"}
    assert datetime.fromisoformat(up.expires_at) > datetime.now(UTC) + timedelta(minutes=55)
    assert observation.diagnostics == ()


async def test_deposed_incarnations_are_looked_at_too(make: Make, provider: E2BProvider) -> None:
    old, new = make("sandbox.web").declare(), make("sandbox.web").declare()
    for subject in (old, new):
        await subject.do(Verb.CREATE)
    observation = await provider.observe(state_of(new, deposed=(old.record,)), {})
    assert {item.presence for item in observation.records.values()} == {Presence.RUNNING}
    assert set(observation.records) == {old.uid, new.uid}


async def test_a_sandbox_that_the_list_leaves_out_is_asked_for(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare()
    await web.do(Verb.CREATE)
    elsewhere = replace(state_of(web), project="another-project")
    observation = await provider.observe(elsewhere, {})
    assert observation.records[web.uid].presence is Presence.RUNNING


async def test_a_list_of_many_is_read_to_its_end(
    make: Make, provider: E2BProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus.providers.e2b.accounts._PAGE", 2)
    subjects = [make(f"sandbox.w{number}").declare() for number in range(5)]
    for subject in subjects:
        await subject.do(Verb.CREATE)
    observation = await provider.observe(state_of(*subjects), {})
    assert len([item for item in observation.records.values() if item.presence is Presence.RUNNING]) == 5


async def test_a_wrong_key_gives_no_observation_at_all(make: Make, engine: Endpoint) -> None:
    web = make("sandbox.web").declare()
    await web.do(Verb.CREATE)
    stranger = E2BProvider(settings_of(engine, api_key="e2b_" + "1" * 40))
    try:
        with pytest.raises(ProviderError) as caught:
            await stranger.observe(state_of(web), {})
        assert caught.value.diagnostic.code == "permission-denied"
    finally:
        await stranger.aclose()


async def test_nobody_there_gives_no_observation_at_all(make: Make) -> None:
    web = make("sandbox.web").declare()
    await web.do(Verb.CREATE)
    nowhere = E2BProvider(
        Settings(api_key="e2b_x", api_url="http://127.0.0.1:9", sandbox_url="http://127.0.0.1:9", is_local=True)
    )
    try:
        with pytest.raises(ProviderError) as caught:
            await nowhere.observe(state_of(web), {})
        assert caught.value.certainty is Certainty.NOT_DONE
    finally:
        await nowhere.aclose()


class TestVolumes:
    async def test_a_volume_is_made_once_found_by_name_observed_and_deleted(
        self, make: Make, provider: E2BProvider
    ) -> None:
        data = make("volume.data").declare()
        first = await data.do(Verb.CREATE)
        again = await data.do(Verb.CREATE)
        assert first.record.id == again.record.id
        assert again.unchanged
        assert data.record.outputs["name"] == f"{data.project}--default--data"
        state = state_of(data)
        intent = Intent(key="v", address=data.address, verb="create")
        (found,) = (await provider.find(state, [intent]))["v"]
        assert found.id == data.record.id
        assert (await provider.observe(state, {})).records[data.uid].presence is Presence.READY
        call = data.call(Verb.DELETE)
        assert not (await provider.execute(call)).unchanged
        assert (await provider.execute(call)).unchanged
        assert (await provider.observe(state, {})).records[data.uid].presence is Presence.GONE
        data.record = None

    async def test_the_user_of_a_sandbox_can_write_to_its_volume_and_another_sandbox_reads_it(
        self, make: Make, provider: E2BProvider, inside
    ) -> None:
        data = make("volume.data").declare()
        await data.do(Verb.CREATE)
        for number, command in enumerate(("echo kept > /data/file; cat /data/file", "cat /data/file")):
            web = make(f"sandbox.web{number}").declare(volumes={"/data": str(data.record.outputs["name"])})
            await web.do(Verb.CREATE)
            await web.do(Verb.ARM)
            assert await inside(web, command) == "kept\n"
