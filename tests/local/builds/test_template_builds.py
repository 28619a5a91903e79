"""Template builds through the official SDK, on real machines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox, AsyncTemplate, BuildInfo, Sandbox, Template, wait_for_file, wait_for_port
from e2b.exceptions import BuildException, SandboxException
from e2b.template.logger import LogEntry

from nexus.local.daemon import Endpoint
from tests.local.engine_client import rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


@pytest.fixture
def api(clean_engine: Endpoint) -> dict[str, Any]:
    options = sdk(clean_engine)
    options.pop("sandbox_url")
    return options


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "app" / "sub dir").mkdir(parents=True)
    (folder / "app" / "main.py").write_text("print('main')\n")
    (folder / "app" / "sub dir" / "data file.txt").write_text("data\n")
    (folder / "app" / "link").symlink_to("main.py")
    (folder / "one.txt").write_text("one\n")
    (folder / "two.txt").write_text("two\n")
    return folder


def _is_over(info: BuildInfo, api: dict[str, Any]) -> bool:
    return Template.get_build_status(info, **api).status.value != "building"


def build(template: Any, name: str, api: dict[str, Any], **more: Any) -> list[str]:
    """Build, and return the log's messages."""
    messages: list[str] = []

    def keep(entry: LogEntry) -> None:
        messages.append(entry.message)

    Template.build(template, name, on_build_logs=keep, **more, **api)
    return messages


@pytest.mark.usefixtures("accounts_apart")
def test_every_instruction_leaves_its_mark(clean_engine: Endpoint, api: dict[str, Any], context: Path) -> None:
    template = (
        Template(file_context_path=context)
        .from_base_image()
        .copy("app", "/srv/app")
        .copy("*.txt", "texts/", user="root", mode=0o640)
        .copy("one.txt", "/home/user/renamed.txt")
        .set_envs({"NAME": "world", "GREETING": "hello ${NAME}"})
        .run_cmd("echo $GREETING > /home/user/greeting; pwd > /home/user/where")
        .set_user("builder")
        .set_workdir("/work/place")
        .run_cmd("whoami > who; pwd > where")
    )
    messages = build(template, "every-instruction", api, cpu_count=1, memory_mb=256)
    assert any("[base] FROM e2bdev/base" in message for message in messages)
    assert any("[builder 1/8] COPY app /srv/app" in message for message in messages)
    assert not any("hello" in message for message in messages)
    sandbox = Sandbox.create("every-instruction", **sdk(clean_engine))
    info = sandbox.get_info()
    assert (info.cpu_count, info.memory_mb, info.name) == (1, 256, "every-instruction")
    assert sandbox.commands.run("whoami; pwd").stdout == "builder\n/work/place\n"
    assert sandbox.files.read("/srv/app/sub dir/data file.txt") == "data\n"
    assert sandbox.commands.run("readlink /srv/app/link; stat -c %U /srv/app/main.py").stdout == "main.py\nuser\n"
    listing = sandbox.commands.run("stat -c '%n %U %a' /home/user/texts/*", user="root").stdout
    assert listing == "/home/user/texts/one.txt root 640\n/home/user/texts/two.txt root 640\n"
    assert sandbox.files.read("/home/user/renamed.txt") == "one\n"
    assert sandbox.files.read("/home/user/greeting") == "hello world\n"
    assert sandbox.files.read("/work/place/who") == "builder\n"
    # The template's variables are for its build and start command, not for what is run later.
    assert sandbox.commands.run("echo [$GREETING]").stdout == "[]\n"


def test_second_build_takes_every_layer_from_the_cache(api: dict[str, Any], context: Path) -> None:
    def template() -> Any:
        return (
            Template(file_context_path=context)
            .from_python_image("3")
            .copy("one.txt", "/one")
            .run_cmd("date +%N > /home/user/made")
        )

    first = build(template(), "cached", api)
    assert not any(message.startswith("CACHED") for message in first)
    second = build(template(), "cached-under-another-name", api)
    assert sum(message.startswith("CACHED [builder") for message in second) == 2
    assert any("already cached" in message for message in second)
    forced = build(template(), "cached", api, skip_cache=True)
    assert not any(message.startswith("CACHED") for message in forced)


