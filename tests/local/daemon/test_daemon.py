"""Starting, finding, crashing and stopping the daemon; what it leaves, and what it takes over."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from e2b import Sandbox, Template
from e2b.exceptions import SandboxException
from e2b.sandbox.sandbox_api import SandboxState

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from nexus.local.identity import code_mark
from nexus.local.isolation import tiers
from nexus.local.isolation.namespaces import NamespaceIsolation
from nexus.local.presence import is_held, read_presence, write_presence
from nexus.local.settings import SettingsError, create_settings
from tests.contents import contents_below
from tests.local.engine_client import advance, faults, is_gone, rest, sdk
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


def crash(endpoint: Endpoint) -> None:
    """Kill the daemon without a word."""
    os.kill(endpoint.pid, signal.SIGKILL)
    wait_until(lambda: not is_held(endpoint.home), "the daemon is gone")


def test_two_starts_at_once_give_one_daemon_and_stop_leaves_sandboxes(engine_home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        endpoints = list(pool.map(lambda _: daemon.ensure_running(engine_home), range(4)))
    assert len({endpoint.pid for endpoint in endpoints}) == 1
    endpoint = endpoints[0]
    assert endpoint.api_key.startswith("e2b_")
    assert len(endpoint.api_key) == 44
    assert endpoint.api_key not in repr(endpoint)
    assert stat.S_IMODE((engine_home / "engine.json").stat().st_mode) == 0o600
    sandbox = Sandbox.create(timeout=300, envs={"KEPT": "yes"}, **sdk(endpoint))
    handle = sandbox.commands.run("sleep 500", background=True)
    assert daemon.stop(engine_home) is True
    assert daemon.stop(engine_home) is False
    assert daemon.find_running(engine_home) is None
    assert daemon.status(engine_home) is None
    again = daemon.ensure_running(engine_home)
    assert again.pid != endpoint.pid
    assert replace(again, pid=0) == replace(endpoint, pid=0)
    assert any(process.pid == handle.pid for process in sandbox.commands.list())
    assert sandbox.commands.run("echo $KEPT").stdout == "yes\n"
    assert daemon.stop(engine_home, kill_sandboxes=True) is True
    final = daemon.ensure_running(engine_home)
    assert Sandbox.list(**sdk(final)).next_items() == []


def test_users_of_sandboxes_can_read_what_there_is_whatever_the_umask(engine_home: Path) -> None:
    before = os.umask(0o077)
    try:
        endpoint = daemon.ensure_running(engine_home)
    finally:
        os.umask(before)
    sandbox = Sandbox.create(**sdk(endpoint))
    assert sandbox.commands.run("test -w ~ && ls / /etc /usr/lib /usr/share >/dev/null && echo all").stdout == "all\n"
    assert sandbox.commands.run("command -v python3 >/dev/null || exit 0; python3 -c 'import json'").exit_code == 0


def test_second_daemon_on_the_same_home_is_refused(engine_home: Path) -> None:
    daemon.ensure_running(engine_home)
    second = subprocess.run(
        [sys.executable, "-m", "nexus.local", "--home", str(engine_home)], capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert "an engine already runs" in second.stderr


def test_daemon_of_another_version_is_replaced_and_sandboxes_go_on(engine_home: Path) -> None:
    first = daemon.ensure_running(engine_home)
    sandbox = Sandbox.create(**sdk(first))
    presence = read_presence(engine_home)
    assert presence is not None
    write_presence(replace(presence, version="0.0.1"))
    second = daemon.ensure_running(engine_home)
    assert second.pid != first.pid
    assert sandbox.commands.run("echo on").stdout == "on\n"
    presence = read_presence(engine_home)
    assert presence is not None
    write_presence(replace(presence, code="of an edited checkout"))
    third = daemon.ensure_running(engine_home)
    assert third.pid != second.pid
    assert daemon.ensure_running(engine_home).pid == third.pid
    assert sandbox.commands.run("echo on").stdout == "on\n"


def test_a_change_of_any_module_changes_the_mark_of_the_code(tmp_path: Path) -> None:
    def mark() -> str:
        return code_mark.__wrapped__(tmp_path)

    (tmp_path / "room").mkdir()
    module = tmp_path / "room" / "module.py"
    module.write_text("x = 1")
    first = mark()
    assert mark() == first
    (tmp_path / "room" / "module.pyc").write_text("compiled")
    assert mark() == first
    module.write_text("x = 12")
    second = mark()
    os.utime(module, (1, 1))
    third = mark()
    module.rename(tmp_path / "module.py")
    assert len({first, second, third, mark()}) == 4


def test_crash_leaves_sandboxes_usable_and_their_time_runs_on(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home, test_controls=True)
    options = sdk(endpoint)
    running = Sandbox.create(timeout=600, metadata={"m": "1"}, envs={"E": "kept"}, **options)
    paused = Sandbox.create(timeout=600, **options)
    on_disk = Sandbox.create(timeout=600, **options)
    on_disk.files.write("/home/user/f", "disk")
    paused.pause()
    on_disk.pause(mode="filesystem")
    with rest(endpoint) as client:
        url = client.post(f"/sandboxes/{running.sandbox_id}/forwards", json={"port": 8000}).json()["url"]
    before = running.get_info()
    crash(endpoint)
    again = daemon.ensure_running(engine_home, test_controls=True)
    assert (again.api_url, again.api_key, again.engine_id) == (endpoint.api_url, endpoint.api_key, endpoint.engine_id)
    assert running.get_info() == before
    assert running.commands.run("echo $E").stdout == "kept\n"
    assert {item.sandbox_id for item in Sandbox.list(**options).next_items()} == {
        running.sandbox_id,
        paused.sandbox_id,
        on_disk.sandbox_id,
    }
    assert Sandbox.get_info(paused.sandbox_id, **options).state == SandboxState.PAUSED
    assert Sandbox.connect(paused.sandbox_id, **options).commands.run("echo thawed").stdout == "thawed\n"
    assert Sandbox.connect(on_disk.sandbox_id, **options).files.read("/home/user/f") == "disk"
    running.commands.run("python3 -m http.server 8000 -d /etc", background=True)
    wait_until(lambda: "hostname" in _get(url), "the forward still leads to the sandbox")
    advance(again, 601)
    wait_until(lambda: is_gone(running), "its time ends")


def test_crash_during_create_leaves_nothing_or_an_answer(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home, test_controls=True)
    options = sdk(endpoint)
    Template.build(
        Template().from_base_image().set_start_cmd("sleep 1000", "test -e /tmp/ready || sleep 2; true"),
        "slow-start",
        api_key=endpoint.api_key,
        api_url=endpoint.api_url,
    )
    records = engine_home / "records" / "sandboxes"
    with ThreadPoolExecutor(1) as pool:
        create = pool.submit(Sandbox.create, "slow-start", idempotency_key="cut-off", retries=0, **options)
        wait_until(lambda: any(records.glob("i*.json")), "the create has begun")
        crash(endpoint)
        with pytest.raises(Exception, match=r".*"):
            create.result(timeout=30)
    again = daemon.ensure_running(engine_home, test_controls=True)
    assert Sandbox.list(**options).next_items() == []
    assert list(records.glob("i*.json")) == []
    # Whether the first request made something can't be known from outside, so its key makes nothing more.
    for _attempt in range(2):
        with pytest.raises(SandboxException, match="422: the outcome"):
            Sandbox.create("slow-start", idempotency_key="cut-off", **options)
    made = Sandbox.create("slow-start", idempotency_key="another", **options)
    assert [item.sandbox_id for item in Sandbox.list(**options).next_items()] == [made.sandbox_id]
    status = daemon.status(engine_home)
    assert status is not None
    assert status["pid"] == again.pid


def test_answer_lost_before_a_crash_is_replayed_after_it(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home, test_controls=True)
    options = sdk(endpoint)
    lost = {"method": "POST", "path": "^/v2/sandboxes$", "action": "drop"}
    with faults(endpoint, lost), pytest.raises(httpx.TransportError):
        Sandbox.create(idempotency_key="lost", network={"allow_public_traffic": False}, **options)
    [made] = Sandbox.list(**options).next_items()
    crash(endpoint)
    daemon.ensure_running(engine_home, test_controls=True)
    again = Sandbox.create(idempotency_key="lost", network={"allow_public_traffic": False}, **options)
    assert again.sandbox_id == made.sandbox_id
    assert again.traffic_access_token
    assert again.commands.run("echo same").stdout == "same\n"


def test_build_cut_off_by_a_crash_has_failed(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    api = {"api_key": endpoint.api_key, "api_url": endpoint.api_url}
    info = Template.build_in_background(Template().from_base_image().run_cmd("sleep 300"), "cut", **api)
    crash(endpoint)
    daemon.ensure_running(engine_home)
    status = Template.get_build_status(info, **api)
    assert status.status.value == "error"
    assert status.reason is not None
    assert "restarted" in status.reason.message
    uppers = [entry.name for entry in (engine_home / "store").glob("*/up/*")]
    assert uppers == []


def test_secrets_are_in_no_file(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home, test_controls=True)
    value = "s3cr3t-value-of-a-variable"
    options = sdk(endpoint)
    sandbox = Sandbox.create(envs={"TOKEN": value}, idempotency_key="with-secret", **options)
    assert sandbox.commands.run("test -n $TOKEN && echo set").stdout == "set\n"
    sandbox.pause(mode="filesystem")
    sandbox.connect()
    token = sandbox._envd_access_token
    assert token
    sandbox.set_timeout(1000)
    for path, content in contents_below(engine_home):
        assert value.encode() not in content, path
        assert token.encode() not in content, path
        assert path.name == "engine.json" or endpoint.api_key.encode() not in content, path
    for process in Path("/proc").glob("[0-9]*"):
        try:
            argv = (process / "cmdline").read_bytes()
        except OSError:
            continue
        assert value.encode() not in argv
        assert endpoint.api_key.encode() not in argv


def test_port_taken_by_another_program_is_replaced(engine_home: Path) -> None:
    settings = create_settings(engine_home)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", settings.api_port))
        squatter.listen()
        endpoint = daemon.ensure_running(engine_home)
    assert endpoint.api_url != settings.api_url
    assert endpoint.api_key == settings.api_key
    assert Sandbox.list(**sdk(endpoint)).next_items() == []


def test_start_that_fails_says_why(engine_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_LOCAL_MAX_TIMEOUT", "a while")
    with pytest.raises(daemon.DaemonError, match="NEXUS_LOCAL_MAX_TIMEOUT must be a number of seconds"):
        daemon.ensure_running(engine_home)
    monkeypatch.setenv("NEXUS_LOCAL_MAX_TIMEOUT", "60")
    endpoint = daemon.ensure_running(engine_home)
    with pytest.raises(SandboxException, match="Timeout cannot be greater than"):
        Sandbox.create(timeout=61, **sdk(endpoint))


def test_home_that_cannot_be_used_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot be used \(Not a directory\); set NEXUS_HOME"):
        daemon.ensure_running(tmp_path / "file" / "home")
    with pytest.raises(SettingsError, match="set NEXUS_HOME"):
        daemon.ensure_running(Path("/proc/nexus"))


def test_newer_format_is_refused_by_name(engine_home: Path) -> None:
    (engine_home / "engine.json").write_text('{"format": 99}')
    with pytest.raises(SettingsError, match="newer nexus"):
        daemon.ensure_running(engine_home)
    (engine_home / "engine.json").unlink()


def test_reset_removes_the_engine_altogether(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    sandbox = Sandbox.create(**sdk(endpoint))
    sandbox.commands.run("mkdir -m 000 /home/user/closed")
    assert daemon.reset(engine_home) is True
    assert not engine_home.exists()
    assert daemon.reset(engine_home) is False


def _get(url: str) -> str:
    try:
        return httpx.get(url).text
    except httpx.TransportError:
        return ""


async def test_sandbox_whose_machine_ended_by_itself_vanishes(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    sandbox = Sandbox.create(**sdk(endpoint))
    settings = create_settings(engine_home)
    isolation = NamespaceIsolation(tiers.by_name(_tier(engine_home)), settings.store, settings.runtime)
    machine = await isolation.attach(sandbox.sandbox_id)
    assert machine is not None
    await machine.kill()
    wait_until(lambda: Sandbox.list(**sdk(endpoint)).next_items() == [], "the engine notices")
    assert sandbox.is_running() is False


def _tier(home: Path) -> str:
    status = daemon.status(home)
    assert status is not None
    return str(status["tier"])


def test_a_start_that_was_interrupted_goes_on_and_the_next_one_waits_for_it(
    engine_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(home: Path) -> None:
        if is_held(home):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(daemon, "read_presence", interrupted)
        with pytest.raises(KeyboardInterrupt):
            daemon.ensure_running(engine_home)
    assert daemon.find_running(daemon.ensure_running(engine_home).home) is not None
    assert daemon.stop(engine_home) is True
