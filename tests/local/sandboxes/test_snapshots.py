"""Snapshots, seen by the official SDK: taken of running sandboxes, listed, started from, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox, Sandbox, Template
from e2b.exceptions import SandboxException, SandboxNotFoundException

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.contents import contents_below
from tests.local.engine_client import kill_all, rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


@pytest.fixture
def fresh(clean_engine: Endpoint) -> Iterator[Endpoint]:
    """An engine without sandboxes and snapshots, before and after."""
    _delete_snapshots(clean_engine)
    yield clean_engine
    kill_all(clean_engine)
    _delete_snapshots(clean_engine)


def _delete_snapshots(endpoint: Endpoint) -> None:
    with rest(endpoint) as client:
        while listed := client.get("/snapshots").json():
            for snapshot in listed:
                client.delete(f"/templates/{snapshot['snapshotID'].replace('/', '%2F')}")


def ids(endpoint: Endpoint, **query: Any) -> list[str]:
    return [item.snapshot_id for item in Sandbox.list_snapshots(**query, **sdk(endpoint)).next_items()]


def layers_on_disk(endpoint: Endpoint) -> set[str]:
    """Folders of snapshots' layers, whatever the tier's store is called."""
    return {path.name for path in Path(endpoint.home, "store").glob("*/layers/0*")}


def test_a_sandbox_of_a_snapshot_has_its_files_and_nothing_else_of_the_source(fresh: Endpoint) -> None:
    options = sdk(fresh)
    source = Sandbox.create(envs={"E": "source"}, metadata={"of": "source"}, timeout=100, **options)
    source.files.write("/home/user/kept", "content")
    source.commands.run(
        "rm ~/.bashrc; sudo rm -r /usr/share/doc; sudo mkdir /usr/share/doc; sleep 1000 >/dev/null 2>&1 &"
    )
    snapshot = source.create_snapshot()
    assert snapshot.names == []
    assert snapshot.snapshot_id.endswith(":default")
    source.files.write("/home/user/kept", "changed afterwards")
    made = Sandbox.create(snapshot.snapshot_id, envs={"OWN": "new"}, metadata={"of": "made"}, timeout=500, **options)
    assert made.files.read("/home/user/kept") == "content"
    assert made.commands.run("ls -A ~ /usr/share/doc; echo $E-$OWN").stdout.splitlines()[-1] == "-new"
    assert not made.files.exists("/home/user/.bashrc")
    assert not made.commands.run("ls /usr/share/doc").stdout
    assert made.commands.run("pgrep -f 'sleep 100[0]' || echo none").stdout == "none\n"
    info = made.get_info()
    assert info.metadata == {"of": "made"}
    assert (info.end_at - info.started_at).total_seconds() == 500
    assert info.template_id == snapshot.snapshot_id.partition(":")[0]
    boot_id = "/proc/sys/kernel/random/boot_id"
    assert made.files.read(boot_id) != source.files.read(boot_id)
    assert source.commands.run("pgrep -f 'sleep 100[0]' >/dev/null; echo $E").stdout == "source\n"


def test_folders_that_nobody_may_enter_are_copied_whole(fresh: Endpoint) -> None:
    source = Sandbox.create(**sdk(fresh))
    source.commands.run("mkdir -p ~/a/b; echo deep >~/a/b/file; ln ~/a/b/file ~/link; chmod 0 ~/a/b/file ~/a/b ~/a")
    made = Sandbox.create(source.create_snapshot().snapshot_id, **sdk(fresh))
    assert made.commands.run("stat -c '%a %U' ~/a; chmod 700 ~/a ~/a/b; stat -c '%a %h' ~/a/b/file").stdout == (
        "0 user\n0 2\n"
    )
    assert made.commands.run("chmod 600 ~/a/b/file; cat ~/a/b/file").stdout == "deep\n"
    assert source.commands.run("stat -c %a ~/a").stdout == "0\n"


def test_a_snapshot_outlives_its_source_and_can_be_snapshotted_again(fresh: Endpoint) -> None:
    options = sdk(fresh)
    first = Sandbox.create(**options)
    first.commands.run("echo one >>~/log")
    one = first.create_snapshot()
    first.kill()
    second = Sandbox.create(one.snapshot_id, **options)
    second.commands.run("echo two >>~/log; rm ~/.profile")
    two = second.create_snapshot()
    second.kill()
    third = Sandbox.create(two.snapshot_id, **options)
    assert third.files.read("/home/user/log") == "one\ntwo\n"
    assert not third.files.exists("/home/user/.profile")
    # What stands on a snapshot's layers keeps them, not the snapshot itself.
    assert Sandbox.delete_snapshot(one.snapshot_id, **options) is True
    assert Sandbox.create(two.snapshot_id, **options).files.read("/home/user/log") == "one\ntwo\n"


async def test_the_async_client_does_the_same(fresh: Endpoint) -> None:
    options = sdk(fresh)
    source = await AsyncSandbox.create(**options)
    await source.files.write("/home/user/x", "1")
    snapshot = await source.create_snapshot(name="from-async")
    made = await AsyncSandbox.create("from-async", **options)
    assert await made.files.read("/home/user/x") == "1"
    listed = await AsyncSandbox.list_snapshots(sandbox_id=source.sandbox_id, **options).next_items()
    assert [item.snapshot_id for item in listed] == [snapshot.snapshot_id]
    await made.kill()
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options) is True
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options) is False


def test_the_same_name_adds_to_the_same_snapshot_and_tags_keep_versions_apart(fresh: Endpoint) -> None:
    options = sdk(fresh)
    source = Sandbox.create(**options)
    source.files.write("/home/user/version", "1")
    first = source.create_snapshot(name="app:v1")
    assert (first.snapshot_id, first.names) == ("local/app:v1", ["local/app"])
    source.files.write("/home/user/version", "2")
    second = source.create_snapshot(name="local/app:v2")
    with rest(fresh) as client:
        assert len(client.get("/templates/app").json()["builds"]) == 2
    assert Sandbox.create("app:v1", **options).files.read("/home/user/version") == "1"
    assert Sandbox.create(second.snapshot_id, **options).files.read("/home/user/version") == "2"
    assert Sandbox.create("app:v2", **options).get_info().name == "app"
    with pytest.raises(SandboxException, match="tag 'default' does not exist for template 'app'"):
        Sandbox.create("app", **options)
    source.files.write("/home/user/version", "3")
    source.create_snapshot(name="app:v1")
    assert Sandbox.create("app:v1", **options).files.read("/home/user/version") == "3"


def test_lists_filter_by_source_and_name_and_come_in_pages(fresh: Endpoint) -> None:
    options = sdk(fresh)
    one, other = Sandbox.create(**options), Sandbox.create(**options)
    first = one.create_snapshot(name="first:v1").snapshot_id
    one.create_snapshot(name="first:v2")
    second = other.create_snapshot(name="second").snapshot_id
    third = other.create_snapshot().snapshot_id
    assert ids(fresh) == [third, second, "local/first:v2"]
    assert ids(fresh, sandbox_id=one.sandbox_id) == ["local/first:v2"]
    assert ids(fresh, sandbox_id=other.sandbox_id) == [third, second]
    assert ids(fresh, name="first") == ["local/first:v2"]
    assert ids(fresh, name="first:v1") == [first]
    assert ids(fresh, name="local/first:v1") == [first]
    assert ids(fresh, name=third.partition(":")[0]) == [third]
    assert ids(fresh, name="first:v3") == ids(fresh, name="nothing") == []
    pages = Sandbox.list_snapshots(limit=2, **options)
    assert [item.snapshot_id for item in pages.next_items()] == [third, second]
    assert pages.has_next
    # What a page ended with may be gone before the next one is asked for.
    assert Sandbox.delete_snapshot(second, **options) is True
    assert [item.snapshot_id for item in pages.next_items()] == ["local/first:v2"]
    assert not pages.has_next
    with rest(fresh) as client:
        assert client.get("/snapshots", params={"nextToken": "nonsense"}).status_code == 400
        assert client.get("/snapshots", params={"limit": 101}).status_code == 400
        # Snapshots are no templates of the list, but can be looked at like them.
        listed = client.get("/v2/templates").json()
        assert not [item for item in listed if item["templateID"] == third.partition(":")[0]]
        assert client.get(f"/templates/{third.partition(':')[0]}").json()["names"] == []


def test_deleting_is_refused_while_a_sandbox_uses_it_and_frees_its_layers_afterwards(fresh: Endpoint) -> None:
    options = sdk(fresh)
    source = Sandbox.create(**options)
    before = layers_on_disk(fresh)
    snapshot = source.create_snapshot(name="used").snapshot_id
    made = Sandbox.create(snapshot, **options)
    assert len(layers_on_disk(fresh) - before) == 1
    with pytest.raises(SandboxException, match="400: cannot delete template 'used' because there are running"):
        Sandbox.delete_snapshot(snapshot, **options)
    made.pause()
    with pytest.raises(SandboxException, match="because there are paused sandboxes using it"):
        Sandbox.delete_snapshot(snapshot, **options)
    made.kill()
    assert Sandbox.delete_snapshot(snapshot, **options) is True
    assert Sandbox.delete_snapshot(snapshot, **options) is False
    wait_until(lambda: layers_on_disk(fresh) == before, "the layer of the snapshot is collected")
    with pytest.raises(SandboxException, match="not found"):
        Sandbox.create(snapshot, **options)
    assert source.is_running()


def test_moving_a_tag_frees_the_layers_it_left(fresh: Endpoint) -> None:
    source = Sandbox.create(**sdk(fresh))
    before = layers_on_disk(fresh)
    source.create_snapshot(name="moving")
    first = layers_on_disk(fresh) - before
    source.create_snapshot(name="moving")
    wait_until(lambda: not layers_on_disk(fresh) & first, "the layer of the first build is collected")
    assert len(layers_on_disk(fresh) - before) == 1


def test_what_cannot_be_snapshotted_is_refused(fresh: Endpoint) -> None:
    options = sdk(fresh)
    sandbox = Sandbox.create(**options)
    for name in ("Bad Name", "someone/else", "app:", "x:11111111-1111-4111-8111-111111111111"):
        with rest(fresh) as client:
            answer = client.post(f"/sandboxes/{sandbox.sandbox_id}/snapshots", json={"name": name})
        expected = 201 if name == "app:" else 400
        assert answer.status_code == expected, (name, answer.text)
    with pytest.raises(SandboxException, match="belongs to the engine"):
        sandbox.create_snapshot(name="base")
    sandbox.pause()
    with pytest.raises(SandboxNotFoundException):
        sandbox.create_snapshot()
    with pytest.raises(SandboxNotFoundException):
        Sandbox.create_snapshot("i00000000000000000000", **options)


def test_the_start_command_and_defaults_of_the_template_come_along(fresh: Endpoint) -> None:
    options = sdk(fresh)
    api = {key: options[key] for key in ("api_key", "api_url")}
    template = (
        Template()
        .from_base_image()
        .set_envs({"FROM": "template"})
        .set_workdir("/srv")
        .set_user("root")
        .set_start_cmd("echo $FROM >>/tmp/started; sleep 1000", "test -s /tmp/started")
    )
    Template.build(template, "with-start", cpu_count=1, memory_mb=256, **api)
    source = Sandbox.create("with-start", **options)
    source.commands.run("touch here")
    made = Sandbox.create(source.create_snapshot().snapshot_id, **options)
    assert made.commands.run("whoami; pwd; ls").stdout == "root\n/srv\nhere\n"
    assert made.files.read("/tmp/started") == "template\ntemplate\n"
    assert (made.get_info().cpu_count, made.get_info().memory_mb) == (1, 256)


def test_a_template_can_be_built_on_a_snapshot_and_outlives_it(fresh: Endpoint) -> None:
    options = sdk(fresh)
    api = {key: options[key] for key in ("api_key", "api_url")}
    source = Sandbox.create(**options)
    source.files.write("/home/user/base", "snapshot")
    snapshot = source.create_snapshot(name="ground")
    Template.build(Template().from_template("ground").run_cmd("echo more >~/more"), "on-ground", **api)
    assert Sandbox.delete_snapshot(snapshot.snapshot_id, **options) is True
    made = Sandbox.create("on-ground", **options)
    assert made.commands.run("cat ~/base ~/more").stdout == "snapshotmore\n"


def test_nothing_of_a_snapshot_s_environment_reaches_the_disk(fresh: Endpoint) -> None:
    source = Sandbox.create(envs={"SECRET": "s3cr3t-of-the-source"}, **sdk(fresh))
    source.create_snapshot(name="silent")
    source.fork()
    source.pause(mode="filesystem")
    assert source.connect().commands.run("echo $SECRET").stdout == "s3cr3t-of-the-source\n"
    assert [path for path, content in contents_below(fresh.home) if b"s3cr3t-of-the-source" in content] == []


def test_snapshots_survive_the_daemon(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    source = Sandbox.create(**sdk(endpoint))
    source.files.write("/home/user/x", "1")
    snapshot = source.create_snapshot(name="kept:v1")
    daemon.stop(engine_home, kill_sandboxes=True)
    endpoint = daemon.ensure_running(engine_home)
    assert ids(endpoint) == [snapshot.snapshot_id]
    assert ids(endpoint, sandbox_id=source.sandbox_id) == [snapshot.snapshot_id]
    assert Sandbox.create(snapshot.snapshot_id, **sdk(endpoint)).files.read("/home/user/x") == "1"