def test_changed_step_rebuilds_what_follows(api: dict[str, Any]) -> None:
    build(Template().from_base_image().run_cmd("echo a").run_cmd("echo b"), "changing", api)
    messages = build(Template().from_base_image().run_cmd("echo a").run_cmd("echo c"), "changing", api)
    steps = [message for message in messages if "RUN" in message]
    assert [step.startswith("CACHED") for step in steps] == [True, False]
    half = Template().from_base_image().run_cmd("echo a").skip_cache().run_cmd("echo c")
    steps = [message for message in build(half, "changing", api) if "RUN" in message]
    assert [step.startswith("CACHED") for step in steps] == [True, False]


def test_failing_step_is_named_and_earlier_layers_are_kept(api: dict[str, Any]) -> None:
    messages: list[str] = []
    template = Template().from_base_image().run_cmd("echo kept-layer").run_cmd("echo out; echo bad >&2; exit 3")
    with pytest.raises(BuildException, match=r"failed to run command .*exit status 3"):
        Template.build(template, "failing", on_build_logs=lambda entry: messages.append(entry.message), **api)
    assert "[builder 2/2] [stderr]: bad" in messages
    assert "[builder 2/2] [stdout]: out" in messages
    messages = build(Template().from_base_image().run_cmd("echo kept-layer").run_cmd("true"), "failing", api)
    assert any(message.startswith("CACHED [builder 1/2]") for message in messages)


def test_impossible_sources_and_users_fail_clearly(api: dict[str, Any]) -> None:
    for template, reason in (
        (Template().from_image("alpine:3"), "not available on the local engine"),
        (Template().from_image("registry.example.com/app:1", username="u", password="p"), "not available on the local"),
        (Template().from_template("no-such-parent"), "template 'no-such-parent' not found"),
        (Template().from_base_image().run_cmd("true", user="ghost"), "invalid username: 'ghost'"),
    ):
        with pytest.raises(BuildException, match=reason):
            build(template, "impossible", api)


def test_failed_build_leaves_the_last_ready_one_in_use(clean_engine: Endpoint, api: dict[str, Any]) -> None:
    build(Template().from_base_image().run_cmd("echo 1 > /home/user/version"), "in-use", api)
    with pytest.raises(BuildException):
        build(Template().from_base_image().run_cmd("exit 1"), "in-use", api)
    sandbox = Sandbox.create("in-use", **sdk(clean_engine))
    assert sandbox.files.read("/home/user/version") == "1\n"


def test_start_command_runs_in_every_sandbox_before_create_answers(clean_engine: Endpoint, api: dict[str, Any]) -> None:
    template = (
        Template()
        .from_base_image()
        .set_envs({"WORD": "from-template"})
        .set_workdir("/home/user/www")
        .run_cmd("echo served > index.html")
        .set_start_cmd("echo $WORD > /tmp/word; exec python3 -m http.server 8080", wait_for_port(8080))
    )
    messages = build(template, "server", api)
    assert any("[finalize] Template is ready" in message for message in messages)
    again = build(template, "server", api)
    assert any("CACHED [finalize]" in message for message in again)
    sandbox = Sandbox.create("server", **sdk(clean_engine))
    assert sandbox.commands.run("curl -s localhost:8080").stdout == "served\n"
    assert sandbox.files.read("/tmp/word") == "from-template\n"
    with rest(clean_engine) as client:
        made = client.post(f"/sandboxes/{sandbox.sandbox_id}/forwards", json={"port": 8080})
        again_made = client.post(f"/sandboxes/{sandbox.sandbox_id}/forwards", json={"port": 8080})
        assert made.json() == again_made.json()
        assert client.get(made.json()["url"]).text == "served\n"
    other = Sandbox.create(**sdk(clean_engine))
    assert other.commands.run(f"curl -s {made.json()['url']}").stdout == "served\n"


def test_start_command_that_fails_fails_the_build(api: dict[str, Any]) -> None:
    template = Template().from_base_image().set_start_cmd("exit 7", wait_for_file("/never"))
    with pytest.raises(BuildException, match="exit status 7"):
        build(template, "bad-start", api)


