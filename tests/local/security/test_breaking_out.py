"""A sandbox's root against the host: nothing of it can be seen, changed or reached."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nexus.local.settings import load_settings
from tests.local.security.conftest import Scene

pytestmark = pytest.mark.engine

DENIED = {"EPERM", "EACCES", "ENOSYS", "ENOENT", "EINVAL", "EROFS", "ENODEV", "EOPNOTSUPP", "ENXIO", "ENOTBLK"}
_LOOPBACKS = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def test_no_file_of_the_host_can_be_found(scene: Scene) -> None:
    folders = "find / -xdev -name '*{0}*' 2>/dev/null; ls {1}; cat /proc/1/root{1}; ls -d /proc/*/root{1}"
    seen = scene.root(folders.format(scene.host.marker, scene.host.file))
    assert "No such file" in seen or "Permission denied" in seen
    assert f"\n{scene.host.file}\n" not in f"\n{seen}\n"
    assert scene.root(f"cat {scene.host.file}") != scene.host.marker
    for own in (scene.endpoint.home, Path(__file__).parents[3]):
        assert not scene.root(f"test -e {own} && echo there")


def test_no_variable_argument_or_process_of_the_host_can_be_seen(scene: Scene) -> None:
    seen = scene.root("cat /proc/*/environ /proc/*/cmdline /proc/*/task/*/environ | tr '\\0' '\\n'")
    assert scene.host.marker not in seen
    assert scene.endpoint.api_key not in seen
    assert len(scene.root("ls -d /proc/[0-9]*").split()) < 20


def test_memory_of_the_machines_first_process_holds_no_key_of_the_engine(scene: Scene) -> None:
    if scene.tier == "rootless1":
        pytest.skip("with a single uid the init and its children are the same person")
    assert scene.tries("ptrace", 1) in DENIED
    assert "Permission denied" in scene.root("head -c 1 /proc/1/mem; cat /proc/1/maps; ls -l /proc/1/exe")


def test_killing_everything_hits_nobody_else(scene: Scene) -> None:
    scene.root("kill -9 -1")
    assert scene.root("echo alive") == "alive"
    assert scene.victim.commands.run("echo alive").stdout == "alive\n"
    assert scene.host.process.poll() is None


@pytest.mark.parametrize("attempt", ["bpf", "perf", "module", "kexec", "handle", "clock", "swap"])
def test_powers_over_the_kernel_are_denied(scene: Scene, attempt: str) -> None:
    assert scene.tries(attempt) in DENIED


def test_devices_can_neither_be_made_nor_opened(scene: Scene) -> None:
    assert not scene.tries("mknod", "/tmp/disk", "b", 254, 0).startswith("ok")
    assert not scene.tries("mknod", "/tmp/memory", "c", 1, 1).startswith("ok")
    assert scene.root("find /dev -type b").strip() == ""
    assert set(scene.root("find /dev -type c -printf '%f '").split()) <= {
        *("null", "zero", "full", "random", "urandom", "tty", "ptmx"),
        *map(str, range(20)),
    }


def test_mounting_is_denied_or_stays_inside(scene: Scene) -> None:
    before = _mounted(scene)
    plain = scene.tries("mount", "none", "/mnt", "tmpfs")
    if scene.tier != "rootless1":
        assert plain in DENIED
        assert scene.tries("mount", "none", "/mnt", "cgroup", 0, "memory") in DENIED
        assert scene.tries("mount", "none", "/sys", "none", 32) in DENIED
    assert not scene.tries("mount", "/dev/vda", "/mnt", "ext4").startswith("ok")
    nested = scene.tries("nested", scene.host.file)
    assert nested.startswith("ok") or nested in DENIED
    assert scene.tries("chroot", scene.host.file) in ("ok still inside", "EPERM")
    assert scene.tries("namespaces", 1) in ("ok the same", *DENIED)
    assert _mounted(scene) == before


def _mounted(scene: Scene) -> set[str]:
    """What is mounted on the host where the attempts aim at: elsewhere, others mount what they like meanwhile."""
    places = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return {place for place in places if place.startswith(("/mnt", "/sys", str(scene.endpoint.home)))}


def test_settings_of_the_kernel_cannot_be_written(scene: Scene) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    for name in ("sys/kernel/core_pattern", "sys/vm/drop_caches", "sys/kernel/panic", "sysrq-trigger"):
        assert scene.root(f"echo x >/proc/{name} && echo written") != "written"
        assert not scene.root(f"echo x >/proc/{name} && echo written").endswith("written")
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
    assert not scene.root("echo disk >/sys/power/state && echo written").endswith("written")
    assert not scene.root("cat /proc/kcore | head -c 1 | wc -c").endswith("1")


def test_control_groups_cannot_be_changed(scene: Scene) -> None:
    assert scene.root("find /sys -writable -type f 2>/dev/null | head") == ""
    for where in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"):
        assert not scene.root(f"mkdir {where}/mine && echo made").endswith("made")
    for kind in ("cgroup2", "cgroup -o memory", "cgroup -o pids"):
        mount = f"mount -t {kind} none /mnt && mkdir /mnt/mine && echo made"
        assert not scene.root(mount).endswith("made")
        for flags in ("-UrmC", "-rmC", "-Urm"):
            assert not scene.root(f"unshare {flags} sh -c '{mount}'").endswith("made")


def test_keys_of_the_host_are_not_inherited(scene: Scene) -> None:
    assert scene.host.marker not in scene.tries("keyring", scene.host.marker)


def test_sockets_of_the_host_are_out_of_reach(scene: Scene) -> None:
    host = scene.host
    assert scene.tries("abstract", host.abstract) == "ECONNREFUSED"
    api, edge = (int(url.rsplit(":", 1)[1]) for url in (scene.endpoint.api_url, scene.endpoint.sandbox_url))
    addresses = [*_LOOPBACKS, "127.0.0.2", "0.0.0.0", "127.77.0.1", "169.254.169.254"]
    for address in [*addresses, *([host.address] if host.address else [])]:
        for port in (host.port, api, *([] if address in _LOOPBACKS else [edge])):
            assert not scene.tries("connect", address, port).startswith("ok"), (address, port)
    for folder in ("/run", "/tmp", "/var/run"):
        assert scene.root(f"find {folder} -type s") == ""
    if scene.tier != "rootless1":
        assert scene.tries("raw") in ("ok None", "EPERM")


def test_the_edge_gives_a_sandbox_no_more_than_it_gives_the_world(scene: Scene) -> None:
    """It is the one thing on the host's loopback that sandboxes reach: for the names of their ports."""
    edge, victim = scene.endpoint.sandbox_url.rsplit(":", 1)[1], scene.victim.sandbox_id

    def status_of(path: str, *headers: str) -> str:
        told = " ".join(f"-H '{header}'" for header in headers)
        return scene.root(f"curl -s -o /dev/null -w '%{{http_code}}' {told} http://127.0.0.1:{edge}{path}")

    envd = f"Host: 49983-{victim}.localhost"
    for path in ("/envs", "/files?path=/etc/passwd", "/files?path=/etc/passwd&signature=v1_x"):
        assert status_of(path, envd) == "401"
    assert status_of("/init", envd) == "404"
    own_token = f"X-Access-Token: {scene.attacker._envd_access_token}"
    assert status_of("/envs", envd, own_token) == "401"
    assert status_of("/envs", f"E2b-Sandbox-Id: {victim}", "E2b-Sandbox-Port: 49983", own_token) == "401"
    for path in ("/", "/sandboxes", "/nexus/status", "/v2/sandboxes"):
        assert status_of(path) == "400"


