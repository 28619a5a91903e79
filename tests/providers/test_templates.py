"""Templates: built once, tagged, published, deleted."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nexus.kinds.definitions import DEFINITIONS
from nexus.local.daemon import Endpoint
from nexus.model.addresses import Address
from nexus.model.changes import Verb
from nexus.model.observation import Presence
from nexus.model.state import Intent, State
from nexus.providers.base import Certainty, ProviderError
from nexus.providers.e2b import E2BProvider
from tests.providers.conftest import Make
from tests.providers.subject import MemoryFiles, Subject, secret

pytestmark = pytest.mark.engine
Inside = Callable[..., Awaitable[str]]


async def sandbox_of(make: Make, template: Subject, name: str = "web") -> Subject:
    web = make(f"sandbox.{name}").declare(
        template=template.record.outputs["reference"], env_vars=template.record.outputs["env_vars"]
    )
    await web.do(Verb.CREATE)
    await web.do(Verb.ARM)
    return web


@pytest.mark.usefixtures("accounts_apart")
async def test_a_build_holds_everything_that_is_declared(make: Make, inside: Inside) -> None:
    files = MemoryFiles(
        folders={"lib": {"a.py": b"A = 1\n", "bin/tool": b"#!/bin/sh\necho tool\n"}}, modes={"bin/tool": 0o755}
    )
    template = make("template.ml", files).declare(
        base_template="base:default",
        env_vars={"STAGE": "built"},
        packages={"pip": ["iniconfig==2.0.0"]},
        uploads=[
            {"path": "/opt/lib", "source": "lib"},
            {"path": "/etc/ml.conf", "content": "x=1\n", "mode": "0600", "user": "root"},
        ],
        run_commands=['echo "$STAGE $(id -un)" > /opt/ran'],
        startup_script="cat /opt/ran > /opt/started",
        start_command="python3 -m http.server 8888 --directory /opt/lib",
        ready={"port": 8888},
    )
    result = await template.do(Verb.BUILD)
    assert not result.unchanged
    assert any(stream == "build" for stream, _ in template.report.lines)
    web = await sandbox_of(make, template)
    seen = await inside(
        web,
        "/opt/lib/bin/tool; stat -c '%a %U' /opt/lib/a.py /opt/lib /etc/ml.conf; cat /opt/started; echo $STAGE;"
        "python3 -c 'import iniconfig'; curl -s localhost:8888/a.py; whoami; pwd",
    )
    assert seen == "tool\n644 user\n755 user\n600 root\nbuilt root\nbuilt\nA = 1\nuser\n/home/user\n"


async def test_a_build_that_exists_is_not_made_again(make: Make) -> None:
    template = make("template.ml").declare(base_template="base:default", run_commands=["echo one"])
    await template.do(Verb.BUILD)
    first = template.record
    again = await template.do(Verb.BUILD)
    assert again.unchanged
    assert template.record.outputs["build_id"] == first.outputs["build_id"]
    assert template.record.id == first.id


class Rival:
    """Registers a newer build in the place of ours before ours can be started, and starts it with ``steps`` if any."""

    def __init__(self, engine: Endpoint, template: Subject, steps: list[dict[str, Any]] | None) -> None:
        self.engine = engine
        self.name, self.tag = template.attributes["reference"].split(":")
        self.steps = steps
        self.build_id = ""

    def progress(self, message: str) -> None: ...

    def log(self, stream: str, text: str) -> None:
        if text.startswith("Template created") and not self.build_id:
            made = self._post("/v3/templates", {"name": self.name, "tags": [self.tag, "default"]})
            self.build_id = made["buildID"]
            if self.steps is not None:
                body = {"fromTemplate": "base:default", "steps": self.steps}
                self._post(f"/v2/templates/{made['templateID']}/builds/{self.build_id}", body)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"X-API-KEY": self.engine.api_key, "Content-Type": "application/json"}
        request = urllib.request.Request(self.engine.api_url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read() or "{}")


@pytest.mark.parametrize("steps", [None, [{"type": "RUN", "args": ["exit 3"]}]], ids=["never-started", "failed"])
async def test_a_build_that_gave_way_to_one_that_came_to_nothing_can_be_made_again(
    make: Make, engine: Endpoint, monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]] | None
) -> None:
    monkeypatch.setattr("nexus.providers.e2b.template._STARTS_WITHIN", timedelta(0))
    template = make("template.ml").declare(base_template="base:default")
    call = replace(template.call(Verb.BUILD), report=Rival(engine, template, steps))
    with pytest.raises(ProviderError) as caught:
        await template.provider.execute(call)
    assert caught.value.certainty is Certainty.NOT_DONE
    assert "gave way to a newer one" in caught.value.diagnostic.summary
    assert "nexus apply" in caught.value.diagnostic.hint
    assert not (await template.do(Verb.BUILD)).unchanged


async def test_a_build_that_gave_way_to_the_same_of_somebody_else_takes_that_one(make: Make, engine: Endpoint) -> None:
    template = make("template.ml").declare(base_template="base:default")
    rival = Rival(engine, template, [])
    result = await template.provider.execute(replace(template.call(Verb.BUILD), report=rival))
    template.record = result.record
    assert result.unchanged
    assert template.record.outputs["build_id"] == rival.build_id


async def test_a_promoted_build_that_was_deleted_meanwhile_is_said_to_be(make: Make) -> None:
    source, template = make("template.dev"), make("template.ml").declare(base_template="base:default")
    await source.declare(base_template="base:default").do(Verb.BUILD)
    reference = source.record.outputs["reference"]
    await source.do(Verb.DELETE)
    with pytest.raises(ProviderError) as caught:
        await template.do(Verb.BUILD, reference)
    assert reference in caught.value.diagnostic.detail
    assert "deleted meanwhile" in caught.value.diagnostic.hint


async def test_another_input_is_another_build_of_the_same_template(make: Make, provider: E2BProvider) -> None:
    template = make("template.ml").declare(base_template="base:default", run_commands=["echo one"])
    await template.do(Verb.BUILD)
    first = template.record
    template.declare(base_template="base:default", run_commands=["echo two"])
    await template.do(Verb.BUILD)
    assert template.record.id == first.id
    assert template.record.outputs["build_id"] != first.outputs["build_id"]
    template.declare(base_template="base:default", run_commands=["echo one"])
    assert (await template.do(Verb.BUILD)).unchanged
    tags = await provider._world.connection.client.AsyncTemplate.get_tags(first.id)
    newest = {item.tag: item.build_id for item in tags}["default"]
    assert newest == first.outputs["build_id"]


async def test_a_failing_build_tells_what_failed_without_secrets(make: Make) -> None:
    template = make("template.ml").declare(
        base_template="base:default",
        env_vars={"KEY": secret("build-secret")},
        run_commands=["echo $KEY; echo the reason; exit 9"],
    )
    with pytest.raises(ProviderError) as caught:
        await template.do(Verb.BUILD)
    assert caught.value.diagnostic.code == "build-failed"
    assert caught.value.certainty is Certainty.PERMANENT
    assert caught.value.field == "run_commands[0]"
    assert "the reason" in caught.value.diagnostic.detail
    assert "build-secret" not in caught.value.diagnostic.detail + template.report.text


async def test_tags_and_publicity_change_in_place(make: Make, provider: E2BProvider) -> None:
    template = make("template.ml").declare(base_template="base:default", tags=["v1", "stable"])
    await template.do(Verb.BUILD)
    await template.do(Verb.SET_TAGS)
    template.declare(base_template="base:default", tags=["stable", "v2"], public=True)
    await template.do(Verb.SET_TAGS)
    await template.do(Verb.SET_PUBLIC)
    state = State(lineage="l", project=template.project, resources={template.address: template.record})
    observed = (await provider.observe(state, {})).records[template.uid]
    assert observed.presence is Presence.READY
    assert observed.facts == {"tags": ["stable", "v2"], "public": True}


async def test_a_template_in_use_is_not_deleted_and_later_it_is(make: Make, provider: E2BProvider) -> None:
    template = make("template.ml").declare(base_template="base:default")
    await template.do(Verb.BUILD)
    web = await sandbox_of(make, template)
    with pytest.raises(ProviderError) as caught:
        await template.do(Verb.DELETE)
    assert caught.value.diagnostic.code == "template-in-use"
    await web.do(Verb.DELETE)
    call = template.call(Verb.DELETE)
    assert not (await provider.execute(call)).unchanged
    assert (await provider.execute(call)).unchanged
    template.record = None


async def test_a_dockerfile_can_be_the_base(make: Make, inside: Inside) -> None:
    template = make("template.ml").declare(dockerfile="FROM ubuntu:22.04\nRUN echo docker > /opt/made\n")
    await template.do(Verb.BUILD)
    web = await sandbox_of(make, template)
    assert await inside(web, "cat /opt/made; whoami") == "docker\nuser\n"


async def test_another_user_of_a_template_is_who_its_sandboxes_run_as(make: Make, inside: Inside, provider) -> None:
    template = make("template.ml").declare(
        base_template="base:default", user="worker", uploads=[{"path": "/srv/a", "content": "a"}]
    )
    await template.do(Verb.BUILD)
    web = await sandbox_of(make, template)
    sandbox = await provider._world.sandboxes.open(web.record.id, "")
    assert (
        await sandbox.sandbox.commands.run("whoami; pwd; stat -c %U /srv/a")
    ).stdout == "worker\n/home/worker\nworker\n"


async def test_an_interrupted_build_is_found_by_its_name(make: Make, provider: E2BProvider) -> None:
    template = make("template.ml").declare(base_template="base:default")
    state = State(lineage="l", project=template.project)
    intent = Intent(key="b", address=template.address, verb="build")
    assert (await provider.find(state, [intent]))["b"] == ()
    await template.do(Verb.BUILD)
    draft = replace(template.record, attributes=template.concealed)
    (found,) = (await provider.find(state, [replace(intent, draft=draft)]))["b"]
    assert found.complete
    assert found.id == template.record.id
    assert found.outputs["build_id"] == template.record.outputs["build_id"]


@pytest.mark.slow
async def test_the_catalogue_is_observed_once_it_is_built(make: Make, provider: E2BProvider) -> None:
    address = Address("catalogue", "vanilla")
    assert "vanilla" in DEFINITIONS
    vanilla = make("catalogue.vanilla").declare()
    reference = str(vanilla.concealed["reference"])
    nothing = State(lineage="l", project="p")
    await vanilla.do(Verb.BUILD)  # or it is built already: whoever asks for it on this engine shares it
    await vanilla.do(Verb.DELETE)
    assert (await provider.observe(nothing, {address: reference})).catalogue == {}
    await vanilla.do(Verb.BUILD)
    observed = (await provider.observe(nothing, {address: reference})).catalogue[address]
    assert observed.presence is Presence.READY
    assert observed.id == vanilla.record.id
