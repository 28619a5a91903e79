"""What the engine refuses when the disk, or its share of it, is full; and what frees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import Sandbox, Template
from e2b.exceptions import BuildException, NotEnoughSpaceException, SandboxException

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from nexus.local.serving import options_from
from nexus.local.settings import SettingsError
from tests.local.engine_client import rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


@contextmanager
def limited(home: Path, monkeypatch: pytest.MonkeyPatch, **limits: int) -> Iterator[Endpoint]:
    """An engine whose daemon is started with limits of the disk."""
    for name, value in limits.items():
        monkeypatch.setenv(f"NEXUS_LOCAL_{name}", str(value))
    try:
        yield daemon.ensure_running(home)
    finally:
        for name in limits:
            monkeypatch.delenv(f"NEXUS_LOCAL_{name}")
        daemon.stop(home)


def api(endpoint: Endpoint) -> dict[str, Any]:
    return {"api_key": endpoint.api_key, "api_url": endpoint.api_url}


def test_below_the_floor_nothing_new_begins_and_what_runs_goes_on(
    engine_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = daemon.ensure_running(engine_home)
    sandbox = Sandbox.create(timeout=3000, **sdk(endpoint))
    daemon.stop(engine_home)
    with limited(engine_home, monkeypatch, MIN_FREE_MB=1 << 40) as endpoint:
        assert sandbox.commands.run("echo goes on").stdout == "goes on\n"
        with pytest.raises(SandboxException, match="507: not enough disk space to start a sandbox"):
            Sandbox.create(**sdk(endpoint))
        with pytest.raises(SandboxException, match="507: not enough disk space to copy"):
            sandbox.create_snapshot()
        with pytest.raises(SandboxException, match="507: not enough disk space to copy"):
            sandbox.fork()
        with pytest.raises(BuildException, match="not enough disk space to build a template"):
            Template.build(Template().from_base_image().run_cmd("true"), "none", **api(endpoint))
        with pytest.raises(NotEnoughSpaceException, match="not enough disk space"):
            sandbox.files.write("/home/user/x", "content")
        assert not sandbox.files.exists("/home/user/x")
        # What gives room back, or needs none, still works.
        sandbox.pause()
        sandbox.connect()
        sandbox.kill()
    with limited(engine_home, monkeypatch, MIN_FREE_MB=0) as endpoint:
        Sandbox.create(**sdk(endpoint)).kill()


def test_a_sandbox_past_its_share_takes_no_more_uploads(engine_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with limited(engine_home, monkeypatch, MAX_SANDBOX_DISK_MB=20) as endpoint:
        sandbox, other = Sandbox.create(**sdk(endpoint)), Sandbox.create(**sdk(endpoint))
        with rest(endpoint) as client:
            assert client.get(f"/sandboxes/{sandbox.sandbox_id}").json()["diskSizeMB"] == 20
        sandbox.commands.run("head -c 30000000 /dev/zero >~/big")

        def is_refused() -> bool:
            try:
                sandbox.files.write("/home/user/more", "x")
            except NotEnoughSpaceException:
                return True
            return False

        wait_until(is_refused, "uploads are refused")
        other.files.write("/home/user/more", "x")
        assert sandbox.files.read("/home/user/big", format="bytes")[:1] == b"\0"
        sandbox.commands.run("rm ~/big")
        wait_until(lambda: not is_refused(), "uploads are taken again")
        daemon.stop(engine_home, kill_sandboxes=True)


def test_pruning_frees_what_builds_left_and_keeps_what_is_used(engine_home: Path, tmp_path: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    (tmp_path / "data").write_bytes(os.urandom(3_000_000))
    kept = Template(file_context_path=tmp_path).from_base_image().copy("data", "/data").run_cmd("echo kept >/tmp/kept")
    Template.build(kept, "kept", **api(endpoint))
    Template.build(Template().from_base_image().run_cmd("head -c 5000000 /dev/zero >/tmp/old"), "old", **api(endpoint))
    running = Sandbox.create("kept", timeout=3000, **sdk(endpoint))
    assert prune(endpoint) >= 3_000_000, "the uploaded context at least"
    assert prune(endpoint) == 0
    with rest(endpoint) as client:
        client.delete("/templates/old").raise_for_status()
    # Layers of steps stay for the next build, until somebody prunes.
    assert 5_000_000 <= prune(endpoint) < 20_000_000
    assert running.commands.run("cat /tmp/kept; stat -c %s /data").stdout == "kept\n3000000\n"
    assert Sandbox.create("kept", **sdk(endpoint)).commands.run("cat /tmp/kept").stdout == "kept\n"
    again = Template().from_base_image().run_cmd("head -c 5000000 /dev/zero >/tmp/old")
    Template.build(again, "again", **api(endpoint))
    assert Sandbox.create("again", **sdk(endpoint)).commands.run("stat -c %s /tmp/old").stdout == "5000000\n"
    store = engine_home / "store"
    wait_until(lambda: not list(store.glob("*/trash/*")), "the trash is empty")


def prune(endpoint: Endpoint) -> int:
    answer = httpx.post(f"{endpoint.api_url}/nexus/prune", headers={"X-API-KEY": endpoint.api_key}, timeout=60)
    answer.raise_for_status()
    return int(answer.json()["freedBytes"])


def test_an_engine_past_its_share_refuses_until_it_is_pruned(
    engine_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.ensure_running(engine_home)
    daemon.stop(engine_home)
    base = sum(path.lstat().st_blocks * 512 for path in engine_home.rglob("*")) // 1024**2
    with limited(engine_home, monkeypatch, MAX_DISK_MB=base + 100) as endpoint:
        wasteful = Template().from_base_image().run_cmd("head -c 200000000 /dev/zero >/tmp/waste")
        Template.build(wasteful, "waste", **api(endpoint))
    with limited(engine_home, monkeypatch, MAX_DISK_MB=base + 100) as endpoint:
        with pytest.raises(SandboxException, match=r"507: .* run `nexus local prune`"):
            wait_until(lambda: Sandbox.create(**sdk(endpoint)).kill() and False, "creates are refused")
        with rest(endpoint) as client:
            client.delete("/templates/waste").raise_for_status()
        assert prune(endpoint) >= 200_000_000
        wait_until(lambda: not list(engine_home.glob("store/*/trash/*")), "the trash is empty")
        prune(endpoint)
        Sandbox.create(**sdk(endpoint)).kill()


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "", "0"])
def test_a_limit_that_is_no_number_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match="NEXUS_LOCAL_MAX_DISK_MB must be a number of MiB"):
        options_from({"NEXUS_LOCAL_MAX_DISK_MB": value})


def test_a_reset_of_much_does_not_wait_for_the_disk(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    sandbox = Sandbox.create(**sdk(endpoint))
    sandbox.commands.run("mkdir ~/many; cd ~/many; seq 5000 | xargs touch")
    assert daemon.reset(engine_home) is True
    assert not engine_home.exists()
    left = f".{engine_home.name}.removed-*"
    wait_until(lambda: not list(engine_home.parent.glob(left)), "the disk is free again")