def test_template_on_template_inherits_files_user_and_start(clean_engine: Endpoint, api: dict[str, Any]) -> None:
    parent = (
        Template()
        .from_base_image()
        .set_user("owner")
        .run_cmd("echo parent > ~/file")
        .set_start_cmd("touch /tmp/started; sleep 1000", wait_for_file("/tmp/started"))
    )
    build(parent, "parent", api)
    build(Template().from_template("parent").run_cmd("echo child >> ~/file"), "child", api)
    sandbox = Sandbox.create("child", **sdk(clean_engine))
    assert sandbox.commands.run("whoami; cat ~/file; ls /tmp/started").stdout == "owner\nparent\nchild\n/tmp/started\n"


def test_tags_point_at_builds(clean_engine: Endpoint, api: dict[str, Any]) -> None:
    def version(number: int) -> Any:
        return Template().from_base_image().run_cmd(f"echo {number} > /home/user/version")

    build(version(1), "tagged:v1", api)
    build(version(2), "tagged:v2", api)
    with pytest.raises(SandboxException, match="tag 'default' does not exist"):
        Sandbox.create("tagged", **sdk(clean_engine))
    Template.assign_tags("tagged:v1", ["default", "stable"], **api)
    assert Sandbox.create("tagged", **sdk(clean_engine)).files.read("/home/user/version") == "1\n"
    assert Sandbox.create("tagged:v2", **sdk(clean_engine)).files.read("/home/user/version") == "2\n"
    with rest(clean_engine) as client:
        listed = {item["tag"] for item in client.get("/templates/tagged/tags").json()}
    assert listed == {"v1", "v2", "default", "stable"}
    Template.remove_tags("tagged", ["stable"], **api)
    with pytest.raises(SandboxException, match="tag 'stable' does not exist"):
        Sandbox.create("tagged:stable", **sdk(clean_engine))


def test_templates_are_listed_changed_and_deleted(clean_engine: Endpoint, api: dict[str, Any]) -> None:
    build(Template().from_base_image(), "to-delete", api)
    assert Template.exists("to-delete", **api) is True
    sandbox = Sandbox.create("to-delete", **sdk(clean_engine))
    with rest(clean_engine) as client:
        [shown] = [item for item in client.get("/v2/templates").json() if item["names"] == ["to-delete"]]
        assert shown["buildStatus"] == "ready"
        assert shown["spawnCount"] == 1
        assert client.patch("/v2/templates/to-delete", json={"public": True}).json() == {"names": ["to-delete"]}
        refused = client.delete("/templates/to-delete")
        assert refused.status_code == 400
        assert "running sandboxes using it" in refused.json()["message"]
        sandbox.kill()
        assert client.delete(f"/templates/{shown['templateID']}").status_code == 204
        assert client.delete("/templates/to-delete").status_code == 404
    assert Template.exists("to-delete", **api) is False
    assert Template.exists("base", **api) is True


async def test_async_builds_run_side_by_side(clean_engine: Endpoint, api: dict[str, Any]) -> None:
    infos = [
        await AsyncTemplate.build_in_background(
            AsyncTemplate().from_base_image().run_cmd(f"echo {number} > /home/user/n"), f"side-{number}", **api
        )
        for number in range(3)
    ]
    for number, info in enumerate(infos):
        await asyncio.to_thread(wait_until, lambda info=info: _is_over(info, api), "the build is over")
        status = await AsyncTemplate.get_build_status(info, **api)
        assert status.status.value == "ready", status.reason
        sandbox = await AsyncSandbox.create(f"side-{number}", **sdk(clean_engine))
        assert await sandbox.files.read("/home/user/n") == f"{number}\n"


def test_starting_again_cancels_the_build_under_way(clean_engine: Endpoint, api: dict[str, Any]) -> None:
    slow = Template.build_in_background(Template().from_base_image().run_cmd("sleep 600"), "restarted", **api)
    build(Template().from_base_image().run_cmd("echo quick"), "restarted", api)
    status = Template.get_build_status(slow, **api)
    assert status.status.value == "error"
    assert status.reason is not None
    assert "cancelled" in status.reason.message
