"""The life of sandboxes, seen by the official SDK, on real machines."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from e2b import AsyncSandbox, Sandbox
from e2b.exceptions import (
    InvalidArgumentException,
    SandboxException,
    SandboxNotFoundException,
    TimeoutException,
)
from e2b.sandbox.sandbox_api import SandboxQuery, SandboxState

from nexus.local.daemon import Endpoint
from tests.local.engine_client import advance, is_gone, now, rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


def test_sandbox_is_created_used_and_killed(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    sandbox = Sandbox.create(metadata={"a b": "c=d&e", "ü": "ß"}, envs={"GREETING": "hello"}, timeout=120, **options)
    assert sandbox.commands.run("echo $GREETING").stdout == "hello\n"
    sandbox.files.write("/home/user/x.txt", "content")
    assert sandbox.files.read("/home/user/x.txt") == "content"
    info = sandbox.get_info()
    assert info.template_id == "base"
    assert info.metadata == {"a b": "c=d&e", "ü": "ß"}
    assert (info.cpu_count, info.memory_mb) == (2, 512)
    assert info.state == SandboxState.RUNNING
    assert timedelta(seconds=119) < info.end_at - info.started_at <= timedelta(seconds=120)
    assert sandbox.is_running()
    assert sandbox.kill() is True
    assert sandbox.is_running() is False
    assert sandbox.kill() is False
    with pytest.raises(SandboxNotFoundException):
        Sandbox.get_info(sandbox.sandbox_id, **options)


async def test_async_client_does_the_same(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    sandbox = await AsyncSandbox.create(envs={"N": "1"}, **options)
    assert (await sandbox.commands.run("echo $N")).stdout == "1\n"
    found = await AsyncSandbox.list(query=SandboxQuery(template="base"), **options).next_items()
    assert [item.sandbox_id for item in found] == [sandbox.sandbox_id]
    connected = await AsyncSandbox.connect(sandbox.sandbox_id, timeout=400, **options)
    assert (await connected.commands.run("whoami")).stdout == "user\n"
    assert await sandbox.kill() is True


def test_unknown_template_and_wrong_bodies_are_refused(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    with pytest.raises(SandboxException, match="template 'no-such' not found"):
        Sandbox.create("no-such", **options)
    with pytest.raises(SandboxException, match="Timeout cannot be greater than 24 hours"):
        Sandbox.create(timeout=24 * 3600 + 1, **options)
    with pytest.raises(SandboxException, match="Timeout must be greater than 0"):
        Sandbox.create(timeout=0, **options)
    with pytest.raises((SandboxException, InvalidArgumentException), match="invalid mounts"):
        Sandbox.create(volume_mounts={"/data": "missing"}, **options)
    assert Sandbox.list(**options).next_items() == []


def test_set_timeout_shortens_and_extends(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=300, **sdk(clean_engine))
    sandbox.set_timeout(1000)
    assert sandbox.get_info().end_at - now(clean_engine) > timedelta(seconds=900)
    sandbox.set_timeout(100)
    assert sandbox.get_info().end_at - now(clean_engine) < timedelta(seconds=101)
    sandbox.set_timeout(0)
    wait_until(lambda: is_gone(sandbox), "the sandbox ends at once")
    with pytest.raises(SandboxNotFoundException):
        sandbox.set_timeout(10)


def test_sandbox_ends_when_its_time_is_up_and_streams_tell_so(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=1000, **sdk(clean_engine))
    handle = sandbox.commands.run("sleep 500", background=True)
    advance(clean_engine, 1001)
    with pytest.raises((TimeoutException, SandboxException), match=r"end of life|not found"):
        handle.wait()
    wait_until(lambda: is_gone(sandbox), "the sandbox is gone")


def test_longest_life_limits_every_extension(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=24 * 3600, **sdk(clean_engine))
    started = sandbox.get_info().started_at
    advance(clean_engine, 3600)
    sandbox.set_timeout(24 * 3600)
    assert sandbox.get_info().end_at == started + timedelta(hours=24)


def test_connect_never_shortens(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=500, **sdk(clean_engine))
    end = sandbox.get_info().end_at
    sandbox.connect(timeout=10)
    assert sandbox.get_info().end_at == end
    sandbox.connect(timeout=1000)
    assert sandbox.get_info().end_at > end + timedelta(seconds=400)


def test_pause_keeps_processes_and_connect_resumes(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    sandbox = Sandbox.create(timeout=300, envs={"E": "kept"}, **options)
    handle = sandbox.commands.run("while :; do date +%N >> /tmp/ticks; sleep 0.05; done", background=True)
    assert sandbox.pause() is True
    assert sandbox.pause() is False
    info = Sandbox.get_info(sandbox.sandbox_id, **options)
    assert info.state == SandboxState.PAUSED
    assert sandbox.is_running() is False
    with pytest.raises(SandboxNotFoundException):
        sandbox.set_timeout(100)
    resumed = Sandbox.connect(sandbox.sandbox_id, timeout=200, **options)
    assert resumed.commands.run("echo $E").stdout == "kept\n"
    assert any(process.pid == handle.pid for process in resumed.commands.list())
    assert resumed.get_info().started_at > info.started_at
    assert resumed.kill() is True


def test_filesystem_pause_keeps_the_disk_and_reboots(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    sandbox = Sandbox.create(envs={"E": "kept"}, **options)
    sandbox.files.write("/home/user/file", "still here")
    before = sandbox.commands.run("cat /proc/sys/kernel/random/boot_id; sleep 300 >/dev/null 2>&1 & true").stdout
    assert sandbox.pause(mode="filesystem") is True
    resumed = Sandbox.connect(sandbox.sandbox_id, **options)
    assert resumed.files.read("/home/user/file") == "still here"
    assert resumed.commands.run("echo $E").stdout == "kept\n"
    assert "sleep 300" not in resumed.commands.run("ps ax || true").stdout
    assert before
    assert resumed.kill() is True


def test_end_of_time_pauses_when_asked_and_traffic_wakes_it(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    sandbox = Sandbox.create(timeout=100, lifecycle={"on_timeout": "pause", "auto_resume": True}, **options)
    advance(clean_engine, 101)
    wait_until(
        lambda: Sandbox.get_info(sandbox.sandbox_id, **options).state == SandboxState.PAUSED, "it pauses at its end"
    )
    assert sandbox.commands.run("echo awake").stdout == "awake\n"
    info = sandbox.get_info()
    assert info.state == SandboxState.RUNNING
    assert info.end_at - info.started_at == timedelta(seconds=300)


def test_without_auto_resume_traffic_finds_nothing(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    sandbox = Sandbox.create(timeout=100, lifecycle={"on_timeout": "pause"}, **options)
    sandbox.pause()
    assert sandbox.is_running() is False
    with pytest.raises(TimeoutException):
        sandbox.commands.run("true")
    assert Sandbox.get_info(sandbox.sandbox_id, **options).state == SandboxState.PAUSED


def test_paused_sandbox_can_be_killed(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)
    sandbox = Sandbox.create(**options)
    sandbox.pause()
    assert Sandbox.kill(sandbox.sandbox_id, **options) is True
    assert Sandbox.list(**options).next_items() == []


def test_metrics_come_after_a_few_seconds(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(**sdk(clean_engine))
    wait_until(sandbox.get_metrics, "a sample is taken")
    sample = sandbox.get_metrics()[-1]
    assert sample.cpu_count == 2
    assert sample.mem_total == 512 * 1024**2
    assert sample.disk_total > sample.disk_used >= 0


def test_logs_join_lifecycle_and_processes(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(**sdk(clean_engine))
    sandbox.commands.run("echo from-inside")
    with rest(clean_engine) as client:
        entries = client.get(f"/v2/sandboxes/{sandbox.sandbox_id}/logs").json()["logs"]
        found = client.get(f"/v2/sandboxes/{sandbox.sandbox_id}/logs", params={"search": "from-inside"}).json()["logs"]
        old = client.get(f"/sandboxes/{sandbox.sandbox_id}/logs").json()
    assert any(entry["message"] == "Sandbox created" for entry in entries)
    assert found
    assert len(found) < len(entries)
    assert len(old["logs"]) == len(old["logEntries"]) == len(entries)


def test_whoever_follows_a_sandbox_sees_its_end(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(**sdk(clean_engine))
    sandbox.commands.run("echo last-words")
    with rest(clean_engine) as client:
        wait_until(lambda: client.get(f"/sandboxes/{sandbox.sandbox_id}/metrics").json(), "a sample is taken")
        sandbox.kill()
        said = [entry["message"] for entry in client.get(f"/v2/sandboxes/{sandbox.sandbox_id}/logs").json()["logs"]]
        assert "last-words" in said
        assert said[-1] == "Sandbox killed"
        assert client.get(f"/sandboxes/{sandbox.sandbox_id}/metrics").json()
        assert client.get(f"/sandboxes/{sandbox.sandbox_id}").status_code == 404
        assert client.get("/sandboxes/inever/metrics").status_code == 404
        assert client.get("/v2/sandboxes/inever/logs").status_code == 404


def test_fifty_creates_at_once_all_succeed(clean_engine: Endpoint) -> None:
    options = sdk(clean_engine)

    async def one(number: int) -> str:
        sandbox = await AsyncSandbox.create(envs={"N": str(number)}, **options)
        return (await sandbox.commands.run("echo $N")).stdout.strip()

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(50)))

    started = time.monotonic()
    assert asyncio.run(all_of_them()) == [str(number) for number in range(50)]
    assert time.monotonic() - started < 60


def test_volume_outlives_the_sandbox_that_wrote_it(clean_engine: Endpoint) -> None:
    from e2b import Volume

    options = {"api_key": clean_engine.api_key, "api_url": clean_engine.api_url}
    volume = Volume.create("data", **options)
    try:
        first = Sandbox.create(volume_mounts={"/data": volume}, **sdk(clean_engine))
        first.commands.run("echo shared > /data/file")
        assert first.get_info().volume_mounts
        first.kill()
        second = Sandbox.create(volume_mounts={"/mnt/data": "data"}, **sdk(clean_engine))
        assert second.files.read("/mnt/data/file") == "shared\n"
        second.kill()
        assert [item.name for item in Volume.list(**options)] == ["data"]
    finally:
        assert Volume.destroy(volume.volume_id, **options) is True
    assert Volume.destroy(volume.volume_id, **options) is False
