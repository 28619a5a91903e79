"""What is left of an engine when it is gone: nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from e2b import Sandbox, Template

from nexus.local import daemon
from nexus.local.isolation import tiers
from nexus.local.isolation.keeper import REACHABLE_CHECK, group_prefix
from nexus.local.isolation.runtime_folder import RuntimeFolder
from nexus.local.presence import is_held
from nexus.local.settings import create_settings, runtime_folder
from tests.local.engine_client import rest, sdk
from tests.local.machines import living_machines
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine


def test_nothing_is_left_after_a_reset(engine_home: Path) -> None:
    runtime = runtime_folder(engine_home)
    endpoint = daemon.ensure_running(engine_home)
    options = sdk(endpoint)
    first, second = Sandbox.create(**options), Sandbox.create(**options)
    paused, on_disk = Sandbox.create(**options), Sandbox.create(**options)
    first.commands.run("setsid nohup sleep 1000 >/dev/null 2>&1 & mkdir -p /tmp/a; chmod 000 /tmp/a")
    second.commands.run("python3 -m http.server 8000", background=True)
    paused.pause()
    on_disk.pause(mode="filesystem")
    with rest(endpoint) as client:
        client.post(f"/sandboxes/{second.sandbox_id}/forwards", json={"port": 8000})
        client.post("/volumes", json={"name": "left"})
    Template.build(
        Template().from_base_image().run_cmd("echo x >/tmp/x"),
        "left",
        api_key=endpoint.api_key,
        api_url=endpoint.api_url,
    )
    assert _processes_with(str(engine_home)) | _processes_with(str(runtime))
    assert daemon.reset(engine_home) is True
    assert not engine_home.exists()
    assert not runtime.exists()
    wait_until(lambda: not _processes_with(str(runtime)), "the supervisor has ended")
    assert not _processes_with(str(engine_home))
    assert not _footprint(engine_home)


def test_killed_sandboxes_leave_no_files_processes_or_groups(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    settings = create_settings(engine_home)
    Sandbox.create(**sdk(endpoint)).kill()
    sandboxes = [Sandbox.create(**sdk(endpoint)) for _ in range(4)]
    for sandbox in sandboxes:
        sandbox.commands.run("echo x >~/file; nohup sleep 1000 >/dev/null 2>&1 &")
    sandboxes[0].pause()
    assert len(list((engine_home / "store").glob("*/up/*"))) == 4
    for sandbox in sandboxes:
        sandbox.kill()
    assert list((engine_home / "store").glob("*/up/*")) == []
    assert list((engine_home / "store").glob("*/tmp/*")) == []
    assert list((settings.runtime / "m").iterdir()) == []
    assert list((engine_home / "records" / "sandboxes").glob("*.json")) == []
    assert not _footprint(engine_home)


@pytest.mark.parametrize("victim", ["zygote", "supervisor", "keeper", "all"])
def test_deaths_of_helpers_leave_nothing_and_are_made_good(engine_home: Path, victim: str) -> None:
    endpoint = daemon.ensure_running(engine_home)
    settings = create_settings(engine_home)
    sandbox = Sandbox.create(timeout=600, **sdk(endpoint))
    # For another user envd changes its ids and back, which has the kernel forget whose death is its own.
    sandbox.commands.run("nohup sleep 1000 >/dev/null 2>&1 &")
    found = _helpers(endpoint.pid, settings.runtime)
    inside = [pid for pid, parent in _parents().items() if parent == found["keeper"]]
    assert inside
    for name, pid in found.items():
        if victim in (name, "all"):
            os.kill(pid, signal.SIGKILL)
    if victim == "all":
        os.kill(endpoint.pid, signal.SIGKILL)
        wait_until(lambda: not is_held(engine_home), "the daemon is gone")
        endpoint = daemon.ensure_running(engine_home)
    if victim in ("keeper", "all"):
        wait_until(lambda: not _listed(endpoint), "the sandbox is known to be gone")
        wait_until(lambda: not list((settings.runtime / "m").iterdir()), "its folder is gone")
        wait_until(lambda: not list((engine_home / "store").glob("*/up/*")), "so are its files")
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in inside), "the machine has ended")
    else:
        assert sandbox.commands.run("echo on").stdout == "on\n"
    again = Sandbox.create(**sdk(endpoint))
    assert again.commands.run("echo new").stdout == "new\n"


def test_a_sandbox_whose_creation_was_cut_off_is_ended(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    kept, half_made = (Sandbox.create(timeout=600, **sdk(endpoint)).sandbox_id for _ in range(2))
    os.kill(endpoint.pid, signal.SIGKILL)
    wait_until(lambda: not is_held(engine_home), "the daemon is gone")
    assert living_machines(engine_home) == {kept, half_made}
    # As it is from the machine's first breath until its creation is written down.
    record = engine_home / "records" / "sandboxes" / f"{half_made}.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "state": "creating"}))
    daemon.ensure_running(engine_home)
    assert living_machines(engine_home) == {kept}
    assert not record.exists()


def test_a_machine_that_nobody_can_reach_any_more_ends_itself(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    lost = Sandbox.create(timeout=600, **sdk(endpoint)).sandbox_id
    shutil.rmtree(RuntimeFolder.of(runtime_folder(engine_home), lost).path)
    wait_until(lambda: not living_machines(engine_home), "the machine has ended", limit=REACHABLE_CHECK + 60)


def test_a_machine_whose_engine_was_removed_under_it_ends_itself(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    Sandbox.create(timeout=600, **sdk(endpoint))
    os.kill(endpoint.pid, signal.SIGKILL)
    wait_until(lambda: not is_held(engine_home), "the daemon is gone")
    assert living_machines(engine_home)
    # As somebody does who tidies up by hand; the folder is put back for the fixture to end what is left.
    store = engine_home / "store"
    store.rename(engine_home / "elsewhere")
    wait_until(lambda: not living_machines(engine_home), "the machine has ended", limit=REACHABLE_CHECK + 60)
    (engine_home / "elsewhere").rename(store)


def test_an_engine_whose_home_was_removed_ends_with_all_that_it_has(engine_home: Path) -> None:
    endpoint = daemon.ensure_running(engine_home)
    runtime = runtime_folder(engine_home)
    sandbox = Sandbox.create(timeout=600, **sdk(endpoint))
    sandbox.commands.run("nohup sleep 1000 >/dev/null 2>&1 &")
    # Some of it stays where its user may not remove it: the kernel closes folders of machines that run.
    shutil.rmtree(engine_home, ignore_errors=True)
    wait_until(lambda: not _processes_with(str(engine_home)), "the daemon has ended", limit=REACHABLE_CHECK + 60)
    wait_until(lambda: not living_machines(engine_home), "its machine has ended")
    assert not runtime.exists()


def _listed(endpoint: daemon.Endpoint) -> list[object]:
    return list(Sandbox.list(**sdk(endpoint)).next_items())


def _helpers(daemon_pid: int, runtime: Path) -> dict[str, int]:
    """Pids of the zygote, the egress supervisor and the one machine's keeper."""
    parents = _parents()
    [zygote] = [pid for pid, parent in parents.items() if parent == daemon_pid and _title(pid) == "nexus-zygote"]
    [keeper] = [pid for pid, parent in parents.items() if parent == zygote and _title(pid) == "nexus-machine"]
    [supervisor] = _processes_with(str(runtime))
    return {"zygote": zygote, "keeper": keeper, "supervisor": supervisor}


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found[int(entry.name)] = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue
    return found


def _processes_with(text: str) -> set[int]:
    """Processes whose arguments name ``text``, this one apart."""
    return {pid for pid in _parents() if text in _title(pid) and pid != os.getpid()}


def _footprint(home: Path) -> set[str]:
    """What lies about outside of the home and the runtime folder: control groups, and mounts of the host."""
    prefixes = {group_prefix(store) for store in (home / "store" / tier.store for tier in tiers.ALL)}
    # os.walk passes over what vanishes meanwhile: groups of other engines of this host.
    walked = (f"{folder}/{name}" for folder, names, _ in os.walk("/sys/fs/cgroup") for name in names)
    groups = {path for path in walked if any(path.rpartition("/")[2].startswith(prefix) for prefix in prefixes)}
    mounts = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    places = (str(home), str(runtime_folder(home)))
    return groups | {mount for mount in mounts if mount.startswith(places)}
