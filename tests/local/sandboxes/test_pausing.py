"""Pause and resume in both modes, by hand, by time and by traffic."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from e2b import Sandbox
from e2b.exceptions import GuestUnresponsiveException, SandboxException, SandboxNotFoundException
from e2b.sandbox.sandbox_api import SandboxState

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from nexus.local.isolation.keeper_client import ask_keeper
from nexus.local.isolation.runtime_folder import RuntimeFolder
from nexus.local.presence import is_held
from nexus.local.settings import runtime_folder
from tests.local.engine_client import advance, rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def state(endpoint: Endpoint, sandbox: Sandbox) -> SandboxState:
    return Sandbox.get_info(sandbox.sandbox_id, **sdk(endpoint)).state


def detail(endpoint: Endpoint, sandbox: Sandbox) -> dict[str, object]:
    with rest(endpoint) as client:
        found: dict[str, object] = client.get(f"/sandboxes/{sandbox.sandbox_id}").json()
    return found


def crash(endpoint: Endpoint) -> None:
    os.kill(endpoint.pid, signal.SIGKILL)
    wait_until(lambda: not is_held(endpoint.home), "the daemon is gone")


def test_a_full_pause_keeps_memory_and_the_boot(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=300, envs={"E": "kept"}, **sdk(clean_engine))
    handle = sandbox.commands.run("sleep 1000", background=True)
    boot = sandbox.files.read(BOOT_ID)
    sandbox.pause()
    shown = detail(clean_engine, sandbox)
    assert (shown["state"], shown["pauseMode"]) == ("paused", "full")
    sandbox.connect()
    assert sandbox.files.read(BOOT_ID) == boot
    assert handle.pid in [process.pid for process in sandbox.commands.list()]
    assert "pauseMode" not in detail(clean_engine, sandbox)


def test_a_disk_only_pause_ends_processes_and_the_resume_is_another_boot(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=300, envs={"E": "kept"}, **sdk(clean_engine))
    layers = _layers(clean_engine)
    sandbox.commands.run("sleep 1000 >/dev/null 2>&1 & rm ~/.bashrc; echo x >/dev/shm/gone; echo x >/tmp/kept")
    boots = [sandbox.files.read(BOOT_ID)]
    for _ in range(3):
        sandbox.pause(mode="filesystem")
        assert detail(clean_engine, sandbox)["pauseMode"] == "filesystem"
        sandbox.connect()
        boots.append(sandbox.files.read(BOOT_ID))
        assert sandbox.commands.run("pgrep -x sleep || echo none").stdout == "none\n"
    assert len(set(boots)) == 4
    assert sandbox.commands.run("echo $E; ls /tmp/kept /dev/shm").stdout == "kept\n/tmp/kept\n\n/dev/shm:\n"
    assert not sandbox.files.exists("/home/user/.bashrc")
    # However often it is paused, it stands on no more layers than before.
    assert _layers(clean_engine) <= layers


def _layers(endpoint: Endpoint) -> set[Path]:
    return set(Path(endpoint.home, "store").glob("*/layers/*"))


def test_a_disk_only_pause_of_much_data_copies_nothing(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=300, **sdk(clean_engine))
    sandbox.commands.run("head -c 400000000 /dev/zero >~/big")
    used = _written(clean_engine, sandbox)
    sandbox.pause(mode="filesystem")
    assert _written(clean_engine, sandbox) == used
    assert sandbox.connect().commands.run("stat -c %s ~/big").stdout == "400000000\n"


def _written(endpoint: Endpoint, sandbox: Sandbox) -> set[int]:
    """The inodes of what the sandbox wrote: a copy would have others."""
    (folder,) = Path(endpoint.home, "store").glob(f"*/up/{sandbox.sandbox_id}")
    return {path.stat().st_ino for path in folder.rglob("big")}


def test_connect_can_reboot_what_was_paused_in_full(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=300, envs={"E": "kept"}, **sdk(clean_engine))
    sandbox.commands.run("echo x >~/file; sleep 1000 >/dev/null 2>&1 &")
    boot = sandbox.files.read(BOOT_ID)
    sandbox.pause()
    sandbox.connect(on_resume="reboot")
    assert sandbox.files.read(BOOT_ID) != boot
    assert sandbox.commands.run("cat ~/file; echo $E; pgrep -x sleep || echo none").stdout == "x\nkept\nnone\n"
    # A running one is not rebooted.
    again = sandbox.files.read(BOOT_ID)
    sandbox.connect(on_resume="reboot")
    assert sandbox.files.read(BOOT_ID) == again


@pytest.mark.parametrize(("mode", "shown"), [("full", "full"), ("filesystem", "filesystem")])
def test_the_end_of_time_pauses_in_the_mode_asked_for(clean_engine: Endpoint, mode: str, shown: str) -> None:
    sandbox = Sandbox.create(
        timeout=100, lifecycle={"on_timeout": {"action": "pause", "mode": mode}}, **sdk(clean_engine)
    )
    sandbox.commands.run("echo x >~/file; sleep 1000 >/dev/null 2>&1 &")
    started = sandbox.get_info().started_at
    advance(clean_engine, 101)
    wait_until(lambda: state(clean_engine, sandbox) == SandboxState.PAUSED, "it pauses at its end")
    wait_until(lambda: detail(clean_engine, sandbox).get("pauseMode") == shown, "in its mode")
    info = Sandbox.get_info(sandbox.sandbox_id, **sdk(clean_engine))
    assert info.started_at == started
    # A paused one has no end.
    advance(clean_engine, 100_000)
    assert state(clean_engine, sandbox) == SandboxState.PAUSED
    sandbox.connect(timeout=50)
    expected = "x\n1\n" if mode == "full" else "x\n0\n"
    assert sandbox.commands.run("cat ~/file; pgrep -xc sleep || true").stdout == expected
    advance(clean_engine, 51)
    wait_until(lambda: state(clean_engine, sandbox) == SandboxState.PAUSED, "it pauses again")


def test_any_traffic_wakes_a_sandbox_that_resumes_by_itself(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=1000, lifecycle={"on_timeout": "pause", "auto_resume": True}, **sdk(clean_engine))
    sandbox.commands.run("cd /srv && python3 -m http.server 8123", background=True)
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8123"}

    def get() -> int:
        return httpx.get(clean_engine.sandbox_url, headers=headers, timeout=30).status_code

    wait_until(lambda: get() == 200, "its server is up")
    sandbox.pause()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: get(), range(8))) == {200}
    info = sandbox.get_info()
    assert info.state == SandboxState.RUNNING
    # As long as it was created for, and never less than five minutes.
    assert info.end_at - info.started_at == timedelta(seconds=1000)
    sandbox.pause()
    assert sandbox.files.exists("/srv")
    sandbox.pause(mode="filesystem")
    assert get() == 502
    assert state(clean_engine, sandbox) == SandboxState.PAUSED


def test_transitions_answer_as_the_state_asks(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=300, **sdk(clean_engine))
    path = f"/sandboxes/{sandbox.sandbox_id}"
    with rest(clean_engine) as client:
        assert client.post(f"{path}/resume", json={"timeout": 10}).status_code == 409
        assert client.post(f"{path}/connect", json={"timeout": 10}).status_code == 200
        assert client.post(f"{path}/refreshes", json={"duration": 1000}).status_code == 204
        assert client.post(f"{path}/refreshes", json={"duration": 3601}).status_code == 400
        assert client.post(f"{path}/pause").status_code == 204
        again = client.post(f"{path}/pause")
        assert again.status_code == 409
        assert again.json()["message"] == f"Error pausing sandbox - sandbox '{sandbox.sandbox_id}' is already paused"
        assert client.post(f"{path}/timeout", json={"timeout": 10}).status_code == 404
        assert client.post(f"{path}/refreshes", json={"duration": 10}).status_code == 404
        assert client.post(f"{path}/snapshots", json={}).status_code == 404
        assert client.put(f"{path}/network", json={}).status_code == 404
        assert client.post(f"{path}/fork", json={}).status_code == 409
        resumed = client.post(f"{path}/resume", json={"timeout": 77})
        assert resumed.status_code == 201
        assert resumed.json()["envdAccessToken"]
        client.post(f"{path}/pause")
        assert client.post(f"{path}/connect", json={"timeout": 10}).status_code == 201
        client.post(f"{path}/pause")
        assert client.delete(path).status_code == 204
        for last in ("pause", "resume", "refreshes", "snapshots", "fork"):
            assert client.post(f"{path}/{last}", json={}).status_code == 404, last


def test_a_sandbox_that_does_not_answer_is_paused_only_by_those_who_do_not_mind(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=300, envs={"E": "kept"}, **sdk(clean_engine))
    folder = RuntimeFolder.of(runtime_folder(clean_engine.home), sandbox.sandbox_id)
    init = int(str(asyncio.run(ask_keeper(folder, "describe"))["init"]))
    os.kill(init, signal.SIGSTOP)
    try:
        with rest(clean_engine) as client:
            refused = client.post(f"/sandboxes/{sandbox.sandbox_id}/pause", json={"requireHealthyGuest": True})
        assert refused.status_code == 409
        assert refused.json()["error_code"] == "sandbox_snapshot_guest_agent_unresponsive"
        with pytest.raises(GuestUnresponsiveException):
            sandbox.fork()
        assert state(clean_engine, sandbox) == SandboxState.RUNNING
    finally:
        os.kill(init, signal.SIGCONT)
    assert sandbox.pause(strict=True) is True
    assert sandbox.connect().commands.run("echo $E").stdout == "kept\n"


def test_refreshes_extend_and_never_shorten(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(timeout=300, **sdk(clean_engine))
    end = sandbox.get_info().end_at
    with rest(clean_engine) as client:
        client.post(f"/sandboxes/{sandbox.sandbox_id}/refreshes", json={"duration": 10})
        assert sandbox.get_info().end_at == end
        client.post(f"/sandboxes/{sandbox.sandbox_id}/refreshes", json={"duration": 1000})
    assert sandbox.get_info().end_at - end > timedelta(seconds=600)


@pytest.mark.slow
def test_a_sandbox_whose_start_command_fails_at_a_reboot_keeps_its_disk(clean_engine: Endpoint) -> None:
    from e2b import Template

    options = sdk(clean_engine)
    ready = "test ! -e ~/broken || test -e ~/mended"
    template = Template().from_base_image().set_start_cmd("sleep 1000", ready)
    Template.build(template, "may-break", api_key=options["api_key"], api_url=options["api_url"])
    sandbox = Sandbox.create("may-break", timeout=300, envs={"E": "kept"}, **options)
    sandbox.commands.run("touch ~/broken; echo work >~/work")
    sandbox.pause(mode="filesystem")
    with pytest.raises(SandboxException, match="ready command did not succeed"):
        sandbox.connect(request_timeout=120)
    assert state(clean_engine, sandbox) == SandboxState.PAUSED
    (upper,) = Path(clean_engine.home, "store").glob(f"*/up/{sandbox.sandbox_id}/root/u/home/user")
    (upper / "mended").write_text("")
    sandbox.connect()
    assert sandbox.commands.run("cat ~/work; echo $E").stdout == "work\nkept\n"


def test_a_disk_only_pause_survives_a_crash_at_any_moment(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    sandbox = Sandbox.create(timeout=3000, **sdk(endpoint))
    sandbox.files.write("/home/user/file", "kept")
    for delay in (0.0, 0.005, 0.015):
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(_pause, endpoint, sandbox.sandbox_id)
            time.sleep(delay)
            crash(endpoint)
            asked.exception()
        endpoint = daemon.ensure_running(engine_home)
        assert state(endpoint, sandbox) in (SandboxState.RUNNING, SandboxState.PAUSED)
        sandbox = Sandbox.connect(sandbox.sandbox_id, timeout=3000, **sdk(endpoint))
        assert sandbox.files.read("/home/user/file") == "kept"


def _pause(endpoint: Endpoint, sandbox_id: str) -> None:
    with rest(endpoint) as client:
        client.post(f"/sandboxes/{sandbox_id}/pause", json={"memory": False})


def test_a_copy_that_a_crash_cut_off_leaves_the_source_running_and_no_half_snapshot(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    source = Sandbox.create(timeout=3000, envs={"E": "kept"}, **sdk(endpoint))
    source.commands.run("mkdir ~/many; cd ~/many; seq 20000 | xargs touch; head -c 300000000 /dev/urandom >~/big")
    for what in ("snapshots", "fork"):
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(_copy, endpoint, source.sandbox_id, what)
            wait_until(lambda: list(engine_home.glob("store/*/tmp/*/root")), "the copy is under way")
            crash(endpoint)
            assert isinstance(asked.exception(), httpx.TransportError)
        endpoint = daemon.ensure_running(engine_home)
        with rest(endpoint) as client:
            assert client.get("/snapshots").json() == []
            (listed,) = client.get("/v2/sandboxes").json()
        assert (listed["sandboxID"], listed["state"]) == (source.sandbox_id, "running")
        source = Sandbox.connect(source.sandbox_id, timeout=3000, **sdk(endpoint))
        assert source.commands.run("echo $E; ls ~/many | wc -l").stdout == "kept\n20000\n"
        wait_until(lambda: not _leftovers(engine_home), "what the crash left is collected")


def _leftovers(home: Path) -> list[Path]:
    return [path for kind in ("tmp/*", "trash/*", "layers/0*") for path in home.glob(f"store/*/{kind}")]


def _copy(endpoint: Endpoint, sandbox_id: str, what: str) -> None:
    with rest(endpoint) as client:
        client.post(f"/sandboxes/{sandbox_id}/{what}", json={})


def test_environment_lost_by_a_restart_during_a_disk_only_pause_is_told(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    full, disk = (Sandbox.create(timeout=3000, envs={"E": "kept"}, **sdk(endpoint)) for _ in range(2))
    full.pause()
    disk.pause(mode="filesystem")
    crash(endpoint)
    endpoint = daemon.ensure_running(engine_home)
    # What is only frozen still knows, even when it is rebooted.
    full = Sandbox.connect(full.sandbox_id, on_resume="reboot", **sdk(endpoint))
    assert full.commands.run("echo $E").stdout == "kept\n"
    disk = Sandbox.connect(disk.sandbox_id, **sdk(endpoint))
    assert disk.commands.run("echo -$E-").stdout == "--\n"
    with rest(endpoint) as client:
        logs = client.get(f"/v2/sandboxes/{disk.sandbox_id}/logs").json()["logs"]
    assert any("environment variables are lost" in entry["message"] for entry in logs)
    disk.kill()
    with pytest.raises(SandboxNotFoundException):
        Sandbox.connect(disk.sandbox_id, **sdk(endpoint))