def test_another_sandbox_is_only_reached_by_its_forward(scene: Scene) -> None:
    for address in ("127.0.0.1", "::1", "localhost", *([scene.host.address] if scene.host.address else [])):
        assert not scene.tries("connect", address, 8123).startswith("ok")
    assert scene.host.marker not in scene.root("env; cat /proc/*/environ | tr '\\0' '\\n'")
    forward = scene.root(f"curl -s --max-time 3 http://127.77.0.1:{_forward_port(scene)}/hostname")
    assert scene.victim.sandbox_id not in forward


def test_names_in_archives_stay_inside_the_machine(scene: Scene) -> None:
    """Unpacked by the sandbox itself: whatever it does, it does to itself."""
    evil = Path("/etc/nexus-evil")
    scene.root(
        "mkdir -p /tmp/a && cd /tmp/a && echo evil >x && ln -sf /etc l && "
        "tar cPf a.tar --transform 's,^x$,../../../../../../etc/nexus-evil,' x && tar xPf a.tar"
    )
    assert not evil.exists()
    assert scene.root("cat /etc/nexus-evil") == "evil"


def test_nothing_of_the_engine_is_open_to_other_users_of_the_host(scene: Scene, as_other_user) -> None:
    home = scene.endpoint.home
    for path in (home / "engine.json", home / "store", home / "logs", home / "records"):
        assert as_other_user(["ls", str(path)]).returncode != 0
    for socket_file in Path("/run").glob(f"nexus-{os.getuid()}-*/egress"):
        assert as_other_user(["ls", str(socket_file)]).returncode != 0


def _forward_port(scene: Scene) -> int:
    settings = load_settings(scene.endpoint.home)
    assert settings is not None
    return settings.forward_port
