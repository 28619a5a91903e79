"""The life of a sandbox, from its lease to its end."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest

from nexus.local.daemon import Endpoint
from nexus.model.changes import Verb
from nexus.model.state import Intent, State
from nexus.providers.base import Certainty, Gone, ProviderError
from nexus.providers.e2b import E2BProvider
from tests.providers.conftest import Make, settings_of

pytestmark = pytest.mark.engine


async def end_of(provider: E2BProvider, sandbox_id: str) -> datetime:
    info = await provider._world.connection.client.AsyncSandbox.get_info(sandbox_id)
    return info.end_at


async def test_a_new_sandbox_has_a_lease_until_it_is_armed(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare(timeout=1800)
    await web.do(Verb.CREATE)
    leased = await end_of(provider, web.record.id)
    await web.do(Verb.ARM)
    armed = await end_of(provider, web.record.id)
    assert timedelta(minutes=27) < armed - leased < timedelta(minutes=29)
    assert "timeout" in web.record.attributes
    assert abs(datetime.fromisoformat(web.record.expires_at) - armed) < timedelta(seconds=5)


async def test_a_lease_is_never_longer_than_the_declared_time(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare(timeout=30)
    await web.do(Verb.CREATE)
    info = await provider._world.connection.client.AsyncSandbox.get_info(web.record.id)
    assert info.end_at - info.started_at <= timedelta(seconds=31)


async def test_the_same_create_again_answers_with_the_same_sandbox(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare()
    first = await provider.execute(web.call(Verb.CREATE, key="the-same-key"))
    second = await provider.execute(web.call(Verb.CREATE, key="the-same-key"))
    web.record = second.record
    assert first.record.id == second.record.id
    intent = Intent(key="the-same-key", address=web.address, verb="create", uid=web.uid)
    found = await provider.find(State(lineage="l", project=web.project), [intent])
    assert [item.id for item in found["the-same-key"]] == [first.record.id]


async def test_an_interrupted_create_is_found_with_its_outputs_and_can_be_discarded(
    make: Make, provider: E2BProvider
) -> None:
    web = make("sandbox.web").declare(ports={"api": 8000}, metadata={"team": "data"})
    await web.do(Verb.CREATE, key="lost")
    draft = replace(web.record, id="", attributes=web.concealed)
    intent = Intent(key="lost", address=web.address, verb="create", uid=web.uid, draft=draft)
    state = State(lineage="l", project=web.project)
    (found,) = (await provider.find(state, [intent]))["lost"]
    assert found.outputs["urls"] == web.record.outputs["urls"]
    assert found.outputs["metadata"] == {"team": "data"}
    await provider.discard(intent, found)
    await provider.discard(intent, found)
    assert (await provider.find(state, [intent]))["lost"] == ()


async def test_forks_are_not_taken_for_what_a_create_made_twice(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare()
    await web.do(Verb.CREATE, key="forked")
    ids = [*(await provider.operator.fork(web.record.id, 1, 1200)).ids, web.record.id]
    intent = Intent(key="forked", address=web.address, verb="create", uid=web.uid)
    found = await provider.find(State(lineage="l", project=web.project), [intent])
    assert [item.id for item in found["forked"]] == ids[1:]
    await provider.operator.kill(ids[0])


async def test_sandboxes_carry_who_they_are(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare(metadata={"team": "data"})
    await web.do(Verb.CREATE, key="k1")
    info = await provider._world.connection.client.AsyncSandbox.get_info(web.record.id)
    assert info.metadata["team"] == "data"
    assert info.metadata["nexus.address"] == "sandbox.web"
    assert info.metadata["nexus.uid"] == web.uid
    assert info.metadata["nexus.op"] == "k1"
    assert info.metadata["nexus.project"] == web.project


async def test_a_port_gets_a_url_that_answers_from_this_machine(make: Make) -> None:
    web = make("sandbox.web").declare(
        start_command="python3 -m http.server 8000", ready={"port": 8000, "timeout": 20}, ports={"api": 8000}
    )
    record = await web.bring_up()
    async with httpx.AsyncClient() as client:
        assert (await client.get(record.outputs["urls"]["api"])).status_code == 200


async def test_a_paused_sandbox_is_resumed_with_its_environment_and_processes(make: Make, provider, inside) -> None:
    web = make("sandbox.web").declare(env_vars={"STAGE": "one"}, start_command="sleep 1000", on_timeout="pause")
    await web.bring_up()
    web.declare(env_vars={"STAGE": "two"}, start_command="sleep 1000", on_timeout="pause")
    await web.set_up()
    await provider._world.connection.client.AsyncSandbox.pause(web.record.id)
    await web.do(Verb.RESUME)
    assert await inside(web, "echo $STAGE; pgrep -c sleep") == "two\n1\n"


async def test_what_only_memory_held_is_made_again_after_a_reboot(make: Make, provider, inside) -> None:
    web = make("sandbox.web").declare(env_vars={"STAGE": "one"}, start_command="sleep 1000")
    await web.bring_up()
    web.declare(env_vars={"STAGE": "two"}, start_command="sleep 1000")
    await web.set_up()
    await provider._world.connection.client.AsyncSandbox.pause(web.record.id, mode="filesystem")
    await web.do(Verb.RESUME)
    assert await inside(web, "echo $STAGE; pgrep -c sleep") == "two\n1\n"


async def test_extending_a_killed_sandbox_says_gone(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare()
    await web.do(Verb.CREATE)
    await provider._world.connection.client.AsyncSandbox.kill(web.record.id)
    with pytest.raises(Gone):
        await web.do(Verb.EXTEND)


async def test_extending_a_paused_sandbox_does_not_say_gone(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare()
    await web.do(Verb.CREATE)
    await provider._world.connection.client.AsyncSandbox.pause(web.record.id)
    with pytest.raises(ProviderError) as caught:
        await web.do(Verb.EXTEND)
    assert not isinstance(caught.value, Gone)
    assert caught.value.diagnostic.error_code == "SANDBOX_NOT_RUNNING"


async def test_a_delete_of_what_is_gone_succeeds(make: Make, provider: E2BProvider) -> None:
    web = make("sandbox.web").declare()
    await web.do(Verb.CREATE)
    call = web.call(Verb.DELETE)
    assert (await provider.execute(call)).unchanged is False
    again = await provider.execute(call)
    assert again.record is None
    assert again.unchanged is True
    web.record = None


async def test_the_network_is_changed_in_place(make: Make, inside) -> None:
    try:
        socket.getaddrinfo("deb.debian.org", 80)
    except OSError:
        pytest.skip("this host has no internet that sandboxes could reach")
    web = make("sandbox.web").declare(network={"internet": False})
    await web.do(Verb.CREATE)
    await web.do(Verb.ARM)
    probe = "curl -sS -o /dev/null -m 30 http://deb.debian.org/ && echo through"
    assert "through" not in await inside(web, probe)
    web.declare(network={"internet": True})
    await web.do(Verb.SET_NETWORK)
    assert "through" in await inside(web, probe)
    assert web.record.attributes["network"] == {"internet": True, "allow": [], "deny": []}


async def test_a_wrong_key_is_an_error_that_says_so(engine: Endpoint) -> None:
    provider = E2BProvider(settings_of(engine, api_key="e2b_" + "0" * 40))
    try:
        with pytest.raises(ProviderError) as caught:
            await provider.identity()
        assert caught.value.diagnostic.error_code == "PERMISSION_DENIED"
        assert caught.value.certainty is Certainty.PERMANENT
    finally:
        await provider.aclose()


async def test_the_environment_of_this_process_is_not_read(
    engine: Endpoint, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("E2B_API_KEY", "E2B_DOMAIN", "E2B_API_URL", "E2B_SANDBOX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    provider = E2BProvider(settings_of(engine))
    try:
        target = await provider.identity()
    finally:
        await provider.aclose()
    assert (target.kind, target.account) == ("local", engine.engine_id)


async def test_an_unknown_template_is_permanent(make: Make) -> None:
    web = make("sandbox.web").declare(template="no-such-template-anywhere")
    with pytest.raises(ProviderError) as caught:
        await web.do(Verb.CREATE)
    assert caught.value.certainty is Certainty.PERMANENT
    assert caught.value.diagnostic.code == "template-not-found"
