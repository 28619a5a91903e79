"""Forks: new sandboxes with the files, environment and rules of a running one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from e2b import AsyncSandbox, Sandbox, Template
from e2b.exceptions import SandboxException, SandboxNotFoundException

from nexus.local.daemon import Endpoint
from tests.local.engine_client import advance, is_gone, rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


def fork(endpoint: Endpoint, sandbox_id: str, **body: object) -> httpx.Response:
    with rest(endpoint) as client:
        return client.post(f"/sandboxes/{sandbox_id}/fork", json=body)


def forked(source: Sandbox, **arguments: int) -> list[Sandbox]:
    found = source.fork(**arguments)
    assert all(isinstance(item, Sandbox) for item in found), found
    return [item for item in found if isinstance(item, Sandbox)]


def test_a_fork_has_the_files_environment_and_rules_of_its_source(clean_engine: Endpoint) -> None:
    source = Sandbox.create(
        envs={"E": "of the source", "PATH_LIKE": "a=b"},
        metadata={"team": "x"},
        timeout=500,
        lifecycle={"on_timeout": "pause", "auto_resume": True},
        network={"deny_out": ["0.0.0.0/0"], "allow_public_traffic": False},
        **sdk(clean_engine),
    )
    source.files.write("/home/user/state", "before")
    end = source.get_info().end_at
    (copy,) = forked(source, timeout=60)
    assert copy.sandbox_id != source.sandbox_id
    assert copy.files.read("/home/user/state") == "before"
    copy.files.write("/home/user/state", "of the fork")
    assert source.files.read("/home/user/state") == "before"
    words = "echo $E/$PATH_LIKE/$E2B_SANDBOX_ID; cat /run/e2b/.E2B_SANDBOX_ID; hostname"
    told = copy.commands.run(words).stdout
    assert told.startswith(f"of the source/a=b/{copy.sandbox_id}\n")
    assert source.sandbox_id not in told
    info, source_info = copy.get_info(), source.get_info()
    assert info.metadata == {"team": "x"}
    assert (info.template_id, info.lifecycle) == (source_info.template_id, source_info.lifecycle)
    assert info.network == source_info.network
    assert (info.end_at - info.started_at).total_seconds() == 60
    assert source_info.end_at == end
    with rest(clean_engine) as client:
        tokens = [client.get(f"/sandboxes/{item.sandbox_id}").json()["envdAccessToken"] for item in (source, copy)]
    assert tokens[0] != tokens[1]
    assert copy.traffic_access_token not in (None, source.traffic_access_token)


def test_many_forks_are_made_of_one_moment(clean_engine: Endpoint) -> None:
    source = Sandbox.create(timeout=500, **sdk(clean_engine))
    source.files.write("/home/user/state", "one moment")
    copies = forked(source, count=5, timeout=300)
    assert len({copy.sandbox_id for copy in copies} | {source.sandbox_id}) == 6
    assert [copy.files.read("/home/user/state") for copy in copies] == ["one moment"] * 5


def test_a_fork_lives_fifteen_seconds_unless_told_otherwise(clean_engine: Endpoint) -> None:
    source = Sandbox.create(timeout=500, **sdk(clean_engine))
    (copy,) = forked(source)
    info = copy.get_info()
    assert (info.end_at - info.started_at).total_seconds() == 15
    advance(clean_engine, 16)
    wait_until(lambda: is_gone(copy), "the fork ends after fifteen seconds")
    assert source.is_running()


def test_a_fork_of_a_fork_outlives_both(clean_engine: Endpoint) -> None:
    source = Sandbox.create(envs={"E": "kept"}, **sdk(clean_engine))
    source.commands.run("echo 1 >>~/log")
    (child,) = forked(source, timeout=300)
    source.kill()
    child.commands.run("echo 2 >>~/log")
    (grandchild,) = forked(child, timeout=300)
    child.kill()
    assert grandchild.files.read("/home/user/log") == "1\n2\n"
    assert grandchild.commands.run("echo $E").stdout == "kept\n"


def test_layers_of_forks_go_with_the_last_of_them(clean_engine: Endpoint) -> None:
    source = Sandbox.create(**sdk(clean_engine))
    # Other tests' snapshots may be there, and layers that are just being collected.
    others = set(clean_engine.home.glob("store/*/layers/0*"))

    def layers() -> set[Path]:
        return set(clean_engine.home.glob("store/*/layers/0*")) - others

    copies = forked(source, count=2, timeout=300)
    assert len(layers()) == 1
    copies[0].kill()
    source.kill()
    assert copies[1].is_running()
    assert len(layers()) == 1
    copies[1].kill()
    wait_until(lambda: not layers(), "the layer is collected")


def test_the_start_command_runs_again_in_a_fork(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    template = Template().from_base_image().set_start_cmd("echo up >>~/starts; sleep 1000", "test -s ~/starts")
    Template.build(template, "forked-start", api_key=options["api_key"], api_url=options["api_url"])
    source = Sandbox.create("forked-start", **options)
    (copy,) = forked(source, timeout=60)
    assert copy.files.read("/home/user/starts") == "up\nup\n"
    assert copy.commands.run("pgrep -xc sleep").stdout == "1\n"
    assert copy.get_info().name == "forked-start"


async def test_the_async_client_forks_too(clean_engine: Endpoint) -> None:
    source = await AsyncSandbox.create(envs={"E": "1"}, **sdk(clean_engine))
    first, second = await source.fork(count=2, timeout=60)
    assert isinstance(first, AsyncSandbox)
    assert isinstance(second, AsyncSandbox)
    assert (await second.commands.run("echo $E")).stdout == "1\n"
    (third,) = await AsyncSandbox.fork(source.sandbox_id, **sdk(clean_engine))
    assert isinstance(third, AsyncSandbox)


def test_paused_unknown_and_wrongly_asked_for_sandboxes_are_not_forked(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(**sdk(clean_engine))
    for body, words in (
        ({"count": 0}, "Count must be at least 1"),
        ({"count": 101}, "Count cannot be greater than 100"),
        ({"timeout": -1}, "must not be negative"),
        ({"timeout": 24 * 3600 + 1}, "Timeout cannot be greater than 24 hours"),
        ({"count": "2"}, "count must be a whole number"),
    ):
        answer = fork(clean_engine, sandbox.sandbox_id, **body)
        assert answer.status_code == 400
        assert words in answer.json()["message"]
    sandbox.pause()
    with pytest.raises(SandboxException, match=r"409.*is paused and cannot be forked; resume it first"):
        sandbox.fork()
    sandbox.kill()
    with pytest.raises(SandboxNotFoundException):
        sandbox.fork()


def test_a_fork_that_finds_no_room_is_an_error_in_its_place(clean_engine: Endpoint) -> None:
    source = Sandbox.create(**sdk(clean_engine))
    with rest(clean_engine) as client:
        client.post("/nexus/limits", json={"concurrent_sandboxes": 3}).raise_for_status()
        try:
            Sandbox.create(**sdk(clean_engine))
            assert fork(clean_engine, source.sandbox_id, count=3).status_code == 400
            results = fork(clean_engine, source.sandbox_id, count=2, timeout=60)
        finally:
            client.delete("/nexus/limits").raise_for_status()
    assert results.status_code == 201
    assert sorted(tuple(result) for result in results.json()) == [("error",), ("sandbox",)]
    (error,) = [result["error"] for result in results.json() if "error" in result]
    assert error["code"] == 429
    assert "maximum number of concurrent" in error["message"]


def test_a_sandbox_whose_time_comes_during_a_copy_ends_after_it(clean_engine: Endpoint) -> None:
    source = Sandbox.create(timeout=100, **sdk(clean_engine))
    source.commands.run("mkdir ~/many; cd ~/many; seq 5000 | xargs touch; head -c 200000000 /dev/urandom >~/big")
    with ThreadPoolExecutor(1) as pool:
        copying = pool.submit(fork, clean_engine, source.sandbox_id, timeout=500)
        wait_until(
            lambda: copying.done() or list(clean_engine.home.glob("store/*/tmp/*/root")), "the copy is under way"
        )
        advance(clean_engine, 101)
        (result,) = copying.result().json()
    wait_until(lambda: is_gone(source), "the source ends")
    copy = Sandbox.connect(result["sandbox"]["sandboxID"], **sdk(clean_engine))
    assert copy.commands.run("ls ~/many | wc -l; stat -c %s ~/big").stdout == "5000\n200000000\n"


def test_snapshots_forks_and_pauses_at_once_leave_a_whole_sandbox(clean_engine: Endpoint) -> None:
    source = Sandbox.create(envs={"E": "kept"}, **sdk(clean_engine))
    source.commands.run("head -c 20000000 /dev/urandom >~/big; md5sum ~/big >~/sum")

    def ask(number: int) -> int:
        with rest(clean_engine) as client:
            path = ("fork", "snapshots", "pause", "connect")[number % 4]
            body = {"name": f"race-{number}"} if path == "snapshots" else {"timeout": 60}
            return client.post(f"/sandboxes/{source.sandbox_id}/{path}", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(24)))
    # Snapshots of a paused one are 404, everything else that comes in between is a conflict.
    assert set(statuses) <= {200, 201, 204, 404, 409}, statuses
    source.connect()
    assert source.commands.run("md5sum -c ~/sum >/dev/null && echo $E").stdout == "kept\n"
    with rest(clean_engine) as client:
        for snapshot in client.get("/snapshots").json():
            made = Sandbox.create(snapshot["snapshotID"], **sdk(clean_engine))
            assert made.commands.run("md5sum -c ~/sum").exit_code == 0
            made.kill()
            assert Sandbox.delete_snapshot(snapshot["snapshotID"], **sdk(clean_engine)) is True
