"""What a machine is to the programs inside it and to the host outside."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import statistics
import sys
import time
from pathlib import Path

import pytest

from nexus.local.isolation import tiers
from nexus.local.isolation.base import Limits
from nexus.local.isolation.runtime_folder import RuntimeFolder
from nexus.local.isolation.starting import StartError
from nexus.local.storage.layout import ROOT_TREE
from tests.local.isolation.workshop import Places, Workshop, descendants, output, run

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]


async def test_a_machine_has_its_own_root_processes_and_name(workshop: Workshop) -> None:
    machine = await workshop.start(hostname="box")
    assert await output(machine, "hostname; cat /etc/hostname") == "box\nbox"
    assert "127.0.1.1\tbox" in await output(machine, "cat /etc/hosts")
    numbers = [int(pid) for pid in (await output(machine, "ls /proc")).split() if pid.isdigit()]
    assert min(numbers) == 1
    assert len(numbers) < 10
    assert await output(machine, "tr '\\0' ' ' </proc/1/cmdline") == "/usr/bin/envd"


async def test_the_hosts_folders_and_secrets_are_out_of_sight(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host")
    machine = await workshop.start()
    assert (await run(machine, f"ls {tmp_path}", "root"))[0] != 0
    assert await output(machine, "ls /home", "root") == "user"
    assert await output(machine, "ls /srv /mnt /media", "root") == "/media:\n\n/mnt:\n\n/srv:"
    shadow = await output(machine, "cat /etc/shadow", "root")
    assert all(line.split(":")[1] == "*" for line in shadow.splitlines())
    assert (await run(machine, "ls /etc/ssl/private /etc/ssh", "root"))[0] != 0
    for name in ("cmdline", "environ", "mountinfo"):
        _, text = await run(machine, f"tr '\\0' ' ' </proc/1/{name}", "root")
        assert str(Path(__file__).parents[3]) not in text
        assert str(workshop.isolation.store.path) not in text


async def test_secrets_of_a_machine_are_neither_on_disk_nor_in_arguments(workshop: Workshop, places: Places) -> None:
    machine = await workshop.start()
    assert await output(machine, "echo $SECRET") == "s3cr3t-value"
    for folder in (places.store, places.runtime):
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink() and "base" not in file.parts:
                assert b"s3cr3t-value" not in file.read_bytes(), file
    for pid in descendants(machine.pid):
        for name in ("cmdline", "environ"):
            assert b"s3cr3t-value" not in Path(f"/proc/{pid}/{name}").read_bytes()


async def test_user_and_root_are_different_people(workshop: Workshop) -> None:
    machine = await workshop.start()
    assert await output(machine, "id -u; id -un; pwd; echo $HOME") == "1000\nuser\n/home/user\n/home/user"
    assert await output(machine, "id -u; echo $HOME", "root") == "0\n/root"
    if workshop.isolation.tier == tiers.ROOTLESS_SINGLE.name:
        return
    await output(machine, "echo x >/root/file; chmod 600 /root/file", "root")
    assert (await run(machine, "cat /root/file"))[0] != 0
    assert (await run(machine, "echo x >/etc/passwd"))[0] != 0
    assert await output(machine, "touch file; stat -c %u:%g file") == "1000:1000"


async def test_sudo_gives_root_without_a_password(workshop: Workshop) -> None:
    machine = await workshop.start()
    assert await output(machine, "sudo id -u") == "0"
    assert await output(machine, "sudo -n -u nobody id -un") == "nobody"
    assert await output(machine, "sudo sh -c 'echo $HOME $USER $SUDO_USER'") == "/root root user"
    assert await output(machine, "A=1 sudo -E sh -c 'echo $A'; A=1 sudo sh -c 'echo [$A]'") == "1\n[]"
    assert await output(machine, "sudo B=2 env | grep ^B=") == "B=2"
    assert await output(machine, "sudo -i pwd") == "/root"
    assert await output(machine, "echo text | sudo tee /etc/written; cat /etc/written") == "text\ntext"
    assert await output(machine, "sudo -- printf '%s|' 'a b' \"it's\" '$x'") == "a b|it's|$x|"
    assert (await run(machine, "sudo sh -c 'exit 7'"))[0] == 7


async def test_python_pip_and_venv_work_for_root_and_user(workshop: Workshop) -> None:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("this host lends no Python")
    machine = await workshop.start()
    assert (await output(machine, "python --version")).startswith("Python 3")
    listing = await output(machine, "ls /usr/lib/python3*/EXTERNALLY-MANAGED 2>/dev/null || echo none")
    assert listing == "none"
    await output(machine, "python3 -m venv --without-pip /tmp/venv && /tmp/venv/bin/python -c 'import ssl, sqlite3'")
    await output(machine, "python3 -c 'import multiprocessing as m; print(m.Pool(2).map(abs, [-1]))'")


async def test_mounts_and_devices_are_denied(workshop: Workshop) -> None:
    machine = await workshop.start()
    for command in ("mount -t tmpfs none /mnt", "umount /proc", "mount -o remount,rw /sys", "mount --bind /etc /mnt"):
        assert (await run(machine, command, "root"))[0] != 0, command
    assert (await run(machine, "mknod /tmp/disk b 8 0 && test -b /tmp/disk", "root"))[0] != 0
    assert (await run(machine, "echo x >/proc/sys/kernel/core_pattern", "root"))[0] != 0
    assert (await run(machine, "echo b >/proc/sysrq-trigger", "root"))[0] != 0
    assert (await run(machine, "head -c1 /proc/kcore | grep -q .", "root"))[0] != 0


async def test_nobody_inside_can_look_into_the_init(workshop: Workshop) -> None:
    if workshop.isolation.tier == tiers.ROOTLESS_SINGLE.name:
        pytest.skip("with a single uid the init and its children are the same person")
    machine = await workshop.start()
    for name in ("root/", "cwd/", "exe", "fd/", "environ"):
        assert (await run(machine, f"ls -l /proc/1/{name} && cat /proc/1/{name}", "root"))[0] != 0, name
    assert (await run(machine, "kill -9 1", "root"))[0] in (0, 1)
    assert await output(machine, "echo alive") == "alive"


async def test_root_of_a_machine_is_nobody_on_the_host(workshop: Workshop) -> None:
    if workshop.isolation.tier != tiers.IDMAP.name:
        pytest.skip("only where ids are mapped")
    machine, other = await workshop.start(), await workshop.start()
    uid, other_uid = (Path(f"/proc/{m.pid}/status").read_text().split("Uid:")[1].split()[0] for m in (machine, other))
    assert int(uid) >= 1_000_000
    assert uid != other_uid
    await output(machine, "touch /root/file; sudo -u user touch /home/user/file", "root")
    upper = workshop.isolation.store.upper(machine.id) / ROOT_TREE / "u"
    assert (upper / "root/file").stat().st_uid == 0
    assert (upper / "home/user/file").stat().st_uid == 1000


async def test_two_machines_serve_the_same_port(workshop: Workshop) -> None:
    if shutil.which("python3", path="/usr/bin") is None:
        pytest.skip("this host lends no Python")
    first, second = await workshop.start(), await workshop.start()
    for machine, text in ((first, "one"), (second, "two")):
        serve = f"cd /tmp && echo {text} >name && (python3 -m http.server 80 >/dev/null 2>&1 &)"
        ready = "for _ in $(seq 500); do curl -s localhost >/dev/null && exit 0; sleep 0.02; done; exit 1"
        await output(machine, f"{serve}; {ready}", "root")
    for machine, text in ((first, "one"), (second, "two")):
        assert await _get(await machine.dial(80), "/name") == text


async def test_dialling_a_closed_port_is_refused(workshop: Workshop) -> None:
    machine = await workshop.start()
    with pytest.raises(ConnectionRefusedError):
        await machine.dial(8099)
    with pytest.raises(OSError, match="70000") as caught:
        await machine.dial(70000)
    assert caught.value.errno == errno.EINVAL


async def test_killing_leaves_no_process_mount_or_socket(workshop: Workshop, places: Places) -> None:
    machine = await workshop.start()
    await output(machine, "nohup sleep 1000 >/dev/null 2>&1 & (setsid sleep 1000 >/dev/null 2>&1 &)")
    pids = descendants(machine.pid)
    assert len(pids) >= 3
    await machine.kill()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert machine.id not in Path("/proc/self/mountinfo").read_text()
    assert not RuntimeFolder.of(places.runtime, machine.id).path.exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/nexus-*-{machine.id}"))
    assert machine.id not in await workshop.isolation.running()
    await machine.kill()


async def test_the_end_of_the_init_is_the_end_of_the_machine(workshop: Workshop) -> None:
    machine = await workshop.start()
    reader, writer = await asyncio.open_unix_connection(str(machine.envd_socket.with_name("control")))
    os.kill(machine.pid, 9)
    async with asyncio.timeout(60):
        # The keeper closes it when everything is gone.
        assert await reader.read() == b""
    writer.close()
    assert await workshop.isolation.attach(machine.id) is None


async def test_a_paused_machine_stands_still_and_goes_on(workshop: Workshop) -> None:
    machine = await workshop.start()
    await output(machine, "(while :; do echo x >>/tmp/ticks; sleep 0.01; done) >/dev/null 2>&1 &")
    ticks = workshop.isolation.store.upper(machine.id) / ROOT_TREE / "u/tmp/ticks"
    await _grows(ticks)
    await machine.pause()
    await machine.pause()
    before = ticks.stat().st_size
    assert not await _grows(ticks, 0.3)
    assert ticks.stat().st_size == before
    attached = await workshop.isolation.attach(machine.id)
    assert attached is not None
    await attached.resume()
    assert await _grows(ticks)
    assert await output(machine, "echo awake") == "awake"


async def test_a_paused_machine_can_be_killed(workshop: Workshop) -> None:
    machine = await workshop.start()
    await machine.pause()
    async with asyncio.timeout(60):
        await machine.kill()
    assert not Path(f"/proc/{machine.pid}").exists()


async def test_usage_counts_cpu_memory_and_disk(workshop: Workshop) -> None:
    machine = await workshop.start(limits=Limits(memory_mb=300, cpu_count=1))
    await machine.usage()
    await output(machine, "head -c 30000000 /dev/zero >/tmp/big; timeout 0.5 sh -c 'while :; do :; done' || true")
    usage = await machine.usage()
    assert usage.cpu_count == 1
    assert 1 < usage.cpu_used_pct <= 210, "it had its share of a host that others use, too"
    assert usage.mem_total == 300 * 1024 * 1024
    assert 0 < usage.mem_used < usage.mem_total
    machine_again = await workshop.isolation.attach(machine.id)
    assert machine_again is not None
    assert (await machine_again.usage()).disk_used >= 30_000_000


async def test_memory_and_process_limits_hold(workshop: Workshop) -> None:
    if workshop.isolation.tier == tiers.ROOTLESS_SINGLE.name or not os.access("/sys/fs/cgroup", os.W_OK):
        pytest.skip("no control groups to set limits in")
    machine = await workshop.start(limits=Limits(memory_mb=128, processes=40))
    hungry = "python3 -c 'x = bytearray(300 << 20)'"
    code, _ = await run(machine, hungry)
    assert code != 0
    code, text = await run(machine, "for i in $(seq 100); do sleep 5 & done")
    assert code != 0 or "fork" in text
    assert await output(machine, "pkill sleep; echo alive") == "alive"


async def test_a_machine_that_cannot_start_leaves_nothing(workshop: Workshop, places: Places) -> None:
    with pytest.raises(StartError, match="layers"):
        await workshop.start(layers=["missing"], machine_id="never")
    assert not workshop.isolation.store.upper("never").exists()
    assert not RuntimeFolder.of(places.runtime, "never").path.exists()
    assert "never" not in await workshop.isolation.running()


async def test_an_unsafe_id_is_refused(workshop: Workshop) -> None:
    with pytest.raises(ValueError, match="id"):
        await workshop.start(machine_id="../escape")


async def test_volumes_are_host_folders_with_the_machines_owners(workshop: Workshop, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    (volume / "given").write_text("from outside")
    machine = await workshop.start(volumes={"/data/shared": volume})
    assert await output(machine, "cat /data/shared/given") == "from outside"
    await output(machine, "echo inside >/data/shared/written")
    assert (volume / "written").read_text() == "inside\n"
    if workshop.isolation.tier != tiers.ROOTLESS_SINGLE.name:
        assert (volume / "written").stat().st_uid == 1000
    other = await workshop.start(volumes={"/elsewhere": volume})
    assert await output(other, "cat /elsewhere/written") == "inside"


async def test_starting_is_quick(workshop: Workshop) -> None:
    """Only an order of magnitude is asserted, for busy hosts; the time itself is information (pytest -rP)."""
    times = []
    for _ in range(5):
        before = time.perf_counter()
        await workshop.start()
        times.append(time.perf_counter() - before)
    sys.stdout.write(f"{workshop.isolation.tier}: {statistics.median(times) * 1000:.0f} ms\n")
    assert statistics.median(times) < 10


async def _get(sock: socket.socket, path: str) -> str:
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    return text.rpartition("\r\n\r\n")[2].strip()


async def _grows(file: Path, limit: float = 60.0) -> bool:
    """Whether a file gets longer within ``limit`` seconds."""
    start = file.stat().st_size if file.exists() else 0
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if file.exists() and file.stat().st_size > start:
            return True
        await asyncio.sleep(0.01)
    return False
